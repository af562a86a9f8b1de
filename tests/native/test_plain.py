"""The plain pool beside the C pool: the same bytes, the same failures; and which of them is opened."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from fastssl import native
from fastssl.data.jpeg import decode_jpeg
from fastssl.native.plain import PlainPool
from tests.native.images import SUBSAMPLINGS, AnyPool, as_jpeg, one_batch, textured


@pytest.fixture
def pools(needs_library: None) -> Iterator[tuple[native.Pool, PlainPool]]:
    with native.Pool(2) as in_c, PlainPool(2, decode_jpeg) as plain:
        yield in_c, plain


def views_of(
    pool: AnyPool, image: bytes | np.ndarray, whole: tuple[int, int], boxes: np.ndarray, size: int, mode: str,
    scaled: bool = False,
) -> np.ndarray:  # fmt: skip
    """A view for each box (top, left, height, width, flip) of one image, (boxes, size, size, 3)."""
    source, samples = one_batch([image] * len(boxes), whole)
    out = np.zeros((len(boxes), size, size, 3), np.uint8)
    assert pool.make_crops(source, samples, [native.View(boxes.astype(np.int32), out, mode)], scaled=scaled) == []
    return out


def random_boxes(num: int, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(height + 7 * width)
    sizes = rng.integers(1, (height + 1, width + 1), (num, 2))
    places = rng.integers(0, (height, width) - sizes + 1)
    return np.concatenate([places, sizes, rng.integers(0, 2, (num, 1))], axis=1)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [1, 2, 17, 32, 96])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 40), (40, 1), (31, 47), (32, 32), (375, 500)])
def test_views_of_raw_pixels_equal_those_in_c(pools, height: int, width: int, size: int, mode: str):
    """Growing and shrinking, both ways, of noise: every rounding shows."""
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    boxes = np.concatenate([random_boxes(12, height, width), [[0, 0, height, width, 0], [0, 0, height, width, 1]]])
    in_c, plain = (views_of(pool, noise, (height, width), boxes, size, mode) for pool in pools)
    assert (in_c == plain).all()


@pytest.mark.parametrize("scaled", [False, True], ids=["whole", "scaled"])
@pytest.mark.parametrize("sampling", SUBSAMPLINGS)
@pytest.mark.parametrize(("height", "width"), [(17, 23), (150, 211), (509, 383)])
def test_views_of_a_jpeg_equal_those_in_c(pools, height: int, width: int, sampling: str, scaled: bool):
    data, boxes = as_jpeg(textured(height, width), subsampling=SUBSAMPLINGS[sampling]), random_boxes(40, height, width)
    for size in (7, 48):
        in_c, plain = (views_of(pool, data, (height, width), boxes, size, "bicubic", scaled) for pool in pools)
        assert (in_c == plain).all()


def test_scaled_views_of_gray_and_progressive_jpegs_equal_those_in_c(pools):
    gray, progressive = as_jpeg(textured(200, 301)[:, :, 0]), as_jpeg(textured(200, 301), progressive=True)
    for data in (gray, progressive):
        in_c, plain = (
            views_of(pool, data, (200, 301), random_boxes(40, 200, 301), 9, "bilinear", True) for pool in pools
        )
        assert (in_c == plain).all()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_the_same_damaged_images_fail_as_in_c(pools, options: dict[str, Any]):
    data, rng = as_jpeg(textured(120, 160), **options), np.random.default_rng(1)
    damaged = [data[:at] for at in range(1, len(data), 211)]
    for at in [*range(2, 700, 5), *range(700, len(data), 151)]:
        some = bytearray(data)
        some[at] ^= int(rng.integers(1, 256))
        damaged.append(bytes(some))
    source, samples = one_batch(damaged, (120, 160))
    boxes, failed, outs = np.tile(np.array([[0, 0, 120, 160]], np.int32), (len(damaged), 1)), [], []
    for pool in pools:
        outs.append(np.zeros((len(damaged), 120, 160, 3), np.uint8))
        failed.append(pool.read_images(source, samples, boxes, outs[-1]))
    assert [failure.sample for failure in failed[0]] == [failure.sample for failure in failed[1]]
    whole = np.setdiff1d(np.arange(len(damaged)), [failure.sample for failure in failed[0]])
    assert (outs[0][whole] == outs[1][whole]).all()
    for in_c, plain in zip(*failed, strict=True):
        assert in_c.message.split(":")[0] == plain.message.split(":")[0]


def test_what_the_decoder_raises_is_the_failures_line():
    def decode(data: bytes | memoryview, height: int, width: int) -> np.ndarray:
        raise RuntimeError(f"no {height} x {width} today")

    source, samples = one_batch([as_jpeg(textured(8, 9)), as_jpeg(textured(8, 9)), textured(8, 9)], (8, 9))
    samples["height"][1] = 7
    with PlainPool(1, decode) as pool:
        failures = pool.read_images(source, samples, np.zeros((3, 4), np.int32) + 1, np.zeros((3, 8, 9, 3), np.uint8))
    assert failures == [
        (0, "damaged JPEG: no 8 x 9 today"),
        (1, "wrong size: the JPEG is 8 x 9, its entry says 7 x 9"),
    ]


def test_the_c_pool_is_opened_where_it_is_compiled(needs_library: None):
    with native.open_pool(1, decode_jpeg) as pool:
        assert (type(pool), pool.kind, pool.num_threads) == (native.Pool, "native", 1)


def test_the_plain_pool_is_opened_where_the_c_pool_is_not_compiled(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(native, "load", lambda: "not compiled")
    with native.open_pool(3, decode_jpeg) as pool:
        assert (type(pool), pool.kind, pool.num_threads) == (PlainPool, "plain", 3)
