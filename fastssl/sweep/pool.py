"""Runs side by side, each in a fresh process with cores or a GPU of its own; what a run leaves behind is its own."""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fastssl.errors import InputError
from fastssl.recipe import Recipe

State = Literal["waiting", "running", "done", "failed"]


@dataclass(frozen=True)
class Slots:
    """Where runs may go at a time: a place is a group of cores and, where there are GPUs, one of them."""

    places: tuple[tuple[tuple[int, ...], int | None], ...]

    @classmethod
    def split(cls, count: int, *, gpus: int = 0) -> "Slots":
        """`count` places that share this process's cores evenly; with GPUs, `count` of them on each.

        Errors: `InputError` when there are more places than cores.
        """
        cores, places = sorted(os.sched_getaffinity(0)), count * max(gpus, 1)
        if not 1 <= places <= len(cores):
            raise InputError(f"parallel={count} makes {places} runs at a time on {len(cores)} cores; "
                             f"give 1 to {max(1, len(cores) // max(gpus, 1))}")  # fmt: skip
        share = len(cores) // places
        groups = [tuple(cores[i * share : (i + 1) * share]) for i in range(places)]
        return cls(tuple((group, i % gpus if gpus else None) for i, group in enumerate(groups)))


@dataclass
class Outcome:
    """One run of the sweep, as far as it has come."""

    recipe: Recipe
    state: State = "waiting"
    share: float = 0.0
    result: dict[str, Any] | None = None
    """`TrainResult` as a dictionary, once done."""
    error: str = ""


def run_pool(
    recipes: Sequence[Recipe],
    runs_dir: Path,
    slots: Slots,
    *,
    fresh: bool = False,
    tell: Callable[[Sequence[Outcome]], None] = lambda outcomes: None,
) -> list[Outcome]:
    """Every recipe once, in order, as places fall free; `tell` hears of every change.

    A run that fails costs the others nothing. Interrupted, it ends its own processes, which resume when asked again.
    """
    outcomes = [Outcome(recipe) for recipe in recipes]
    waiting: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    for outcome in outcomes:
        waiting.put(outcome)
    stop, heard = threading.Event(), threading.Condition()

    def serve(cores: tuple[int, ...], gpu: int | None) -> None:
        while not stop.is_set():
            try:
                outcome = waiting.get_nowait()
            except queue.Empty:
                return
            _run_one(outcome, {"runs_dir": str(runs_dir), "fresh": fresh}, cores, gpu, stop, hear)

    def hear() -> None:
        with heard:
            heard.notify()

    threads = [threading.Thread(target=serve, args=place, daemon=True) for place in slots.places]
    for thread in threads:
        thread.start()
    try:
        while any(thread.is_alive() for thread in threads):
            with heard:
                heard.wait(0.5)
            tell(outcomes)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    tell(outcomes)
    return outcomes


def _run_one(
    outcome: Outcome,
    job: dict[str, Any],
    cores: tuple[int, ...],
    gpu: int | None,
    stop: threading.Event,
    hear: Callable[[], None],
) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": str(len(cores)), "NUMBA_NUM_THREADS": str(len(cores))}
    if gpu is not None:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        environment["CUDA_VISIBLE_DEVICES"] = visible.split(",")[gpu] if visible else str(gpu)
    outcome.state = "running"
    hear()
    with tempfile.TemporaryFile("w+") as complaints:
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            _command(cores), stdin=pipe, stdout=pipe, stderr=complaints, text=True, env=environment
        )
        watcher = threading.Thread(target=_end_when, args=(stop, process), daemon=True)
        watcher.start()
        assert process.stdin is not None, "a pipe"
        assert process.stdout is not None, "a pipe"
        try:
            with process.stdin:
                process.stdin.write(json.dumps(job | {"recipe": outcome.recipe.to_json()}))
        except BrokenPipeError:  # it died before it read: its exit says so below
            pass
        for line in process.stdout:
            answer = json.loads(line)
            outcome.share = answer.get("share", outcome.share)
            outcome.result, outcome.error = answer.get("result"), answer.get("error", "")
            hear()
        status = process.wait()
        if outcome.result is not None:
            outcome.state, outcome.share = "done", 1.0
        else:
            outcome.state = "failed"
            outcome.error = outcome.error or _died(status, complaints)
    hear()


def _command(cores: tuple[int, ...]) -> list[str]:
    """The worker bound to its cores before it imports anything: libraries count cores once, when they are loaded."""
    bound = f"import os, runpy; os.sched_setaffinity(0, {set(cores)}); "
    return [sys.executable, "-c", bound + "runpy.run_module('fastssl.sweep.worker', run_name='__main__')"]


def _end_when(stop: threading.Event, process: subprocess.Popen) -> None:
    while process.poll() is None:
        if stop.wait(0.2):
            process.terminate()
            return


def _died(status: int, complaints) -> str:
    complaints.seek(0)
    last = (complaints.read().strip().splitlines() or ["it said nothing"])[-1]
    how = f"was ended by signal {-status}" if status < 0 else f"left with status {status}"
    return f"the process {how}: {last}"
