"""How images are stored in a beton."""

from dataclasses import dataclass
from typing import Literal

from fastssl.errors import InputError

DEFAULT_MAX_PIXELS = 1 << 26
"""8192 x 8192: 200 MB once decoded. PIL calls an image a bomb at 179 million pixels (`Image.MAX_IMAGE_PIXELS` x 2)."""


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """What `write_beton` and `write_dataset` store, and how. Sides in pixels; shares and probabilities in 0-1."""

    mode: Literal["raw", "jpg", "proportion"] = "raw"
    """raw stores pixels, jpg stores JPEG files, proportion draws one or the other per sample."""
    jpg_proportion: float = 0.5
    """Probability of a JPEG in mode `proportion`."""
    quality: int = 90
    """Of the JPEGs encoded here, 1-100."""
    keep_jpeg: bool = True
    """Store a JPEG's own bytes where its pixels are wanted as they are and any reader can decode them: baseline, three
    components, no EXIF rotation, no damage, no resize."""
    max_side: int | None = None
    """Shrink images whose longer side is longer than this."""
    square: int | None = None
    """Resize the shorter side to this and crop the centre, so that all images have one size."""
    fraction: float = 1.0
    """Class-balanced share of the samples that is written."""
    subset_seed: int = 0
    """Decides the fraction, the held-out samples and the JPEGs of mode `proportion`."""
    val: float | None = None
    """Held-out validation samples, class-balanced, of the split `train`: a share below 1, or a number of samples. They
    go to a beton of their own and do not depend on `fraction`."""
    num_threads: int | None = None
    """Decoding and encoding threads; None takes the cores this process may use. The bytes stay the same."""
    max_pixels: int = DEFAULT_MAX_PIXELS
    """An image of more pixels is refused before it is decoded; PIL, which reads all but JPEG, has its own limit too."""

    def __post_init__(self) -> None:
        if self.mode not in ("raw", "jpg", "proportion"):
            raise InputError(f"mode={self.mode!r} is unknown; give raw, jpg or proportion")
        if not 0.0 <= self.jpg_proportion <= 1.0:
            raise InputError(f"jpg_proportion={self.jpg_proportion} is not a probability; give a number from 0 to 1")
        if not 1 <= self.quality <= 100:
            raise InputError(f"quality={self.quality} is not a JPEG quality; give 1 to 100")
        if self.max_side is not None and self.square is not None:
            raise InputError(f"max_side={self.max_side} has no effect with square={self.square}; give one of them")
        for name in ("max_side", "square", "num_threads", "max_pixels"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name}={value} is impossible; give a positive number")
        if not 0.0 < self.fraction <= 1.0:
            raise InputError(f"fraction={self.fraction} is not a share of the samples; give above 0, at most 1")
        if not 0 <= self.subset_seed < 2**64:
            raise InputError(f"subset_seed={self.subset_seed} does not fit in 64 bits; give 0 to 2**64 - 1")
        if self.val is not None and (self.val <= 0 or (self.val >= 1 and self.val != int(self.val))):
            raise InputError(f"val={self.val} is neither a share below 1 nor a number of samples; give .1 or 5000")
