"""What a person sees: plain lines, a table, a progress bar on a terminal, a line now and then elsewhere."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console as Rich
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

PLAIN_EVERY_S = 5.0


def speaks() -> bool:
    """Whether this process is the one that shows results; of several started by `torchrun` the first alone."""
    return int(os.environ.get("WORLD_SIZE", 1)) == 1 or os.environ.get("RANK", "0") == "0"


class _Rich(Rich):
    def on_broken_pipe(self) -> None:
        """As `print` does: what follows from it is for `main` to say."""
        raise BrokenPipeError


class Console:
    """Results go to standard output, progress and errors to standard error."""

    def __init__(self) -> None:
        self.out = _Rich(highlight=False, soft_wrap=True, quiet=not speaks())
        self.err = _Rich(stderr=True, highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        self.out.print(line, markup=False)

    def error(self, line: str) -> None:
        print(f"fastssl: {line}", file=sys.stderr, flush=True)

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> None:
        """Numbers flush right, text flush left; every cell as given."""
        self.out.print(_table(header, rows, title), markup=False)

    @contextmanager
    def live(self, header: Sequence[str]) -> Iterator[Callable[[Sequence[Sequence[str]]], None]]:
        """Yields `show(rows)`: one table that is drawn anew on a terminal, a line per changed row elsewhere (of a share
        in per cent, at most one every five seconds), and the whole table at the end."""
        rows: Sequence[Sequence[str]] = []
        if self.err.is_terminal and speaks():
            with Live(console=self.err, transient=True, refresh_per_second=4) as live:

                def draw(now: Sequence[Sequence[str]]) -> None:
                    nonlocal rows
                    rows = list(now)
                    live.update(_table(header, [row for row in rows if "waiting" not in row][-_LIVE_ROWS:]))

                yield draw
        else:
            told: dict[int, tuple[str, ...]] = {}
            last = 0.0

            def tell(now: Sequence[Sequence[str]]) -> None:
                nonlocal rows, last
                rows = list(now)
                for i, row in enumerate(map(tuple, rows)):
                    moving = any(cell.endswith("%") for cell in row)
                    if told.get(i) == row or "waiting" in row or (moving and time.monotonic() - last < PLAIN_EVERY_S):
                        continue
                    last = time.monotonic() if moving else last
                    told[i] = row
                    if speaks():
                        print("  ".join(cell for cell in row if cell), file=sys.stderr, flush=True)

            yield tell
        self.table(header, rows)

    @contextmanager
    def progress(self, label: str, unit: str = "") -> Iterator[Callable[[int, int], None]]:
        """Yields `update(done, total)`: a bar on a terminal, at most a line every five seconds elsewhere."""
        if not speaks():
            yield lambda done, total: None
            return
        if self.err.is_terminal:
            columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TextColumn(unit), TimeRemainingColumn())
            with Progress(*columns, console=self.err, transient=True) as bar:
                task = bar.add_task(label)
                yield lambda done, total: bar.update(task, completed=done, total=total)
            return
        last = time.monotonic()

        def update(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= PLAIN_EVERY_S:
                last = time.monotonic()
                print(f"{label}: {done:,} of {total:,} {unit}".rstrip(), file=sys.stderr, flush=True)

        yield update


_LIVE_ROWS = 40
"""A table that is taller than the terminal cannot be drawn anew."""


def _table(header: Sequence[str], rows: Sequence[Sequence[object]], title: str = "") -> Table:
    table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
    for i, name in enumerate(header):
        numeric = rows and all(_is_number(row[i]) for row in rows)
        table.add_column(name, justify="right" if numeric else "left", no_wrap=i == 0)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    return table


def _is_number(cell: object) -> bool:
    text = str(cell).strip(" %").replace(",", "").replace("±", "").replace("-", "", 1)
    return not text or text[0].isdigit() or text in ("", "—")
