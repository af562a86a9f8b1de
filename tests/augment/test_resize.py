"""Crop and resize against torchvision's resized_crop."""

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import resized_crop

from fastssl.augment import resize
from fastssl.augment.resize import crop_resize
from fastssl.errors import InputError

CASES = [(31, 47, 17), (9, 13, 32), (32, 32, 32), (64, 40, 24), (33, 33, 8), (5, 5, 1)]


def boxes_of(height, width):
    """The whole image, single pixels in corners, thin strips and boxes between."""
    return torch.tensor(
        [
            [0, 0, height, width],
            [0, 0, 1, 1],
            [height - 1, width - 1, 1, 1],
            [0, width - 3, height, 3],
            [height // 2, 0, 2, width],
            [1, 2, height - 3, width - 2],
            [height // 3, width // 4, height // 2, width // 2],
        ]
    )


@pytest.mark.parametrize(("height", "width", "size"), CASES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [True, False])
def test_crop_resize_equals_torchvision(height, width, size, interpolation, antialias):
    crop = boxes_of(height, width)
    images = torch.rand(len(crop), 3, height, width, generator=torch.Generator().manual_seed(height * size))
    ours = crop_resize(images, crop, size, interpolation, antialias)
    for image, box, view in zip(images, crop, ours, strict=True):
        theirs = resized_crop(image, *box.tolist(), [size, size], InterpolationMode(interpolation), antialias)
        torch.testing.assert_close(view, theirs, atol=1e-5, rtol=0)


def test_crop_resize_scales_uint8_and_reads_channels_last():
    images = torch.randint(0, 256, (3, 3, 31, 47), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    crop = torch.tensor([[2, 3, 20, 30], [0, 0, 31, 47], [5, 5, 7, 9]])
    expected = crop_resize(images.float() / 255, crop, 17)
    last = images.contiguous(memory_format=torch.channels_last)
    for made in (crop_resize(images, crop, 17), crop_resize(last, crop, 17)):
        assert made.dtype == torch.float32
        torch.testing.assert_close(made, expected, atol=1e-6, rtol=0)


def test_crop_resize_in_chunks_gives_the_same(monkeypatch):
    images = torch.rand(7, 3, 20, 30, generator=torch.Generator().manual_seed(1))
    crop = torch.tensor([[i, i, 10, 12] for i in range(7)])
    whole = crop_resize(images, crop, 9)
    monkeypatch.setattr(resize, "_CHUNK_BYTES", 3 * 4 * (3 * 600 + 3 * 9 * 30 + 18 * 50))
    torch.testing.assert_close(crop_resize(images, crop, 9), whole, atol=1e-6, rtol=0)


def test_crop_resize_of_the_whole_image_at_its_size_is_the_image():
    images = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    crop = torch.tensor([[0, 0, 16, 16]] * 2)
    torch.testing.assert_close(crop_resize(images, crop, 16, "bicubic"), images, atol=1e-6, rtol=0)


def test_crop_resize_refuses_an_unknown_interpolation():
    with pytest.raises(InputError, match="interpolation='nearest'"):
        crop_resize(torch.rand(1, 3, 4, 4), torch.tensor([[0, 0, 4, 4]]), 2, "nearest")
