"""Every writer checked once, then timed in shuffled blocks, a fresh process and an empty folder for each turn."""

import dataclasses
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.envs import python_of
from benchmarks.load.cases import STORED, THREADS
from benchmarks.load.stored import StoredSet
from benchmarks.write.writers import WRITERS
from fastssl.data.beton import BetonFile
from fastssl.telemetry.records import new_record

ROOT = Path(__file__).parent.parent.parent
LONGEST_S = 300
CASE = "jpeg-500"
IDLE = dict.fromkeys(("data_s", "train_s", "eval_s", "checkpoint_s"), 0.0)
UNKNOWN = dict.fromkeys(("gpu_h", "steps", "flops", "joules", "views"))


@dataclass
class Entry:
    """One writer, as far as it has come; times are seconds per image, by block."""

    name: str
    outcome: str = "ok"
    reason: str = ""
    absent: bool = False
    cpu_s: list[float] = field(default_factory=list)
    wall_s: list[float] = field(default_factory=list)
    bytes_per_image: float = 0.0

    def record(self, stored: StoredSet, quick: bool) -> dict[str, Any]:
        """A record of suite "write": `samples` are CPU seconds per image, a block each; wall time beside them."""
        beton, fine = BetonFile(stored.beton), self.outcome == "ok"
        kept, writer = self.cpu_s if fine else [], WRITERS[self.name]
        facts = {
            "name": CASE, "contestant": self.name, "quick": quick, "reason": self.reason, "regime": writer.regime,
            "keeps_bytes": writer.keeps, "threads_requested": THREADS, "num_images": len(beton),
            "image_bytes": float(beton.payload_sizes.mean()), "stored": dataclasses.asdict(STORED[CASE]),
        }  # fmt: skip
        return new_record(
            suite="write",
            case=facts,
            scope=["write"],
            samples=kept,
            unit="cpu_s_per_image" if kept else "",
            warmup=1,
            outcome=self.outcome,
            clock={"compile_s": 0.0, **IDLE, "world_size": 1, "device": "cpu",
                   "wall_s_per_image": self.wall_s if fine else []},
            budget={**UNKNOWN, "images": len(kept) * len(beton)},
            metrics={"bytes_per_image": self.bytes_per_image} if fine else {},
            dataset={"id": "photographs", "fingerprint": beton.layout.fingerprint or beton.fingerprint()},
            page_cache="warm",
        )  # fmt: skip


def run(names: tuple[str, ...], stored: StoredSet, scratch: Path, blocks: int) -> list[Entry]:
    """Nothing that a writer does ends the campaign. The check is the turn that warms the files up."""
    stored.warm()
    entries = [Entry(name) for name in names]
    for entry in entries:
        if wrong := _turn(entry, stored, scratch, "--check").get("wrong"):
            entry.outcome, entry.reason = "wrong", "; ".join(wrong)
        print(f"{entry.name}: {entry.reason or 'checked'}", file=sys.stderr, flush=True)
    shuffle = random.Random("write").shuffle
    for number in range(1, blocks + 1):
        turn = [entry for entry in entries if entry.outcome == "ok"]
        shuffle(turn)
        for entry in turn:
            _time(entry, stored, scratch)
        print(f"block {number} of {blocks}", file=sys.stderr, flush=True)
    return entries


def _time(entry: Entry, stored: StoredSet, scratch: Path) -> None:
    answer = _turn(entry, stored, scratch)
    if entry.outcome == "ok":
        entry.cpu_s.append(answer["cpu_s"] / answer["images"])
        entry.wall_s.append(answer["wall_s"] / answer["images"])
        entry.bytes_per_image = answer["bytes"] / answer["images"]


def _turn(entry: Entry, stored: StoredSet, scratch: Path, *more: str) -> dict[str, Any]:
    """What its process answers; trouble becomes the entry's outcome."""
    try:
        python = python_of(WRITERS[entry.name].environment)
    except FileNotFoundError as error:
        entry.outcome, entry.reason, entry.absent = "failed", str(error), True
        return {}
    home = scratch / "turn" / "home"
    shutil.rmtree(home.parent, ignore_errors=True)
    home.parent.mkdir()
    where = map(str, (stored.folder.resolve(), home.resolve()))
    command = [str(python), "-m", "benchmarks.write.child", entry.name, *where, *more]
    threads = {"OMP_NUM_THREADS": str(THREADS), "NUMBA_NUM_THREADS": str(THREADS)}
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **threads}, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, start_new_session=True) as process:  # fmt: skip
        try:
            said, _ = process.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            entry.outcome, entry.reason = "timeout", f"longer than {LONGEST_S} s"
            return {}
        finally:
            _end(process)
    answer = json.loads(said) if said else {"failed": f"its process ended with {process.returncode}"}
    if "failed" in answer:
        entry.outcome, entry.reason = "failed", answer["failed"]
    return answer


def _end(process: subprocess.Popen) -> None:
    """Its workers with it."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
