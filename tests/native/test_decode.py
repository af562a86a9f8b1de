"""What is decoded for some crops equals what a whole decode gives there."""

import io
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from fastssl import native
from tests.native.images import SUBSAMPLINGS, AnyPool, Cut, OpenPool, as_jpeg, one_batch, textured, whole_decode
from tests.native.test_region_resize import LEVELS, torchvision_view

SIZES = [(97, 131), (128, 96), (200, 333), (17, 23), (8, 8), (1, 1), (3, 70), (70, 3)]


def squares(height: int, width: int, seed: int, num: int) -> list[tuple[int, int, int, int]]:
    """Square boxes anywhere, among them one in each corner: at their own size the resize copies them."""
    rng, boxes = np.random.default_rng(seed), []
    for number in range(num):
        side = int(rng.integers(1, min(height, width) + 1))
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        if number < 4:
            top, left = (number // 2) * (height - side), (number % 2) * (width - side)
        boxes.append((top, left, side, side))
    return boxes


def assert_regions_equal(cut: Cut, data: bytes, height: int, width: int, num: int = 24) -> None:
    whole = whole_decode(data)
    for top, left, side, _ in squares(height, width, seed=height * width, num=num):
        got = cut(data, (height, width), (top, left, side, side), side)
        assert (got == whole[top : top + side, left : left + side]).all(), (top, left, side)


@pytest.mark.parametrize("sampling", SUBSAMPLINGS)
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_region_equals_the_whole_decode(cut: Cut, height: int, width: int, sampling: str):
    data = as_jpeg(textured(height, width), subsampling=SUBSAMPLINGS[sampling])
    assert_regions_equal(cut, data, height, width)


@pytest.mark.parametrize("sampling", SUBSAMPLINGS)
@pytest.mark.parametrize("options", [{"restart_marker_blocks": 5}, {"restart_marker_rows": 1}, {"progressive": True}])
def test_region_of_other_codings_equals_the_whole_decode(cut: Cut, sampling: str, options: dict[str, Any]):
    data = as_jpeg(textured(150, 211), subsampling=SUBSAMPLINGS[sampling], **options)
    assert_regions_equal(cut, data, 150, 211)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_region_of_a_gray_jpeg_equals_the_whole_decode(cut: Cut, height: int, width: int):
    data = as_jpeg(textured(height, width)[:, :, 0])
    assert_regions_equal(cut, data, height, width)


@pytest.mark.parametrize("factors", [0x411111, 0x121111], ids=["4:1:1", "4:4:0"])
def test_region_of_rare_samplings_equals_the_whole_decode(cut: Cut, factors: int):
    done, data = cv2.imencode(".jpg", textured(150, 211), [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factors])
    assert done
    assert_regions_equal(cut, data.tobytes(), 150, 211)


def test_region_of_a_jpeg_in_rgb_equals_the_whole_decode(cut: Cut):
    assert_regions_equal(cut, as_jpeg(textured(150, 211), keep_rgb=True), 150, 211)


@pytest.mark.parametrize("sampling", SUBSAMPLINGS)
def test_every_place_of_a_small_box_equals_the_whole_decode(cut: Cut, sampling: str):
    data = as_jpeg(textured(120, 152), subsampling=SUBSAMPLINGS[sampling])
    whole = whole_decode(data)
    for top in range(0, 112, 3):
        for left in range(0, 144, 7):
            assert (cut(data, (120, 152), (top, left, 8, 8), 8) == whole[top : top + 8, left : left + 8]).all()


def test_many_views_of_one_image_equal_each_alone(pool: AnyPool, cut: Cut):
    data = as_jpeg(textured(240, 320))
    boxes = [(10, 20, 100, 90), (0, 200, 60, 120), (180, 300, 60, 20), (5, 6, 230, 310)]
    sizes = [64, 32, 17, 96]
    source, samples = one_batch([data], (240, 320))
    views = [
        native.View(np.array([[*box, 1]], np.int32), np.zeros((1, size, size, 3), np.uint8))
        for box, size in zip(boxes, sizes, strict=True)
    ]
    assert pool.make_crops(source, samples, views) == []
    for view, box, size in zip(views, boxes, sizes, strict=True):
        assert (view.out[0] == cut(data, (240, 320), box, size, flip=True)).all()


def scaled_decode(data: bytes, shrink: int) -> np.ndarray:
    image = Image.open(io.BytesIO(data))
    width, height = image.size
    image.draft("RGB", (-(-width // shrink), -(-height // shrink)))
    return np.asarray(image)


@pytest.mark.parametrize("sampling", SUBSAMPLINGS)
@pytest.mark.parametrize("shrink", [2, 4, 8])
def test_scaled_decode_is_taken_where_the_crop_shrinks_enough(cut: Cut, shrink: int, sampling: str):
    data = as_jpeg(textured(512, 768), subsampling=SUBSAMPLINGS[sampling])
    small = scaled_decode(data, shrink)
    assert small.shape == (512 // shrink, 768 // shrink, 3)
    for top, left in ((0, 0), (160, 256), (128, 320)):
        got = cut(data, (512, 768), (top, left, 256, 256), 256 // shrink, scaled=True)
        side = 256 // shrink
        assert (got == small[top // shrink :, left // shrink :][:side, :side]).all()


def test_scaled_decode_is_not_taken_where_one_crop_shrinks_less(pool: AnyPool):
    data = as_jpeg(textured(512, 768))
    source, samples = one_batch([data], (512, 768))
    boxes = [(0, 0, 256, 256), (0, 0, 127, 200)]
    for scaled in (False, True):
        views = [native.View(np.array([[*box, 0]], np.int32), np.zeros((1, 64, 64, 3), np.uint8)) for box in boxes]
        assert pool.make_crops(source, samples, views, scaled=scaled) == []
        exact = torchvision_view(whole_decode(data), boxes[0], 64, "bilinear")
        assert np.abs(views[0].out[0] - exact).max() < LEVELS


def test_scaled_decode_resizes_between_its_pixels(cut: Cut):
    """An odd crop at half scale begins between two pixels; a smooth image must not move."""
    y, x = np.mgrid[:400, :400]
    ramp = np.stack([x * 0.6, y * 0.6, 120 + 0 * x], axis=2).astype(np.uint8)
    data, box = as_jpeg(ramp, quality=100, subsampling=0), (33, 51, 201, 183)
    exact = torchvision_view(whole_decode(data), box, 64, "bilinear")
    assert np.abs(cut(data, (400, 400), box, 64, scaled=True) - exact).max() < 2.0


def test_views_do_not_depend_on_threads_or_batch(open_pool: OpenPool):
    rng = np.random.default_rng(3)
    images = [textured(100, 140, seed) if seed % 3 else as_jpeg(textured(100, 140, seed)) for seed in range(50)]
    boxes = np.stack([rng.integers(0, 40, 50), rng.integers(0, 40, 50), rng.integers(1, 60, 50),
                      rng.integers(1, 100, 50), rng.integers(0, 2, 50)], axis=1).astype(np.int32)  # fmt: skip
    source, samples = one_batch(images, (100, 140))

    def views(threads: int, step: int) -> np.ndarray:
        out = np.zeros((50, 48, 48, 3), np.uint8)
        with open_pool(threads) as pool:
            for at in range(0, 50, step):
                part = slice(at, at + step)
                assert pool.make_crops(source, samples[part], [native.View(boxes[part], out[part])]) == []
        return out

    alone = views(1, 1)
    assert alone.any()
    for threads, step in ((1, 50), (2, 50), (5, 7), (16, 50)):
        assert (views(threads, step) == alone).all()
