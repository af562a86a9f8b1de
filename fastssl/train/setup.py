"""From a recipe to the parts that run it, and the card that says which path each part took."""

import dataclasses
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from fastssl.augment import append as append_module
from fastssl.augment import get_backend, make_views
from fastssl.data.open import open_loader
from fastssl.errors import InputError
from fastssl.methods.gather import rank, world_size
from fastssl.methods.sync_bn import sync_batch_norm
from fastssl.optim import set_lr
from fastssl.recipe import Recipe
from fastssl.telemetry.environment import device_facts, quick_precision, usable_cores
from fastssl.train import ranks
from fastssl.train.checkpoint import Trainable
from fastssl.types import AugmentBackend, Batch, DatasetInfo, Loader, MethodOutput, Views
from fastssl.views import ViewSpec

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def resolve_device(asked: str) -> torch.device:
    """`auto` is CUDA when there is any; of several processes each has its own. Errors: CUDA asked for and absent."""
    if asked == "cuda" and not torch.cuda.is_available():
        raise InputError("device=cuda but torch sees no CUDA device; give --device cpu, or see `fastssl doctor`")
    return ranks.own_device() if asked != "cpu" and torch.cuda.is_available() else torch.device("cpu")


def with_precision(recipe: Recipe, device: torch.device) -> Recipe:
    """The recipe with `auto` settled: the number format is part of what a run gives, and so of its identity."""
    if recipe.precision != "auto":
        return recipe
    return dataclasses.replace(recipe, precision=quick_precision(device.type))


@dataclass(frozen=True)
class Parts:
    """Everything one run holds on to."""

    recipe: Recipe
    """With its precision settled."""
    device: torch.device
    loader: Loader
    backend: AugmentBackend
    probe_backend: AugmentBackend
    """Without the module that a user appended: a probe sees images as they are."""
    specs: tuple[ViewSpec, ...]
    trainable: Trainable

    @property
    def info(self) -> DatasetInfo:
        return self.loader.info

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.recipe.precision]

    @property
    def facts(self) -> dict[str, str]:
        """What decides the result beside the recipe: goes into the run's identity."""
        processes = {} if world_size() == 1 else {"world_size": str(world_size())}
        return {
            "fingerprint": self.info.fingerprint,
            "device": self.device.type,
            "loader": self.loader.describe()["kind"],
            "backend": self.backend.name,
            **processes,
            **getattr(self.trainable.method, "facts", {}),
        }

    @property
    def identity(self) -> str:
        return self.recipe.identity(**self.facts)

    def step(self, batch: Batch, epoch: int) -> MethodOutput:
        """One optimisation step: views, loss, gradients, update. Never waits for the device."""
        views = make_views(batch, self.specs, self.backend, seed=self.recipe.seed, epoch=epoch, dtype=self.dtype)
        return self.learn(views, batch)

    def learn(self, views: Views, batch: Batch) -> MethodOutput:
        """The part of a step that comes after the views of a batch are made; loss and logs are the global batch's."""
        return learn(self.trainable, self.dtype, views, batch.index, batch.labels)


def learn(
    trainable: Trainable, dtype: torch.dtype, views: Views, index: torch.Tensor, labels: torch.Tensor
) -> MethodOutput:
    """Loss, gradients and update, from views of one batch; `dtype` is what autocast computes in, float32 for none."""
    with torch.autocast(views[0].device.type, dtype, enabled=dtype != torch.float32):
        output = trainable.method(views, index, labels)
    trainable.scaler.scale(output.loss).backward()
    output = ranks.average(trainable.method, output)
    trainable.scaler.step(trainable.optimizer)
    trainable.scaler.update()
    trainable.optimizer.zero_grad(set_to_none=True)
    return output


def build(recipe: Recipe, facts: dict[str, str] | None = None, append: torch.nn.Module | None = None) -> Parts:
    """Opens the data and builds the networks. The weights depend on `recipe.seed` alone.

    `facts`, those of the run to continue, settle what the recipe left to `auto`: memory or libraries may have changed.
    `append` is put on the run's device and behind its augmentation backend (`augment.append`).
    """
    chosen = {"device": recipe.device, "backend": recipe.backend, "loader": recipe.data.loader} | (facts or {})
    device = resolve_device(chosen["device"])
    recipe = with_precision(recipe, device)
    probe_backend = get_backend(chosen["backend"].partition("+")[0], device)
    backend = probe_backend if append is None else append_module(probe_backend, append.to(device))
    check_shares(recipe)
    gather, first = not backend.reads_rows, None
    if ranks.is_first():
        first = open_train_loader(recipe, chosen["loader"], device, gather)
    kind = ranks.on_first(lambda: first.describe()["kind"] if first else "")  # what `auto` is hangs on free memory
    loader = first if first is not None else open_train_loader(recipe, kind, device, gather)
    return Parts(recipe, device, loader, backend, probe_backend, recipe.specs(loader.info.mean, loader.info.std),
                 build_trainable(recipe, loader.info, device))  # fmt: skip


def check_shares(recipe: Recipe) -> None:
    """Errors: `InputError` for a recipe that several processes cannot share."""
    count = world_size()
    if count > 1 and recipe.data.on_error == "skip":
        raise InputError(f"on_error=skip leaves {count} processes batches of different sizes; give --on-error raise")
    if count > 1 and recipe.batch_size < 2 * count and not recipe.sync_bn:
        raise InputError(f"batch_size={recipe.batch_size} leaves {count} processes an image each, without batch "
                         f"statistics; give {2 * count} or more, or --sync-bn")  # fmt: skip


def open_train_loader(recipe: Recipe, kind: str, device: torch.device, gather: bool) -> Loader:
    """This process's share of the batches of a recipe."""
    data = recipe.data
    return open_loader(
        kind,
        data.dataset,
        data.train_split,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        order=data.order,
        fraction=data.fraction,
        holdout=data.holdout,
        indices=data.indices,
        label_noise=data.label_noise,
        subset_seed=data.subset_seed,
        rank=rank(),
        world_size=world_size(),
        num_workers=data.workers,
        device=str(device),
        gather=gather,
        views=recipe.drawer,
        on_error=data.on_error,
        scaled=data.scaled_decode,
    )


def build_trainable(recipe: Recipe, info: DatasetInfo, device: torch.device) -> Trainable:
    """The networks of a recipe for a dataset, on the device, with their optimiser."""
    torch.manual_seed(recipe.seed)
    encoder, dim = recipe.model.build(recipe.spec.size)
    method = recipe.method.build(encoder, dim, info)
    if recipe.sync_bn:
        sync_batch_norm(method, device)
    method.to(device=device, memory_format=torch.channels_last)  # pyright: ignore
    if recipe.compile:
        method.encoder.compile()  # in place: the names in a checkpoint stay those of the plain encoder
    scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "fp16")
    return Trainable(method, recipe.optim.build(method), scaler)


def warm_up(parts: Parts, steps: int = 2) -> int:
    """Pays for compilation (loader, torch.compile, numba, kernel selection), then undoes every trace of it.

    Gives back the floating-point operations of a step of this process, forward and backward: two for each
    multiply-add of a matrix product, a convolution or an attention, as torch's counter has them. Elementwise work, the
    augmentation and the optimiser are not in it.

    The steps run on made-up images, so that no image is seen once more than the recipe says. Weights, buffers,
    optimiser, scaler and random state are put back, so the run itself starts as if this never ran.
    """
    before = _copied(parts.trainable.state_dict())
    batch = _made_up(next(parts.loader.epoch(0)), parts)  # ffcv compiles its decoder when its first batch is asked for
    set_lr(parts.trainable.optimizer, 0.0)
    for _ in range(steps):
        parts.step(batch, epoch=0)
    views = make_views(batch, parts.specs, parts.backend, seed=parts.recipe.seed, epoch=0, dtype=parts.dtype)
    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as counter:
        parts.learn(views, batch)
    parts.trainable.load_state_dict(before)
    return counter.get_total_flops()


def _made_up(real: Batch, parts: Parts) -> Batch:
    """A full batch of the same kind, with other images and labels."""
    if real.draw is not None:  # what was drawn is of these samples
        images, crops = real.images, real.crops
        index = torch.arange(len(real.index), device=parts.device)
        made = {"images": _grid(len(images), images), "crops": tuple(_grid(len(crop), crop) for crop in crops)}
    else:
        index = torch.arange(parts.loader.batch_size, device=parts.device) % parts.info.num_samples
        made = {"images": _grid(len(index), real.images)}  # of a resident set, too, which is larger than a batch
    return dataclasses.replace(real, **made, index=index, labels=index % max(parts.info.num_classes, 1))


def _grid(count: int, like: torch.Tensor) -> torch.Tensor:
    """Pixels of any values, `count` images of that size."""
    return made_up_pixels(count, *like.shape[2:]).to(like.device)


def made_up_pixels(count: int, height: int, width: int) -> torch.Tensor:
    """uint8 images (count, 3, height, width) of values 0 to 250, channels-last; of no data, and always the same."""
    pixels = torch.arange(count * 3 * height * width) * 2654435761 % 251
    return pixels.view(count, 3, height, width).to(torch.uint8, memory_format=torch.channels_last)


def _copied(state):
    if isinstance(state, torch.Tensor):
        return state.clone()
    if isinstance(state, dict):
        return {name: _copied(value) for name, value in state.items()}
    if isinstance(state, list):
        return [_copied(value) for value in state]
    return state


def start_card(parts: Parts, run_id: str) -> list[str]:
    """Which path was taken and why: one line per choice."""
    recipe, info = parts.recipe, parts.info
    facts, loader = device_facts(parts.device.type), parts.loader.describe()
    length = f"{recipe.budget_s:g} s of training clock" if recipe.epochs is None else f"{recipe.epochs} epochs"
    load, cores = os.getloadavg()[0], usable_cores()
    busy = f"; the machine is busy (load {load:.1f}), so times will mislead" if load > cores + 1 else ""
    method = parts.trainable.method
    parameters = sum(p.numel() for p in method.parameters())
    memory_bytes: Callable[[int, int], int] | None = getattr(method, "memory_bytes", None)
    head = f", its head takes {memory_bytes(recipe.batch_size, recipe.views) / 1e6:,.1f} MB" if memory_bytes else ""
    return [
        f"run       {run_id}",
        f"method    {recipe.method.kind}, {_sizes(parts.specs)} px, {parameters / 1e6:.2f} M weights{head}",
        f"data      {info.name}/{info.split}: {info.num_samples} images {info.height}x{info.width}, "
        f"fingerprint {info.fingerprint[:12]}",
        f"loader    {loader.pop('kind')}: " + ", ".join(f"{name} {value}" for name, value in loader.items()),
        f"augment   {parts.backend.name}: {parts.backend.reason}",
        f"compute   {facts['name']}, {recipe.precision}, channels-last, torch threads {torch.get_num_threads()}"
        + (", torch.compile" if recipe.compile else "")
        + busy,
        f"length    {length}, batch {recipe.batch_size}, {recipe.probe.probes} probes",
    ]  # fmt: skip


def _sizes(specs: tuple[ViewSpec, ...]) -> str:
    """How many views of which side: `2 x 32`, or `2 x 224 + 6 x 96`."""
    sizes = [spec.size for spec in specs]
    return " + ".join(f"{sizes.count(size)} x {size}" for size in dict.fromkeys(sizes))


def dataset_facts(info: DatasetInfo) -> dict[str, Any]:
    values = dataclasses.asdict(info)
    return {"id": info.name} | {k: values[k] for k in ("split", "fingerprint", "num_samples", "height", "width")}
