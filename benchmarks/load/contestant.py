"""What a contestant is: a loader that has been opened on a stored set and delivers views, epoch after epoch."""

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from benchmarks.load.stored import StoredSet
from fastssl.views import ViewSpec

MODULES = {
    "crops": "ours",
    "crops, plain": "ours",
    "images": "ours",
    "ffcv": "ffcv_stock",
    "ffcv, shared decode": "ffcv_shared",
    "threads": "threads",
    "opencv workers": "workers",
    "torchvision PIL": "workers",
    "torchvision v2": "workers",
    "webdataset": "peer_webdataset",
    "litdata": "peer_litdata",
    "mosaicml": "peer_mosaicml",
    "spdl": "peer_spdl",
    "dali": "peer_dali",
    "tf.data": "peer_tfdata",
    "hf datasets": "peer_datasets",
    "grain": "peer_grain",
    "turbojpeg": "peer_turbojpeg",
    "lightly": "peer_lightly",
    "stable-pretraining": "peer_stable_pretraining",
    "solo-learn style": "peer_solo_learn",
    "decode": "ceilings",
    "huffman": "ceilings",
    "copy": "ceilings",
}
"""Contestant -> module of this package, with an `open_contestant(name, task)` and what it needs imported at its top."""

ENVIRONMENTS = {
    **{name: name for name in ("webdataset", "litdata", "mosaicml", "spdl", "dali", "grain", "turbojpeg", "lightly",
                               "stable-pretraining")},
    "tf.data": "tensorflow",
    "hf datasets": "datasets",
}  # fmt: skip
"""Contestant -> the environment that it lives in (`benchmarks.envs`); the others live in this one."""


class Missing(Exception):
    """Why a contestant cannot take part here: a package or a compiler is not installed."""


@dataclass(frozen=True)
class Delivered:
    """One batch, as the consumer finds it in memory."""

    views: tuple[Any, ...]
    """uint8 arrays or tensors, one per view: (b, s, s, 3) or (b, 3, s, s), whichever costs the contestant less."""
    labels: Any
    index: np.ndarray | None = None
    """Positions in the beton, where the contestant tells them."""
    crops: tuple[np.ndarray, ...] | None = None
    """Per view int (b, 5): top, left, height, width, flipped; where the contestant tells them."""
    images: Any = None
    """uint8 (b, 3, h, w), of those that decode and leave the views to others."""


@dataclass(frozen=True)
class Task:
    """What a contestant is asked for."""

    stored: StoredSet
    specs: tuple[ViewSpec, ...]
    batch: int
    threads: int
    seed: int = 0
    epochs: int = 1
    """Epochs that are asked for at once, and timed as one block."""


class Contestant(Protocol):
    regime: str
    """The configuration, in words."""
    antialiased: bool
    """Whether a crop that shrinks is averaged as torchvision does it (bilinear, within a level of 255)."""

    def block(self, number: int) -> Iterator[Delivered]:
        """The batches of `Task.epochs` epochs, each in an order of its own; the last batch is whole or left out."""
        ...

    def threads(self) -> int:
        """Threads or processes that do the work, as read back once a batch has been delivered."""
        ...

    def close(self) -> None: ...


def load_module(name: str) -> Any:
    """The contestant's module, imported. Errors: `Missing` where something that it needs is not installed."""
    try:
        return importlib.import_module(f"benchmarks.load.{MODULES[name]}")
    except ImportError as error:
        raise Missing(f"not installed: {error}") from error


def epoch_numbers(task: Task, block: int) -> Sequence[int]:
    """The epochs of a block: no two blocks have one in common."""
    return range(block * task.epochs, (block + 1) * task.epochs)
