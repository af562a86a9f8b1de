"""Scalars of a run while it trains: a line of JSON always, TensorBoard and Weights & Biases on request.

A logger is a name, `log(step, scalars)` and `close()`. What it does with them is its own affair: a logger that fails
is dropped with a warning, and the run goes on.
"""

import importlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

from fastssl.errors import InputError
from fastssl.telemetry.files import write_atomically

LoggerName = Literal["tensorboard", "wandb"]
FILE = "scalars.jsonl"


class Logger(Protocol):
    name: str

    def log(self, step: int, scalars: dict[str, float]) -> None: ...

    def close(self) -> None: ...


class JsonLines:
    """`RUN/scalars.jsonl`: `{"step": 120, "loss": 4.1, ...}`. What a resumed run is about to redo is cut off first."""

    name = "json lines"

    def __init__(self, folder: Path, from_step: int) -> None:
        self.path = folder / FILE
        if self.path.is_file():
            lines = self.path.read_bytes().splitlines(keepends=True)
            kept = [line for line in lines if _step_of(line) <= from_step]
            if len(kept) < len(lines):
                write_atomically(self.path, b"".join(kept))

    def log(self, step: int, scalars: dict[str, float]) -> None:
        with self.path.open("a") as handle:
            handle.write(json.dumps({"step": step, **scalars}) + "\n")

    def close(self) -> None:
        pass


def _step_of(line: bytes) -> float:
    """Of a line cut off by a crash, infinity: it is dropped."""
    try:
        return json.loads(line)["step"] if line.endswith(b"\n") else float("inf")
    except (ValueError, LookupError, TypeError):
        return float("inf")


class TensorBoard:
    """Event files in `RUN/tensorboard`; a resumed run purges what it is about to redo."""

    name = "tensorboard"

    def __init__(self, folder: Path, from_step: int) -> None:
        writer = _import("torch.utils.tensorboard", "tensorboard").SummaryWriter
        self._writer = writer(str(folder / "tensorboard"), purge_step=from_step + 1 if from_step else None)

    def log(self, step: int, scalars: dict[str, float]) -> None:
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class Wandb:
    """A run of the project `fastssl`, named by the run's directory; W&B's own variables (WANDB_MODE, ...) decide where
    it goes."""

    name = "wandb"

    def __init__(self, folder: Path, from_step: int) -> None:
        run_id = folder.resolve().name
        config = json.loads((folder / "recipe.json").read_text())["recipe"]
        self._run = _import("wandb", "wandb").init(
            project="fastssl", name=run_id, id=run_id, resume="allow", dir=str(folder), config=config
        )

    def log(self, step: int, scalars: dict[str, float]) -> None:
        self._run.log(scalars, step=step)

    def close(self) -> None:
        self._run.finish()


KINDS: dict[LoggerName, Any] = {"tensorboard": TensorBoard, "wandb": Wandb}
_NEEDS: dict[LoggerName, str] = {"tensorboard": "torch.utils.tensorboard", "wandb": "wandb"}


def _import(module: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        how = f"pip install 'fastssl-vision[{extra}]'"
        raise InputError(f"log={extra} needs {error.name}, which is not installed; install it with `{how}`") from error


def require(names: Sequence[LoggerName]) -> None:
    """Errors: `InputError` for one that is not installed; to be asked before anything is trained."""
    for name in names:
        _import(_NEEDS[name], name)


class Loggers:
    """All of a run's loggers as one; none of them can stop the run."""

    def __init__(self, folder: Path, names: Sequence[LoggerName], from_step: int, say: Callable[[str], None]) -> None:
        self._say = say
        self._loggers: list[Logger] = []
        for make in (JsonLines, *(KINDS[name] for name in names)):
            self._guarded(make.name, lambda make=make: self._loggers.append(make(folder, from_step)))

    @classmethod
    def none(cls) -> "Loggers":
        """Of a process that logs nothing: not the first of several."""
        found = cls.__new__(cls)
        found._loggers = []
        return found

    def log(self, step: int, scalars: dict[str, float]) -> None:
        for logger in list(self._loggers):
            if not self._guarded(logger.name, lambda logger=logger: logger.log(step, scalars)):
                self._loggers.remove(logger)

    def close(self) -> None:
        for logger in self._loggers:
            self._guarded(logger.name, logger.close)
        self._loggers.clear()

    def _guarded(self, name: str, act: Callable[[], None]) -> bool:
        try:
            act()
            return True
        except Exception as error:  # of other people's code and services, whatever it is
            reason = " ".join(str(error).split()) or type(error).__name__
            self._say(f"log       {name} failed and is switched off: {reason}")
            return False
