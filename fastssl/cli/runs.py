"""What runs there are, what one was, and what differs between two. Reads only: a run in training is not disturbed."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from fastssl.cli.console import Console
from fastssl.runs import find_run, read_run
from fastssl.runs.diff import diff_runs, result_lines
from fastssl.runs.listing import HEADER, NOTE, Sort, aligned, cells_of, list_runs, row_of
from fastssl.runs.read import State

EXAMPLE = "fastssl runs list --sort accuracy    or: fastssl runs show runs/RUN    or: fastssl runs diff 3c2f 9cc3"


@dataclass(frozen=True)
class List:
    """One row per run, grouped by recipe; a damaged run is a row that says so."""

    roots: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="ROOT")] = (Path("runs"),)
    """Folders of runs."""
    sort: Sort = "recipe"
    method: str = ""
    """Only runs of it."""
    dataset: str = ""
    """Only runs on it."""
    state: State | None = None
    """Only runs that are so; `unfinished` can be resumed, `empty` has no checkpoint yet."""

    def run(self, console: Console) -> dict[str, Any]:
        runs = list_runs(self.roots, sort=self.sort, method=self.method, dataset=self.dataset, state=self.state)
        if runs:
            for line in aligned(HEADER, [cells_of(run) for run in runs]):
                console.say(line)
            console.say(NOTE)
        else:
            console.say(f"no such run below {', '.join(map(str, self.roots))}")
        return {"runs": [row_of(run) for run in runs]}


@dataclass(frozen=True)
class Show:
    """Recipe, the command that trains it again, environment, budget, probes, files."""

    which: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A directory, or the beginning of a run's id, or of the hash in it."""
    runs_dir: Path = Path("runs")
    """Where ids are looked for."""
    all: bool = False
    """Every field of the recipe, not those alone that differ from the named recipe's."""

    def run(self, console: Console) -> dict[str, Any]:
        from fastssl.runs.show import lines_of, show_run  # not above: recipes need torch, and a list does not

        run = read_run(find_run(self.which, self.runs_dir))
        shown = show_run(run)
        for line in lines_of(shown, run.said, self.all):
            console.say(line)
        return shown


@dataclass(frozen=True)
class Diff:
    """What changed in recipe, data and environment, and the results beside the probes' errors."""

    one: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    two: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    runs_dir: Path = Path("runs")
    """Where ids are looked for."""

    def run(self, console: Console) -> dict[str, Any]:
        found = diff_runs(*(read_run(find_run(which, self.runs_dir)) for which in (self.one, self.two)))
        rows = [
            (block, name, *(json.dumps(value) for value in values))
            for block in ("recipe", "data", "environment")
            for name, values in found[block].items()
        ]
        if rows:
            for line in aligned(("block", "field", *found["runs"]), rows):
                console.say(line)
        else:
            console.say("recipe, data and environment are the same")
        for line in result_lines(found["results"]) or ["no results to compare yet"]:
            console.say(line)
        return found


@dataclass(frozen=True)
class Command:
    action: List | Show | Diff

    def run(self, console: Console) -> dict[str, Any]:
        return self.action.run(console)
