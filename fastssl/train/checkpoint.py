"""Complete, atomic checkpoints: enough to continue a run as if nothing had happened.

Saved: weights and buffers of the method (encoder and heads), optimiser, gradient scaler, random state, position in the
data, clock, the epoch's running sums of logs, and how many records belong to the past. The schedule needs no state: it
is a function of position or clock. Loading is strict and `weights_only`: a checkpoint can hold numbers, never code.
"""

import io
import pickle
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from fastssl.errors import InputError
from fastssl.methods.gather import rank, world_size
from fastssl.telemetry.clock import Clock
from fastssl.telemetry.files import write_atomically
from fastssl.train import ranks
from fastssl.types import Batch

FORMAT = 1


@dataclass
class Position:
    """Where a run stands: everything the loop counts."""

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    images: int = 0
    views: int = 0
    skipped: int = 0
    """Damaged images that batches did without."""
    probes_done: int = 0
    num_records: int = 0
    log_sums: dict[str, torch.Tensor] = field(default_factory=dict)

    def advance(self, batch: Batch, num_views: int, steps_per_epoch: int) -> None:
        """Counts one step, of all processes; the last step of an epoch is the start of the next."""
        images = len(batch.index) * world_size()
        self.step += 1
        self.images += images
        self.views += images * num_views
        self.skipped += batch.skipped
        self.step_in_epoch = (self.step_in_epoch + 1) % steps_per_epoch
        self.epoch += self.step_in_epoch == 0


@dataclass(frozen=True)
class Trainable:
    """What training changes."""

    method: torch.nn.Module
    """An `nn.Module` that fulfils `types.Method`."""
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler

    @property
    def encoder(self) -> torch.nn.Module:
        encoder = self.method.encoder
        assert isinstance(encoder, torch.nn.Module)
        return encoder

    def on_step_start(self, step: int, progress: float) -> None:
        """Lets a method follow its schedules; see `types.Method`."""
        self._call("on_step_start", step, progress)

    def on_step_end(self, step: int, progress: float) -> None:
        """Lets a method update its moving average, queue or centre; see `types.Method`."""
        self._call("on_step_end", step, progress)

    def _call(self, name: str, step: int, progress: float) -> None:
        hook = getattr(self.method, name, None)
        if callable(hook):
            hook(step, progress)

    def state_dict(self) -> dict[str, Any]:
        return {
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "rng": random_state(),
        }

    def own_state(self) -> dict[str, dict[Any, Any]]:
        """Of a layer that several processes split (`unreduced_parameters`), what this one holds; else nothing."""
        own = {id(p) for p in getattr(self.method, "unreduced_parameters", tuple)()}
        if not own or world_size() == 1:
            return {}
        names = {name for name, p in self.method.named_parameters() if id(p) in own}
        ordered = [p for group in self.optimizer.param_groups for p in group["params"]]
        moments = self.optimizer.state_dict()["state"]
        return {
            "method": {
                name: _on_cpu(value)
                for name, value in self.method.state_dict().items()
                if name in names or name.endswith("_extra_state")  # which says what the rows are
            },
            "optimizer": {
                place: {name: _on_cpu(value) for name, value in moments[place].items()}
                for place, p in enumerate(ordered)
                if id(p) in own and place in moments
            },
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.method.load_state_dict(state["method"], strict=True)
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])
        restore_random_state(state["rng"])


def _on_cpu(value: Any) -> Any:
    return value.cpu() if isinstance(value, torch.Tensor) else value


def random_state() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"torch": torch.get_rng_state(), "cuda": cuda}


def restore_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


def save_checkpoint(path: Path, identity: str, trainable: Trainable, position: Position, clock: Clock) -> None:
    """Writes the first process's state, and beside it what the others do not share with it. All processes call it."""
    own = ranks.collected(trainable.own_state())
    ranks.on_first(lambda: _write(path, identity, trainable, position, clock, own))


def _write(
    path: Path, identity: str, trainable: Trainable, position: Position, clock: Clock, own: list[dict[str, Any]]
) -> None:
    buffer = io.BytesIO()
    content = {
        "format": FORMAT,
        "identity": identity,
        "state": trainable.state_dict(),
        "position": asdict(position),
        "clock": clock.state_dict(),
        "own": own,
    }
    torch.save(content, buffer)
    write_atomically(path, buffer.getvalue())


def load_checkpoint(path: Path, identity: str, trainable: Trainable, clock: Clock, device: torch.device) -> Position:
    """Restores `trainable` and `clock` in place and returns the position.

    Errors: `InputError` when the file is damaged, belongs to another run, or has missing or extra weights.
    """
    content = read_checkpoint(path, device)
    if content["identity"] != identity:
        raise InputError(f"{path} belongs to another recipe or dataset; train this one anew")
    try:
        own = content.get("own", [{}] * world_size())[rank()]
        content["state"]["method"] |= own.get("method", {})
        content["state"]["optimizer"]["state"] |= own.get("optimizer", {})
        trainable.load_state_dict(content["state"])
        clock.load_state_dict(content["clock"])
        return Position(**content["position"])
    except (RuntimeError, LookupError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} does not fit this recipe ({reason}); train it anew with --fresh") from error


def read_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The checkpoint's raw content; tensors on `device`, the random state always on the CPU."""
    try:
        content = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; the run has not saved a checkpoint yet") from error
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, zipfile.BadZipFile, ValueError) as error:
        raise InputError(
            f"{path} is damaged or no checkpoint of fastssl; train the recipe anew with --fresh"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path} is not a checkpoint of this version of fastssl (format {FORMAT}); train it anew")
    position = content["position"]
    position["log_sums"] = {name: value.to(device) for name, value in position["log_sums"].items()}
    return content
