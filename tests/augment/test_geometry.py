"""Moves, flips, rotation and erasing against torchvision's functional on float tensors."""

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from fastssl.augment import geometry

TURNS = [
    (0.0, (0, 0)),
    (30.0, (0, 0)),
    (-45.0, (2, -3)),
    (90.0, (0, 0)),
    (180.0, (0, 1)),
    (0.0, (-4, 5)),
    (-7.3, (9, 0)),
]


def images(count, size):
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(count + size))


@pytest.mark.parametrize("size", [1, 2, 16, 17])
def test_shift_equals_padding_and_cropping(size):
    offsets = [(0, 0), (2, -1), (-3, 0), (1 - size, size - 1), (size, 0), (0, -size - 4)]
    pad = size + 4
    ours = geometry.shift(images(6, size), torch.tensor(offsets, dtype=torch.int32))
    for image, (down, right), view in zip(images(6, size), offsets, ours, strict=True):
        padded = tv.pad(image, [pad, pad, pad, pad], fill=0)
        assert torch.equal(view, tv.crop(padded, pad + down, pad + right, size, size))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(geometry.flip_horizontally, tv.horizontal_flip), (geometry.flip_vertically, tv.vertical_flip)],
)
def test_flip_equals_torchvision_where_chosen(ours, theirs):
    flipped = ours(images(4, 9), torch.tensor([True, False, True, False]))
    assert torch.equal(flipped[::2], theirs(images(4, 9)[::2]))
    assert torch.equal(flipped[1::2], images(4, 9)[1::2])


@pytest.mark.parametrize("size", [1, 2, 16, 17, 40])
def test_affine_equals_torchvision(size):
    angles, moves = zip(*TURNS, strict=True)
    ours = geometry.affine(images(7, size), torch.tensor(angles), torch.tensor(moves, dtype=torch.int32))
    for image, angle, (down, right), view in zip(images(7, size), angles, moves, ours, strict=True):
        theirs = tv.affine(
            image, angle, [right, down], 1.0, [0.0, 0.0], interpolation=InterpolationMode.BILINEAR, fill=None
        )
        torch.testing.assert_close(view, theirs, atol=2e-5, rtol=0)


def test_affine_that_moves_nothing_changes_no_bit():
    still = geometry.affine(images(5, 33), torch.zeros(5), torch.zeros(5, 2, dtype=torch.int32))
    assert torch.equal(still, images(5, 33))


def test_affine_by_whole_pixels_is_an_exact_shift():
    moves = torch.tensor([[3, -2], [0, 7], [-33, 1]], dtype=torch.int32)
    moved = geometry.affine(images(3, 33), torch.zeros(3), moves)
    assert torch.equal(moved, geometry.shift(images(3, 33), -moves))


def test_erase_equals_torchvision_and_height_0_erases_nothing():
    boxes = [(0, 0, 3, 5), (10, 12, 7, 5), (0, 0, 16, 16), (4, 4, 0, 9), (5, 5, 1, 1)]
    ours = geometry.erase(images(5, 17), torch.tensor(boxes, dtype=torch.int32), -1.5)
    for image, (top, left, height, width), view in zip(images(5, 17), boxes, ours, strict=True):
        filled = torch.full((3, height, width), -1.5)
        assert torch.equal(view, tv.erase(image, top, left, height, width, filled))
    assert torch.equal(ours[3], images(5, 17)[3])
