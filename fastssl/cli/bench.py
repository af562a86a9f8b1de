"""Benchmarks, isolated and beside their peers and ceilings: what each part costs on this machine.

`load` (beton to views), `augment` (bytes to views), `step` (a training step fed by each loader), `write` (images to a
training file), `losses`, `train` (recipes for a time budget), `compare` (two commits, or two files of records).
"""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from fastssl.cli.console import Console
from fastssl.cli.parse import WrongUse
from fastssl.errors import InputError
from fastssl.report.bench_rows import bench_rows
from fastssl.telemetry.reading import read_records

EXAMPLE = "fastssl bench load --quick    or: fastssl bench load --case jpeg-2x224 --contestants fastssl,ffcv --json"
ROOT = Path(__file__).parent.parent.parent
PARTS = {
    "load": "benchmarks.bench_loaders",
    "augment": "benchmarks",
    "step": "benchmarks.bench_step",
    "write": "benchmarks.bench_write",
    "losses": "benchmarks.bench_losses",
    "train": "benchmarks.bench_train",
    "compare": "benchmarks.compare",
}
Part = Literal["load", "augment", "step", "write", "losses", "train", "compare"]
FLAGS = {
    "load": {"case": "--cases", "contestants": "--contestants", "threads": "--threads", "blocks": "--blocks",
             "cifar": "--cifar"},
    "augment": {"case": "--groups", "backends": "--contestants", "device": "--device"},
    "step": {"case": "--cases", "contestants": "--contestants", "blocks": "--blocks", "device": "--device",
             "cifar": "--cifar"},
    "write": {"contestants": "--contestants", "blocks": "--blocks"},
    "losses": {"case": "--cases", "contestants": "--contestants", "blocks": "--blocks", "device": "--device"},
    "train": {"case": "--recipes", "device": "--device"},
    "compare": {"new": "--new", "threshold": "--threshold", "blocks": "--blocks", "case": "--paths"},
}  # fmt: skip
"""Part -> option here -> option there. What a part does not have is refused, not dropped."""
NAMES = {"load": {"fastssl": "crops"}, "step": {"fastssl": "crops"}}
"""What the library is called among the contestants of a part that has several of its loaders."""


@dataclass(frozen=True)
class Command:
    part: Annotated[Part, tyro.conf.Positional]
    """What to measure."""
    base: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="BASE")] = ""
    """Of `compare`: a commit, or a file of records."""
    quick: bool = False
    """A look, within three minutes: for checking the machine, not for quoting."""
    full: bool = False
    """Every case; goes on where an earlier one into the same records was interrupted (`load`)."""
    case: tuple[str, ...] = ()
    """Cases (of `augment`: groups; of `train`: recipes; of `compare`: paths); all by default."""
    contestants: tuple[str, ...] = ()
    """Who takes part, with or without commas; all by default."""
    backends: tuple[str, ...] = ()
    """Of `augment`: which of them, and which peers."""
    device: Literal["cpu", "cuda"] | None = None
    threads: tuple[int, ...] = ()
    """Of `load`: threads or processes asked of each contestant; several numbers make a curve."""
    blocks: int | None = None
    cifar: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Archive of CIFAR-10's images; without it, shrunken photographs."""
    new: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Of `compare`, where BASE is a file of records: the newer file."""
    threshold: float | None = None
    """Of `compare`: how much slower is too slow; .1 by default."""
    records: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Appended to; by default runs/bench/PART.jsonl."""

    def run(self, console: Console) -> Any:
        if not (ROOT / "benchmarks").is_dir():
            raise InputError("bench needs the repository, whose benchmarks/ is no part of the installed package; "
                             "clone it, and type `make setup` there")  # fmt: skip
        return self._compare() if self.part == "compare" else self._measure()

    def _measure(self) -> list[dict[str, Any]]:
        if self.base:
            raise WrongUse(f"base={self.base} has no effect on {self.part}; give it to compare")
        records = (self.records or Path("runs/bench") / f"{self.part}.jsonl").resolve()
        before = len(read_records([records])) if records.exists() else 0
        if self.full and self.part != "load":
            raise WrongUse(f"full=True has no effect on {self.part}; leave --quick out to have all of it")
        arguments = [*self._arguments(), *["--quick"] * self.quick, *["--resume"] * self.full]
        code = _run(PARTS[self.part], [*arguments, "--records", str(records)])
        rows = bench_rows(read_records([records])[0 if self.full else before :]) if records.exists() else []
        if code and not rows:
            raise InputError(f"bench {self.part} measured nothing; the reason stands above")
        return rows

    def _compare(self) -> list[dict[str, Any]]:
        if not self.base:
            raise WrongUse("base is missing; give a commit (HEAD~1) or a file of records")
        with tempfile.TemporaryDirectory() as scratch:
            found = Path(scratch) / "ratios.json"
            _run(PARTS["compare"], [self.base, *self._arguments(), "--json", str(found)])
            if not found.exists():
                raise InputError(f"base={self.base} could not be compared; the reason stands above")
            return json.loads(found.read_text())

    def _arguments(self) -> list[str]:
        arguments: list[str] = []
        for name in ("case", "contestants", "backends", "threads", "device", "blocks", "cifar", "new", "threshold"):
            value = getattr(self, name)
            if value in (None, ()):
                continue
            if name not in FLAGS[self.part]:
                known = ", ".join(f"--{flag}" for flag in FLAGS[self.part])
                raise WrongUse(f"{name}={value} has no effect on {self.part}; it has {known}")
            values = value if isinstance(value, tuple) else (value,)
            words = [word for one in values for word in str(one).split(",") if word]
            known_as = NAMES.get(self.part, {})
            arguments += [FLAGS[self.part][name], *(known_as.get(word, word) for word in words)]
        return arguments


def _run(module: str, arguments: list[str]) -> int:
    """A process of its own, in the repository; what it prints is seen at once. Errors: `WrongUse`, as its own."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT)
    if done.returncode == 2:
        raise WrongUse(f"{module} was used wrongly; the reason stands above")
    return done.returncode
