"""Benchmarks that fit in one process: what `bench_decode.py` and `bench_sampling.py` write down."""

from pathlib import Path
from typing import Any

from benchmarks.load.photographs import recipe
from fastssl.telemetry.records import append_record, new_record

IDLE = dict.fromkeys(("data_s", "train_s", "eval_s", "checkpoint_s"), 0.0)
UNKNOWN = dict.fromkeys(("gpu_h", "steps", "flops", "joules", "views", "images"))
ROUNDS = 12


def timed(benchmark: Any, work: Any, items: int) -> list[float]:
    """Seconds per item of each round, by pytest-benchmark's clock; the first round is not counted."""
    benchmark.pedantic(work, rounds=ROUNDS, warmup_rounds=1)
    return [seconds / items for seconds in benchmark.stats.stats.data]


def write_down(path: Path, suite: str, case: str, contestant: str, samples: list[float], scope: list[str]) -> None:
    """One record: `samples` are wall seconds per item of one thread, a round each."""
    record = new_record(
        suite=suite,
        case={"name": case, "contestant": contestant, "reason": "", "quick": False, "threads": 1},
        scope=scope,
        samples=samples,
        unit="s_per_item",
        warmup=1,
        clock={"compile_s": 0.0, **IDLE, "world_size": 1, "device": "cpu"},
        budget=UNKNOWN,
        metrics={},
        dataset={"id": "photographs", "fingerprint": recipe()},
    )
    append_record(path, record)
