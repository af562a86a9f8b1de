"""The directory of one run: its recipe, its checkpoint, its records, and the lock that keeps a second writer out."""

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastssl.errors import InputError
from fastssl.recipe import Recipe
from fastssl.telemetry.files import write_atomically
from fastssl.telemetry.records import append_record

LEFT = ("finished", "checkpoint.pt", "records.jsonl", "scalars.jsonl", "probes.jsonl", "spectra.jsonl")
"""Files of a run, and of looks at it. Kept features need not be here: they know the weights they are of."""


@dataclass(frozen=True)
class RunDir:
    """`runs/<recipe name>-<identity>/`. The identity covers everything that changes the result."""

    path: Path

    @classmethod
    def of(cls, runs_dir: Path, recipe: Recipe, facts: dict[str, str]) -> "RunDir":
        return cls(runs_dir / f"{recipe.name}-{recipe.identity(**facts)[:12]}")

    @classmethod
    def existing(cls, path: Path) -> "RunDir":
        if not (path / "recipe.json").is_file():
            raise InputError(f"resume={path} is not a run: it has no recipe.json; give a directory below runs/")
        return cls(path)

    @property
    def run_id(self) -> str:
        return self.path.resolve().name

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.pt"

    @property
    def records(self) -> Path:
        return self.path / "records.jsonl"

    @property
    def finished(self) -> bool:
        """True once the last checkpoint of a completed run is on disk."""
        return (self.path / "finished").is_file()

    def begin(self, recipe: Recipe, facts: dict[str, str]) -> None:
        """Starts the run over: what an earlier attempt left goes first, so that nobody takes it for this one's."""
        for name in LEFT:
            (self.path / name).unlink(missing_ok=True)
        self.write_recipe(recipe, facts)

    def write_recipe(self, recipe: Recipe, facts: dict[str, str]) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        content = {"recipe": recipe.to_json(), "facts": facts, "identity": recipe.identity(**facts)}
        write_atomically(self.path / "recipe.json", json.dumps(content, indent=1).encode())

    def read_recipe(self) -> tuple[Recipe, dict[str, str]]:
        try:
            content = json.loads((self.path / "recipe.json").read_text())
            return Recipe.from_json(content["recipe"]), content["facts"]
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{self.path / 'recipe.json'} is damaged ({error}); train the recipe anew") from error

    def append(self, record: dict[str, Any]) -> None:
        append_record(self.records, record)

    def keep_records(self, count: int) -> None:
        """Drops what was written after the checkpoint that a run resumes from; that part is about to be redone."""
        if self.records.is_file():
            lines = self.records.read_bytes().splitlines(keepends=True)
            if len(lines) > count:
                write_atomically(self.records, b"".join(lines[:count]))

    def finish(self) -> None:
        write_atomically(self.path / "finished", b"")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Two processes never write into one run. The kernel drops the lock with its process, however that ends."""
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / "lock").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(
                    f"run {self.run_id} is being trained by another process; wait for it to end"
                ) from error
            for left in self.path.glob(".*.tmp"):  # of a process that was killed: nobody else may hold the lock
                left.unlink()
            yield
