"""The parent's end of a child process: commands with limits of time, and its memory."""

import json
import os
import queue
import signal
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from benchmarks.envs import python_of
from benchmarks.load.child import order
from benchmarks.load.contestant import ENVIRONMENTS, Task
from benchmarks.load.processes import private_bytes
from benchmarks.load.stored import StoredSet

ROOT = Path(__file__).parent.parent.parent
LIMITS_S = {"load": 180.0, "check": 600.0, "open": 400.0, "let_go": 20.0, "block": 180.0}
"""What a command may take; compiling eight pipelines takes FFCV a minute or two."""
SAMPLE_EVERY_S = 0.05


class Stopped(Exception):
    """A child that gave no answer: `outcome` is "failed" or "timeout"."""

    def __init__(self, outcome: str, reason: str) -> None:
        super().__init__(reason)
        self.outcome, self.reason = outcome, reason


class Absent(Stopped):
    """What the contestant needs is not installed here."""

    def __init__(self, reason: str) -> None:
        super().__init__("failed", reason)


class Handle:
    """One child; `close` it. It is a group of processes of its own, and ends with all it has started.

    Errors: `FileNotFoundError` where the contestant's environment is not there.
    """

    def __init__(self, name: str, task: Task, ramps: StoredSet, log: IO[bytes]) -> None:
        self.log = log
        environment = {**os.environ, "OMP_NUM_THREADS": str(task.threads), "NUMBA_NUM_THREADS": str(task.threads)}
        self.process = subprocess.Popen(
            [str(python_of(ENVIRONMENTS.get(name))), "-m", "benchmarks.load.child"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
        self._answers: queue.Queue[bytes] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self._write(order(name, task, ramps))

    def ask(self, command: str) -> dict[str, Any]:
        """The answer. Errors: `Stopped` when there is none in time, or it tells of a failure."""
        self._write(command)
        return self._wait(command, time.monotonic() + LIMITS_S[command])

    def ask_and_watch(self, command: str) -> tuple[dict[str, Any], int]:
        """The answer, and the most private memory meanwhile, in bytes: for a block that is not timed."""
        self._write(command)
        ends, most = time.monotonic() + LIMITS_S[command], 0
        while self._answers.empty() and time.monotonic() < ends and self.process.poll() is None:
            most = max(most, private_bytes(self.process.pid))
            time.sleep(SAMPLE_EVERY_S)
        return self._wait(command, ends), most

    def private_bytes(self) -> int:
        return private_bytes(self.process.pid)

    def close(self) -> None:
        """Ends the child, its workers with it."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=30)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        with suppress(ValueError):  # closed meanwhile
            for line in self.process.stdout:
                self._answers.put(line)
        self._answers.put(b"")

    def _write(self, line: str) -> None:
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):  # its end is told by the answer that does not come
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()

    def _wait(self, command: str, ends: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=max(0.0, ends - time.monotonic()))
        except queue.Empty:
            raise Stopped("timeout", f"{command} took longer than {LIMITS_S[command]:.0f} s") from None
        if not line:
            raise Stopped("failed", f"its process ended during {command}: {self._last_words()}")
        answer = json.loads(line)
        if "missing" in answer:
            raise Absent(answer["missing"])
        if "failed" in answer:
            raise Stopped("failed", answer["failed"])
        return answer

    def _last_words(self) -> str:
        self.log.seek(0)
        lines = self.log.read().decode(errors="replace").split("\n")
        return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "without a word")
