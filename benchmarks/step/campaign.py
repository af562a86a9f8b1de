"""A case from opening to records: every feed opened once, then steps in shuffled blocks, the ceilings among them."""

import math
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from benchmarks.load.stored import StoredSet
from benchmarks.step.cases import CEILINGS, MODEL_ONLY, Case
from benchmarks.step.feeds import Feed, open_feed
from benchmarks.step.rates import rates, wait
from benchmarks.step.stages import stages
from fastssl.errors import InputError
from fastssl.recipe import Recipe
from fastssl.telemetry.environment import usable_cores
from fastssl.train.setup import Parts, build, warm_up
from fastssl.types import Batch

DRAIN = 8
"""Steps at the beginning of a turn that are not counted: while others had theirs, a loader has worked ahead."""
BLOCK_S = {True: 0.5, False: 1.5}
"""Least seconds of a block (quick or not) of the model-only step."""
LEAST_STEPS = 6
LONGEST_S = 2.5
"""Of a slow feed, a block ends after so many seconds: it has long told what it costs."""


@dataclass(frozen=True)
class Extent:
    blocks: int
    quick: bool
    until: float = math.inf
    """No block begins that would not end before this reading of `time.perf_counter`."""


@dataclass
class Entry:
    """One feed of one case, as far as it has come."""

    case: Case
    name: str
    outcome: str = "ok"
    reason: str = ""
    feed: Feed | None = None
    opened_s: float = 0.0
    steps: int = 0
    """Per block."""
    wall_s: list[float] = field(default_factory=list)
    """Per source image, by block; `waited` the share of the block spent waiting for batches."""
    waited: list[float] = field(default_factory=list)


@dataclass
class Found:
    """What a case gave beside its entries."""

    parts: Parts
    step_flops: int
    rates: dict[str, float]
    stages: dict[str, float]
    peak_bytes: int


def run_case(
    case: Case, stored: StoredSet, device: str, names: tuple[str, ...], extent: Extent
) -> tuple[list[Entry], Found]:
    """Times the case. A feed that fails is an entry that says why; the others go on."""
    recipe = case.recipe(stored.beton, device, usable_cores())
    parts, batch, flops = _warm(recipe)
    limits = rates(parts.device, parts.dtype)
    entries = [Entry(case, name) for name in names]
    for entry in entries:
        _attempt(entry, lambda entry=entry: _open(entry, parts, batch))
    steps = _steps_per_block(parts, batch, extent)
    for entry in entries:
        entry.steps = steps
        _attempt(entry, lambda entry=entry: _run(entry, DRAIN, parts.device))
    try:
        _time(entries, extent, parts.device)
    except KeyboardInterrupt:
        print(f"{case.name}: interrupted; the blocks that are whole are kept", file=sys.stderr, flush=True)
    whole = min((len(entry.wall_s) for entry in entries if entry.outcome == "ok"), default=0)
    for entry in entries:
        entry.wall_s, entry.waited = entry.wall_s[:whole], entry.waited[:whole]
    split = stages(parts, batch)
    peak = torch.cuda.max_memory_allocated(parts.device) if parts.device.type == "cuda" else 0
    for entry in entries:
        if entry.feed is not None:
            entry.feed.close()
    return entries, Found(parts, flops, limits, split, peak)


def _time(entries: list[Entry], extent: Extent, device: torch.device) -> None:
    """Each block holds every feed once, in an order of its own: a machine that slows down slows all of them."""
    shuffle, longest = random.Random(f"{entries[0].case.name} blocks").shuffle, 0.0
    for number in range(extent.blocks):
        started, turn = time.perf_counter(), list(entries)
        if started + longest > extent.until:
            print(f"out of time after {number} of {extent.blocks} blocks", file=sys.stderr, flush=True)
            return
        shuffle(turn)
        for entry in turn:
            _attempt(entry, lambda entry=entry: _block(entry, device))
        seconds = time.perf_counter() - started
        longest = max(longest, seconds)
        print(f"block {number + 1}/{extent.blocks}: {seconds:.0f} s", file=sys.stderr, flush=True)


def _warm(recipe: Recipe) -> tuple[Parts, Batch, int]:
    """The run's parts, one real batch and the operations of a step, with the loader they came from closed again."""
    parts = build(recipe)
    batch = next(iter(parts.loader.epoch(0)))
    flops = warm_up(parts)
    parts.loader.close()
    return parts, batch, flops


def _attempt(entry: Entry, step: Callable[[], None]) -> None:
    """What goes wrong becomes the entry's outcome, and is said."""
    if entry.outcome != "ok":
        return
    try:
        step()
    except (InputError, ImportError, RuntimeError, OSError, ValueError) as error:
        entry.outcome, entry.reason = "failed", " ".join(str(error).split())[:300]
        print(f"{entry.case.name}, {entry.name}: {entry.reason}", file=sys.stderr, flush=True)


def _open(entry: Entry, parts: Parts, batch: Batch) -> None:
    started = time.perf_counter()
    entry.feed = open_feed(entry.name, parts, batch)
    entry.feed.step()
    wait(parts.device)
    entry.opened_s = time.perf_counter() - started
    print(f"{entry.case.name}, {entry.name}: first step in {entry.opened_s:.1f} s", file=sys.stderr, flush=True)


def _steps_per_block(parts: Parts, batch: Batch, extent: Extent) -> int:
    """As many as the model-only step needs for the least time of a block."""
    feed = open_feed(MODEL_ONLY, parts, batch)
    for _ in range(3):
        feed.step()
    wait(parts.device)
    started = time.perf_counter()
    for _ in range(3):
        feed.step()
    wait(parts.device)
    return max(LEAST_STEPS, round(BLOCK_S[extent.quick] / ((time.perf_counter() - started) / 3)))


def _run(entry: Entry, steps: int, device: torch.device) -> tuple[float, int]:
    """Seconds of so many steps (or of fewer, when they take very long), the device waited for at both ends."""
    assert entry.feed is not None
    wait(device)
    started, done = time.perf_counter(), 0
    while done < steps and time.perf_counter() - started < LONGEST_S:
        entry.feed.step()
        done += 1
    wait(device)
    return time.perf_counter() - started, done


def _block(entry: Entry, device: torch.device) -> None:
    assert entry.feed is not None
    _run(entry, 1 if entry.name in CEILINGS else DRAIN, device)
    before = entry.feed.waited_s
    seconds, steps = _run(entry, entry.steps, device)
    entry.wall_s.append(seconds / (steps * entry.case.batch))
    entry.waited.append(min(1.0, (entry.feed.waited_s - before) / seconds))
