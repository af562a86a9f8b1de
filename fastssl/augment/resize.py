"""Crop and resize, each sample by its own box: two batched matrix products with per-sample weights.

Row i of a weight matrix says how much of each source row (or column) goes into output row i. It is zero outside the
crop, so crop and resize are one product, and the filter ends at the crop's edge as when the crop is cut out first.
The weights are those of torch's `upsample` kernels (aten/src/ATen/native/UpSample.h), which torchvision's
`resized_crop` calls: half-pixel centres; with antialias the filter widens by the shrink factor, is cut at the edge and
normalised; without it the source coordinate (bilinear) or the taps (bicubic) are clamped to the crop.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from jaxtyping import Float32, Float64, Int, Shaped
from torch import Tensor

from fastssl.errors import InputError

# Keys' cubic: torch takes a = -.5 with antialias (as Pillow does) and -.75 without (as OpenCV does).
CUBIC_ANTIALIAS, CUBIC_PLAIN = -0.5, -0.75
TAPS = {"bilinear": 2, "bicubic": 4}
"""Source pixels under the filter when nothing shrinks."""
_CHUNK_BYTES = 256 * 2**20
"""Most float32 bytes of source, weights and result of the first product held at once."""


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Keeps a surrounding autocast, meant for the network, off the pixels."""
    known = torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if known else nullcontext()


def crop_resize(
    images: Shaped[Tensor, "b 3 h w"],
    crop: Int[Tensor, "b 4"],
    size: int,
    interpolation: str = "bilinear",
    antialias: bool = True,
) -> Float32[Tensor, "b 3 {size} {size}"]:
    """Each image's crop (top, left, height, width in pixels) at `size` x `size`; uint8 0-255 becomes 0-1.

    Float images keep their range. Bicubic may overshoot it, as torchvision's does on floats. Equal to
    `torchvision.transforms.v2.functional.resized_crop` on floats to 1e-5. Deterministic, no host sync; memory beyond
    the result is bounded (or one image's, where that is more). Contiguous result. Autocast is off inside; where the
    caller lets float32 products run in TF32, weights lose all but 11 bits (error about 1e-3 of the range).
    """
    if interpolation not in TAPS:
        raise InputError(f"interpolation={interpolation!r} is unknown; give 'bilinear' or 'bicubic'")
    height, width = images.shape[2:]
    per_image = 4 * (3 * height * width + 3 * size * width + 2 * size * (height + width))
    chunk = max(1, _CHUNK_BYTES // per_image)
    with full_precision(images.device):
        parts = [
            _resize_chunk(some, boxes, size, interpolation, antialias)
            for some, boxes in zip(images.split(chunk), crop.split(chunk), strict=True)
        ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _resize_chunk(
    images: Shaped[Tensor, "b 3 h w"], crop: Int[Tensor, "b 4"], size: int, interpolation: str, antialias: bool
) -> Float32[Tensor, "b 3 s s"]:
    top, left, crop_height, crop_width = crop.unbind(1)
    rows = resize_weights(top, crop_height, images.shape[2], size, interpolation, antialias)
    columns = resize_weights(left, crop_width, images.shape[3], size, interpolation, antialias)
    pixels = images.float() if images.is_floating_point() else images.float() * (1 / 255)
    b, channels, height, width = images.shape
    narrow = torch.bmm(pixels.reshape(b, channels * height, width), columns.mT)
    return torch.matmul(rows[:, None], narrow.view(b, channels, height, size))


def resize_weights(
    start: Int[Tensor, "b"], length: Int[Tensor, "b"], extent: int, size: int, interpolation: str, antialias: bool
) -> Float32[Tensor, "b size extent"]:
    """Weights that take `length` pixels from `start` on, out of `extent`, to `size` pixels. Rows add up to 1."""
    device = start.device
    source = torch.arange(extent, device=device, dtype=torch.float64) - start[:, None]
    inside = (source >= 0) & (source < length[:, None])
    scale = (length.double() / size)[:, None]
    centre = scale * (torch.arange(size, device=device, dtype=torch.float64) + 0.5)
    if antialias:
        return _widened(source, inside, scale, centre, interpolation)
    return _clamped(source, length[:, None].double(), centre, interpolation)


def _widened(
    source: Float64[Tensor, "b extent"],
    inside: Shaped[Tensor, "b extent"],
    scale: Float64[Tensor, "b 1"],
    centre: Float64[Tensor, "b size"],
    interpolation: str,
) -> Float32[Tensor, "b size extent"]:
    stretch = scale.clamp(min=1.0)[:, :, None]
    distance = ((source[:, None, :] + 0.5 - centre[:, :, None]) / stretch).abs()
    weights = hat(distance) if interpolation == "bilinear" else cubic(distance, CUBIC_ANTIALIAS)
    weights = weights * inside[:, None, :]
    return (weights / weights.sum(dim=-1, keepdim=True)).float()


def _clamped(
    source: Float64[Tensor, "b extent"],
    length: Float64[Tensor, "b 1"],
    centre: Float64[Tensor, "b size"],
    interpolation: str,
) -> Float32[Tensor, "b size extent"]:
    position = centre - 0.5
    if interpolation == "bilinear":
        position = position.clamp(min=0.0)
    first = position.floor()
    weights = torch.zeros(*centre.shape, source.shape[1], dtype=torch.float64, device=source.device)
    half = TAPS[interpolation] // 2
    for offset in range(1 - half, half + 1):
        tap = first + offset
        distance = (tap - position).abs()
        weight = hat(distance) if interpolation == "bilinear" else cubic(distance, CUBIC_PLAIN)
        tap = torch.minimum(tap.clamp(min=0.0), length - 1)
        weights += weight[:, :, None] * (source[:, None, :] == tap[:, :, None])
    return weights.float()


def hat(distance: Float64[Tensor, "*shape"]) -> Float64[Tensor, "*shape"]:
    return (1 - distance).clamp(min=0.0)


def cubic(distance: Float64[Tensor, "*shape"], a: float) -> Float64[Tensor, "*shape"]:
    """Keys 1981, "Cubic convolution interpolation for digital image processing", eq. 15 with free `a`."""
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))
