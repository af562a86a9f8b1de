"""A case from check to record: every contestant checked, opened in a process of its own, timed in shuffled blocks."""

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import IO, Any

from benchmarks.load.cases import CEILINGS, Case, epochs_per_block
from benchmarks.load.contestant import Task
from benchmarks.load.handle import Absent, Handle, Stopped
from benchmarks.load.stored import Cache, StoredSet

STEADY = 0.1
"""Warm-up ends when a block costs within this share of the one before."""
MOST_WARMUP = 3
MOST_STAYED = 0.05
"""Share of the file that may still be in the page cache when it counts as cold."""
CHECKED_AT_ONCE, LONGEST = 2, "ffcv"
"""The one whose check compiles longest begins, so that the others' go on beside it."""


@dataclass(frozen=True)
class Extent:
    """How much is measured: six blocks are the fewest that have an interval."""

    blocks: int
    quick: bool


@dataclass
class Entry:
    """One contestant of one case, as far as it has come."""

    case: Case
    name: str
    task: Task
    outcome: str = "ok"
    reason: str = ""
    absent: bool = False
    regime: str = ""
    handle: Handle | None = None
    threads: int = 0
    first_batch_s: float = 0.0
    warmup_blocks: int = 0
    images_per_block: int = 0
    cool: Callable[[], float] | None = None
    """Empties the page cache of the files before a block; returns the share that stayed."""
    stayed: list[float] = field(default_factory=list)
    private_bytes: int = 0
    base_bytes: int = 0
    wall_s: list[float] = field(default_factory=list)
    """Per image, by block; `cpu_s` the same."""
    cpu_s: list[float] = field(default_factory=list)
    start_s: list[float] = field(default_factory=list)
    """From asking for an epoch to its first batch, by block."""

    @property
    def fine(self) -> bool:
        return self.outcome == "ok"

    def ask(self, command: str) -> dict[str, Any]:
        """What its process answers; see `Handle.ask`."""
        assert self.handle is not None, "asked while its process lives"
        return self.handle.ask(command)

    def block(self) -> None:
        """Times one block."""
        if self.cool is not None:
            self.stayed.append(self.cool())
            if self.stayed[-1] > MOST_STAYED:
                raise Stopped("failed", f"{self.stayed[-1]:.0%} of the file would not leave the page cache")
        answer = self.ask("block")
        self.images_per_block = answer["images"]
        self.wall_s.append(answer["wall_s"] / answer["images"])
        self.cpu_s.append(answer["cpu_s"] / answer["images"])
        self.start_s.append(answer["start_s"])


def run_case(case: Case, names: tuple[str, ...], cache: Cache, extent: Extent) -> list[Entry]:
    """Every contestant's outcome; nothing that a contestant does ends the case."""
    stored, ramps = cache.stored(case.stored), cache.ramps(case.stored)
    stored.warm()
    entries = [Entry(case, name, _task(case, name, stored, extent)) for name in names]
    with ExitStack() as stack:
        for entry in entries:
            with _trouble(entry):
                entry.handle = handle = _start(entry, ramps, stack.enter_context(tempfile.TemporaryFile()))
                stack.callback(handle.close)
        with ThreadPoolExecutor(CHECKED_AT_ONCE) as pool:
            longest_first = sorted(entries, key=lambda entry: entry.name != LONGEST)
            list(pool.map(_check, (entry for entry in longest_first if entry.fine)))
        say(case, "checked")
        if case.cold:
            for entry in entries:
                entry.cool = lambda: _cool(entries, stored)
        for step in (_open, _warm_up):
            _each(entries, step)
        say(case, "opened and warm")
        _time(entries, extent)
        _each(entries, _weigh)
    return entries


def _task(case: Case, name: str, stored: StoredSet, extent: Extent) -> Task:
    return Task(stored, case.specs, case.batch, case.threads, epochs=epochs_per_block(name, extent.quick))


@contextmanager
def _trouble(entry: Entry) -> Iterator[None]:
    """What goes wrong inside becomes the entry's outcome, and is said."""
    try:
        yield
    except Stopped as stop:
        entry.outcome, entry.reason, entry.absent = stop.outcome, stop.reason, isinstance(stop, Absent)
        print(f"{entry.case.name}, {entry.name}: {stop.outcome}: {stop.reason}", file=sys.stderr, flush=True)


def _start(entry: Entry, ramps: StoredSet, log: IO[bytes]) -> Handle:
    try:
        return Handle(entry.name, entry.task, ramps, log)
    except FileNotFoundError as error:
        raise Absent(str(error)) from None


def _each(entries: list[Entry], step: Callable[[Entry], None]) -> None:
    """The step for everyone who has had no trouble so far, one after the other."""
    for entry in entries:
        if entry.fine:
            with _trouble(entry):
                step(entry)


def _check(entry: Entry) -> None:
    with _trouble(entry):
        entry.ask("load")
        if wrong := entry.ask("check")["wrong"]:
            raise Stopped("wrong", "; ".join(wrong))


def _open(entry: Entry) -> None:
    assert entry.handle is not None
    entry.base_bytes = entry.handle.private_bytes()
    answer = entry.ask("open")
    entry.first_batch_s, entry.threads, entry.regime = (answer[key] for key in ("first_batch_s", "threads", "regime"))


def _warm_up(entry: Entry) -> None:
    """Blocks that are not kept, until two in a row cost the same; the one after opening is among them."""
    for _ in range(MOST_WARMUP):
        entry.block()
        if len(entry.cpu_s) > 1 and abs(entry.cpu_s[-1] / entry.cpu_s[-2] - 1) < STEADY:
            break
    entry.warmup_blocks = 1 + len(entry.cpu_s)
    entry.wall_s, entry.cpu_s, entry.start_s = [], [], []


def _time(entries: list[Entry], extent: Extent) -> None:
    """Each block holds every contestant once, in an order of its own: a machine that slows down slows all of them."""
    shuffle: Callable[[list[Entry]], None] = random.Random(f"{entries[0].case.name} blocks").shuffle
    for number in range(1, extent.blocks + 1):
        turn = list(entries)
        shuffle(turn)
        _each(turn, Entry.block)
        say(entries[0].case, f"block {number} of {extent.blocks}")


def _cool(entries: list[Entry], stored: StoredSet) -> float:
    """A page that any of them has mapped would stay."""
    for entry in entries:
        if entry.fine and entry.handle is not None:
            entry.ask("let_go")
    return stored.cool()


def _weigh(entry: Entry) -> None:
    """Memory during one more block, which is not timed: to look costs time."""
    assert entry.handle is not None
    _, most = entry.handle.ask_and_watch("block")
    entry.private_bytes = max(0, most - entry.base_bytes)


def say(case: Case, what: str) -> None:
    """For the one who waits."""
    print(f"{time.strftime('%H:%M:%S')} {case.name}: {what}", file=sys.stderr, flush=True)


def progress(entries: list[Entry], started: float) -> str:
    """One line for the one who waits."""
    fine = sum(entry.fine for entry in entries)
    ceilings = sum(entry.name in CEILINGS for entry in entries)
    name = entries[0].case.name
    return f"{name}: {fine} of {len(entries)} measured ({ceilings} ceilings), {time.perf_counter() - started:.0f} s"
