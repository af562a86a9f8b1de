"""A training pipeline as stages that occupy resources: which resource is full first, and which stage fills it.

Stages on one resource take turns, so their costs add up; resources work at the same time. An image therefore takes as
long as the resource that it keeps busy longest:

    images/s = 1 / max over resources of (sum over its stages of the seconds per image)

- `loader`: the loader's threads, which read and decode, and with the loader `crops` also cut and resize the views;
- `copy`: from host memory to the device;
- `trainer`: what a step waits for on the run's device: augmentation, then forward, backward and update;
- `cores`: on a CPU all stages share the cores, so there the CPU time of all of them, over the cores that were to be
  had, is a resource of its own. With as many loader threads as cores it is the one that is full.

On a CPU stages are charged CPU time and not wall time: other programs stretch the latter several times and the former
hardly. A loader's thread then has a core at most, and the trainer all of them; reading alone goes by the clock, as it
may wait for a disk.

The stage that takes most of the full resource limits the pipeline. Every cost is measured alone; what stages do to one
another (caches, memory bandwidth, clocks) is not in the model, so its prediction stands beside a measured rate.
"""

from dataclasses import dataclass, replace
from typing import Literal

STAGES = ("read", "decode", "resize", "augment", "host-to-device", "step")
"""In the order in which an image passes them."""
Resource = Literal["loader", "copy", "trainer"]
CORES = "cores"


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one image with all its views, in seconds: wall time with the threads it was measured with, CPU time of all."""

    wall_s: float
    cpu_s: float

    def beyond(self, other: "Cost") -> "Cost":
        """What is left when `other` is a part of this; two noisy measurements may leave nothing, never less."""
        return Cost(max(0.0, self.wall_s - other.wall_s), max(0.0, self.cpu_s - other.cpu_s))

    def at_most(self, other: "Cost") -> "Cost":
        """The smaller of each."""
        return Cost(min(self.wall_s, other.wall_s), min(self.cpu_s, other.cpu_s))


NOTHING = Cost(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage as measured alone."""

    name: str
    cost: Cost
    resource: Resource
    note: str = ""
    """What was measured, or why there is nothing to measure."""

    @property
    def images_per_s(self) -> float | None:
        """None where the stage costs nothing."""
        return 1.0 / self.cost.wall_s if self.cost.wall_s > 0 else None


@dataclass(frozen=True)
class Pipeline:
    """The stages of one run on one machine; at least one of them costs something."""

    stages: tuple[Stage, ...]
    cores: float | None = None
    """On a CPU, how many cores the stages share; None where the trainer works on a GPU."""
    workers: int = 1
    """Loader threads; what the stages cost on a GPU's machine was measured with so many."""

    def busy_s(self) -> dict[str, float]:
        """Seconds per image of each resource."""
        busy: dict[str, float] = dict.fromkeys(("loader", "copy", "trainer"), 0.0)
        for stage in self.stages:
            busy[stage.resource] += self._busy_s(stage)
        if self.cores is not None:
            busy[CORES] = sum(stage.cost.cpu_s for stage in self.stages) / self.cores
        return busy

    @property
    def full(self) -> str:
        """The resource that is busy longest; of equals, the cores, which explain the others."""
        busy = self.busy_s()
        return max(reversed(busy), key=lambda resource: busy[resource])

    @property
    def images_per_s(self) -> float:
        return 1.0 / max(self.busy_s().values())

    @property
    def limit(self) -> Stage:
        """The stage with the largest part of the full resource."""
        return max(self.stages, key=self.part_s)

    def share(self, stage: Stage) -> float:
        """On a CPU the stage's part of an image's CPU time; on a GPU how much of the time it is busy, 0 to 1."""
        if self.cores is not None:
            return stage.cost.cpu_s / sum(one.cost.cpu_s for one in self.stages)
        return stage.cost.wall_s * self.images_per_s

    def rate_of(self, resource: Resource) -> float | None:
        """Images/s of one resource alone; None where it has nothing to do."""
        busy = self.busy_s()[resource]
        return 1.0 / busy if busy > 0 else None

    def _busy_s(self, stage: Stage) -> float:
        """Seconds per image of the stage's own resource."""
        if self.cores is None or (stage.resource == "loader" and stage.name == "read"):
            return stage.cost.wall_s
        return stage.cost.cpu_s / (min(self.workers, self.cores) if stage.resource == "loader" else self.cores)

    def bound(self, names: tuple[str, ...]) -> float:
        """Images/s if the stages of these names cost nothing: no change to them can give more. inf if none is left."""
        rest = [replace(stage, cost=NOTHING) if stage.name in names else stage for stage in self.stages]
        busy = max(replace(self, stages=tuple(rest)).busy_s().values())
        return 1.0 / busy if busy > 0 else float("inf")

    def with_stages(self, changed: tuple[Stage, ...], workers: int | None = None) -> "Pipeline":
        """The pipeline with the stages of the same names put in, and with another number of loader threads."""
        by_name = {stage.name: stage for stage in changed}
        stages = tuple(by_name.get(stage.name, stage) for stage in self.stages)
        return replace(self, stages=stages, workers=workers or self.workers)

    def part_s(self, stage: Stage) -> float:
        """Seconds per image that the stage keeps the full resource busy; below 0 where it works on another."""
        if self.cores is not None and self.full == CORES:
            return stage.cost.cpu_s / self.cores
        return self._busy_s(stage) if stage.resource == self.full else -1.0


def shown(rate: float) -> str:
    """A rate for a reader."""
    return f"{rate:,.0f}" if rate >= 10 else f"{rate:.2g}"
