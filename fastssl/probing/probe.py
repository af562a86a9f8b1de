"""Probes of a run that lies on disk: any classifier, any layer, many views averaged, few labels, other datasets."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from fastssl.errors import InputError
from fastssl.evals import PROBES, Features, few_labels, fewshot_protocol
from fastssl.probing.cache import features_of
from fastssl.probing.finetune import FineTuning, finetune
from fastssl.probing.passes import Look, Pass, settle
from fastssl.probing.record import looked_at
from fastssl.probing.subject import Subject, open_run

Kind = Literal["ridge", "knn", "logistic", "mlp", "finetune"]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What to find out about a run."""

    kind: tuple[Kind, ...] = ("ridge", "knn")
    """Classifiers. `ridge` is closed form; `knn` sweeps k in one pass; `logistic` and `mlp` choose their penalty on a
    held-out tenth of train; `finetune` trains the encoder too."""
    labels: tuple[float, ...] = (1.0,)
    """Class-balanced shares of the labels; below 1, several draws of them (ridge, logistic), or one (finetune)."""
    shots: tuple[int, ...] = ()
    """So many labels of each class, several draws (ridge, logistic)."""
    draws: int = 5
    """Draws of few labels, whose spread makes the interval."""
    layers: tuple[str, ...] = ("encoder",)
    """`encoder`, `projector`, or modules inside the encoder, whose output is averaged over positions."""
    views: tuple[int, ...] = (0,)
    """0: one undistorted view. N: the mean of the features, as they are, of N views drawn as in training; a row of its
    own."""
    dataset: str | None = None
    """Transfer: another dataset, whose train split fits the probe and whose test split scores it."""
    baseline: bool = False
    """Probe the untrained encoder as well."""
    finetune_epochs: int = 10
    """Of fine-tuning; of few labels as many as make up 200 steps."""
    finetune_lr: float = 1e-3
    seed: int = 0
    """Of drawn labels and views, and of fine-tuning."""
    device: str = "auto"
    fresh: bool = False
    """Show the images again although their features are kept in RUN/features."""

    def __post_init__(self) -> None:
        for name, low in (("labels", 0.0), ("shots", 0), ("draws", 1), ("views", -1)):
            value = getattr(self, name)
            for one in value if isinstance(value, Sequence) else (value,):
                if one <= low or (name == "labels" and one > 1):
                    good = {"labels": "shares in (0, 1]", "shots": "1 or more", "draws": "2 or more"}
                    raise InputError(f"{name}={one:g} is impossible; give {good.get(name, '0 or more')}")
        for name in ("kind", "layers", "views"):
            if not getattr(self, name):
                raise InputError(f"{name}=nothing leaves nothing to probe; give one or more")
        if not self.labels and not self.shots:
            raise InputError("labels=nothing leaves nothing to probe with; give 1.0, smaller shares, or shots")
        whole = [kind for kind in self.kind if kind in ("knn", "mlp")]
        if self.amounts and 1.0 not in self.labels and whole:
            raise InputError(f"kind={whole[0]} is not tried with few labels; give --labels 1.0 too, or leave it out")
        if self.amounts and not set(self.kind) & {"ridge", "logistic", "finetune"}:
            raise InputError(f"kind={whole[0]} is not tried with few labels; give ridge or logistic too")
        if set(self.kind) == {"finetune"}:
            for name, plain in (("shots", ()), ("layers", ("encoder",)), ("views", (0,))):
                if tuple(getattr(self, name)) != plain:
                    raise InputError(f"{name}={getattr(self, name)} has no effect on fine-tuning; leave it out")

    @property
    def amounts(self) -> tuple[float | int, ...]:
        return (*(share for share in self.labels if share < 1), *self.shots)


Say = Callable[[str], None]
Progress = Callable[[str, int, int], None]
"""Takes what is being done, what is done of it, and all there is."""


def probe_run(
    directory: Path,
    asked: Asked,
    say: Say = lambda line: None,
    progress: Progress = lambda what, done, total: None,
) -> Iterator[dict[str, Any]]:
    """Records of a run's probes, one per network, layer and way to look, in the order they are found.

    Errors: `InputError` for what is no run, a layer it does not have, or data that is missing or does not fit.
    """
    for weights in ("trained", "untrained") if asked.baseline else ("trained",):
        subject = open_run(directory, device=asked.device, weights=weights, projector="projector" in asked.layers)
        subject = settle(subject) if weights == "untrained" else subject
        dataset = asked.dataset or subject.recipe.data.dataset
        frozen: list[Kind] = [kind for kind in asked.kind if kind != "finetune"]
        for views in asked.views if frozen else ():
            looks = [Look(dataset=dataset, split=split, views=views, seed=asked.seed)
                     for split in ("train", subject.recipe.probe.test_split)]  # fmt: skip
            passes = [features_of(subject, look, asked.layers, fresh=asked.fresh, say=say,
                                  progress=lambda done, total: progress("features", done, total))
                      for look in looks]  # fmt: skip
            for layer in asked.layers:
                yield from _probes(subject, asked, frozen, layer, views, *passes)
        if "finetune" in asked.kind:
            for share in asked.labels:
                yield _finetuned(subject, asked, dataset, share, progress)


def _probes(
    subject: Subject, asked: Asked, kinds: Sequence[Kind], layer: str, views: int, train: Pass, test: Pass
) -> Iterator[dict[str, Any]]:
    features = together(train, test, layer)
    for kind in kinds:
        if 1.0 in asked.labels:
            probe = PROBES[kind]
            yield _record(subject, kind, layer, views, _seen(probe.protocol, views), dict(probe.run(features)), test)
        if asked.amounts and (kind == "ridge" or kind == "logistic"):
            found = few_labels(features, asked.amounts, draws=asked.draws, classifier=kind, seed=asked.seed)
            words = fewshot_protocol(asked.amounts, asked.draws, kind, asked.seed)
            yield _record(subject, kind, layer, views, _seen(words, views), found, test)


def together(train: Pass, test: Pass, layer: str) -> Features:
    """Features of one layer, the mean over views of each image; float32.

    Errors: `InputError` when the splits do not number their classes alike.
    """
    if train.info.class_names != test.info.class_names or train.info.num_classes != test.info.num_classes:
        raise InputError(f"dataset={train.info.name} numbers its classes otherwise in {train.info.split} and "
                         f"{test.info.split}; write both splits from one copy")  # fmt: skip
    x, y = (one.features[layer].mean(1) for one in (train, test))
    return Features(x, train.labels, y, test.labels, train.info.num_classes)


def _seen(protocol: str, views: int) -> str:
    if not views:
        return protocol
    averaged = f"mean of the features of {views} view{'s' * (views > 1)} drawn as in training"
    return protocol.replace("single undistorted view", averaged)


def _finetuned(subject: Subject, asked: Asked, dataset: str, share: float, progress: Progress) -> dict[str, Any]:
    how = FineTuning(epochs=asked.finetune_epochs, lr=asked.finetune_lr, labels=share, seed=asked.seed)
    with torch.enable_grad():
        found, test = finetune(subject, dataset, how, lambda done, total: progress("fine-tuning", done, total))
    if share < 1:
        found = {name.replace("finetune", f"finetune_labels_{share:g}", 1): value for name, value in found.items()}
    return _record(subject, "finetune", "encoder", 0, how.protocol, found, test)


def _record(
    subject: Subject, kind: Kind, layer: str, views: int, protocol: str, metrics: dict[str, float], test: Pass
) -> dict[str, Any]:
    plain = "" if views else subject.recipe.probe.plain_words
    case = {
        "kind": kind,
        "layer": layer,
        "views": views,
        "dataset": test.info.name,
        "transfer": test.info.name != subject.recipe.data.dataset,
        "skipped": test.skipped,
        "protocol": f"{protocol}{plain}; {test.info.split} split of {test.info.name}",
    }
    return looked_at(subject, "probe", case, metrics, test.info)
