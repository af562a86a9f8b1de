"""What was found in a run, as a record of a suite of its own."""

from typing import Any

from fastssl.probing.subject import Subject
from fastssl.telemetry.clock import Clock
from fastssl.telemetry.records import new_record
from fastssl.train.setup import dataset_facts
from fastssl.types import DatasetInfo

KNOWN_AS = {"trained": "trained", "untrained": "random"}


def looked_at(
    subject: Subject,
    suite: str,
    case: dict[str, Any],
    metrics: dict[str, float],
    info: DatasetInfo,
    *,
    samples: list[float] | None = None,
    unit: str = "",
) -> dict[str, Any]:
    """A record of what one network of a run showed; its clock and budget are empty, for nothing was trained."""
    recipe = subject.recipe
    return new_record(
        suite=suite,
        case={
            "run": subject.run.run_id,
            "name": recipe.name,
            "method": recipe.method.kind,
            "seed": recipe.seed,
            "step": subject.step,
            "weights": KNOWN_AS[subject.weights],
            "weights_hash": subject.weights_hash,
            "recipe": recipe.to_json(),
            **case,
        },
        scope=[],
        clock=Clock(subject.device.type).record(),
        budget=dict.fromkeys(("gpu_h", "views", "images", "steps", "flops", "joules")),
        metrics=metrics,
        dataset=dataset_facts(info),
        samples=samples,
        unit=unit,
    )
