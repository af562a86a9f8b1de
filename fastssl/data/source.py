"""What a dataset looks like to the writer: labels at once, images as a stream."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Int64

from fastssl.errors import InputError

Progress: TypeAlias = Callable[[int, int], None]
"""Called with (samples done, samples in all)."""

MAX_NUM_CLASSES = 1 << 20
"""A label beyond it is a mistake (or an attack: class counts are an array of this length)."""


@dataclass(frozen=True, kw_only=True)
class SourceInfo:
    """What is known of a dataset besides its samples."""

    name: str
    split: str = "train"
    class_names: tuple[str, ...] = ()
    origin: str = ""
    """Where it comes from: a paper or an address."""
    licence: str = ""


class Item(NamedTuple):
    """One image on its way to the writer."""

    position: int
    """Index in the source."""
    image: bytes | np.ndarray
    """An encoded file, or uint8 pixels (h, w, 3) or (h, w)."""
    name: str
    """What an error message calls it."""


@runtime_checkable  # so that the shape checks of the tests can ask
class Source(Protocol):
    """Labelled images with stable positions 0..n-1. Reading twice gives the same."""

    @property
    def info(self) -> SourceInfo: ...

    @property
    def labels(self) -> Int64[np.ndarray, "n"]:
        """Class per position, -1 for none."""
        ...

    def read(self, positions: Int64[np.ndarray, "m"]) -> Iterator[Item]:
        """Each asked position once, in whatever order the storage likes best; `positions` is sorted."""
        ...


@dataclass(frozen=True)
class SubsetSource:
    """Some positions of another source, renumbered in order."""

    whole: Source
    positions: Int64[np.ndarray, "m"]
    info: SourceInfo

    @property
    def labels(self) -> Int64[np.ndarray, "m"]:
        return self.whole.labels[self.positions]

    def read(self, positions: Int64[np.ndarray, "k"]) -> Iterator[Item]:
        for item in self.whole.read(self.positions[positions]):
            yield item._replace(position=int(np.searchsorted(self.positions, item.position)))


def take(source: Source, positions: Int64[np.ndarray, "m"], split: str | None = None) -> SubsetSource:
    """The samples at sorted `positions`, as a source of their own."""
    info = source.info if split is None else replace(source.info, split=split)
    return SubsetSource(source, np.asarray(positions, dtype=np.int64), info)


def check_labels(labels: Int64[np.ndarray, "n"], class_names: tuple[str, ...], name: str) -> None:
    """Raise `InputError` unless every label is -1 or the number of a class."""
    if len(labels) == 0:
        raise InputError(f"{name} holds no image; give a dataset with at least one")
    if class_names and labels.max() >= len(class_names):
        raise InputError(f"{name} has label {labels.max()} but {len(class_names)} class names; name every class")
    if labels.min() < -1 or labels.max() >= MAX_NUM_CLASSES:
        wrong = labels.min() if labels.min() < -1 else labels.max()
        raise InputError(
            f"{name} has label {wrong}; give class numbers from 0 to {MAX_NUM_CLASSES - 1}, or -1 for none"
        )
