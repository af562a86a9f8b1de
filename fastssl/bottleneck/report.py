"""What an examination found, in words, as a table with bars, and as one JSON document."""

import os
from dataclasses import asdict, dataclass
from typing import Any

from fastssl.bottleneck.advice import Advice, verdict
from fastssl.bottleneck.pipeline import STAGES, Cost, Pipeline, Stage, shown
from fastssl.bottleneck.stages import IN_MEMORY, Measured, loader_cost
from fastssl.bottleneck.subject import Subject
from fastssl.bottleneck.training import Flow
from fastssl.telemetry.environment import device_facts, usable_cores

BAR_CELLS = 12
HEADER = ("stage", "CPU ms", "images/s", "share", "", "what")
"""Per image with all its views; images/s of the stage alone."""


@dataclass(frozen=True)
class Prediction:
    """A rate as the model gives it from costs measured alone, beside the measured one; images/s."""

    what: str
    predicted: float
    measured: float

    @property
    def ratio(self) -> float:
        """Measured over predicted."""
        return self.measured / self.predicted

    def line(self) -> str:
        return (f"{self.what}: predicted {shown(self.predicted)} images/s, measured {shown(self.measured)} "
                f"(ratio {self.ratio:.2f})")  # fmt: skip


@dataclass(frozen=True)
class Report:
    subject: Subject
    measured: Measured
    pipeline: Pipeline
    advice: tuple[Advice, ...]
    run: Flow

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        """The loader alone, where it can be measured as a whole, and the run."""
        kind = self.subject.kind
        run = Prediction("training", self.pipeline.images_per_s, 1 / self.run.cost.wall_s)
        if kind in IN_MEMORY:  # their stages are the loader as it was measured, which would predict itself
            return (run,)
        loader = Prediction(f"loader {kind}", 1 / loader_cost(self.pipeline.stages).wall_s,
                            1 / self.measured.loaders[kind].cost.wall_s)  # fmt: skip
        return (loader, run)

    @property
    def ceiling(self) -> float:
        """Images/s of the step alone, on views made before."""
        return 1 / self.measured.step.wall_s

    @property
    def efficiency(self) -> float:
        """The measured run over its ceiling."""
        return 1 / self.run.cost.wall_s / self.ceiling

    def facts(self) -> list[str]:
        """Of what, with what, where: a line each."""
        subject, measured = self.subject, self.measured
        info, stored, recipe = subject.served.info, subject.stored, subject.recipe
        kind = "JPEG" if stored.is_jpeg else "raw"
        sizes = [spec.size for spec in recipe.drawer.specs]
        views = " + ".join(f"{sizes.count(size)} x {size} px" for size in dict.fromkeys(sizes))
        reading, decoding, one = measured.reading, measured.decoding, measured.decoding_alone
        cache = "page cache warm" if reading.warm else "page cache cold at first"
        load, cores = os.getloadavg()[0], usable_cores()
        busy = f"; busy (load {load:.1f}), so images/s mislead, shares and gains less" if load > cores + 1 else ""
        scaling = one.crops.wall_s / decoding.crops.wall_s
        return [
            f"dataset   {info.name}/{info.split}: {info.num_samples:,} images up to {info.height}x{info.width}, "
            f"{kind}, {stored.bytes_per_image / 1e3:,.1f} kB each; {len(stored)} of them examined",
            f"run       {recipe.name}: {recipe.method.kind}, {recipe.model.arch}, {views}, batch {recipe.batch_size}, "
            f"{recipe.precision}, backend {subject.backend.name}",
            f"machine   {device_facts(subject.device.type)['name']}, {cores} cores, "
            f"{subject.workers} loader threads{busy}",
            f"loader    {subject.kind}: {subject.reason}",
            f"reading   {reading.mb_per_s(reading.first):,.0f} MB/s at first, {reading.mb_per_s(reading.second):,.0f} "
            f"the second time: {cache}",
            f"decoding  {1e3 * one.whole.wall_s:.3f} ms for a whole image on one thread, {1e3 * one.region.wall_s:.3f} "
            f"for what the crops need; {decoding.threads} threads do {scaling:.1f} times as many; "
            f"decoder {decoding.decoder}",
        ]  # fmt: skip

    def rows(self) -> list[tuple[str, ...]]:
        """The stages in order; cells as `HEADER` names them."""
        return [self._row(stage) for stage in self.pipeline.stages]

    def _row(self, stage: Stage) -> tuple[str, ...]:
        share = self.pipeline.share(stage)
        rate = shown(stage.images_per_s) if stage.images_per_s else "—"
        bar = "█" * round(BAR_CELLS * share)
        return (stage.name, f"{1e3 * stage.cost.cpu_s:.3f}", rate, f"{share:.0%}", bar, stage.note)

    def lines(self) -> list[str]:
        """What limits, whether the model holds, what the loaders do, and what to change."""
        others = ", ".join(f"{kind} {shown(1 / flow.cost.wall_s)}" for kind, flow in self.measured.loaders.items())
        return [
            verdict(self.pipeline),
            *(prediction.line() for prediction in self.predictions),
            f"step alone: {shown(self.ceiling)} images/s; training reaches {self.efficiency:.0%} of that, data-wait "
            f"{self.run.waited:.0%}",
            f"loaders alone, images/s: {others}",
            *(f"advice {i}: {advice.line()}" for i, advice in enumerate(self.advice, 1)),
        ]  # fmt: skip

    def to_json(self) -> dict[str, Any]:
        pipeline, subject = self.pipeline, self.subject
        return {
            "ok": True,
            "limit": pipeline.limit.name,
            "verdict": verdict(pipeline),
            "stages": [self._stage(stage) for stage in pipeline.stages],
            "advice": [asdict(advice) for advice in self.advice],
            "model": self._model(),
            "measured": self._measured(),
            "dataset": {
                "name": subject.served.info.name,
                "num_samples": subject.served.info.num_samples,
                "examined": len(subject.stored),
            },
            "run": {
                "recipe": subject.recipe.to_json(),
                "loader": subject.kind,
                "device": subject.device.type,
                "backend": subject.backend.name,
            },
        }

    def _model(self) -> dict[str, Any]:
        return {
            "resource": self.pipeline.full,
            "busy_s": self.pipeline.busy_s(),
            "cores": self.pipeline.cores,
            "predictions": [asdict(one) | {"ratio": one.ratio} for one in self.predictions],
            "ceiling_images_per_s": self.ceiling,
            "efficiency": self.efficiency,
            "data_wait": self.run.waited,
        }

    def _measured(self) -> dict[str, Any]:
        measured, reading = self.measured, self.measured.reading
        decodings = (measured.decoding_alone, measured.decoding)
        return {
            "reading": {name: _cost(getattr(reading, name)) for name in ("first", "second", "again")}
            | {"warm": reading.warm, "bytes_per_image": reading.bytes_per_image},
            "decoding": [
                {"decoder": one.decoder, "threads": one.threads}
                | {name: _cost(getattr(one, name)) for name in ("whole", "region", "crops")}
                for one in decodings
            ],
            "loaders": {kind: _cost(flow.cost) for kind, flow in measured.loaders.items()},
            "training": _cost(self.run.cost),
        }

    def _stage(self, stage: Stage) -> dict[str, Any]:
        assert stage.name in STAGES
        return {"name": stage.name, **_cost(stage.cost), "resource": stage.resource,
                "share": self.pipeline.share(stage), "note": stage.note}  # fmt: skip


def _cost(cost: Cost) -> dict[str, float | None]:
    return {"cpu_ms": 1e3 * cost.cpu_s, "wall_ms": 1e3 * cost.wall_s,
            "images_per_s": 1 / cost.wall_s if cost.wall_s > 0 else None}  # fmt: skip
