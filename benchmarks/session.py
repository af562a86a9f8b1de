"""One process of a campaign: contestants built and checked once, timed in blocks, written down as records."""

import dataclasses
import itertools
import math
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.cases import Case, cases
from benchmarks.contract import breaches
from benchmarks.peers import Contestant, Unsupported, build
from fastssl.telemetry.records import append_record, new_record

ROTATED = 4
"""Batches a contestant is given in turn, so that none is served from cache because it was the last one."""
COMPILE_S = 60
"""What building, first call and contract may take; a peer that needs longer is a `timeout`."""
SHORTEST_S = {True: 0.03, False: 0.08}
"""Least seconds of one round (quick or not): fast contestants repeat their batch within it."""


@dataclass
class Entry:
    """One contestant of one case, as far as it has come."""

    case: Case
    name: str
    outcome: str = "ok"
    reason: str = ""
    contestant: Contestant | None = None
    inputs: list[Any] = field(default_factory=list)
    calls: int = 1
    """Batches per round."""
    warmup_s: float = 0.0
    blocks: list[list[float]] = field(default_factory=list)
    """Seconds per view of each round, by block."""
    cpu_s: list[float] = field(default_factory=list)
    """CPU seconds per view of each block, all threads together."""
    launches: int | None = None
    steps: Iterator[int] = field(default_factory=itertools.count)


class Session:
    """The contestants of one group."""

    def __init__(self, group: str, device: str, quick: bool) -> None:
        self.group, self.device, self.quick = group, device, quick
        names = [(case, name) for case in cases(group, device, quick) for name in case.contestants]
        self.entries = [Entry(case, name) for case, name in names if not (quick and name == "torch.compile")]
        self.num_blocks, self.rounds = (6, 1) if quick else (8, 2) if group.startswith("ops") else (12, 3)

    def turns(self) -> list[tuple[int, int]]:
        """(block, position of the entry): every block holds every entry once, in an order of its own."""
        order = random.Random(f"{self.group} blocks")
        blocks = [order.sample(range(len(self.entries)), len(self.entries)) for _ in range(self.num_blocks)]
        return [(block, position) for block, positions in enumerate(blocks) for position in positions]

    def measure(self, benchmark: Any, entry: Entry) -> None:
        """One block of one contestant, through pytest-benchmark's clock; on CUDA, device events beside it."""
        torch.set_num_threads(entry.case.threads)
        make = entry.contestant.make
        cpu_s, device_s = [], []

        def work() -> None:
            with _device_clock(self.device, device_s):
                for _ in range(entry.calls):
                    step = next(entry.steps)
                    make(entry.inputs[step % ROTATED], step)

        def start() -> None:
            cpu_s.append(-time.process_time())

        def stop() -> None:
            cpu_s[-1] += time.process_time()

        benchmark.pedantic(work, setup=start, teardown=stop, rounds=self.rounds, warmup_rounds=1)
        seconds = device_s[-self.rounds :] if self.device == "cuda" else benchmark.stats.stats.data
        views = entry.calls * entry.case.num_views
        entry.blocks.append([value / views for value in seconds])
        entry.cpu_s.append(sum(cpu_s[-self.rounds :]) / (views * self.rounds))

    def prepare(self, entry: Entry) -> None:
        """Builds, checks the output, warms up. What goes wrong becomes the entry's outcome."""
        torch.set_num_threads(entry.case.threads)
        started = time.perf_counter()
        try:
            with _limit(COMPILE_S if entry.name == "torch.compile" else 600):
                self._prepare(entry)
        except Unsupported as error:
            entry.outcome, entry.reason = "failed", f"not supported: {error}"
        except TimeoutError as error:
            entry.outcome, entry.reason = "timeout", str(error)
        except Exception as error:  # a peer's crash is a result of the campaign, not its end
            entry.outcome, entry.reason = "failed", f"{type(error).__name__}: {error}".split("\n")[0][:300]
        entry.warmup_s = time.perf_counter() - started

    def _prepare(self, entry: Entry) -> None:
        case = entry.case

        def make_one(specs: Any, height: int, width: int) -> Contestant:
            return build(entry.name, specs, height, width, case.device, case.dtype)

        entry.contestant = make_one(case.specs, case.height, case.width)
        batches = [photographs(case, number) for number in range(ROTATED)]
        if entry.contestant.whole and (
            wrong := breaches(entry.contestant, make_one, case.specs, batches[0], case.dtype)
        ):
            entry.outcome, entry.reason = "wrong", "; ".join(wrong)
            return
        entry.inputs = [entry.contestant.prepare(batch) for batch in batches]
        for _ in range(ROTATED):
            step = next(entry.steps)
            entry.contestant.make(entry.inputs[step % ROTATED], step)
        entry.calls = max(1, math.ceil(SHORTEST_S[self.quick] / self._one_call_s(entry)))
        if case.device == "cuda":
            entry.launches = _count_launches(lambda: entry.contestant.make(entry.inputs[0], 0))

    def _one_call_s(self, entry: Entry) -> float:
        _synchronise(self.device)
        started = time.perf_counter()
        entry.contestant.make(entry.inputs[0], 0)
        _synchronise(self.device)
        return time.perf_counter() - started

    def write(self, path: Path) -> None:
        """Appends one record per contestant that was tried; of a session that was cut short, the whole blocks."""
        whole = min((len(entry.blocks) for entry in self.entries if entry.outcome == "ok"), default=0)
        for entry in self.entries:
            if entry.outcome != "ok" or whole:
                append_record(path, _record(self.group, entry, self.quick, whole))


def photographs(case: Case, number: int) -> Tensor:
    """A batch of smooth pictures with grain, uint8 in channels-last memory on the case's device."""
    generator = torch.Generator().manual_seed(number)
    coarse = torch.rand(case.batch, 3, 6, 6, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (case.height, case.width), mode="bicubic", antialias=False)
    grain = torch.randn(case.batch, 1, case.height, case.width, generator=generator) * 0.03
    pixels = ((smooth + grain).clamp_(0, 1) * 255).round().to(torch.uint8)
    return pixels.contiguous(memory_format=torch.channels_last).to(case.device)


def _record(group: str, entry: Entry, quick: bool, num_blocks: int) -> dict[str, Any]:
    case, blocks = entry.case, entry.blocks[:num_blocks]
    views = sum(map(len, blocks)) * entry.calls * case.num_views
    facts = {
        "name": case.name, "group": group, "contestant": entry.name, "quick": quick, "reason": entry.reason,
        "regime": entry.contestant.regime if entry.contestant else "", "batch": case.batch,
        "height": case.height, "width": case.width, "dtype": str(case.dtype).removeprefix("torch."),
        "specs": [dataclasses.asdict(spec) for spec in case.specs], "threads_requested": case.threads,
        "threads": torch.get_num_threads(), "calls_per_round": entry.calls,
        "rounds_per_block": [len(block) for block in blocks],
    }  # fmt: skip
    metrics = {"bytes_per_view": case.bytes_per_view}
    if blocks:
        metrics["cpu_s_per_view"] = sum(entry.cpu_s[:num_blocks]) / num_blocks
    if entry.launches is not None:
        metrics["launches_per_batch"] = entry.launches
    idle = dict.fromkeys(("data_s", "train_s", "eval_s", "checkpoint_s"), 0.0)
    unknown = dict.fromkeys(("gpu_h", "steps", "flops", "joules"))
    return new_record(
        suite="augment",
        case=facts,
        scope=["augment"],
        samples=[value for block in blocks for value in block],
        unit="s_per_view" if blocks else "",
        warmup=1,
        outcome=entry.outcome,
        clock={"compile_s": entry.warmup_s, **idle, "world_size": 1, "device": case.device},
        budget={**unknown, "views": views, "images": views // len(case.specs)},
        metrics=metrics,
        dataset={},
    )


@contextmanager
def _device_clock(device: str, seconds: list[float]) -> Iterator[None]:
    """On CUDA, appends the device's time between two events, and waits for it; elsewhere nothing."""
    if device != "cuda":
        yield
        return
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    first.record()
    yield
    last.record()
    last.synchronize()
    seconds.append(first.elapsed_time(last) / 1000)


def _synchronise(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _count_launches(work: Any) -> int:
    """Kernels, copies and fills that one batch puts on the device."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        work()
        torch.cuda.synchronize()
    return sum(event.device_type == torch.autograd.DeviceType.CUDA for event in profiler.events())


@contextmanager
def _limit(seconds: int) -> Iterator[None]:
    """Raises `TimeoutError` inside after that many seconds."""

    def ring(number: int, frame: object) -> None:
        raise TimeoutError(f"took longer than {seconds} s to build, compile and check")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
