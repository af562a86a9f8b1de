"""The resize of the native decoder beside torchvision's antialiased one on floats."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional

from fastssl.native.library import load
from tests.native.images import AnyPool, Cut, textured

pytestmark = pytest.mark.parametrize("open_pool", ["native"], indirect=True)  # the plain one equals it bit for bit
MODES = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}
# (image height, width), crop, size: shrinking, growing, both, one pixel, one row, a long filter, sizes not of four.
CASES = [
    ((375, 500), (10, 20, 300, 400), 224), ((375, 500), (50, 60, 200, 200), 224), ((375, 500), (0, 0, 375, 500), 96),
    ((31, 47), (3, 4, 20, 30), 17), ((31, 47), (0, 0, 31, 47), 64), ((32, 32), (0, 0, 5, 3), 32),
    ((32, 32), (31, 31, 1, 1), 8), ((9, 200), (4, 0, 1, 200), 5), ((600, 40), (0, 1, 600, 39), 3),
    ((64, 64), (1, 2, 62, 60), 1), ((50, 50), (10, 10, 33, 21), 66), ((7, 7), (0, 0, 7, 7), 7),
]  # fmt: skip
LEVELS = 0.56
"""Largest distance from the exact result: half a level of rounding and the fixed point's own error (seen: .54)."""
LONG_LEVELS = 0.65
"""The same for filters of more than 16 source pixels, whose weights are rounded more often (seen: .61)."""


def torchvision_view(image: np.ndarray, box: tuple[int, int, int, int], size: int, interpolation: str) -> np.ndarray:
    """Levels as floats, cut to 0-255, (size, size, 3)."""
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1).double()
    view = functional.resized_crop(pixels, *box, [size, size], MODES[interpolation], antialias=True)
    return view.clamp(0, 255).permute(1, 2, 0).numpy()


@pytest.fixture(params=[0, 1, 2], ids=["plain", "avx2", "avx512"])
def instructions(needs_library: None, request: pytest.FixtureRequest) -> Iterator[int]:
    library = load()
    assert not isinstance(library, str)
    if library.fs_choose_path(request.param) != request.param:
        library.fs_choose_path(2)
        pytest.skip("this processor does not have them")
    yield request.param
    library.fs_choose_path(2)


@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize(("whole", "box", "size"), CASES)
def test_resize_is_within_a_level_of_torchvision(cut: Cut, instructions: int, whole, box, size, interpolation):
    noise = np.random.default_rng(1).integers(0, 256, (*whole, 3), dtype=np.uint8)
    limit = LONG_LEVELS if max(box[2:]) > 4 * size else LEVELS
    for image in (noise, (noise > 127).astype(np.uint8) * 255, textured(*whole)):
        view = cut(image, whole, box, size, interpolation=interpolation)
        assert np.abs(view - torchvision_view(image, box, size, interpolation)).max() < limit


@pytest.mark.parametrize("value", [0, 1, 128, 254, 255])
@pytest.mark.parametrize("interpolation", MODES)
def test_resize_of_a_flat_image_is_flat(cut: Cut, instructions: int, value: int, interpolation: str):
    image = np.full((301, 203, 3), value, np.uint8)
    assert (cut(image, (301, 203), (1, 2, 300, 200), 37, interpolation=interpolation) == value).all()


@pytest.mark.parametrize("interpolation", MODES)
def test_resize_is_the_same_with_all_instructions(pool: AnyPool, cut: Cut, interpolation: str):
    library, rng = load(), np.random.default_rng(2)
    assert not isinstance(library, str)
    try:
        for _ in range(40):
            height, width = (int(n) for n in rng.integers(1, 300, 2))
            box = (0, 0, int(rng.integers(1, height + 1)), int(rng.integers(1, width + 1)))
            image, size = rng.integers(0, 256, (height, width, 3), dtype=np.uint8), int(rng.integers(1, 150))
            views = []
            for most in (0, 1, 2):
                library.fs_choose_path(most)
                views.append(cut(image, (height, width), box, size, interpolation=interpolation))
            assert (views[0] == views[1]).all()
            assert (views[0] == views[2]).all()
    finally:
        library.fs_choose_path(2)


@pytest.mark.parametrize("size", [1, 17, 32])
def test_flip_mirrors_the_view_exactly(cut: Cut, instructions: int, size: int):
    image = textured(40, 57)
    plain, flipped = (cut(image, (40, 57), (3, 5, 30, 41), size, flip=flip) for flip in (False, True))
    assert (flipped == plain[:, ::-1]).all()


@pytest.mark.parametrize("interpolation", MODES)
@pytest.mark.parametrize("size", [1, 17, 32])
def test_a_crop_of_the_views_size_is_copied(cut: Cut, size: int, interpolation: str):
    image, box = textured(40, 57), (3, 5, size, size)
    pixels = image[3 : 3 + size, 5 : 5 + size]
    assert (cut(image, (40, 57), box, size, interpolation=interpolation) == pixels).all()
    assert (cut(image, (40, 57), box, size, flip=True, interpolation=interpolation) == pixels[:, ::-1]).all()
