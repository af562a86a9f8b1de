"""What to change, with the gain that the model of the pipeline gives for it from measured costs, and nothing else.

A `Change` carries the stages as they were measured on this machine with the change made. What was not measured has no
`Change`, so nothing is advised on belief.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from fastssl.bottleneck.pipeline import Pipeline, Stage, shown

LEAST_GAIN = 0.03
"""Gains below it drown in the noise of measurements of about a second."""
SMALL = 0.1
"""What a loader may cost of a CPU's images per second and still be called fast enough."""
LOADING = ("read", "decode", "resize", "host-to-device")
"""Stages that a change of the data path can make cheaper."""


@dataclass(frozen=True)
class Change:
    """Something to do, and the stages as measured with it done."""

    what: str
    stages: tuple[Stage, ...]
    evidence: str
    """The numbers the gain rests on."""
    workers: int | None = None
    """Loader threads, where the change is to have more."""


@dataclass(frozen=True)
class Advice:
    """A change worth making: `gain` .25 means a quarter more images per second."""

    what: str
    gain: float
    images_per_s: float
    """As predicted with this change alone."""
    evidence: str

    def line(self) -> str:
        return f"{self.what}: +{self.gain:.0%} ({shown(self.images_per_s)} images/s predicted; {self.evidence})"


def advise(pipeline: Pipeline, changes: Iterable[Change]) -> tuple[Advice, ...]:
    """The changes that gain, the largest gain first; where the loader is fast enough, those to the step alone."""
    found = []
    for change in changes:
        if fast_enough(pipeline) and all(stage.name != "step" for stage in change.stages):
            continue
        rate = pipeline.with_stages(change.stages, change.workers).images_per_s
        gain = rate / pipeline.images_per_s - 1.0
        if gain >= LEAST_GAIN:
            found.append(Advice(change.what, gain, rate, change.evidence))
    return tuple(sorted(found, key=lambda advice: -advice.gain))


def fast_enough(pipeline: Pipeline) -> bool:
    """Whether the step limits, and a loader that costs nothing would gain little: on a GPU it then gains nothing."""
    return pipeline.limit.name == "step" and pipeline.bound(LOADING) <= (1.0 + SMALL) * pipeline.images_per_s


def verdict(pipeline: Pipeline) -> str:
    """One line: what limits, by how much, and when it is the step, how much room the loader has."""
    limit = pipeline.limit
    if limit.name == "step":
        return f"limit: step, {pipeline.share(limit):.0%} of an image's time. {_headroom(pipeline)}"
    if pipeline.full == "cores":
        spent = f"{pipeline.share(limit):.0%} of the CPU time of an image ({1e3 * limit.cost.cpu_s:.2f} ms)"
        return f"limit: {limit.name}, {spent}; the cores do {shown(pipeline.images_per_s)} images/s in all"
    busy, part = pipeline.busy_s()[pipeline.full], pipeline.part_s(limit)
    where = {"loader": "loader's threads", "copy": "copy to the device", "trainer": "device"}[pipeline.full]
    return (f"limit: {limit.name}, {part / busy:.0%} of what the {where} spend on an image"
            f" ({1e3 * part:.2f} of {1e3 * busy:.2f} ms)")  # fmt: skip


def _headroom(pipeline: Pipeline) -> str:
    """How much of it the loader has while the step limits."""
    more = pipeline.bound(LOADING) / pipeline.images_per_s - 1.0
    if not fast_enough(pipeline):
        return f"The loader costs, too: one that costs nothing would give {more:.0%} more images/s"
    if pipeline.cores is not None:
        return f"The loader is fast enough: one that costs nothing would give {more:.0%} more images/s"
    rates = [rate for rate in (pipeline.rate_of("loader"), pipeline.rate_of("copy")) if rate is not None]
    if not rates:
        return "The loader is fast enough: it costs nothing that could be measured"
    times = min(rates) / pipeline.images_per_s
    return f"The loader is fast enough: it gives {shown(min(rates))} images/s, {times:.1f} times as many as go in"
