"""What a campaign writes down."""

import dataclasses
import statistics
from typing import Any

from benchmarks.load.campaign import Entry
from benchmarks.load.cases import CEILINGS, DECODE_ONLY, STORED
from fastssl.data.beton import BetonFile
from fastssl.telemetry.records import new_record

IDLE = dict.fromkeys(("data_s", "train_s", "eval_s", "checkpoint_s"), 0.0)
UNKNOWN = dict.fromkeys(("gpu_h", "steps", "flops", "joules"))


def record_of(entry: Entry, quick: bool) -> dict[str, Any]:
    """A record of suite "load": `samples` are CPU seconds per source image, a block each; wall time beside them."""
    case, beton, kept = entry.case, BetonFile(entry.task.stored.beton), entry.cpu_s if entry.fine else []
    wall = entry.wall_s if entry.fine else []
    images = len(kept) * entry.images_per_block
    facts = {
        "name": case.name, "contestant": entry.name, "quick": quick, "reason": entry.reason, "regime": entry.regime,
        "stored": dataclasses.asdict(STORED[case.stored]), "batch": case.batch, "num_images": len(beton),
        "image_bytes": float(beton.payload_sizes.mean()), "specs": [dataclasses.asdict(spec) for spec in case.specs],
        "threads_requested": entry.task.threads, "threads": entry.threads, "epochs_per_block": entry.task.epochs,
        "images_per_block": entry.images_per_block,
    }  # fmt: skip
    metrics = {"first_batch_s": entry.first_batch_s, "private_bytes": entry.private_bytes} if entry.fine else {}
    if entry.fine and entry.start_s:
        metrics["epoch_start_s"] = statistics.median(entry.start_s)
    if entry.stayed and entry.fine:
        metrics["still_cached_share"] = max(entry.stayed)
    return new_record(
        suite="load",
        case=facts,
        scope=["decode"] if entry.name in (*DECODE_ONLY, *CEILINGS) else ["decode", "augment"],
        samples=kept,
        unit="cpu_s_per_image" if kept else "",
        warmup=entry.warmup_blocks,
        outcome=entry.outcome,
        clock={"compile_s": entry.first_batch_s, **IDLE, "world_size": 1, "device": "cpu", "wall_s_per_image": wall},
        budget={**UNKNOWN, "views": images * len(case.specs), "images": images},
        metrics=metrics,
        dataset={"id": _name(beton), "fingerprint": _fingerprint(beton)},
        page_cache="cold" if case.cold else "warm",
    )


def _name(beton: BetonFile) -> str:
    return (beton.sidecar or {}).get("name") or "photographs"


def _fingerprint(beton: BetonFile) -> str:
    return beton.layout.fingerprint or beton.fingerprint()
