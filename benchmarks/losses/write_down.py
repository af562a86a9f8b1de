"""What a campaign writes down."""

import statistics
from typing import Any

import torch

from benchmarks.losses.campaign import Entry
from benchmarks.losses.contestant import Contestant
from fastssl.telemetry.records import new_record

IDLE = dict.fromkeys(("data_s", "train_s", "eval_s", "checkpoint_s"), 0.0)
UNKNOWN = dict.fromkeys(("gpu_h", "steps", "flops", "joules"))


def record_of(entry: Entry, quick: bool) -> dict[str, Any]:
    """A record of suite "losses": `samples` are seconds of one forward and backward pass, a round each: of a GPU
    between two events, of a CPU those of the process, as wall time is what its neighbours leave."""
    case, blocks = entry.case, entry.blocks if entry.outcome == "ok" else []
    facts = {
        "name": case.name, "group": case.group, "loss": case.loss, "contestant": entry.name, "quick": quick,
        "reason": entry.reason, "regime": entry.contestant.regime if entry.contestant else "", "absent": entry.absent,
        "same_as": _same_as(entry), "batch": case.batch, "dim": case.dim, "views": case.views, "rows": case.rows,
        "dtype": "float32", "matmul_precision": torch.get_float32_matmul_precision(), "threads_requested": 1,
        "threads": torch.get_num_threads(), "calls_per_round": entry.plan.calls, "spin_s": entry.plan.spin_s,
        "rounds_per_block": [len(block) for block in blocks],
    }  # fmt: skip
    metrics = dict(entry.counts) if blocks else {}
    by_block = {"wall_s_per_call": entry.wall_s, "host_s_per_call": entry.host_s, "queued_ahead_share": entry.ahead}
    metrics |= {name: statistics.mean(values) for name, values in by_block.items() if blocks and values}
    images = sum(map(len, blocks)) * entry.plan.calls * case.batch
    return new_record(
        suite="losses",
        case=facts,
        scope=["loss"],
        samples=[value for block in blocks for value in block],
        unit=_unit(case.device) if blocks else "",
        warmup=0 if entry.slow else 1,
        outcome=entry.outcome,
        clock={"compile_s": entry.warmup_s, **IDLE, "world_size": 1, "device": case.device},
        budget={**UNKNOWN, "views": images * case.views, "images": images},
        metrics=metrics,
        dataset={},
    )


def _unit(device: str) -> str:
    return "s_per_call" if device == "cuda" else "cpu_s_per_call"


def _same_as(entry: Entry) -> str | None:
    """The form of ours whose value it gives, as the contract found; None where it means something else."""
    if not isinstance(entry.contestant, Contestant):
        return None
    return "ours" if entry.case.views <= 2 else entry.contestant.like
