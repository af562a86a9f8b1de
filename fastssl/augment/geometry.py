"""Where pixels come from after the resize: pad-and-crop, flips, rotation with translation; and the erased box.

Each function takes one value per sample and keeps the shape. None is random, none waits for the device. The moves by
whole pixels copy values exactly; the rotation is torchvision's `functional.affine` on float tensors (bilinear, black
outside, about the centre), with coordinates in float64, as a pixel's place is what rounding would hurt first.
"""

import math

import torch
from jaxtyping import Bool, Float32, Float64, Int, Shaped
from torch import Tensor

from fastssl.augment.colour import Images, spread

Coordinates = Float64[Tensor, "b s s"]


def shift(images: Images, offset: Int[Tensor, "b 2"]) -> Images:
    """out(y, x) = image(y + down, x + right), black outside: a crop of `size` from the image padded with zeros."""
    rows, columns = (
        torch.arange(extent, device=images.device) + offset[:, axis, None]
        for axis, extent in enumerate(images.shape[2:])
    )
    return pixels_at(images, rows[:, :, None], columns[:, None, :])


def flip_horizontally(images: Images, chosen: Bool[Tensor, "b"]) -> Images:
    """Left to right, where `chosen`."""
    return torch.where(spread(chosen), images.flip(-1), images)


def flip_vertically(images: Images, chosen: Bool[Tensor, "b"]) -> Images:
    """Top to bottom, where `chosen`."""
    return torch.where(spread(chosen), images.flip(-2), images)


def affine(images: Images, angle: Float32[Tensor, "b"], translate: Int[Tensor, "b 2"]) -> Images:
    """Rotated by `angle` degrees clockwise about the centre, then moved (down, right) by whole pixels.

    A sample whose angle and translation are 0 stays as it is, bit for bit.
    """
    y, x = affine_source(angle, translate, images.shape[2])
    top, left = y.floor(), x.floor()
    moved = torch.zeros_like(images)
    for down in (0, 1):
        for right in (0, 1):
            weight = (1 - (y - top - down).abs()) * (1 - (x - left - right).abs())
            moved += weight[:, None].float() * pixels_at(images, (top + down).long(), (left + right).long())
    return torch.where(spread(is_moved(angle, translate)), moved, images)


def is_moved(angle: Float32[Tensor, "b"], translate: Int[Tensor, "b 2"]) -> Bool[Tensor, "b"]:
    return (angle != 0) | (translate != 0).any(dim=1)


def affine_source(
    angle: Float32[Tensor, "b"], translate: Int[Tensor, "b 2"], size: int
) -> tuple[Coordinates, Coordinates]:
    """Row and column of the image at which each pixel of the rotated and translated image is read."""
    centre = (size - 1) / 2
    radians = angle.double()[:, None, None] * (math.pi / 180)
    cos, sin = radians.cos(), radians.sin()
    place = torch.arange(size, dtype=torch.float64, device=angle.device) - centre
    y, x = (place - translate[:, axis, None] for axis in (0, 1))
    y, x = y[:, :, None], x[:, None, :]
    return centre - sin * x + cos * y, centre + cos * x + sin * y


def pixels_at(images: Images, row: Int[Tensor, "b _ _"], column: Int[Tensor, "b _ _"]) -> Images:
    """image(row, column) for each pixel of a view, black where that lies outside."""
    height, width = images.shape[2:]
    inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    place = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
    values = images.flatten(2).gather(2, place.flatten(1)[:, None].expand(-1, images.shape[1], -1))
    return torch.where(inside[:, None], values.view_as(images), 0.0)


def erase(images: Images, box: Int[Tensor, "b 4"], value: float) -> Images:
    """The box (top, left, height, width in pixels) set to `value`; a box of height 0 erases nothing."""
    top, left, height, width = box[:, :, None].unbind(1)
    rows, columns = (torch.arange(extent, device=images.device) for extent in images.shape[2:])
    inside = _between(rows, top, height)[:, :, None] & _between(columns, left, width)[:, None, :]
    return torch.where(inside[:, None], value, images)


def _between(place: Shaped[Tensor, "s"], start: Int[Tensor, "b 1"], length: Int[Tensor, "b 1"]) -> Bool[Tensor, "b s"]:
    return (place >= start) & (place < start + length)
