"""Changes to the training step: another number format on a CPU, another augmentation backend on a GPU."""

from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec

from fastssl.augment import get_backend
from fastssl.bottleneck.advice import Change
from fastssl.bottleneck.pipeline import Cost, Stage
from fastssl.bottleneck.training import measure_augment, measure_step
from fastssl.train.setup import Parts
from fastssl.types import Batch

_NEEDS = {"kornia": "kornia", "fused": "triton"}


def step_changes(parts: Parts, batch: Batch, augment: Cost, step: Cost, seconds: float) -> Iterator[Change]:
    """Each is measured when it is asked for, on a batch of `loader crops`; `augment` and `step` are the run's costs."""
    precision = parts.recipe.precision
    if parts.device.type == "cpu" and precision != "fp32":  # which a CPU may have to compute in software
        full = replace(parts, recipe=replace(parts.recipe, precision="fp32"))
        cost = measure_step(full, batch, seconds)
        yield Change(
            "--precision fp32",
            (Stage("step", cost, "trainer"),),
            f"a step took {1e3 * step.cpu_s:.2f} ms of CPU per image in {precision} and {1e3 * cost.cpu_s:.2f} in fp32",
        )
    for name in other_backends(parts):
        cost = measure_augment(replace(parts, backend=get_backend(name, parts.device)), batch, seconds)
        yield Change(
            f"--backend {name}",
            (Stage("augment", cost, "trainer"),),
            f"augmentation took {1e3 * augment.wall_s:.3f} ms per image and takes {1e3 * cost.wall_s:.3f} with it",
        )


def other_backends(parts: Parts) -> tuple[str, ...]:
    """Those that work on this device and are not the run's; a CPU has one that is meant for it."""
    if parts.device.type == "cpu":
        return ()
    return tuple(name for name, package in _NEEDS.items() if name != parts.backend.name and find_spec(package))
