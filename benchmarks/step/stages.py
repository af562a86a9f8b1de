"""Where the time of a step goes: augmentation, encoder, heads and loss, backward pass, optimiser."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from benchmarks.step.rates import wait
from fastssl.augment import make_views
from fastssl.train.setup import Parts
from fastssl.types import Batch

ROUNDS = 8


def stages(parts: Parts, batch: Batch) -> dict[str, float]:
    """Seconds of each stage of a step, alone: medians of eight, the device waited for between them.

    Waiting costs a GPU some overlap of host and device, so the sum is an upper bound of the step.
    """
    spent: dict[str, list[float]] = {}
    inside: list[float] = []
    marks = _watch(parts.trainable.method.encoder, parts.device, inside)  # pyright: ignore[reportArgumentType]
    for _ in range(ROUNDS + 2):
        inside.clear()
        _step(parts, batch, spent)
        spent.setdefault("forward_s", []).append(sum(inside))
    for mark in marks:
        mark.remove()
    found = {name: statistics.median(values[2:]) for name, values in spent.items()}
    found["loss_s"] = max(0.0, found.pop("forward_and_loss_s") - found["forward_s"])
    return found


def _step(parts: Parts, batch: Batch, spent: dict[str, list[float]]) -> None:
    trainable, device = parts.trainable, parts.device
    draw = partial(make_views, batch, parts.specs, parts.backend, seed=parts.recipe.seed, epoch=0)
    with torch.autocast(device.type, parts.dtype, enabled=parts.dtype != torch.float32):
        views = _timed(spent, "augment_s", device, partial(draw, dtype=parts.dtype))
        forward = partial(trainable.method, views, batch.index, batch.labels)
        output = _timed(spent, "forward_and_loss_s", device, forward)
    _timed(spent, "backward_s", device, output.loss.backward)
    _timed(spent, "optimiser_s", device, trainable.optimizer.step)
    trainable.optimizer.zero_grad(set_to_none=True)


def _timed(spent: dict[str, list[float]], name: str, device: torch.device, work: Callable[[], Any]) -> Any:
    wait(device)
    started = time.perf_counter()
    result = work()
    wait(device)
    spent.setdefault(name, []).append(time.perf_counter() - started)
    return result


def _watch(encoder: torch.nn.Module, device: torch.device, inside: list[float]) -> list[Any]:
    """Adds the seconds of each pass of the encoder to `inside`."""
    started: list[float] = []

    def before(*_: Any) -> None:
        wait(device)
        started.append(time.perf_counter())

    def after(*_: Any) -> None:
        wait(device)
        inside.append(time.perf_counter() - started.pop())

    return [encoder.register_forward_pre_hook(before), encoder.register_forward_hook(after)]
