"""What may happen to an image (`ViewSpec`), which draw is meant (`ViewKey`), and what does happen (`ViewParams`).

Randomness is drawn once, by `augment.sample.sample(spec, key, height, width)`, and applied anywhere: a backend is a
deterministic function of pixels and `ViewParams`. The operations run in the order of the fields below: crop and resize,
pad and crop, flips, rotation with translation, colour jitter, grayscale, blur, solarize, noise, normalise, erase. That
is torchvision's order in the SimCLR and BYOL recipes.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float32, Int32, Int64
from torch import Tensor

from fastssl.errors import InputError

Range = tuple[float, float]
Triple = tuple[float, float, float]
_PROBABILITIES = ("flip_p", "vertical_flip_p", "affine_p", "jitter_p", "gray_p", "blur_p", "solarize_p", "noise_p",
                  "erase_p")  # fmt: skip
_OPTIONAL = ("crop_scale", "central", "mean", "std")
_RANGES = ("crop_scale", "crop_ratio", "blur_sigma", "noise_sigma", "erase_scale", "erase_ratio")
OFF: dict[str, Any] = {
    **{name: 0.0 for name in _PROBABILITIES if name != "affine_p"},
    "pad": 0,
    "rotation": 0.0,
    "translate": 0.0,
}
"""Fields of a `ViewSpec` that switch off every operation but the crop. One field set otherwise switches it on again
(the jitter's strengths stay, so `jitter_p` does)."""


@dataclass(frozen=True, kw_only=True)
class ViewSpec:
    """What may happen to an image on its way to becoming one view. Hashable; probabilities in [0, 1]."""

    size: int = 32
    """Side of the square view, in pixels."""
    crop_scale: Range | None = (0.08, 1.0)
    """Range of the crop's share of the image's area; None resizes the whole image."""
    crop_ratio: Range = (3 / 4, 4 / 3)
    """Range of the crop's width / height before resizing, drawn log-uniformly."""
    central: float | None = None
    """Without a random crop: the side of the central square that is taken, as a share of the image's shorter side; None
    takes the whole image and squeezes it into a square."""
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    antialias: bool = True
    """Widen the resize filter when a crop shrinks, as torchvision does by default."""
    pad: int = 0
    """Black pixels put around the resized image before a random square of `size` is cut from it (RandomCrop)."""
    flip_p: float = 0.5
    """Left to right."""
    vertical_flip_p: float = 0.0
    affine_p: float = 1.0
    """How often the view is rotated and translated, where either is on (`affine`, bilinear, black outside)."""
    rotation: float = 0.0
    """Angle drawn from [-rotation, rotation], in degrees clockwise."""
    translate: float = 0.0
    """Shift in whole pixels drawn from [-translate, translate] of the view's side, along each axis."""
    jitter_p: float = 0.8
    brightness: float = 0.4
    """Factor drawn from [max(0, 1 - brightness), 1 + brightness]; likewise contrast and saturation."""
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1
    """Shift drawn from [-hue, hue], in turns of the colour wheel (at most .5)."""
    gray_p: float = 0.2
    blur_p: float = 0.0
    blur_sigma: Range = (0.1, 2.0)
    """Range of the Gaussian's standard deviation in pixels of the view."""
    blur_kernel: int = 3
    """Taps of the blur, odd; SimCLR takes a tenth of the view's side."""
    solarize_p: float = 0.0
    solarize_threshold: float = 0.5
    """Values at or above it (0-1) are inverted."""
    noise_p: float = 0.0
    noise_sigma: Range = (0.1, 0.1)
    """Range of the standard deviation of the noise added to each value (0-1), which is then cut to 0-1."""
    mean: Triple | None = None
    """Subtracted per channel after scaling to 0-1; None means the dataset's own."""
    std: Triple | None = None
    erase_p: float = 0.0
    erase_scale: Range = (0.02, 0.33)
    """Range of the erased box's share of the view's area."""
    erase_ratio: Range = (0.3, 3.3)
    """Range of its height / width, drawn log-uniformly."""
    erase_value: float = 0.0
    """What the box is filled with, in normalised units: 0 is the dataset's mean colour."""

    def __post_init__(self) -> None:
        self._check_kinds()
        for name in _PROBABILITIES:
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InputError(f"{name}={getattr(self, name)} is not a probability; give a number from 0 to 1")
        if self.size < 1:
            raise InputError(f"size={self.size} is not a view's side; give a positive number of pixels")
        for name in ("crop_scale", "erase_scale"):
            scale = getattr(self, name)
            if scale is not None and not 0 < scale[0] <= scale[1] <= 1:
                raise InputError(f"{name}={scale} is not a range of areas; give 0 < low <= high <= 1")
        if self.central is not None and self.crop_scale is not None:
            raise InputError(f"central={self.central} has no effect with a random crop; give crop_scale None too")
        if self.central is not None and not 0 < self.central <= 1:
            raise InputError(f"central={self.central} is not a share of the shorter side; give above 0, at most 1")
        for name in ("crop_ratio", "erase_ratio", "blur_sigma"):
            low, high = getattr(self, name)
            if not 0 < low <= high:
                raise InputError(f"{name}={(low, high)} is not a range; give 0 < low <= high")
        if not 0 <= self.noise_sigma[0] <= self.noise_sigma[1]:
            raise InputError(f"noise_sigma={self.noise_sigma} is not a range; give 0 <= low <= high")
        if not 0 <= self.pad < self.size:
            raise InputError(f"pad={self.pad} could leave nothing of a view of {self.size} px; give 0 (off) or less")
        if not 0 <= self.rotation <= 180:
            raise InputError(f"rotation={self.rotation} is not a half turn or less; give 0 (off) to 180 degrees")
        if not 0 <= self.translate < 1:
            raise InputError(f"translate={self.translate} could leave nothing of a view; give 0 (off) to below 1")
        if self.blur_kernel % 2 == 0 or self.blur_kernel < 1:
            raise InputError(f"blur_kernel={self.blur_kernel} has no centre; give an odd positive number of taps")
        for name in ("brightness", "contrast", "saturation"):
            if getattr(self, name) < 0:
                raise InputError(f"{name}={getattr(self, name)} is negative; give 0 (off) or more")
        if not 0 <= self.hue <= 0.5:
            raise InputError(f"hue={self.hue} is outside the colour wheel; give 0 (off) to 0.5")

    def _check_kinds(self) -> None:
        """What a file or a caller without a type checker can get wrong, and a compiled backend would not notice."""
        if self.interpolation not in ("bilinear", "bicubic"):
            raise InputError(f"interpolation={self.interpolation!r} is unknown; give 'bilinear' or 'bicubic'")
        for name in ("size", "pad", "blur_kernel"):
            if type(getattr(self, name)) is not int:
                raise InputError(f"{name}={getattr(self, name)!r} is not a whole number; give one")
        for name in (field.name for field in fields(self) if field.name not in ("interpolation", "antialias")):
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            count = 3 if name in ("mean", "std") else 2 if name in _RANGES else 1
            numbers: tuple[Any, ...] = value if isinstance(value, tuple) else (value,)
            if len(numbers) != count or not all(isinstance(number, int | float) for number in numbers):
                raise InputError(f"{name}={value!r} does not fit; give {count} number{'s' * (count > 1)}")
            if not all(map(math.isfinite, numbers)):
                raise InputError(f"{name}={value} is not finite; give a number that is")

    def with_statistics(self, mean: Triple, std: Triple) -> "ViewSpec":
        """The spec with the dataset's own mean and std where it names none."""
        return replace(self, mean=self.mean or mean, std=self.std or std)

    @property
    def jitters(self) -> bool:
        """Whether a colour operation of the jitter can happen."""
        return self.jitter_p > 0 and any((self.brightness, self.contrast, self.saturation, self.hue))

    @property
    def warps(self) -> bool:
        """Whether a rotation or translation can happen."""
        return self.affine_p > 0 and any((self.rotation, self.translate))

    @classmethod
    def plain(cls, size: int, central: float | None = None) -> "ViewSpec":
        """Nothing drawn: the whole image resized or, as probes see it, its central square."""
        return cls(size=size, crop_scale=None, central=central, **OFF)


def specs_in_turn(specs: Sequence[ViewSpec], num_views: int) -> tuple[ViewSpec, ...]:
    """One spec per view: view v follows the v-th of `specs`, in turn."""
    return tuple(specs[view % len(specs)] for view in range(num_views))


@dataclass(frozen=True, slots=True)
class ViewKey:
    """Which draw: the same key gives the same `ViewParams` for any batch, worker, order, rank, device or restart."""

    seed: int
    epoch: int
    view: int
    index: Int64[Tensor, "b"]
    """Position of each sample in the dataset; it also decides the device of the draw."""


# Words of a row of `ViewParams.table`: first the integers, then the floats (as the bits of a float32), then zeros.
CROP_AT, FLIP_AT, VERTICAL_FLIP_AT, SHIFT_AT, GRAY_AT, SOLARIZE_AT = 0, 4, 5, 6, 8, 9
ORDER_AT, ERASE_AT, TRANSLATE_AT, NOISE_KEY_AT = 10, 14, 18, 20
BRIGHTNESS_AT, CONTRAST_AT, SATURATION_AT, HUE_AT, SIGMA_AT, ANGLE_AT, NOISE_AT = range(22, 29)
NUM_WORDS = 32


@dataclass(frozen=True, slots=True)
class ViewParams:
    """What does happen to each of b images. An operation that is off for a sample has its neutral value.

    All of it is one table, so that a compiled sampler writes it and a compiled backend reads it as it is; the
    properties below are columns of it (views of its memory, except the flags).
    """

    table: Int32[Tensor, "b 32"]

    @property
    def crop(self) -> Int32[Tensor, "b 4"]:
        """Top, left, height, width of the crop, in pixels of the source image."""
        return self.table[:, CROP_AT : CROP_AT + 4]

    @property
    def flip(self) -> Bool[Tensor, "b"]:
        return self.table[:, FLIP_AT] != 0

    @property
    def vertical_flip(self) -> Bool[Tensor, "b"]:
        return self.table[:, VERTICAL_FLIP_AT] != 0

    @property
    def shift(self) -> Int32[Tensor, "b 2"]:
        """(Down, right): before the flips, pixel (y, x) of the view is (y + down, x + right) of the resized image."""
        return self.table[:, SHIFT_AT : SHIFT_AT + 2]

    @property
    def angle(self) -> Float32[Tensor, "b"]:
        """Degrees clockwise, 0 when off."""
        return self._floats[:, ANGLE_AT]

    @property
    def translate(self) -> Int32[Tensor, "b 2"]:
        """(Down, right) in pixels, after the rotation; 0 when off."""
        return self.table[:, TRANSLATE_AT : TRANSLATE_AT + 2]

    @property
    def brightness(self) -> Float32[Tensor, "b"]:
        """Factor, 1 when off; likewise contrast and saturation."""
        return self._floats[:, BRIGHTNESS_AT]

    @property
    def contrast(self) -> Float32[Tensor, "b"]:
        return self._floats[:, CONTRAST_AT]

    @property
    def saturation(self) -> Float32[Tensor, "b"]:
        return self._floats[:, SATURATION_AT]

    @property
    def hue(self) -> Float32[Tensor, "b"]:
        """Shift in turns of the colour wheel, 0 when off."""
        return self._floats[:, HUE_AT]

    @property
    def jitter_order(self) -> Int32[Tensor, "b 4"]:
        """Order of the four colour operations: 0 brightness, 1 contrast, 2 saturation, 3 hue."""
        return self.table[:, ORDER_AT : ORDER_AT + 4]

    @property
    def gray(self) -> Bool[Tensor, "b"]:
        return self.table[:, GRAY_AT] != 0

    @property
    def blur_sigma(self) -> Float32[Tensor, "b"]:
        """Standard deviation in pixels of the view, 0 when off."""
        return self._floats[:, SIGMA_AT]

    @property
    def solarize(self) -> Bool[Tensor, "b"]:
        return self.table[:, SOLARIZE_AT] != 0

    @property
    def noise_sigma(self) -> Float32[Tensor, "b"]:
        """Standard deviation of the noise on values in 0-1, 0 when off."""
        return self._floats[:, NOISE_AT]

    @property
    def noise_key(self) -> Int64[Tensor, "b 2"]:
        """Two 32-bit words that seed the noise of each sample's pixels (see `augment.noise`)."""
        return self.table[:, NOISE_KEY_AT : NOISE_KEY_AT + 2].long() & 0xFFFFFFFF

    @property
    def erase(self) -> Int32[Tensor, "b 4"]:
        """Top, left, height, width of the erased box, in pixels of the view; height 0 when off."""
        return self.table[:, ERASE_AT : ERASE_AT + 4]

    @property
    def _floats(self) -> Float32[Tensor, "b 32"]:
        return self.table.view(torch.float32)
