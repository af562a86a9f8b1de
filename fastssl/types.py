"""Shared vocabulary: what flows through the training line, and what each room promises the others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int32, Int64, UInt8
from torch import Tensor

from fastssl.views import ViewParams, ViewSpec

Views: TypeAlias = tuple[Float[Tensor, "b 3 _ _"], ...]
"""One tensor per view, normalised, channels-last; views of one size share their shape."""
Images: TypeAlias = UInt8[Tensor, "n 3 h w"] | Float[Tensor, "n 3 h w"]
"""RGB, of one size: bytes 0-255, or floats 0-1 (which a loader never yields, but a user's own data may be)."""


@dataclass(frozen=True, slots=True)
class Draw:
    """What happens to each image of a batch in each view, by a loader that drew it before it decoded."""

    specs: tuple[ViewSpec, ...]
    """One per view; mean and std play no part."""
    seed: int
    epoch: int
    tables: Int32[Tensor, "v b 32"]
    """A `ViewParams.table` per view, with crop boxes in pixels of the stored images."""

    @property
    def params(self) -> list[ViewParams]:
        return [ViewParams(table) for table in self.tables]


class ViewDrawer(Protocol):
    """Draws views of images whose sizes are known and whose pixels are not yet (`augment.draw.Drawer`)."""

    @property
    def specs(self) -> tuple[ViewSpec, ...]:
        """One per view."""
        ...

    def __call__(self, epoch: int, index: Int64[np.ndarray, "b"], sizes: Int64[np.ndarray, "b 2"]) -> Draw:
        """`sizes` are height and width of the stored images. On the CPU."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """What a loader yields. (A dataclass: a named tuple's `index` field would shadow `tuple.index`.)"""

    images: UInt8[Tensor, "_ 3 h w"]
    """uint8 0-255, RGB, channels-last memory; owned by the batch, never overwritten by the loader. Images that are
    smaller than the largest of the dataset lie in the upper left corner, and then there is a `draw`."""
    labels: Int64[Tensor, "b"]
    index: Int64[Tensor, "b"]
    """Position in the dataset as loaded: 0..n-1, contiguous after subsetting, stable over shuffles and resumes."""
    gathered: bool = True
    """False: `images` is the whole resident set (never to be written to), and image i is images[index[i]]."""
    draw: Draw | None = None
    """On the images' device."""
    crops: tuple[UInt8[Tensor, "b 3 _ _"], ...] = ()
    """Of a loader that cut the views while it decoded: each view's crop of `draw`, resized to the view's size and
    flipped left to right, in channels-last memory. `images` then holds none, (0, 3, 0, 0)."""
    skipped: int = 0
    """Samples of this step that could not be decoded and were left out (`on_error="skip"`)."""


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """What the rest of the library needs to know of the images a loader serves."""

    name: str
    split: str
    fingerprint: str
    """Identity of the samples served (content, labels and order; a subset has its own)."""
    num_samples: int
    num_classes: int
    height: int
    """Of the largest image in each direction."""
    width: int
    mean: tuple[float, float, float]
    """Per channel, of pixels scaled to 0-1."""
    std: tuple[float, float, float]
    class_names: tuple[str, ...] = ()


@runtime_checkable  # so that the shape checks of the tests can ask
class Loader(Protocol):
    """Serves batches; the same `(seed, epoch number)` gives the same order on any loader, from any start step."""

    info: DatasetInfo
    batch_size: int
    """Images per batch on this rank."""
    source: Int64[np.ndarray, "n"]
    """Position in the file of each sample served: `Batch.index` i is sample source[i] of the file."""

    def __len__(self) -> int:
        """Batches per epoch."""
        ...

    def epoch(self, number: int, start_step: int = 0) -> Iterator[Batch]:
        """Batches of one epoch from `start_step` on, without replaying the earlier ones."""
        ...

    def close(self) -> None: ...

    def describe(self) -> dict[str, Any]:
        """Kind, worker threads as read back, cache state and options: for the start card and the record."""
        ...


@dataclass(frozen=True, slots=True)
class MethodOutput:
    loss: Float[Tensor, ""]
    logs: dict[str, Tensor]
    """Detached scalars, still on the device: reading them is the caller's choice of when to wait."""


@runtime_checkable
class Method(Protocol):
    """An `nn.Module` that owns its heads and, as `encoder`, the network it trains; not its optimiser.

    Two hooks are optional, and called around every step with the same arguments, `step` (0, 1, ... over the run) and
    `progress` (the share of the run done when the step began, 0 to 1):
    `on_step_start(step, progress)`, before the forward pass, sets what follows a schedule: being a function of where
    the run stands, it needs no place in a checkpoint. `on_step_end(step, progress)`, after the optimiser's update,
    moves what follows the weights: an average, a queue, a centre; those are buffers, so that checkpoints carry them.

    Optional, too: `memory_bytes(batch_size, num_views)`, an estimate for the start card of what head and loss take in
    training, where that grows with the dataset; `facts`, what decides the result beside recipe and dataset (the content
    of a file that the recipe names), in strings that become part of the run's identity.
    """

    encoder: torch.nn.Module

    def forward(self, views: Views, index: Tensor, labels: Tensor) -> MethodOutput:
        """`labels` are for the supervised ceiling alone; no self-supervised method reads them."""
        ...


@runtime_checkable
class AugmentBackend(Protocol):
    """Applies drawn parameters to pixels: a deterministic function, no randomness of its own."""

    name: str
    reason: str
    """Why this backend was taken, for the start card."""

    reads_rows: bool
    """Whether it gathers `rows` by itself, at no cost, so that a resident loader need not."""

    def supports(self, spec: ViewSpec, device: torch.device) -> str | None:
        """None, or the reason why this spec cannot be applied on that device."""
        ...

    def apply(
        self, images: Images, params: ViewParams, spec: ViewSpec, dtype: torch.dtype = torch.float32
    ) -> Float[Tensor, "b 3 s s"]:
        """One view of each image, normalised, in channels-last memory."""
        ...

    def apply_views(
        self,
        images: Images,
        params: Sequence[ViewParams],
        specs: Sequence[ViewSpec],
        dtype: torch.dtype = torch.float32,
        rows: Int64[Tensor, "b"] | None = None,
    ) -> Views:
        """`apply` for every view of the same images; a backend may make them together.

        With `rows`, `images` is a whole set on the device and sample i is images[rows[i]].
        """
        ...
