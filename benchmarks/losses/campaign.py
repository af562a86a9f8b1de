"""A group of cases from contract to samples: contestants of all numbers of views take turns in shuffled blocks."""

import gc
import itertools
import random
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter

import torch

from benchmarks.guard import first_line, time_limit, too_long
from benchmarks.losses import ours
from benchmarks.losses.cases import Case
from benchmarks.losses.contestant import Batch, Contestant, Copy, Missing, head_of, stack_of
from benchmarks.losses.contestant import batches as draw
from benchmarks.losses.contract import breaches, probe_of
from benchmarks.losses.counts import count_work, peak_bytes
from benchmarks.losses.peers import PEERS
from benchmarks.rounds import Plan, count_launches, plan_queued_round, plan_round, time_call, time_on_gpu
from fastssl.telemetry.environment import free_memory_bytes

ROTATED = 4
"""Batches a contestant is given in turn, so that none is in a cache because it was the last one."""
LIMIT_S = 240
"""What the contract, the first calls and the counts of one contestant may take."""
SHORTEST_S = {"cpu": 0.05, "cuda": 0.005}
"""Least seconds of one round; a quick run takes a third. On a GPU events resolve a microsecond, and the device waits
twice as long as the host needs to queue the round."""
SLOW_S = 0.5
"""A call that takes longer is a round by itself, with no uncounted one before: it has left no cache as it was."""
CEILING = "copy"


@dataclass(frozen=True)
class Extent:
    """How much is measured: six blocks are the fewest that have an interval."""

    blocks: int = 6
    rounds: int = 2
    quick: bool = False


@dataclass
class Entry:
    """One contestant of one case, as far as it has come."""

    case: Case
    name: str
    outcome: str = "ok"
    reason: str = ""
    absent: bool = False
    contestant: Contestant | Copy | None = None
    batches: list[Batch] = field(default_factory=list)
    plan: Plan = field(default_factory=Plan)
    slow: bool = False
    warmup_s: float = 0.0
    counts: dict[str, float] = field(default_factory=dict)
    blocks: list[list[float]] = field(default_factory=list)
    """Seconds per call of each round, by block: the device's on a GPU, CPU seconds elsewhere."""
    wall_s: list[float] = field(default_factory=list)
    """On a CPU, by block: wall seconds per call."""
    host_s: list[float] = field(default_factory=list)
    ahead: list[float] = field(default_factory=list)
    """On a GPU, by block: seconds the host needs to queue a call; the share of rounds that were queued ahead."""
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def call(self) -> object:
        assert self.contestant is not None, "built before it is called"
        return self.contestant.step(self.batches[next(self.numbers) % len(self.batches)])

    def round(self) -> None:
        for _ in range(self.plan.calls):
            self.call()


def entries_of(case: Case, only: Sequence[str] | None = None) -> list[Entry]:
    """Ours in its forms, the peers, the ceiling."""
    names = [*ours.timed_forms(case), *PEERS.get(case.loss, ()), CEILING]
    return [Entry(case, name) for name in names if only is None or name in only]


def run_group(cases: Sequence[Case], extent: Extent, only: Sequence[str] | None = None) -> list[Entry]:
    """Every contestant's outcome; nothing that a contestant does ends the group."""
    entries = []
    for case in cases:
        found, made = entries_of(case, only), draw(case, ROTATED)
        for entry in found:
            entry.batches = made
            _guarded(entry, extent)
        entries += found
    order = random.Random(f"{cases[0].group} blocks")
    gc.collect()
    gc.disable()
    for _ in range(extent.blocks):
        for entry in order.sample(entries, len(entries)):
            if entry.outcome == "ok":
                _block(entry, extent)
    gc.enable()
    for entry in entries:
        entry.batches = []
    return entries


def _guarded(entry: Entry, extent: Extent) -> None:
    """Builds, checks, counts, warms up; what goes wrong becomes the entry's outcome, and is said."""
    started = time.perf_counter()
    try:
        with time_limit(LIMIT_S):
            _prepare(entry, extent)
    except Missing as error:
        entry.outcome, entry.reason, entry.absent = "failed", f"not installed: {error}", True
    except Exception as error:  # a peer's crash is a result of the campaign, not its end
        late = isinstance(error, TimeoutError)
        entry.outcome, entry.reason = ("timeout", too_long(LIMIT_S)) if late else ("failed", first_line(error))
    entry.warmup_s = time.perf_counter() - started
    if entry.outcome != "ok":
        print(f"{entry.case.name}, {entry.name}: {entry.outcome}: {entry.reason}", file=sys.stderr, flush=True)


def _prepare(entry: Entry, extent: Extent) -> None:
    case = entry.case
    entry.contestant = contestant = _build(entry.name, case)
    if contestant.needs_bytes and case.device == "cpu" and contestant.needs_bytes > (free_memory_bytes() or 0):
        raise MemoryError(f"needs {contestant.needs_bytes / 1e9:.0f} GB, more than this machine has free")
    if entry.name in PEERS.get(case.loss, ()):
        probe = probe_of(case)
        peer = _build(entry.name, probe)
        assert isinstance(peer, Contestant), "a ceiling is no peer"
        if wrong := breaches(peer, probe):
            entry.outcome, entry.reason = "wrong", "; ".join(wrong)
            return
    entry.call()
    entry.counts = {"peak_bytes": peak_bytes(entry.call, case.device), **count_work(entry.call)}
    host_s, call_s = time_call(entry.call, case.device)
    entry.slow = call_s > SLOW_S
    if not entry.slow:  # the quickest of a few: a call that was disturbed would plan too short a round
        host_s, call_s = min((time_call(entry.call, case.device) for _ in range(3)), key=itemgetter(1))
    shortest = SHORTEST_S[case.device] / (3 if extent.quick else 1)
    if case.device == "cuda":
        launches = count_launches(entry.call)
        entry.counts |= {} if launches is None else {"launches_per_call": launches}
        entry.plan = plan_queued_round(shortest, call_s, host_s, launches)
    else:
        entry.plan = plan_round(shortest, call_s)


def _build(name: str, case: Case) -> Contestant | Copy:
    if name == CEILING:
        return Copy(head_of if case.rows else stack_of)
    return PEERS[case.loss][name](case) if name in PEERS.get(case.loss, ()) else ours.build(case.loss, name)


def _block(entry: Entry, extent: Extent) -> None:
    """One turn: an uncounted round, then the counted ones."""
    rounds = 1 if entry.slow else extent.rounds
    if entry.case.device == "cuda":
        uncounted, *counted = [time_on_gpu(entry.round, entry.plan.spin_s if i else 0.0) for i in range(rounds + 1)]
        entry.blocks.append([one.device_s / entry.plan.calls for one in counted])
        entry.host_s.append(uncounted.host_s / entry.plan.calls)
        entry.ahead.append(statistics.mean(one.ahead for one in counted))
        return
    if not entry.slow:
        entry.round()
    started, readings = time.perf_counter(), [time.process_time()]
    for _ in range(rounds):
        entry.round()
        readings.append(time.process_time())
    entry.wall_s.append((time.perf_counter() - started) / (rounds * entry.plan.calls))
    entry.blocks.append([(after - before) / entry.plan.calls for before, after in pairwise(readings)])


def forget(device: str) -> None:
    """Gives a GPU's memory of one group back before the next."""
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()
