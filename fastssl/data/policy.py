"""The order of an epoch as a value: four policies and their options."""

from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias, get_args

from fastssl.errors import InputError

OrderName = Literal["random", "sequential", "quasi_random", "sliding"]

_DEFAULT_BLOCK_BYTES = 8 * 1024**2
_DEFAULT_WINDOW_BLOCKS = 16
_OPTIONS = {
    "random": (),
    "sequential": (),
    "quasi_random": ("block_bytes", "window_blocks"),
    "sliding": ("window_images", "stride_images", "epochs_per_window"),
}


@dataclass(frozen=True, kw_only=True)
class OrderConfig:
    """In which order an epoch serves its samples. An option that the order does not have is refused.

    - `random`: a uniform shuffle of all samples, another one each epoch.
    - `sequential`: 0, 1, 2, ...
    - `quasi_random`, for files beyond memory: the file is cut into blocks of `block_bytes`, the blocks come in random
      order in groups of `window_blocks`, and the samples of one group are shuffled. Never more than `window_blocks`
      blocks are begun and not finished, so the pages worth keeping take `working_set_bytes`.
    - `sliding`: with r one fixed random permutation of the n samples, epoch e serves, shuffled,
      r[(s e' + j) mod n] for j = 0 .. w - 1, where w = `window_images`, s = `stride_images` and
      e' = e div `epochs_per_window`. So an epoch has w samples, and each sample takes part in w / s windows in a row
      (rounded up or down) every n / s windows.
    """

    order: OrderName = "random"
    block_bytes: int | None = None
    """quasi_random: bytes of the file per block; None takes 8 MiB, the page of FFCV's files."""
    window_blocks: int | None = None
    """quasi_random: blocks shuffled together; None takes 16."""
    window_images: int | None = None
    """sliding: samples per epoch; to be given."""
    stride_images: int | None = None
    """sliding: samples by which the window moves, at most `window_images`; None takes `window_images`."""
    epochs_per_window: int | None = None
    """sliding: epochs before the window moves; None takes 1."""

    def __post_init__(self) -> None:
        if self.order not in get_args(OrderName):
            raise InputError(f"order={self.order!r} is unknown; give one of {', '.join(get_args(OrderName))}")
        for name, value in self.options().items():
            if name not in _OPTIONS[self.order]:
                owner = next(order for order, names in _OPTIONS.items() if name in names)
                raise InputError(f"{name}={value} has no effect with order={self.order}; give order={owner}")
            if value < 1:
                raise InputError(f"{name}={value} is impossible; give 1 or more")
        if self.order == "sliding":
            self._check_window()

    def _check_window(self) -> None:
        if self.window_images is None:
            raise InputError("window_images=None leaves order=sliding without a window; give its number of samples")
        if self.stride > self.window_images:
            raise InputError(
                f"stride_images={self.stride} passes over samples of a window of {self.window_images}; "
                f"give {self.window_images} or less"
            )

    def options(self) -> dict[str, Any]:
        """The options that were given."""
        given = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "order"}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def block(self) -> int:
        """Bytes per block of `quasi_random`."""
        return self.block_bytes or _DEFAULT_BLOCK_BYTES

    @property
    def blocks_together(self) -> int:
        """Blocks per group of `quasi_random`."""
        return self.window_blocks or _DEFAULT_WINDOW_BLOCKS

    @property
    def stride(self) -> int:
        """Samples by which the window of `sliding` moves."""
        assert self.window_images is not None, "asked of a sliding order alone"
        return self.stride_images or self.window_images

    def samples_per_epoch(self, num_samples: int) -> int:
        """How many of the samples one epoch serves. Raises `InputError` for a window larger than the data."""
        if self.order != "sliding":
            return num_samples
        assert self.window_images is not None, "seen to when the value was made"
        if self.window_images > num_samples:
            raise InputError(
                f"window_images={self.window_images} is more than the {num_samples} samples; give {num_samples} or less"
            )
        return self.window_images

    def working_set_bytes(self, largest_sample_bytes: int) -> int:
        """Most bytes of the file that `quasi_random` has begun and not finished, at any moment of an epoch.

        A sample belongs to the block in which it begins, hence the largest one on top of each block. A loader that
        reads ahead, into the next group, touches at most twice as much.
        """
        return self.blocks_together * (self.block + largest_sample_bytes)


AnyOrder: TypeAlias = OrderConfig | OrderName
"""A name alone stands for that order with its options left to their defaults."""


def as_order(order: AnyOrder) -> OrderConfig:
    return order if isinstance(order, OrderConfig) else OrderConfig(order=order)
