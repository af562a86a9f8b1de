"""Images read to their own place in a batch of a larger size: right in the box, untouched outside the image."""

from collections.abc import Sequence

import numpy as np
import pytest

from fastssl import native
from fastssl.errors import InputError
from tests.native.images import SUBSAMPLINGS, AnyPool, OpenPool, as_jpeg, one_batch, textured, whole_decode

KEPT = 7
"""What lies in the batch before images are read."""


def read(
    pool: AnyPool, images: Sequence[bytes | np.ndarray], size: tuple[int, int], boxes: np.ndarray,
    room: tuple[int, int],
) -> tuple[list[native.Failure], np.ndarray]:  # fmt: skip
    """The failures and the batch, which has a guard image before and after those that are read."""
    source, samples = one_batch(images, size)
    guarded = np.full((len(images) + 2, *room, 3), KEPT, np.uint8)
    failures = pool.read_images(source, samples, boxes.astype(np.int32), guarded[1:-1])
    assert (guarded[[0, -1]] == KEPT).all()
    return failures, guarded[1:-1]


def random_boxes(num: int, height: int, width: int) -> np.ndarray:
    """Boxes anywhere: among them the whole image and the pixel of each corner."""
    rng = np.random.default_rng(height + width)
    sizes = rng.integers(1, (height + 1, width + 1), (num, 2))
    places = rng.integers(0, (height, width) - sizes + 1)
    corners = [[0, 0, 1, 1], [height - 1, 0, 1, 1], [0, width - 1, 1, 1], [height - 1, width - 1, 1, 1]]
    return np.concatenate([[[0, 0, height, width]], corners, np.concatenate([places, sizes], axis=1)])


def assert_boxes_are_right(out: np.ndarray, boxes: np.ndarray, pixels: np.ndarray) -> None:
    height, width = pixels.shape[:2]
    for got, (top, left, rows, columns) in zip(out, boxes, strict=True):
        box = slice(top, top + rows), slice(left, left + columns)
        assert (got[box] == pixels[box]).all()
        assert (got[height:] == KEPT).all()
        assert (got[:, width:] == KEPT).all()


@pytest.mark.parametrize("sampling", SUBSAMPLINGS)
@pytest.mark.parametrize(("height", "width"), [(97, 131), (128, 96), (17, 23), (1, 1), (3, 70), (70, 3)])
def test_box_of_a_jpeg_is_written_to_its_place(pool: AnyPool, height: int, width: int, sampling: str):
    data, boxes = as_jpeg(textured(height, width), subsampling=SUBSAMPLINGS[sampling]), random_boxes(20, height, width)
    failures, out = read(pool, [data] * len(boxes), (height, width), boxes, (height + 5, width + 3))
    assert failures == []
    assert_boxes_are_right(out, boxes, whole_decode(data))


@pytest.mark.parametrize("room", [(60, 81), (61, 90), (200, 81)])
def test_box_of_raw_pixels_is_written_to_its_place(pool: AnyPool, room: tuple[int, int]):
    image, boxes = textured(60, 81), random_boxes(20, 60, 81)
    failures, out = read(pool, [image] * len(boxes), (60, 81), boxes, room)
    assert failures == []
    assert_boxes_are_right(out, boxes, image)


def test_whole_images_of_many_sizes_share_a_batch(pool: AnyPool):
    sizes = [(30, 50), (50, 30), (1, 1), (64, 64)]
    images = [textured(*size) for size in sizes]
    boxes = np.array([(0, 0, *size) for size in sizes])
    failures, out = read(pool, images, (0, 0), boxes, (64, 64))
    assert failures == []
    for got, image in zip(out, images, strict=True):
        assert (got[: image.shape[0], : image.shape[1]] == image).all()


@pytest.mark.parametrize("room", [(39, 60), (40, 59), (10, 10)])
def test_an_image_larger_than_its_place_is_a_failure(pool: AnyPool, room: tuple[int, int]):
    image, small = textured(40, 60), textured(8, 9)
    images = [as_jpeg(image), small, image]
    boxes = np.array([[0, 0, 4, 4], [0, 0, 8, 9], [0, 0, 4, 4]])
    failures, out = read(pool, images, (40, 60), boxes, room)
    line = f"too large: 40 x 60 pixels, and there is room for {room[0]} x {room[1]}"
    assert failures == [(0, line), (2, line)]
    assert (out[[0, 2]] == KEPT).all()
    assert (out[1, :8, :9] == small).all()


def test_bad_samples_fail_alone_and_as_in_make_crops(pool: AnyPool):
    image = textured(40, 60)
    good, box = as_jpeg(image), [0, 0, 40, 60]
    images = [good, good[:300], image, b"", b"\0" * 300, image, good]
    boxes = np.array([box] * 5 + [[0, 0, 41, 1]] + [box])
    failures, out = read(pool, images, (40, 60), boxes, (40, 60))
    assert [failure.sample for failure in failures] == [1, 3, 4, 5]
    for failure, beginning in zip(failures, ("damaged JPEG", "empty", "damaged JPEG", "crop outside"), strict=True):
        assert failure.message.startswith(beginning)
    assert (out[[0, 6]] == whole_decode(good)).all()
    assert (out[2] == image).all()


def test_wrong_arrays_are_refused(pool: AnyPool):
    source, samples = one_batch([textured(8, 8)], (8, 8))
    boxes, out = np.zeros((1, 4), np.int32), np.zeros((1, 8, 8, 3), np.uint8)
    frozen = out.copy()
    frozen.flags.writeable = False
    wrong = [
        (boxes.astype(np.int64), out), (np.zeros((2, 4), np.int32), out), (np.zeros((1, 5), np.int32), out),
        (np.zeros((1, 8), np.int32)[:, ::2], out), (boxes, out.astype(np.int8)), (boxes, out[:, :, :, :2]),
        (boxes, out[0]), (boxes, np.zeros((1, 0, 8, 3), np.uint8)), (boxes, frozen), (boxes, out[:, ::2]),
    ]  # fmt: skip
    for some_boxes, some_out in wrong:
        with pytest.raises(InputError, match=r"(boxes|out) is .*; give"):
            pool.read_images(source, samples, some_boxes, some_out)
    with pytest.raises(InputError, match="samples is"):
        pool.read_images(source, np.zeros(1), boxes, out)


def test_a_closed_pool_is_refused(open_pool: OpenPool):
    pool = open_pool(1)
    pool.close()
    with pytest.raises(InputError, match="pool is closed"):
        read(pool, [textured(8, 8)], (8, 8), np.array([[0, 0, 8, 8]]), (8, 8))
