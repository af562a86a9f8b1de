"""The examination, top to bottom: every cost is measured alone, then the loaders, then the run as a whole."""

from collections.abc import Callable
from typing import Literal, TypeVar

from fastssl.bottleneck.advice import advise, fast_enough
from fastssl.bottleneck.changes import loader_changes
from fastssl.bottleneck.decoding import measure_decoding, measure_reading
from fastssl.bottleneck.pipeline import Pipeline
from fastssl.bottleneck.report import Report
from fastssl.bottleneck.stages import IN_MEMORY, Measured, stages_of
from fastssl.bottleneck.step_changes import step_changes
from fastssl.bottleneck.subject import MOST_SAMPLES, Subject, find_subject
from fastssl.bottleneck.training import (
    crops_batch,
    images_batch,
    measure_augment,
    measure_copy,
    measure_loader,
    measure_run,
    measure_step,
)
from fastssl.data.memory import free_bytes
from fastssl.data.resident import ROOM
from fastssl.errors import InputError
from fastssl.recipe import Recipe
from fastssl.telemetry.environment import usable_cores
from fastssl.train.setup import Parts
from fastssl.types import Batch

T = TypeVar("T")
Progress = Callable[[int, int], None]
"""Called with (measurements done, measurements in all)."""
_MOST_CHANGES = 6
"""As many as one run can be offered."""


class _Count:
    """Passes results through and shows how many there are."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress, self._done, self._total = progress, 0, total

    def __call__(self, result: T) -> T:
        self._done += 1
        self._progress(self._done, self._total)
        return result


def _quiet(done: int, total: int) -> None:
    """No progress shown."""


def examine(
    dataset: str,
    recipe: Recipe | None = None,
    *,
    loader: str | None = None,
    workers: int | None = None,
    precision: Literal["bf16", "fp16", "fp32"] | None = None,
    seconds: float = 1.0,
    progress: Progress = _quiet,
) -> Report:
    """Measures a run of `recipe` (None: plain SimCLR) on a dataset, by name or .beton file. Nothing is kept.

    Each measurement takes about `seconds`, and one step where that is longer; about twenty in all. Errors: `InputError`
    for a dataset or recipe that cannot be examined, and as training raises it.
    """
    if not seconds > 0:
        raise InputError(f"seconds={seconds} is no time to measure in; give a number above 0")
    # ------------------------------------------------------------------ every cost alone
    subject = find_subject(dataset, recipe, loader=loader, workers=workers, precision=precision)
    kinds = _kinds(subject)
    count = _Count(progress, 8 + len(kinds) + _MOST_CHANGES + 1)
    parts, batch = crops_batch(subject)
    measured = _measure_alone(subject, parts, batch, seconds, count)

    # ------------------------------------------------------------------ loaders, and the model of the pipeline
    for kind in kinds:
        parts = subject.open(kind, _enough(subject, kind))
        measured.loaders[kind] = count(measure_loader(parts.loader, seconds, subject.device))
    stages = stages_of(subject.kind, measured)
    cores = _cores(subject, measured) if subject.device.type == "cpu" else None
    pipeline = Pipeline(stages, cores, subject.workers)

    # ------------------------------------------------------------------ what could be changed, and the run as it is
    changes = [count(change) for change in step_changes(parts, batch, measured.augment, measured.step, seconds)]
    if not fast_enough(pipeline):
        changes += [count(change) for change in loader_changes(subject, measured, seconds)]
    parts = subject.open(subject.kind, _enough(subject, subject.kind))
    run = measure_run(parts, seconds, measured.step)
    progress(1, 1)
    return Report(subject, measured, pipeline, advise(pipeline, changes), run)


def _measure_alone(subject: Subject, parts: Parts, crops: Batch, seconds: float, count: _Count) -> Measured:
    stored, workers, scaled = subject.stored, subject.workers, subject.recipe.data.scaled_decode
    draw = stored.draw(subject.recipe.drawer)
    reading = count(measure_reading(stored, workers, seconds))
    decoding = count(measure_decoding(stored, draw, workers, seconds, scaled=scaled))
    alone = count(measure_decoding(stored, draw, 1, seconds, scaled=scaled))
    images = images_batch(subject)
    return Measured(
        reading=reading,
        from_disk=not reading.warm and subject.served.beton.path.stat().st_size > free_bytes(),
        decoding=decoding,
        decoding_alone=alone,
        augment=count(measure_augment(parts, crops, seconds)),
        cut_and_augment=count(measure_augment(parts, images, seconds)),
        copy_crops=count(measure_copy(crops, subject.device, seconds)),
        copy_images=count(measure_copy(images, subject.device, seconds)),
        step=count(measure_step(parts, crops, seconds)),
    )


def _kinds(subject: Subject) -> tuple[str, ...]:
    """Loaders that could serve this run here; FFCV's own only where it was asked for."""
    fits = subject.served.decoded_bytes <= ROOM * free_bytes(subject.device)
    possible = {
        "crops": all(spec.antialias for spec in subject.recipe.drawer.specs),
        "images": True,
        "resident": fits,
        "ffcv": subject.kind == "ffcv",
        "nvjpeg": subject.device.type == "cuda" and subject.stored.is_jpeg,
    }
    return tuple(kind for kind, can in possible.items() if can)


def _enough(subject: Subject, kind: str) -> int | None:
    """A set that will lie in memory is read whole before its first batch: here, a few batches of it."""
    return max(MOST_SAMPLES, 2 * subject.recipe.batch_size) if kind in IN_MEMORY else None


def _cores(subject: Subject, measured: Measured) -> float:
    """How many cores the run's computations were given: all there are, or fewer beside other programs.

    On average over their time; of the loader only where it has threads enough for all cores.
    """
    costs = [measured.augment, measured.step]
    if subject.workers >= usable_cores():
        costs.append(measured.decoding.crops)
    return min(usable_cores(), sum(cost.cpu_s for cost in costs) / sum(cost.wall_s for cost in costs))
