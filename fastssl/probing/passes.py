"""Images through a run's network once: features of one plain view, or of many drawn ones, at any layer.

What is not asked for on the command line is the run's own: image statistics, views, loader, backend, number format.
"""

import copy
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float32, Int64
from torch import Tensor, nn

from fastssl.augment import Drawer, make_views
from fastssl.data.open import find_beton, open_loader
from fastssl.data.served import serve
from fastssl.errors import InputError
from fastssl.probing.subject import Subject, hash_of
from fastssl.train.probe import EVAL_BATCH
from fastssl.types import DatasetInfo, Loader
from fastssl.views import ViewSpec

BATCH_VIEWS = EVAL_BATCH
"""Views through the network at a time; as in the probes of training, so that a later one gives their very numbers."""
Progress = Callable[[int, int], None]
"""Takes the images done and all there are."""


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a network is shown: all that decides its features beside its weights."""

    dataset: str
    split: str
    views: int = 0
    """0: one plain view, undistorted. From 1 on: so many views, drawn as the run drew them in training."""
    limit: int | None = None
    """At most about so many images: a class-balanced share of the split."""
    seed: int = 0
    """Of the drawn views, and of the share."""


@dataclass(frozen=True)
class Pass:
    """Features of every image of a look, on the CPU, in the order of the dataset."""

    features: dict[str, Float32[Tensor, "n v k"]]
    """By layer; v is 1 for a plain view."""
    labels: Int64[Tensor, "n"]
    info: DatasetInfo
    skipped: int
    """Damaged images that the pass did without."""


def show(subject: Subject, look: Look, layers: Sequence[str] = ("encoder",), progress: Progress | None = None) -> Pass:
    """One pass of a run's network over the images of a look. Waits for the device once per batch.

    Layers: `encoder` is its output, `projector` what the method makes of that (of a subject opened with it); any other
    name is a module inside the encoder, whose output is averaged over positions. Errors: `InputError` for data that is
    missing, or a layer that the network does not have.
    """
    specs = specs_of(subject, look)
    with closing(_open(subject, look, specs)) as loader:
        found: dict[str, list[Tensor]] = {name: [] for name in layers}
        labels, index, skipped, done = [], [], 0, 0
        with _tapped(subject, layers) as forward, torch.inference_mode():
            for batch in loader.epoch(0):
                views = make_views(batch, specs, subject.backend, seed=look.seed, epoch=0, dtype=torch.float32)
                with torch.autocast(subject.device.type, subject.dtype, enabled=subject.dtype != torch.float32):
                    taken = forward(torch.cat(views))
                for name, value in taken.items():
                    found[name].append(value.float().unflatten(0, (len(views), -1)).transpose(0, 1).cpu())
                labels.append(batch.labels.cpu())
                index.append(batch.index.cpu())
                skipped, done = skipped + batch.skipped, done + len(batch.index)
                if progress is not None:
                    progress(done, loader.info.num_samples)
        order = torch.cat(index).argsort()
        features = {name: torch.cat(parts)[order].clone() for name, parts in found.items()}
        return Pass(features, torch.cat(labels)[order].clone(), loader.info, skipped)


def plain_views(subject: Subject, look: Look, num: int) -> Float32[Tensor, "n 3 s s"]:
    """Plain views of the first `num` images of a look (fewer where there are fewer), as its network sees them, on the
    subject's device."""
    specs = specs_of(subject, dataclasses.replace(look, views=0))
    with closing(_open(subject, look, specs)) as loader, torch.no_grad():
        batch = next(iter(loader.epoch(0)))
        (views,) = make_views(batch, specs, subject.backend, seed=look.seed, epoch=0, dtype=torch.float32)
        return views[:num].clone()


@contextmanager
def _tapped(subject: Subject, layers: Sequence[str]) -> Iterator[Callable[[Tensor], dict[str, Tensor]]]:
    """Yields a forward pass that gives the output of every layer asked for, (n, k) each."""
    encoder, projector = subject.encoder, subject.projector
    ends = {"encoder", "projector"} if projector is not None else {"encoder"}
    known = dict(encoder.named_modules())
    if missing := [name for name in layers if name not in ends and (not name or name not in known)]:
        outer = ", ".join([*sorted(ends), *(name for name, _ in encoder.named_children())])
        raise InputError(f"layer={missing[0]!r} is no part of this network; give one of {outer}, or a module inside")
    taken: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: Tensor) -> None:
            taken[name] = output.flatten(2).mean(2) if output.ndim > 2 else output.clone()

        return hook

    handles = [known[name].register_forward_hook(keep(name)) for name in layers if name not in ends]

    def forward(x: Tensor) -> dict[str, Tensor]:
        taken["encoder"] = encoder(x.contiguous(memory_format=torch.channels_last))
        if projector is not None and "projector" in layers:
            taken["projector"] = projector(taken["encoder"])
        return {name: taken[name] for name in layers}

    try:
        yield forward
    finally:
        for handle in handles:
            handle.remove()


def specs_of(subject: Subject, look: Look) -> tuple[ViewSpec, ...]:
    """One spec per view of the look, normalised by the statistics of the images that the run learned from: those are
    what its encoder knows, on any dataset."""
    recipe = subject.recipe
    own = serve(find_beton(recipe.data.dataset, recipe.data.train_split)).info
    if look.views == 0:
        return (recipe.plain_view.with_statistics(own.mean, own.std),)
    return dataclasses.replace(recipe, views=max(look.views, recipe.views)).specs(own.mean, own.std)[: look.views]


def settle(subject: Subject, num_images: int = 2048) -> Subject:
    """The subject with BatchNorm statistics of images: plain views of the run's own, averaged over batches.

    For an untrained encoder, whose statistics are 0 and 1 else: normalisation is what a trained one has for free.
    """
    encoder, projector = copy.deepcopy((subject.encoder, subject.projector))
    networks = [network.train() for network in (encoder, projector) if network is not None]
    norms = [m for network in networks for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over batches
    look = Look(dataset=subject.recipe.data.dataset, split=subject.recipe.data.train_split, limit=num_images)
    layers = ("encoder", *["projector"][: projector is not None])
    show(dataclasses.replace(subject, encoder=encoder, projector=projector), look, layers)
    for network in networks:
        network.eval()
    return dataclasses.replace(subject, encoder=encoder, projector=projector, weights_hash=hash_of(encoder))


def beton_of(subject: Subject, look: Look) -> Path:
    """The file that holds the images of a look; a held-out part lies in the train file."""
    data = subject.recipe.data
    held_out = look.split == "val" and data.holdout and look.dataset == data.dataset
    return find_beton(look.dataset, "train" if held_out else look.split)


def _open(subject: Subject, look: Look, specs: tuple[ViewSpec, ...]) -> Loader:
    """The images of a look in the order of the dataset, loaded as the run's own probes load them."""
    data = subject.recipe.data
    own = look.dataset == data.dataset
    holdout = data.holdout if own and look.split in ("train", "val") else 0.0
    share = 1.0
    if look.limit is not None:
        if look.limit < 1:
            raise InputError(f"limit={look.limit} leaves nothing to look at; give 1 or more")
        share = min(1.0, look.limit / serve(beton_of(subject, look)).info.num_samples)
    return open_loader(
        subject.facts["loader"] if own and subject.device.type == subject.facts["device"] else "auto",
        look.dataset,
        look.split,
        batch_size=max(1, BATCH_VIEWS // len(specs)),
        order="sequential",
        fraction=share,
        holdout=holdout,
        subset_seed=look.seed if share < 1.0 else data.subset_seed,
        drop_last=False,
        num_workers=data.workers,
        device=str(subject.device),
        views=Drawer(tuple(dataclasses.replace(spec, mean=None, std=None) for spec in specs), seed=look.seed),
        on_error=data.on_error,
    )
