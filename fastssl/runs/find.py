"""Directories of runs below folders, and one run by the beginning of its name."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from fastssl.errors import InputError

MARKS = frozenset({"recipe.json", "records.jsonl", "checkpoint.pt", "finished"})
"""A directory that holds any of these is a run, perhaps a damaged one."""


def find_runs(roots: Iterable[Path]) -> list[Path]:
    """Every run among the roots and below them, once, in the order of their names. Errors: `InputError` if a root is
    missing or no folder."""
    found: dict[Path, Path] = {}
    for root in roots:
        if not root.is_dir():
            raise InputError(f"roots={root} is no folder; give a folder of runs, or the directory of one")
        for path in sorted(_walk(root)):
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _walk(root: Path) -> Iterator[Path]:
    for folder, below, files in os.walk(root):
        if MARKS & set(files):
            below.clear()  # nothing inside a run is a run
            yield Path(folder)


def find_run(name: str, runs_dir: Path) -> Path:
    """A directory as given, or the one run below `runs_dir` whose id, or the hash in it, begins with `name`.

    Errors: `InputError` for no such run, or for several.
    """
    if Path(name).is_dir():
        found = find_runs([Path(name)])
        if len(found) == 1:
            return found[0]
        if found or not runs_dir.is_dir():
            raise InputError(f"run={name} holds {len(found)} runs; give one: {_some(found) or 'a directory of a run'}")
    found = find_runs([runs_dir]) if runs_dir.is_dir() else []
    fitting = [path for path in found if _fits(path.resolve().name, name)]
    exact = [path for path in fitting if path.resolve().name == name]
    if len(exact or fitting) == 1:
        return (exact or fitting)[0]
    if fitting:
        raise InputError(f"run={name} is the beginning of {len(fitting)} runs: {_some(fitting)}; give more of it")
    known = f"known below {runs_dir}: {_some(found)}" if found else f"there is no run below {runs_dir}"
    raise InputError(f"run={name} is no run; give its directory, or the beginning of its id; {known}")


def _fits(run_id: str, beginning: str) -> bool:
    return bool(beginning) and (run_id.startswith(beginning) or run_id.rpartition("-")[2].startswith(beginning))


def _some(paths: list[Path], most: int = 8) -> str:
    more = f", and {len(paths) - most} more" if len(paths) > most else ""
    return ", ".join(path.resolve().name for path in paths[:most]) + more
