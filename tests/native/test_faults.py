"""Damaged, cut-off and hostile input: an error per sample, never a crash and never silent gray."""

import gc
import os
import struct
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastssl import native
from fastssl.errors import InputError
from tests.native.images import AnyPool, OpenPool, as_jpeg, one_batch, textured, whole_decode

SIZE = (120, 160)


def failures_of(pool: AnyPool, images: list, box: tuple = (0, 0, 120, 160), size: tuple[int, int] = SIZE):
    """The failures, and the views with 7 where nothing was written."""
    source, samples = one_batch(images, size)
    out = np.full((len(images), 32, 32, 3), 7, np.uint8)
    crops = np.tile(np.array([[*box, 0]], np.int32), (len(images), 1))
    return pool.make_crops(source, samples, [native.View(crops, out)]), out


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_a_cut_off_jpeg_is_an_error_wherever_it_is_cut(pool: AnyPool, options: dict[str, Any]):
    data = as_jpeg(textured(*SIZE), **options)
    cut_off = [data[:at] for at in (*range(1, len(data) - 1, 97), len(data) - 2, len(data) - 1)]
    for box in ((0, 0, 120, 160), (0, 0, 9, 9), (100, 3, 20, 9)):
        failures, out = failures_of(pool, cut_off, box)
        assert [failure.sample for failure in failures] == list(range(len(cut_off)))
        assert (out == 7).all()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}])
def test_flipped_bytes_give_an_error_or_a_picture_of_the_file(pool: AnyPool, options: dict[str, Any]):
    data, rng = as_jpeg(textured(*SIZE), **options), np.random.default_rng(0)
    damaged = []
    for at in [*range(2, 700, 3), *range(700, len(data), 97)]:
        some = bytearray(data)
        some[at] ^= int(rng.integers(1, 256))
        damaged.append(bytes(some))
    failures, out = failures_of(pool, damaged)
    failed = {failure.sample for failure in failures}
    assert failed
    for place in range(len(damaged)):
        assert (out[place] == 7).all() == (place in failed)


def test_a_gap_in_the_data_is_an_error(pool: AnyPool):
    data = as_jpeg(textured(*SIZE))
    middle = len(data) // 2
    [failure], out = failures_of(pool, [data[:middle] + b"\xff\xd9"])
    assert failure.sample == 0
    assert "damaged JPEG" in failure.message
    assert (out == 7).all()


def test_bytes_after_the_end_marker_are_no_error(pool: AnyPool):
    data = as_jpeg(textured(*SIZE))
    failures, out = failures_of(pool, [data + b"\0" * 5, data])
    assert failures == []
    assert (out[0] == out[1]).all()


def test_failures_name_their_samples_and_leave_the_others_alone(pool: AnyPool):
    image, good = textured(*SIZE), as_jpeg(textured(*SIZE))
    failures, out = failures_of(pool, [good, good[:900], image, b"", b"\0" * 300, image, good])
    assert [failure.sample for failure in failures] == [1, 3, 4]
    assert "empty" in failures[1].message
    assert "not a JPEG" in failures[2].message.replace("Not", "not")
    assert all((out[place] != 7).any() for place in (0, 2, 5, 6))
    assert (out[0] == out[6]).all()


def test_sizes_that_disagree_with_the_entry_are_errors(pool: AnyPool):
    image = textured(*SIZE)
    [failure], _ = failures_of(pool, [as_jpeg(image)], size=(121, 160))
    assert "120 x 160" in failure.message
    assert "121 x 160" in failure.message
    source, samples = one_batch([image, image, image], SIZE)
    samples["bytes"][0] -= 1
    samples["height"][1:] = 0, -1
    view = native.View(np.zeros((3, 5), np.int32), np.zeros((3, 8, 8, 3), np.uint8))
    assert [f.message.split(":")[0] for f in pool.make_crops(source, samples, [view])] == ["wrong size"] * 3


@pytest.mark.parametrize(("offset", "length"), [(1, 57600), (57601, 1), (2**63, 57600), (2**64 - 10, 57600)])
def test_a_payload_outside_the_file_is_an_error(pool: AnyPool, offset: int, length: int):
    source, samples = one_batch([textured(*SIZE)], SIZE)
    samples["offset"], samples["bytes"] = offset, length
    view = native.View(np.array([[0, 0, 9, 9, 0]], np.int32), np.zeros((1, 8, 8, 3), np.uint8))
    [failure] = pool.make_crops(source, samples, [view])
    assert "outside the file" in failure.message


@pytest.mark.parametrize(
    "box",
    [(-1, 0, 9, 9), (0, -1, 9, 9), (0, 0, 0, 9), (0, 0, 9, 0), (112, 0, 9, 9), (0, 152, 9, 9), (0, 0, -5, 9),
     (2**31 - 1, 0, 2**31 - 1, 9), (0, 2**31 - 1, 9, 2**31 - 1), (-(2**31), 0, 9, 9)],
)  # fmt: skip
def test_a_crop_outside_the_image_is_an_error(pool: AnyPool, box: tuple[int, int, int, int]):
    for image in (textured(*SIZE), as_jpeg(textured(*SIZE))):
        [failure], out = failures_of(pool, [image], box)
        assert "crop outside the image" in failure.message
        assert (out == 7).all()


def test_a_header_that_promises_a_huge_image_is_refused_before_memory_is_taken(pool: AnyPool):
    data = bytearray(as_jpeg(textured(*SIZE)))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 65000, 65000)
    [failure], _ = failures_of(pool, [bytes(data)])
    assert "65000 x 65000" in failure.message


def test_a_jpeg_of_four_inks_is_an_error(pool: AnyPool):
    [failure], _ = failures_of(pool, [as_jpeg(np.dstack([textured(*SIZE), textured(*SIZE)[:, :, 0]]), mode="CMYK")])
    assert "Unsupported color conversion" in failure.message


def test_a_file_of_endless_scans_is_an_error(pool: AnyPool):
    data = as_jpeg(textured(*SIZE)[:, :, 0], progressive=True)
    start = data.index(b"\xff\xda")
    first = bytearray(data[start : data.index(b"\xff\xc4", start)])
    first[first[3] + 1] = 0  # all bits of the mean of each block at once, so that the scan may come again
    few, many = (data[:start] + bytes(first) * times + b"\xff\xd9" for times in (3, 600))
    [failure], _ = failures_of(pool, [few, many])
    assert failure.sample == 1
    assert failure.message.startswith("damaged JPEG: ")
    assert "scans" in failure.message


@pytest.mark.parametrize("open_pool", ["native"], indirect=True)  # in the plain pool this is the decoder's concern
def test_tables_of_one_image_do_not_serve_another(pool: AnyPool):
    """A JPEG without its quantisation tables must fail even after one that had them."""
    data = as_jpeg(textured(*SIZE))
    start, end = data.index(b"\xff\xdb"), data.index(b"\xff\xc0")
    failures, _ = failures_of(pool, [data, data, data[:start] + data[end:]])
    assert [failure.sample for failure in failures] == [2]


def test_the_undamaged_picture_is_the_right_one(pool: AnyPool):
    data = as_jpeg(textured(64, 64))
    source, samples = one_batch([data], (64, 64))
    out = np.zeros((1, 64, 64, 3), np.uint8)
    assert pool.make_crops(source, samples, [native.View(np.array([[0, 0, 64, 64, 0]], np.int32), out)]) == []
    assert (out[0] == whole_decode(data)).all()


def test_wrong_arrays_are_refused(pool: AnyPool):
    source, samples = one_batch([textured(*SIZE)], SIZE)
    crops, out = np.zeros((1, 5), np.int32), np.zeros((1, 8, 8, 3), np.uint8)
    wrong = [
        native.View(crops.astype(np.int64), out),
        native.View(crops[:, :4].copy(), out),
        native.View(np.zeros((2, 5), np.int32), out),
        native.View(np.zeros((1, 10), np.int32)[:, ::2], out),
        native.View(crops, out.astype(np.float32)),
        native.View(crops, np.zeros((1, 8, 9, 3), np.uint8)),
        native.View(crops, np.zeros((1, 3, 8, 8), np.uint8)),
        native.View(crops, np.zeros((1, 8, 8, 6), np.uint8)[..., ::2]),
        native.View(crops, out, "nearest"),
    ]
    for view in wrong:
        with pytest.raises(InputError, match=r"; give"):
            pool.make_crops(source, samples, [view])
    with pytest.raises(InputError, match="source is"):
        pool.make_crops(source[::2], samples, [native.View(crops, out)])
    with pytest.raises(InputError, match="samples is"):
        pool.make_crops(source, np.zeros((1, 4)), [native.View(crops, out)])


@pytest.mark.parametrize("num_threads", [0, -1, 5000])
def test_a_number_of_threads_that_is_none_is_refused(open_pool: OpenPool, num_threads: int):
    with pytest.raises(InputError, match=f"num_threads={num_threads}"):
        open_pool(num_threads)


def num_threads() -> int:
    return len(os.listdir("/proc/self/task"))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted in /proc")
@pytest.mark.usefixtures("needs_library")
def test_pools_leave_no_threads():
    """Theirs are the only ones that begin here; those of earlier tests may end meanwhile."""
    gc.collect()
    before = num_threads()
    for _ in range(50):
        native.Pool(3)
    gc.collect()
    assert num_threads() <= before
    own = set(os.listdir("/proc/self/task"))
    with native.Pool(3) as pool:
        assert len(set(os.listdir("/proc/self/task")) - own) == 3
        assert failures_of(pool, [textured(*SIZE)])[0] == []
    pool.close()
    assert set(os.listdir("/proc/self/task")) <= own
    with pytest.raises(InputError, match="pool is closed"):
        failures_of(pool, [textured(*SIZE)])


def test_several_batches_may_be_under_way(pool: AnyPool):
    images = [as_jpeg(textured(*SIZE, seed)) for seed in range(6)]
    expected = failures_of(pool, images)[1]
    results: list[np.ndarray] = []
    callers = [threading.Thread(target=lambda: results.append(failures_of(pool, images)[1])) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(results) == 8
    assert all((result == expected).all() for result in results)
