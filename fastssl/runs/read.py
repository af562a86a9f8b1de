"""One directory of a run as it is on disk now: recipe, state, records. Damage is told, never raised."""

import hashlib
import json
import warnings
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Literal

from fastssl.errors import InputError
from fastssl.report.arms import arm_key
from fastssl.runs.locks import held_inodes, is_held
from fastssl.runs.stub import position_of
from fastssl.telemetry.reading import read_records

State = Literal["finished", "running", "unfinished", "empty", "damaged"]
SAID = {"finished": "finished", "running": "running", "empty": "no checkpoint yet"}


@dataclass(frozen=True)
class Run:
    """What there is of a run; what is missing or damaged is empty or None, and `damage` says why."""

    path: Path
    state: State
    recipe: dict[str, Any]
    facts: dict[str, str]
    identity: str
    points: tuple[dict[str, Any], ...]
    """Records of training, one per probe, of the last attempt."""
    position: dict[str, Any]
    """Of the checkpoint."""
    checkpoint_bytes: int | None
    changed_utc: str
    """When anything of it was last written."""
    damage: str = ""

    @property
    def run_id(self) -> str:
        return self.path.resolve().name

    @property
    def last(self) -> dict[str, Any] | None:
        return self.points[-1] if self.points else None

    @property
    def said(self) -> str:
        """The state in words."""
        if self.state == "damaged":
            return f"damaged: {self.damage}"
        if self.state == "unfinished":
            return f"unfinished, resumable at step {self.position['step']:,}"
        return SAID[self.state]

    @property
    def arm(self) -> str:
        """Six hex digits, equal for runs that differ in their seed alone (see `report.arms`)."""
        if not self.recipe:
            return ""
        return hashlib.sha256(json.dumps(arm_key(self.recipe, **self.facts)).encode()).hexdigest()[:6]

    def metric(self, name: str) -> float | None:
        """Of the last probe."""
        return self.last["metrics"].get(name) if self.last else None

    @property
    def step(self) -> int | None:
        """Of the checkpoint, or of a probe after it."""
        steps = [self.position.get("step"), self.last["case"]["step"] if self.last else None]
        return max((s for s in steps if s is not None), default=None)

    @property
    def compute_s(self) -> float | None:
        """Device-seconds of training and waiting for data, up to the last probe."""
        if self.last is None:
            return None
        clock = self.last["clock"]
        return (clock["train_s"] + clock["data_s"]) * clock["world_size"]


def read_run(path: Path, held: frozenset[int] | None = None) -> Run:
    """A run as it is. `held`: what `held_inodes` gave, where many runs are read."""
    running = is_held(path / "lock", held_inodes() if held is None else held)
    damages: list[str] = []
    recipe, facts, identity = _recipe(path, damages)
    points = _points(path / "records.jsonl", damages)
    checkpoint, position = path / "checkpoint.pt", {}
    size = None
    try:
        size = checkpoint.stat().st_size
        position = position_of(checkpoint)
    except FileNotFoundError:
        if (path / "finished").is_file():
            damages.append("finished, but checkpoint.pt is gone")
    except (InputError, OSError) as error:
        damages.append(str(error))
    return Run(
        path=path,
        state=_state(path, running, bool(damages), bool(position)),
        recipe=recipe,
        facts=facts,
        identity=identity,
        points=points,
        position=position,
        checkpoint_bytes=size,
        changed_utc=_changed(path),
        damage="; ".join(damages),
    )


def _state(path: Path, running: bool, damaged: bool, resumable: bool) -> State:
    if damaged:
        return "damaged"
    if running:
        return "running"
    if (path / "finished").is_file():
        return "finished"
    return "unfinished" if resumable else "empty"


def _recipe(path: Path, damages: list[str]) -> tuple[dict[str, Any], dict[str, str], str]:
    try:
        content = json.loads((path / "recipe.json").read_text())
        recipe, facts = content["recipe"], content["facts"]
        _ = recipe["name"], recipe["seed"], recipe["method"]["kind"], recipe["data"]["dataset"]
        return recipe, dict(facts), str(content["identity"])
    except FileNotFoundError:
        damages.append("recipe.json is missing")
    except OSError as error:
        damages.append(f"recipe.json cannot be read ({error.strerror})")
    except (ValueError, LookupError, TypeError, AttributeError):
        damages.append("recipe.json is damaged")
    return {}, {}, ""


def _points(path: Path, damages: list[str]) -> tuple[dict[str, Any], ...]:
    """Training records of the last attempt; a last line that is being written is left out."""
    if not path.is_file():
        return ()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the line that is being written
            records = [r for r in read_records([path]) if r["suite"] == "train"]
        points: list[dict[str, Any]] = []
        for record in records:
            if points and record["case"]["step"] <= points[-1]["case"]["step"]:
                points.clear()
            points.append(record)
        return tuple(points)
    except InputError as error:
        damages.append(str(error).replace(str(path), path.name))
    except (LookupError, TypeError):
        damages.append(f"{path.name} holds no records of training")
    return ()


def _changed(path: Path) -> str:
    """When a file of the run was last written; what training leaves counts, not what was found in it later."""
    files = [path / name for name in ("recipe.json", "records.jsonl", "checkpoint.pt", "finished")]
    latest = max(map(_written, files)) or _written(path)
    return datetime.fromtimestamp(latest, timezone.utc).isoformat(timespec="seconds")


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
