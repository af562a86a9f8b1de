"""What a person sees: plain lines, a table, a progress bar on a terminal, a line now and then elsewhere."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console as Rich
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
        table = Table(title=title or None, title_justify="left", box=None, pad_edge=False)
        for i, name in enumerate(header):
            numeric = rows and all(_is_number(row[i]) for row in rows)
            table.add_column(name, justify="right" if numeric else "left", no_wrap=i == 0)
        for row in rows:
            table.add_row(*(str(cell) for cell in row))
        self.out.print(table, markup=False)

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


def _is_number(cell: object) -> bool:
    text = str(cell).strip(" %").replace(",", "").replace("±", "").replace("-", "", 1)
    return not text or text[0].isdigit() or text in ("", "—")
