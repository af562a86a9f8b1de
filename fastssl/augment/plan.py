"""What each random draw means: the one definition that the three samplers follow (torch, compiled, Triton).

Four 32-bit words come from Philox for the counter (index, epoch, view << 16 | op, block) and the key (seed low, high).

    op             block   words
    CROP           0..9    try t: area, ratio, top, left     RandomResizedCrop.get_params, with its ten tries
    FLIP           0       happens?
    JITTER         0       brightness, contrast, saturation, hue
                   1       happens?, order
    GRAY           0       happens?
    BLUR           0       happens?, sigma
    SOLARIZE       0       happens?
    VERTICAL_FLIP  0       happens?
    PAD            0       top, left                         RandomCrop.get_params
    AFFINE         0       happens?, angle, down, right      RandomAffine.get_params
    NOISE          0       happens?, sigma, key, key
    ERASE          0..9    try t: area, ratio, top, left     RandomErasing.get_params, with its ten tries
                   10      happens?

A number in a range is `low + u * (high - low)` in float64 with u the high 24 bits of its word; an integer below n is
`word * n >> 32`; a shift is a number in a range, rounded half to even; an operation happens when the high 24 bits of
its word are below p * 2^24. Nothing but products, sums, quotients and square roots touches a float, so all samplers
and every device round alike.
"""

import math
from functools import lru_cache
from itertools import permutations
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64

from fastssl.errors import InputError
from fastssl.views import ViewKey, ViewSpec

CROP, FLIP, JITTER, GRAY, BLUR, SOLARIZE, VERTICAL_FLIP, PAD, AFFINE, NOISE, ERASE = range(11)
NUM_TRIES = 10
"""torchvision tries ten boxes before it falls back to the central one, or to erasing nothing."""
BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
NEUTRAL = (1.0, 1.0, 1.0, 0.0)
"""Brightness, contrast, saturation, hue when they do not happen."""
ORDERS = tuple(permutations((BRIGHTNESS, CONTRAST, SATURATION, HUE)))
"""The 24 orders of the four colour operations; the order word times 24, over 2^32, picks one."""
BLOCKS = {
    CROP: NUM_TRIES,
    FLIP: 1,
    JITTER: 2,
    GRAY: 1,
    BLUR: 1,
    SOLARIZE: 1,
    VERTICAL_FLIP: 1,
    PAD: 1,
    AFFINE: 1,
    NOISE: 1,
    ERASE: NUM_TRIES + 1,
}
EXP_SERIES = tuple(1.0 / divisor for divisor in range(10, 0, -1))
"""Coefficients of `exp`, from the innermost."""
UNIT = 2.0**-24
"""Step of the 24-bit uniform numbers."""
# Views share their word of the counter with the streams of `data`, which start at 0xFFFF_0000.
_VIEWS = 0xFFFF

Span = tuple[float, float]
"""Low end and width."""


class DrawPlan(NamedTuple):
    """A `ViewSpec` at one image size, in the numbers a sampler needs; plain values, so numba takes it as it is."""

    height: int
    width: int
    size: int
    crops: bool
    scale: Span
    log_ratio: Span
    fallback: tuple[int, int, int, int]
    """Top, left, height, width when no try fits, and when the spec does not crop at random."""
    flip_below: int
    """An operation happens when 24 random bits are below this; 0 means never, and nothing is drawn for it."""
    jitter_below: int
    factors: tuple[Span, Span, Span, Span]
    """Brightness, contrast, saturation, hue; a width of 0 leaves the low end, which is then the neutral value."""
    gray_below: int
    blur_below: int
    sigma: Span
    solarize_below: int
    vertical_flip_below: int
    pad: int
    affine_below: int
    angle: Span
    """Degrees clockwise."""
    translate: Span
    """Pixels of the view, before rounding."""
    noise_below: int
    noise_sigma: Span
    erase_below: int
    erase_scale: Span
    erase_log_ratio: Span

    def happens(self, op: int) -> bool:
        """Whether the operation can happen at all; if not, nothing is drawn for it."""
        below = (self.crops, self.flip_below, self.jitter_below, self.gray_below, self.blur_below, self.solarize_below,
                 self.vertical_flip_below, self.pad, self.affine_below, self.noise_below, self.erase_below)  # fmt: skip
        return bool(below[op])


@lru_cache(maxsize=256)
def plan_draws(spec: ViewSpec, height: int, width: int) -> DrawPlan:
    """The plan of a spec for images of that size, in pixels."""
    if height < 1 or width < 1:
        raise InputError(f"height={height}, width={width} is not an image's size; give positive numbers of pixels")
    farthest = float(spec.translate * spec.size)
    return DrawPlan(
        height=height,
        width=width,
        size=spec.size,
        crops=spec.crop_scale is not None,
        scale=_range(spec.crop_scale or (1.0, 1.0)),
        log_ratio=_log_range(spec.crop_ratio),
        fallback=_fallback(spec, height, width),
        flip_below=_below(spec.flip_p),
        jitter_below=_below(spec.jitter_p) if spec.jitters else 0,
        factors=(
            _factor(spec.brightness),
            _factor(spec.contrast),
            _factor(spec.saturation),
            (0.0 - spec.hue, 2.0 * spec.hue),
        ),
        gray_below=_below(spec.gray_p),
        blur_below=_below(spec.blur_p),
        sigma=_range(spec.blur_sigma),
        solarize_below=_below(spec.solarize_p),
        vertical_flip_below=_below(spec.vertical_flip_p),
        pad=spec.pad,
        affine_below=_below(spec.affine_p) if spec.warps else 0,
        angle=(0.0 - spec.rotation, 2.0 * spec.rotation),
        translate=(0.0 - farthest, 2.0 * farthest),
        noise_below=_below(spec.noise_p),
        noise_sigma=_range(spec.noise_sigma),
        erase_below=_below(spec.erase_p),
        erase_scale=_range(spec.erase_scale),
        erase_log_ratio=_log_range(spec.erase_ratio),
    )


def _range(bounds: tuple[float, float]) -> Span:
    return float(bounds[0]), float(bounds[1] - bounds[0])


def _log_range(ratios: tuple[float, float]) -> Span:
    low, high = (math.log(ratio) for ratio in ratios)
    return low, high - low


def _below(probability: float | int) -> int:
    return round(probability * 2**24)


def _factor(strength: float | int) -> Span:
    """torchvision's ColorJitter: uniform on [max(0, 1 - strength), 1 + strength]."""
    low = max(0.0, 1.0 - strength)
    return low, 1.0 + strength - low  # floats for integer strengths too: the compiled sampler has one signature


def _fallback(spec: ViewSpec, height: int, width: int) -> tuple[int, int, int, int]:
    top, left, tall, wide = map(int, fallback_boxes(spec, np.array([[height, width]]))[0])
    return top, left, tall, wide


def fallback_boxes(spec: ViewSpec, sizes: Int64[np.ndarray, "n 2"]) -> Int64[np.ndarray, "n 4"]:
    """`DrawPlan.fallback` for images of these sizes (height, width).

    With a random crop, torchvision's: the largest central box whose ratio is the nearest allowed one.
    """
    height, width = sizes[:, 0], sizes[:, 1]
    tall, wide = height, width
    if spec.crop_scale is not None:
        low, high = spec.crop_ratio
        ratio = width / height
        tall = np.where(ratio < low, np.maximum(1, np.rint(width / low)), height).astype(np.int64)
        wide = np.where(ratio > high, np.maximum(1, np.rint(height * high)), width).astype(np.int64)
    elif spec.central is not None:
        tall = wide = np.maximum(1, np.rint(spec.central * np.minimum(height, width))).astype(np.int64)
    return np.stack(((height - tall) // 2, (width - wide) // 2, tall, wide), axis=1)


def exp(x: Any) -> Any:
    """e^x for |x| below about 8, to 1e-14, from products and sums alone, for floats and float64 tensors.

    Library exponentials differ in the last bit between devices, and a last bit can move a crop by a pixel. Taylor's
    series of x / 16 to the tenth power (remainder below 1e-10 at 8, 1e-16 at the usual ratios), squared four times.
    """
    x = x * 0.0625
    series = x * EXP_SERIES[0] + 1.0
    for term in EXP_SERIES[1:]:
        series = x * series * term + 1.0
    for _ in range(4):
        series = series * series
    return series


def check_key(key: ViewKey) -> None:
    """Raises `InputError` for a seed, epoch or view that does not fit the counter; the index is not looked at."""
    for name, value, bits in (("seed", key.seed, 64), ("epoch", key.epoch, 32)):
        if not 0 <= value < 2**bits:
            raise InputError(f"{name}={value} does not fit in {bits} bits; give a number from 0 to 2**{bits} - 1")
    if not 0 <= key.view < _VIEWS:
        raise InputError(f"view={key.view} is not a view number; give a number from 0 to {_VIEWS - 1}")
