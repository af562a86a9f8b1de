"""What a campaign of steps writes down."""

import dataclasses
import statistics
from typing import Any

from benchmarks.load.cases import STORED
from benchmarks.step.campaign import Entry, Found
from benchmarks.step.cases import MODEL_ONLY
from fastssl.telemetry.records import new_record
from fastssl.train.setup import dataset_facts

IDLE = dict.fromkeys(("data_s", "train_s", "eval_s", "checkpoint_s"), 0.0)


def record_of(entry: Entry, found: Found, quick: bool) -> dict[str, Any]:
    """A record of suite "step": `samples` are wall seconds per source image, a block each.

    The stages, the step's operations and the device's rates stand with the model-only step, which they explain.
    """
    case, recipe = entry.case, found.parts.recipe
    fine = entry.outcome == "ok"
    samples = entry.wall_s if fine else []
    fine = bool(samples)
    images = len(samples) * entry.steps * case.batch
    facts = {
        "name": case.name, "contestant": entry.name, "quick": quick, "reason": entry.reason,
        "regime": entry.feed.regime if entry.feed else "", "arch": case.arch, "size": case.size, "batch": case.batch,
        "views": recipe.views, "method": recipe.method.kind, "precision": recipe.precision,
        "backend": found.parts.backend.name, "stored": dataclasses.asdict(STORED[case.stored]),
        "threads_requested": recipe.data.workers, "threads": entry.feed.threads if entry.feed else 0,
        "steps_per_block": entry.steps,
    }  # fmt: skip
    metrics: dict[str, float] = {}
    if fine:
        metrics = {"first_step_s": entry.opened_s, "waited_share": statistics.mean(entry.waited)}
    if entry.name == MODEL_ONLY:
        metrics |= {"step_flops": float(found.step_flops), "peak_bytes": float(found.peak_bytes)}
        metrics |= found.rates | found.stages
    return new_record(
        suite="step",
        case=facts,
        scope=list(entry.feed.scope) if entry.feed else ["train_step"],
        samples=samples,
        unit="s_per_image" if samples else "",
        warmup=1,
        outcome=entry.outcome if fine or entry.outcome != "ok" else "timeout",
        clock={"compile_s": entry.opened_s, **IDLE, "world_size": 1, "device": found.parts.device.type},
        budget={"gpu_h": None, "joules": None, "flops": None, "steps": images // case.batch, "images": images,
                "views": images * recipe.views},
        metrics=metrics,
        dataset=dataset_facts(found.parts.info),
        page_cache="warm",
    )  # fmt: skip
