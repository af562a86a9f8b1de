"""What may happen to an image (`ViewSpec`), which draw is meant (`ViewKey`), and what does happen (`ViewParams`).

Randomness is drawn once, by `augment.sample.sample(spec, key, height, width)`, and applied anywhere: a backend is a
deterministic function of pixels and `ViewParams`. The operations run in the order of the fields below, which is
torchvision's order in the SimCLR and BYOL recipes: crop and resize, flip, colour jitter, grayscale, blur, solarize,
normalise.
"""

from dataclasses import dataclass
from typing import Literal

from jaxtyping import Bool, Float32, Int64
from torch import Tensor

from fastssl.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ViewSpec:
    """What may happen to an image on its way to becoming one view. Hashable; probabilities in [0, 1]."""

    size: int = 32
    """Side of the square view, in pixels."""
    crop_scale: tuple[float, float] | None = (0.08, 1.0)
    """Range of the crop's share of the image's area; None resizes the whole image."""
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    """Range of the crop's width / height before resizing, drawn log-uniformly."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    antialias: bool = True
    """Widen the resize filter when a crop shrinks, as torchvision does by default."""
    flip_p: float = 0.5
    jitter_p: float = 0.8
    brightness: float = 0.4
    """Factor drawn from [max(0, 1 - brightness), 1 + brightness]; likewise contrast and saturation."""
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    """Shift drawn from [-hue, hue], in turns of the colour wheel (at most .5)."""
    gray_p: float = 0.2
    blur_p: float = 0.0
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    """Range of the Gaussian's standard deviation in pixels of the view."""
    blur_kernel: int = 3
    """Taps of the blur, odd; SimCLR takes a tenth of the view's side."""
    solarize_p: float = 0.0
    solarize_threshold: float = 0.5
    """Values at or above it (0-1) are inverted."""
    mean: tuple[float, float, float] | None = None
    """Subtracted per channel after scaling to 0-1; None means the dataset's own."""
    std: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("flip_p", "jitter_p", "gray_p", "blur_p", "solarize_p"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(f"{name}={getattr(self, name)} is not a probability; give a number from 0 to 1")
        if self.size < 1:
            raise InputError(f"size={self.size} is not a view's side; give a positive number of pixels")
        if self.crop_scale is not None and not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            raise InputError(f"crop_scale={self.crop_scale} is not a range of areas; give 0 < low <= high <= 1")
        if not 0 < self.crop_ratio[0] <= self.crop_ratio[1]:
            raise InputError(f"crop_ratio={self.crop_ratio} is not a range of ratios; give 0 < low <= high")
        if self.blur_kernel % 2 == 0 or self.blur_kernel < 1:
            raise InputError(f"blur_kernel={self.blur_kernel} has no centre; give an odd positive number of taps")
        if not 0 < self.blur_sigma[0] <= self.blur_sigma[1]:
            raise InputError(f"blur_sigma={self.blur_sigma} is not a range; give 0 < low <= high")
        for name in ("brightness", "contrast", "saturation"):
            if getattr(self, name) < 0:
                raise InputError(f"{name}={getattr(self, name)} is negative; give 0 (off) or more")
        if not 0 <= self.hue <= 0.5:
            raise InputError(f"hue={self.hue} is outside the colour wheel; give 0 (off) to 0.5")

    @classmethod
    def plain(cls, size: int) -> "ViewSpec":
        """The view a probe sees: the whole image, resized, nothing drawn."""
        return cls(size=size, crop_scale=None, flip_p=0.0, jitter_p=0.0, gray_p=0.0)


@dataclass(frozen=True, slots=True)
class ViewKey:
    """Which draw: the same key gives the same `ViewParams` for any batch, worker, order, rank, device or restart."""

    seed: int
    epoch: int
    view: int
    index: Int64[Tensor, "b"]
    """Position of each sample in the dataset; it also decides the device of the draw."""


@dataclass(frozen=True, slots=True)
class ViewParams:
    """What does happen to each of b images. An operation that is off for a sample has its neutral value."""

    crop: Int64[Tensor, "b 4"]
    """Top, left, height, width of the crop, in pixels of the source image."""
    flip: Bool[Tensor, "b"]
    brightness: Float32[Tensor, "b"]
    """Factor, 1 when off; likewise contrast and saturation."""
    contrast: Float32[Tensor, "b"]
    saturation: Float32[Tensor, "b"]
    hue: Float32[Tensor, "b"]
    """Shift in turns of the colour wheel, 0 when off."""
    jitter_order: Int64[Tensor, "b 4"]
    """Order of the four colour operations: 0 brightness, 1 contrast, 2 saturation, 3 hue."""
    gray: Bool[Tensor, "b"]
    blur_sigma: Float32[Tensor, "b"]
    """Standard deviation in pixels of the view, 0 when off."""
    solarize: Bool[Tensor, "b"]
