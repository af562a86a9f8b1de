"""A process of its own for one contestant of one case: `python -m benchmarks.load.child`, driven line by line.

Its first line of input says what it is for; each further line is a command, answered by one JSON line: `load` (import
what the contestant needs), `check`, `open` (first batch and first block included), `block`. It ends with its input.
"""

import ctypes
import dataclasses
import gc
import json
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.load.cases import CEILINGS, DECODE_ONLY
from benchmarks.load.contestant import Contestant, Missing, Task, load_module
from benchmarks.load.processes import cpu_s, descendants
from benchmarks.load.stored import StoredSet
from fastssl.views import ViewSpec


class Child:
    def __init__(self, ordered: str, name: str, task: Task, ramps: StoredSet) -> None:
        self.ordered, self.name, self.task, self.ramps = ordered, name, task, ramps
        self.opened: Contestant | None = None
        self.blocks = 0

    def load(self) -> dict[str, Any]:
        self.module = load_module(self.name)
        return {}

    def check(self) -> dict[str, Any]:
        """In a process of its own, which takes everything that is compiled or allocated for it along when it ends. Not
        in a fork, whose threads fail an assertion when they first need torch's pool."""
        command = [sys.executable, "-m", "benchmarks.load.child"]
        done = subprocess.run(command, input=f"{self.ordered}\ncheck_here\n", stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout) if done.stdout else {"failed": "its process ended while it was checked"}

    def check_here(self) -> dict[str, Any]:
        """A ceiling makes no views: it has only to run."""
        from benchmarks.load import checks

        self.load()
        opened = self.module.open_contestant(self.name, self.task)
        if self.name in CEILINGS:
            return {"wrong": [], "batches": sum(1 for _ in opened.block(0))}
        if self.name in DECODE_ONLY:
            return {"wrong": checks.image_breaches(opened, self.task)}
        wrong = checks.epoch_breaches(opened, self.task)
        opened.close()
        if not wrong:
            probe = checks.probe_task(self.task, self.ramps)
            wrong = checks.crop_breaches(self.module.open_contestant(self.name, probe), probe)
        return {"wrong": wrong}

    def open(self) -> dict[str, Any]:
        """Seconds from opening to the first batch (whatever is compiled is compiled in them), then one block."""
        started = time.perf_counter()
        self.opened = opened = self.module.open_contestant(self.name, self.task)
        batches = opened.block(0)
        next(batches)
        first_batch_s = time.perf_counter() - started
        threads = opened.threads()
        for _ in batches:
            pass
        self.blocks = 1
        return {"first_batch_s": first_batch_s, "threads": threads, "regime": opened.regime}

    def let_go(self) -> dict[str, Any]:
        """Unmaps the pages of the stored set (they come back when they are touched): the page cache keeps what is
        mapped, whatever it is asked."""
        beton, library = str(self.task.stored.beton.resolve()), ctypes.CDLL(None, use_errno=True)
        for line in Path("/proc/self/maps").read_text().splitlines():
            if line.endswith(beton):
                begin, end = (int(edge, 16) for edge in line.split()[0].split("-"))
                library.madvise(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), mmap.MADV_DONTNEED)
        return {}

    def block(self) -> dict[str, Any]:
        """Wall and CPU seconds of one block, its processes' together, the images that it delivered, and the seconds
        until the first of them."""
        assert self.opened is not None, "opened before it is timed"
        children = descendants()
        gc.collect()
        gc.disable()
        images, spent, started, start_s = 0, -cpu_s(children), time.perf_counter(), 0.0
        for batch in self.opened.block(self.blocks):
            start_s = start_s or time.perf_counter() - started
            images += len(batch.labels)
        wall_s, spent = time.perf_counter() - started, spent + cpu_s(children)
        gc.enable()
        self.blocks += 1
        return {"wall_s": wall_s, "cpu_s": spent, "images": images, "start_s": start_s}


def order(name: str, task: Task, ramps: StoredSet) -> str:
    """The first line of input, for a child that is to do this."""
    specs = [dataclasses.asdict(spec) for spec in task.specs]
    facts = {"beton": str(task.stored.beton), "ramps": str(ramps.beton), "specs": specs, "contestant": name}
    numbers = {key: getattr(task, key) for key in ("batch", "threads", "seed", "epochs")}
    return json.dumps({**facts, **numbers})


def _from_order(line: str) -> Child:
    facts = json.loads(line)
    specs = tuple(ViewSpec(**{key: _tuple(value) for key, value in spec.items()}) for spec in facts["specs"])
    numbers = {key: facts[key] for key in ("batch", "threads", "seed", "epochs")}
    task = Task(StoredSet(Path(facts["beton"])), specs, **numbers)
    return Child(line.strip(), facts["contestant"], task, StoredSet(Path(facts["ramps"])))


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a contestant prints is no answer
    child = _from_order(sys.stdin.readline())
    for line in sys.stdin:
        answers.write(json.dumps(_answer(getattr(child, line.strip()))) + "\n")
    os._exit(0)  # some contestants' threads never end


def _answer(command: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return command()
    except Missing as error:
        return {"missing": str(error)}
    except Exception as error:  # a contestant's crash is a result of the campaign
        return {"failed": f"{type(error).__name__}: {error}".split("\n")[0][:300]}


if __name__ == "__main__":
    main()
