"""What to change, with the gain that the model of the pipeline gives for it from measured costs, and nothing else.

A `Change` carries the stages as they were measured on this machine with the change made. What was not measured has no
`Change`, so nothing is advised on belief.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from fastssl.bottleneck.pipeline import Pipeline, Stage

LEAST_GAIN = 0.03
"""Gains below it drown in the noise of measurements of about a second."""
LOADING = ("read", "decode", "resize", "host-to-device")
"""Stages that a change of the data path can make cheaper."""


@dataclass(frozen=True)
class Change:
    """Something to do, and the stages as measured with it done."""

    what: str
    stages: tuple[Stage, ...]
    evidence: str
    """The numbers the gain rests on."""


@dataclass(frozen=True)
class Advice:
    """A change worth making: `gain` .25 means a quarter more images per second."""

    what: str
    gain: float
    images_per_s: float
    """As predicted with this change alone."""
    evidence: str

    def line(self) -> str:
        return f"{self.what}: +{self.gain:.0%} ({self.images_per_s:,.0f} images/s predicted; {self.evidence})"


def advise(pipeline: Pipeline, changes: Iterable[Change]) -> tuple[Advice, ...]:
    """The changes that gain, the largest gain first; none when the step limits, for then the loader is fast enough."""
    if pipeline.limit.name == "step":
        return ()
    found = []
    for change in changes:
        rate = pipeline.with_stages(change.stages).images_per_s
        gain = rate / pipeline.images_per_s - 1.0
        if gain >= LEAST_GAIN:
            found.append(Advice(change.what, gain, rate, change.evidence))
    return tuple(sorted(found, key=lambda advice: -advice.gain))


def verdict(pipeline: Pipeline) -> str:
    """One line: what limits, by how much, and when it is the step, how much room the loader has."""
    limit, cost = pipeline.limit, pipeline.limit.cost
    if limit.name == "step":
        return f"limit: step. {_headroom(pipeline)}"
    if pipeline.full == "cores":
        return (f"limit: {limit.name}, {pipeline.share(limit):.0%} of the CPU time of an image "
                f"({1e3 * cost.cpu_s:.2f} ms); the cores do {pipeline.images_per_s:,.0f} images/s in all")  # fmt: skip
    busy = pipeline.busy_s()[pipeline.full]
    where = {"loader": "loader's threads", "copy": "copy to the device", "trainer": "device"}[pipeline.full]
    return (f"limit: {limit.name}, {cost.wall_s / busy:.0%} of what the {where} spend on an image"
            f" ({1e3 * cost.wall_s:.2f} of {1e3 * busy:.2f} ms)")  # fmt: skip


def _headroom(pipeline: Pipeline) -> str:
    loader, copy = pipeline.rate_of("loader"), pipeline.rate_of("copy")
    rate = min((one for one in (loader, copy) if one is not None), default=None)
    if rate is None:
        return "The loader costs nothing that could be measured: it is fast enough"
    if pipeline.cores is not None:
        more = pipeline.bound(LOADING) / pipeline.images_per_s - 1.0
        return f"The loader is fast enough: even one that costs nothing would give only {more:.0%} more images/s"
    trainer = pipeline.rate_of("trainer")
    assert trainer is not None, "the step limits, so it costs something"
    return (f"The loader is fast enough: it gives {rate:,.0f} images/s where the device takes {trainer:,.0f}, "
            f"{rate / trainer:.1f} times as many")  # fmt: skip
