"""What is measured of views: pixel statistics, the crop box read back from pixels, the Kolmogorov-Smirnov distance."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from fastssl.views import ViewSpec

CHANNELS = ("red", "green", "blue")
QUANTILES = (0.05, 0.25, 0.50, 0.75, 0.95)
_MAX_PIXELS = 4096
"""Pixels per view that enter the statistics, on a regular grid; a view of 64 px counts whole."""
_GRAY_LEVELS = 1.5
"""Channels that agree this closely everywhere, in levels of 255, make a gray view: one level of rounding and a half."""


def pixel_statistics(views: Float[Tensor, "n 3 s s"], spec: ViewSpec) -> dict[str, float]:
    """Mean, standard deviation and quantiles per channel of normalised pixels, and the share of gray views."""
    stride = max(1, math.ceil(views.shape[-1] / math.sqrt(_MAX_PIXELS)))
    pixels = views[:, :, ::stride, ::stride].float().cpu()
    statistics = {}
    for channel, values in zip(CHANNELS, pixels.unbind(1), strict=True):
        values = values.numpy().reshape(-1)
        statistics[f"{channel} mean"] = float(values.mean(dtype=np.float64))
        statistics[f"{channel} std"] = float(values.std(dtype=np.float64))
        for share, value in zip(QUANTILES, np.quantile(values, QUANTILES), strict=True):
            statistics[f"{channel} q{share * 100:02.0f}"] = float(value)
    return {**statistics, "gray share": float(_is_gray(pixels, spec).float().mean())}


def _is_gray(pixels: Float[Tensor, "n 3 s s"], spec: ViewSpec) -> Bool[Tensor, "n"]:
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (spec.mean, spec.std))
    levels = (pixels * std + mean) * 255
    return (levels.amax(1) - levels.amin(1)).amax((1, 2)) < _GRAY_LEVELS


def ks_distance(a: Float[np.ndarray, "n"], b: Float[np.ndarray, "m"]) -> float:
    """Largest gap between two empirical distribution functions."""
    places = np.concatenate([a, b])
    gaps = [np.searchsorted(np.sort(sample), places, side="right") / len(sample) for sample in (a, b)]
    return float(np.max(np.abs(gaps[0] - gaps[1])))


def ks_bound(n: int, m: int, p: float) -> float:
    """Distance that two samples of one distribution exceed with probability p (Smirnov 1948, large samples).

    On data with ties, such as crops of whole pixels, it is exceeded less often.
    """
    return math.sqrt(-math.log(p / 2) / 2) * math.sqrt((n + m) / (n * m))


def _ramp_step(side: int) -> float:
    """Levels per pixel: whole when that fits, so that small ramps are exact."""
    return 255 // (side - 1) if 1 < side <= 256 else 255 / max(side - 1, 1)


def coordinate_ramp(height: int, width: int) -> UInt8[Tensor, "3 h w"]:
    """An image that tells where each pixel is: red grows with x, green with y, blue is 0."""
    x = (torch.arange(width) * _ramp_step(width)).round()
    y = (torch.arange(height) * _ramp_step(height)).round()
    return torch.stack([x.expand(height, width), y[:, None].expand(height, width), torch.zeros(height, width)]).to(
        torch.uint8
    )


@dataclass(frozen=True)
class MeasuredCrops:
    boxes: Int64[Tensor, "n 4"]
    """Top, left, height, width, rounded to whole pixels."""
    flipped: Bool[Tensor, "n"]
    channels_in_order: Bool[Tensor, "n"]
    """Red varies along x only, green along y only, blue nowhere."""


def read_crops(views: Float[Tensor, "n 3 s s"], height: int, width: int) -> MeasuredCrops:
    """What a geometric pipeline did to `coordinate_ramp(height, width)`; `views` are in 0-1, unnormalised."""
    levels = views.double().cpu() * 255
    red, green, blue = levels.unbind(1)
    left, crop_width, slope = _read_axis(red.mean(1), width)
    top, crop_height, _ = _read_axis(green.mean(2), height)
    stray = torch.stack([_spread(red, 1), _spread(green, 2), blue.abs().amax((1, 2))]).amax(0)
    boxes = torch.stack([top, left, crop_height, crop_width], dim=1).round().long()
    return MeasuredCrops(boxes=boxes, flipped=slope < 0, channels_in_order=stray < 2.0)


def _spread(levels: Float[Tensor, "n s s"], dim: int) -> Float[Tensor, "n"]:
    return (levels.amax(dim) - levels.amin(dim)).amax(1)


def _read_axis(profile: Float[Tensor, "n s"], side: int) -> tuple[Tensor, Tensor, Tensor]:
    """First pixel, length and signed slope of a crop, from a line fitted to the middle half of the profile.

    The outer quarters are left out: there a resize clamps at the crop's edge and is not linear.
    """
    size = profile.shape[1]
    low, high = size // 4, size - size // 4
    offsets = torch.arange(low, high, dtype=torch.float64) - (size - 1) / 2
    coordinates = profile[:, low:high] / _ramp_step(side)
    centre = coordinates.mean(1)
    slope = (coordinates * offsets).sum(1) / offsets.square().sum()
    length = (slope.abs() * size).clamp(1, side)
    return centre - (length - 1) / 2, length, slope
