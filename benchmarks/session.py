"""One process of a campaign: contestants built and checked once, timed in blocks, written down as records."""

import dataclasses
import itertools
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.cases import Case, cases
from benchmarks.contract import breaches
from benchmarks.guard import first_line, time_limit, too_long
from benchmarks.peers import Contestant, Unsupported, build
from benchmarks.rounds import GpuRound, Plan, count_launches, plan_queued_round, plan_round, time_call, time_on_gpu
from fastssl.telemetry.records import append_record, new_record

ROTATED = 4
"""Batches a contestant is given in turn, so that none is served from cache because it was the last one."""
PICTURES = 8
"""Different pictures that the images of a batch are windows of."""
CEILING = "copy"
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
    plan: Plan = field(default_factory=Plan)
    warmup_s: float = 0.0
    blocks: list[list[float]] = field(default_factory=list)
    """Seconds per view of each round, by block."""
    cpu_s: list[float] = field(default_factory=list)
    """CPU seconds per view of each block, all threads together; not on a GPU, where a waiting thread is a busy one."""
    host_s: list[float] = field(default_factory=list)
    """On a GPU, by block: seconds per view that the host needs to queue the work when the device is idle."""
    ahead: list[float] = field(default_factory=list)
    """On a GPU, by block: the share of the rounds whose work was queued before the device came to it."""
    launches: int | None = None
    steps: Iterator[int] = field(default_factory=itertools.count)

    @property
    def views_per_round(self) -> int:
        return self.plan.calls * (self.contestant.views or self.case.num_views)

    def call(self) -> None:
        step = next(self.steps)
        self.contestant.make(self.inputs[step % ROTATED], step)

    def round(self) -> None:
        for _ in range(self.plan.calls):
            self.call()


class Session:
    """The contestants of one group."""

    def __init__(self, group: str, device: str, quick: bool, only: str = "") -> None:
        self.group, self.device, self.quick = group, device, quick
        names = [(case, name) for case in cases(group, device, quick) for name in case.contestants]
        wanted = {word for name in only.split(",") for word in (name, f"{name}: sample", f"{name}: apply") if name}
        names = [(case, name) for case, name in names if not wanted or name in wanted or name == CEILING]
        self.entries = [Entry(case, name) for case, name in names if not (quick and name == "torch.compile")]
        self.num_blocks, self.rounds = _extent(group, device, quick)
        self._kept: dict[tuple[Any, ...], list[Any]] = {}

    def turns(self) -> list[tuple[int, int]]:
        """(block, position of the entry): every block holds every entry once, in an order of its own."""
        order = random.Random(f"{self.group} blocks")
        blocks = [order.sample(range(len(self.entries)), len(self.entries)) for _ in range(self.num_blocks)]
        return [(block, position) for block, positions in enumerate(blocks) for position in positions]

    def measure(self, benchmark: Any, entry: Entry) -> None:
        """One block of one contestant. One that crashes is out of the campaign: its case goes on without it."""
        try:
            self._measure(benchmark, entry)
        except Exception as error:
            entry.outcome, entry.reason = "failed", first_line(error)
            raise

    def _measure(self, benchmark: Any, entry: Entry) -> None:
        """Through pytest-benchmark's clock; on a GPU, device events beside it."""
        torch.set_num_threads(entry.case.threads)
        cpu_s: list[float] = []
        on_gpu: list[GpuRound] = []

        def work() -> None:
            if self.device == "cuda":  # the first round is the uncounted one: it tells the host's time
                on_gpu.append(time_on_gpu(entry.round, entry.plan.spin_s if on_gpu else 0.0))
            else:
                entry.round()

        def start() -> None:
            cpu_s.append(-time.process_time())

        def stop() -> None:
            cpu_s[-1] += time.process_time()

        benchmark.pedantic(work, setup=start, teardown=stop, rounds=self.rounds, warmup_rounds=1)
        if on_gpu:
            _keep_gpu_block(entry, *on_gpu)
        else:
            _keep_block(entry, benchmark.stats.stats.data, cpu_s[-self.rounds :])

    def prepare(self, entry: Entry) -> None:
        """Builds, checks the output, warms up. What goes wrong becomes the entry's outcome."""
        torch.set_num_threads(entry.case.threads)
        started = time.perf_counter()
        limit = COMPILE_S if entry.name == "torch.compile" else 600
        try:
            with time_limit(limit):
                self._prepare(entry)
        except Unsupported as error:
            entry.outcome, entry.reason = "failed", f"not supported: {error}"
        except Exception as error:  # a peer's crash is a result of the campaign, not its end
            late = time.perf_counter() - started >= limit  # a compiler wraps what stops it
            entry.outcome = "timeout" if late else "failed"
            entry.reason = too_long(limit) if late else first_line(error)
        entry.warmup_s = time.perf_counter() - started

    def _prepare(self, entry: Entry) -> None:
        case = entry.case

        def make_one(specs: Any, height: int, width: int) -> Contestant:
            return build(entry.name, specs, height, width, case.device, case.dtype)

        entry.contestant = make_one(case.specs, case.height, case.width)
        images = self._images(case)[0]
        if entry.contestant.whole and (wrong := breaches(entry.contestant, make_one, case.specs, images, case.dtype)):
            entry.outcome, entry.reason = "wrong", "; ".join(wrong)
            return
        entry.inputs = self._inputs(entry)
        for _ in range(ROTATED):
            entry.call()
        host_s, call_s = time_call(entry.call, case.device)
        if case.device == "cuda":
            entry.launches = count_launches(entry.call)
            entry.plan = plan_queued_round(SHORTEST_S[self.quick], call_s, host_s, entry.launches)
        else:
            entry.plan = plan_round(SHORTEST_S[self.quick], call_s)

    def _images(self, case: Case) -> list[Tensor]:
        """The batches of that size; made once, as nobody may write to them (the contract looks)."""
        size = (case.batch, case.height, case.width)
        return self._once(
            (*size, case.device), lambda: [photographs(*size, number).to(case.device) for number in range(ROTATED)]
        )

    def _inputs(self, entry: Entry) -> list[Any]:
        """The same as a contestant of that name likes it, which its views have no say in."""
        case = entry.case
        return self._once(
            (entry.name, case.batch, case.height, case.width, case.device),
            lambda: [entry.contestant.prepare(batch) for batch in self._images(case)],
        )

    def _once(self, key: tuple[Any, ...], make: Callable[[], list[Any]]) -> list[Any]:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def write(self, path: Path) -> None:
        """Appends a record per contestant that was tried; of a session that was cut short, each case's whole blocks."""
        whole: dict[str, int] = {}
        for entry in self.entries:
            if entry.outcome == "ok":
                count = len(entry.blocks)
                whole[entry.case.name] = min(whole.get(entry.case.name, count), count)
        for entry in self.entries:
            num_blocks = whole.get(entry.case.name, 0)
            if entry.outcome != "ok" or num_blocks:
                append_record(path, _record(self.group, entry, self.quick, num_blocks))


def _extent(group: str, device: str, quick: bool) -> tuple[int, int]:
    """Blocks, and rounds of each block. Six blocks are the fewest that have an interval."""
    if quick:
        return 6, 1
    if group.startswith("ops"):
        return (6 if device == "cuda" else 8), 2
    return 12, 3


def _keep_block(entry: Entry, seconds: Sequence[float], cpu_s: Sequence[float]) -> None:
    entry.blocks.append([value / entry.views_per_round for value in seconds])
    entry.cpu_s.append(sum(cpu_s) / (entry.views_per_round * len(cpu_s)))


def _keep_gpu_block(entry: Entry, uncounted: GpuRound, *counted: GpuRound) -> None:
    entry.blocks.append([one.device_s / entry.views_per_round for one in counted])
    entry.host_s.append(uncounted.host_s / entry.views_per_round)
    entry.ahead.append(statistics.mean(one.ahead for one in counted))


def photographs(batch: int, height: int, width: int, number: int) -> Tensor:
    """The number-th batch of smooth pictures with grain: uint8 (batch, 3, height, width) in channels-last memory.

    Its images are windows of few larger pictures, at places and in orders of the channels of their own: to make each
    from scratch takes longer than many contestants need for it.
    """
    generator = torch.Generator().manual_seed(number)
    tall, wide = height + height // 2, width + width // 2
    coarse = torch.rand(PICTURES, 3, 9, 9, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (tall, wide), mode="bicubic", antialias=False)
    grain = torch.randn(PICTURES, 1, tall, wide, generator=generator) * 0.03
    pictures = ((smooth + grain).clamp_(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    downs = torch.randint(tall - height + 1, (batch,), generator=generator).tolist()
    rights = torch.randint(wide - width + 1, (batch,), generator=generator).tolist()
    images = torch.empty(batch, height, width, 3, dtype=torch.uint8)
    for i, (down, right) in enumerate(zip(downs, rights, strict=True)):
        window = pictures[i % PICTURES, down : down + height, right : right + width]
        images[i] = window.roll(i // PICTURES % 3, dims=2)
    return images.permute(0, 3, 1, 2)


def _record(group: str, entry: Entry, quick: bool, num_blocks: int) -> dict[str, Any]:
    case, blocks = entry.case, entry.blocks[:num_blocks]
    views = sum(map(len, blocks)) * entry.views_per_round if blocks else 0
    facts = {
        "name": case.name, "group": group, "contestant": entry.name, "quick": quick, "reason": entry.reason,
        "regime": entry.contestant.regime if entry.contestant else "", "batch": case.batch,
        "height": case.height, "width": case.width, "dtype": str(case.dtype).removeprefix("torch."),
        "specs": [dataclasses.asdict(spec) for spec in case.specs], "threads_requested": case.threads,
        "threads": torch.get_num_threads(), "calls_per_round": entry.plan.calls, "spin_s": entry.plan.spin_s,
        "rounds_per_block": [len(block) for block in blocks],
    }  # fmt: skip
    metrics: dict[str, float] = {"bytes_per_view": case.bytes_per_view}
    by_block = {"cpu_s_per_view": entry.cpu_s, "host_s_per_view": entry.host_s, "queued_ahead_share": entry.ahead}
    for name, values in by_block.items():
        if blocks and values:
            metrics[name] = statistics.mean(values[:num_blocks])
    if entry.launches is not None and entry.contestant.views is None:
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
