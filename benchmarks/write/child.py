"""One turn of a writer, in a process of its own: `python -m benchmarks.write.child WRITER FOLDER HOME [--check]`.

Prints one JSON line: seconds from the first file read to the last byte synced to the disk (after a first
turn of a few files, which imports and loads what is needed), CPU
seconds with those of its workers, bytes written; with --check what is wrong with it instead.
"""

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from torchvision.datasets import ImageFolder

from benchmarks.load.iterated import Samples
from benchmarks.load.processes import cpu_s, descendants
from benchmarks.write.checks import breaches
from benchmarks.write.writers import WRITERS

NUM_FEW = 16


def main() -> None:
    name, folder, home, *more = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a writer prints is no answer
    answers.write(json.dumps(_answer(name, folder, Path(home), bool(more))) + "\n")
    answers.flush()
    os._exit(0)  # some writers' threads never end


def _answer(name: str, folder: str, home: Path, check: bool) -> dict[str, Any]:
    samples = ImageFolder(folder).samples
    try:
        write, read = WRITERS[name].functions()
        write(home.with_name("first"), _few(samples, home.with_name("few")))
        started, spent = time.perf_counter(), -cpu_s(descendants())
        write(home, samples)
        files = [path for path in home.rglob("*") if path.is_file()]
        for path in files:
            with path.open("rb") as file:
                os.fsync(file.fileno())
        wall_s, spent = (
            time.perf_counter() - started,
            spent + cpu_s(descendants()),
        )  # some leave their workers unwaited for
        if check:
            return {"wrong": breaches(samples, read(home), WRITERS[name].keeps)}
    except Exception as error:  # a writer's crash is a result of the campaign
        return {"failed": f"{type(error).__name__}: {error}".split("\n")[0][:300]}
    size = sum(path.stat().st_size for path in files)
    return {"wall_s": wall_s, "cpu_s": spent, "bytes": size, "images": len(samples)}


def _few(samples: Samples, folder: Path) -> Samples:
    """Copies of a few files, for a first turn outside the clock: whatever is imported or loaded late is there then."""
    for path, _ in samples[:: max(1, len(samples) // NUM_FEW)]:
        target = folder / Path(path).parent.name / Path(path).name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)
    return ImageFolder(str(folder)).samples


if __name__ == "__main__":
    main()
