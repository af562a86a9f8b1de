"""One contract, every loader."""

import contextlib
import gc
import multiprocessing
import os
import threading
import time
from itertools import pairwise, product

import numpy as np
import pytest
import torch

from fastssl.augment import Drawer
from fastssl.augment.resize import crop_resize
from fastssl.data.beton import BetonFile
from fastssl.data.open import open_loader
from fastssl.data.order import epoch_order
from fastssl.data.policy import OrderConfig
from fastssl.data.subset import Subset, subset_indices
from fastssl.errors import InputError
from fastssl.types import Batch
from fastssl.views import ViewSpec

KINDS = ("crops", "images", "resident", "ffcv", "folder")
SIDE = 32
"""Of the views that `crops` cuts: images of 32x32 come out as they are."""
CASES = [
    pytest.param(kind, height, width, mode, id=f"{kind}-{height}x{width}-{mode}")
    for kind, ((height, width), mode) in product(KINDS, product([(32, 32), (31, 47)], ["raw", "jpg"]))
]
NUM_IMAGES = 50
RESIZED_LEVELS = 0.66
"""The native resize against exact arithmetic, its rounding to whole levels included."""
OTHER_DECODERS = ("ffcv", "folder")
JPEG_LEVELS = 2.0
"""Mean difference per image between two JPEG decoders (fast and slow DCT, plain and smooth upsampling), in levels."""


@pytest.fixture
def opened(tiny_beton):
    """Opens loaders and closes them."""
    loaders = []

    def open_one(kind, *, height=32, width=32, mode="raw", **options):
        loaders.append(open_one_of(kind, tiny_beton(NUM_IMAGES, height, width, mode), **options))
        return loaders[-1]

    yield open_one
    for loader in loaders:
        loader.close()


def open_one_of(kind, path, *, batch_size=8, num_workers=1, seed=0, **options):
    views = Drawer((ViewSpec.plain(SIDE),), seed) if kind == "crops" else None
    return open_loader(kind, path, batch_size=batch_size, num_workers=num_workers, seed=seed, views=views, **options)


def pixels_of(batch) -> torch.Tensor:
    """The images, or what `crops` has cut of them: all, squeezed into a square."""
    return batch.crops[0] if batch.crops else batch.images


def expected_pixels(kind: str, stored: np.ndarray) -> np.ndarray:
    """What `pixels_of` should hold of stored images (b, h, w, 3), as floats in levels."""
    b, height, width, _ = stored.shape
    if kind != "crops":
        return stored.astype(float)
    whole = torch.tensor([[0, 0, height, width]]).expand(b, 4)
    resized = crop_resize(torch.from_numpy(stored).permute(0, 3, 1, 2), whole, SIDE, "bilinear", antialias=True)
    return resized.permute(0, 2, 3, 1).numpy() * 255


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def indices(batches) -> list[list[int]]:
    return [batch.index.tolist() for batch in batches]


def flat_indices(batches) -> list[int]:
    return [int(i) for batch in batches for i in batch.index]


@pytest.mark.parametrize(("kind", "height", "width", "mode"), CASES)
def test_batch_holds_the_pixels_and_labels_of_its_index(opened, tiny_beton, kind, height, width, mode):
    beton = BetonFile(tiny_beton(NUM_IMAGES, height, width, mode))
    for batch in opened(kind, height=height, width=width, mode=mode).epoch(0):
        assert isinstance(batch, Batch)
        pixels = pixels_of(batch)
        assert pixels.dtype == torch.uint8
        assert pixels.shape == ((8, 3, SIDE, SIDE) if kind == "crops" else (8, 3, height, width))
        assert pixels.is_contiguous(memory_format=torch.channels_last)
        assert batch.labels.dtype == batch.index.dtype == torch.int64
        assert batch.labels.tolist() == [int(beton.labels[i]) for i in batch.index]
        expected = expected_pixels(kind, np.stack([beton.decode(int(i)) for i in batch.index]))
        distance = np.abs(pixels.permute(0, 2, 3, 1).numpy() - expected)
        assert distance.mean(axis=(1, 2, 3)).max() <= (JPEG_LEVELS if mode == "jpg" and kind in OTHER_DECODERS else 0.5)
        if kind not in OTHER_DECODERS:  # bit for bit, or rounded once behind the resize
            assert distance.max() <= (RESIZED_LEVELS if kind == "crops" else 0)


def test_info_describes_the_beton(opened, tiny_beton, kind):
    info, beton = opened(kind, height=31, width=47).info, BetonFile(tiny_beton(NUM_IMAGES, 31, 47, "raw"))
    assert (info.height, info.width, info.num_samples) == (31, 47, NUM_IMAGES)
    assert info.fingerprint == beton.fingerprint()
    pixels = np.stack([beton.decode(i) for i in range(NUM_IMAGES)]) / 255
    assert info.mean == pytest.approx(pixels.mean(axis=(0, 1, 2)), abs=1e-5)
    assert info.std == pytest.approx(pixels.std(axis=(0, 1, 2)), abs=1e-5)


def test_order_is_a_function_of_seed_and_epoch(opened, kind):
    loader = opened(kind, seed=5, drop_last=False)
    for number in (0, 3):
        served = flat_indices(loader.epoch(number))
        assert served == epoch_order(5, number, NUM_IMAGES).tolist()
    assert indices(opened(kind, seed=5).epoch(2)) == indices(opened(kind, seed=5).epoch(2))
    assert indices(loader.epoch(2)) != indices(loader.epoch(1))


def test_sequential_order_counts_up(opened, kind):
    loader = opened(kind, order="sequential", drop_last=False)
    assert flat_indices(loader.epoch(7)) == list(range(NUM_IMAGES))


@pytest.mark.parametrize(("drop_last", "sizes"), [(True, [8] * 6), (False, [8] * 6 + [2])])
def test_last_batch_is_dropped_or_short(opened, kind, drop_last, sizes):
    loader = opened(kind, drop_last=drop_last)
    batches = list(loader.epoch(0))
    assert len(loader) == len(sizes)
    assert [len(batch.index) for batch in batches] == sizes
    assert [len(pixels_of(batch)) for batch in batches] == sizes


def test_batches_own_their_data(opened, kind):
    batches = list(opened(kind).epoch(0))
    starts = sorted((pixels_of(batch).data_ptr(), pixels_of(batch).nbytes) for batch in batches)
    assert all(start + size <= following for (start, size), (following, _) in pairwise(starts))
    again = opened(kind).epoch(0)
    for batch, fresh in zip(batches, again, strict=True):
        assert torch.equal(pixels_of(batch), pixels_of(fresh))
        pixels_of(fresh).zero_()
        fresh.index.zero_()
        fresh.labels.zero_()
    assert indices(opened(kind).epoch(0)) == indices(batches)
    for batch, fresh in zip(batches, opened(kind).epoch(0), strict=True):
        assert torch.equal(batch.labels, fresh.labels)
        assert torch.equal(pixels_of(batch), pixels_of(fresh))


def test_start_step_is_the_tail_of_the_epoch(opened, kind):
    loader = opened(kind, drop_last=False)
    whole = list(loader.epoch(4))
    for start_step in (0, 3, len(loader)):
        tail = list(loader.epoch(4, start_step=start_step))
        assert indices(tail) == indices(whole[start_step:])
        assert all(torch.equal(pixels_of(a), pixels_of(b)) for a, b in zip(tail, whole[start_step:], strict=True))
    for outside in (-1, len(loader) + 1):
        with pytest.raises(InputError, match=r"^start_step="):
            loader.epoch(4, start_step=outside)


ORDERS = [
    OrderConfig(),
    OrderConfig(order="sequential"),
    OrderConfig(order="quasi_random", block_bytes=4 * 32 * 32 * 3, window_blocks=3),
    OrderConfig(order="sliding", window_images=40, stride_images=15),
]


@pytest.fixture(params=ORDERS, ids=lambda config: config.order)
def order(request):
    return request.param


def test_every_order_is_the_schedules_and_entered_at_any_step(opened, tiny_beton, kind, order):
    loader = opened(kind, order=order, seed=2, drop_last=False)
    whole = list(loader.epoch(5))
    offsets = BetonFile(tiny_beton(NUM_IMAGES)).offsets
    assert flat_indices(whole) == epoch_order(2, 5, NUM_IMAGES, order, offsets).tolist()
    tail = list(loader.epoch(5, start_step=3))
    assert indices(tail) == indices(whole[3:])
    assert all(torch.equal(pixels_of(a), pixels_of(b)) for a, b in zip(tail, whole[3:], strict=True))


@pytest.mark.parametrize("world_size", [2, 3])
def test_ranks_share_the_batches_of_one_process(opened, kind, order, world_size):
    options = {"order": order, "seed": 4, "batch_size": 18, "drop_last": False}
    alone = list(opened(kind, **options).epoch(1, start_step=1))
    loaders = [opened(kind, **options, rank=rank, world_size=world_size) for rank in range(world_size)]
    assert {(len(loader), loader.batch_size) for loader in loaders} == {(1 + len(alone), 18 // world_size)}
    for batch, *shares in zip(alone, *(loader.epoch(1, start_step=1) for loader in loaders), strict=True):
        for part in (pixels_of, lambda batch: batch.index, lambda batch: batch.labels):
            assert torch.equal(torch.cat([part(share) for share in shares]), part(batch))


def test_two_epochs_may_be_read_at_once(opened, kind):
    loader = opened(kind)
    alone = indices(loader.epoch(0)), indices(loader.epoch(1))
    both = list(zip(loader.epoch(0), loader.epoch(1), strict=True))
    assert (indices(a for a, _ in both), indices(b for _, b in both)) == alone


def test_subset_has_its_own_index_and_fingerprint(opened, tiny_beton, kind):
    beton = BetonFile(tiny_beton(NUM_IMAGES, 32, 32, "raw"))
    whole, half = opened(kind), opened(kind, fraction=0.5, subset_seed=3, drop_last=False)
    source = subset_indices(beton.labels, 0.5, 3)
    assert half.info.num_samples == len(source)
    prints = {whole.info.fingerprint, half.info.fingerprint, opened(kind, fraction=0.5).info.fingerprint}
    assert len(prints) == 3
    batches = list(half.epoch(0))
    assert sorted(flat_indices(batches)) == list(range(len(source)))
    for batch in batches:
        stored = np.stack([beton.decode(int(source[i])) for i in batch.index])
        assert np.array_equal(pixels_of(batch).permute(0, 2, 3, 1).numpy(), stored)
        assert batch.labels.tolist() == beton.labels[source[batch.index.numpy()]].tolist()


def test_index_leads_to_the_sample_in_the_file(opened, tiny_beton, kind, tmp_path):
    beton = BetonFile(tiny_beton(NUM_IMAGES))
    (tmp_path / "list.txt").write_text("\n".join(str(i) for i in range(NUM_IMAGES) if i % 3))
    options = {"holdout": 0.2, "indices": str(tmp_path / "list.txt"), "fraction": 0.5, "drop_last": False}
    loader = opened(kind, batch_size=4, **options)
    subset = Subset(holdout=0.2, indices=options["indices"], fraction=0.5)
    assert np.array_equal(loader.source, subset.positions(beton.labels))
    batches = list(loader.epoch(0))
    assert sorted(flat_indices(batches)) == list(range(loader.info.num_samples))
    for batch in batches:
        stored = np.stack([beton.decode(int(loader.source[i])) for i in batch.index])
        assert np.array_equal(pixels_of(batch).permute(0, 2, 3, 1).numpy(), stored)


def test_held_out_part_is_the_val_split(opened, kind):
    train, val = (opened(kind, split=split, holdout=0.2, batch_size=5) for split in ("train", "val"))
    assert sorted([*train.source, *val.source]) == list(range(NUM_IMAGES))
    assert len(val.source) == val.info.num_samples == NUM_IMAGES // 5
    assert val.info.split == "val"
    assert train.info.fingerprint != val.info.fingerprint
    with pytest.raises(InputError, match=r"^holdout=0.2 has no effect on split=test"):
        opened(kind, split="test", holdout=0.2)


def test_noisy_labels_are_served_and_the_file_keeps_the_true_ones(opened, tiny_beton, kind):
    labels = BetonFile(tiny_beton(NUM_IMAGES)).labels
    loader = opened(kind, label_noise=0.4, subset_seed=6, drop_last=False)
    noisy = Subset(label_noise=0.4, seed=6).served_labels(np.asarray(labels, dtype=np.int64), 5)
    for batch in loader.epoch(0):
        assert batch.labels.tolist() == noisy[batch.index].tolist()
    assert np.sum(noisy != labels) == 20


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"batch_size": NUM_IMAGES + 1}, "batch_size"),
        ({"batch_size": 0}, "batch_size"),
        ({"fraction": 0.0}, "fraction"),
        ({"order": "backwards"}, "order"),
        ({"rank": 2, "world_size": 2}, "rank"),
        ({"batch_size": 8, "world_size": 3}, "batch_size"),
        ({"holdout": 1.0}, "holdout"),
        ({"label_noise": 2.0}, "label_noise"),
        ({"indices": "nowhere.npy"}, "indices"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_option_is_named(opened, kind, options, field):
    with pytest.raises(InputError, match=f"^{field}=") as caught:
        opened(kind, **options)
    assert "\n" not in str(caught.value)


def test_negative_workers_are_refused(tiny_beton, kind):
    with pytest.raises(InputError, match=r"^num_workers=-1"):
        open_one_of(kind, tiny_beton(NUM_IMAGES, 32, 32, "raw"), num_workers=-1)


def test_small_set_is_served_whole_when_the_last_batch_is_kept(opened, kind):
    assert [len(batch.index) for batch in opened(kind, batch_size=99, drop_last=False).epoch(0)] == [NUM_IMAGES]


RESOURCES = ("threads", "open files", "child processes")


def count_resources() -> tuple[int, int, int]:
    """How many of each of `RESOURCES` this process has."""
    gc.collect()
    return threading.active_count(), len(os.listdir("/proc/self/fd")), len(multiprocessing.active_children())


def assert_resources_return_to(before: tuple[int, int, int]) -> None:
    """Nothing more than `before`. torch's DataLoader ends its queue threads a moment later: they have half a minute,
    and one that was still ending when `before` was counted may be gone since."""
    more = lambda: [name for name, now, then in zip(RESOURCES, count_resources(), before) if now > then]
    deadline = time.monotonic() + 30
    while more() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not more()


def test_abandoned_epochs_leak_neither_thread_nor_file(opened, kind):
    loader = opened(kind, batch_size=4)
    list(loader.epoch(0))
    before = count_resources()
    for number in range(24):
        abandon(loader, number, ENDINGS[number % len(ENDINGS)])
    assert_resources_return_to(before)


ENDINGS = ("break", "exception", "unstarted")


def abandon(loader, number, ending):
    batches = loader.epoch(number)
    if ending == "break":
        for _ in batches:
            break
    elif ending == "exception":
        with contextlib.suppress(ZeroDivisionError):
            for _ in batches:
                raise ZeroDivisionError


def test_opening_and_closing_leaks_neither_thread_nor_file(tiny_beton, kind):
    def use():
        loader = open_one_of(kind, tiny_beton(NUM_IMAGES, 32, 32, "raw"))
        next(loader.epoch(0))
        loader.close()

    use()
    before = count_resources()
    for _ in range(3):
        use()
    assert_resources_return_to(before)


def test_close_may_be_called_twice_and_ends_the_loader(opened, kind):
    loader = opened(kind)
    running = loader.epoch(0)
    next(running)
    loader.close()
    loader.close()
    with pytest.raises(InputError, match="closed"):
        loader.epoch(0)


def test_describe_reports_what_was_read_back(opened, kind):
    loader = opened(kind, seed=9)
    next(loader.epoch(0))
    described = loader.describe()
    assert described["kind"] == kind
    assert described["reason"] == "asked for"
    assert (described["num_workers"], described["seed"], described["batch_size"]) == (1, 9, 8)
    assert described["threads_read_back"] == (0 if kind == "resident" else 1)


def test_thread_counts_of_the_caller_are_left_alone(opened, kind):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        list(opened(kind).epoch(0))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_same_batches_for_any_worker_count(tiny_beton, kind):
    def read(num_workers):
        path = tiny_beton(NUM_IMAGES, 31, 47, "jpg")
        loader = open_one_of(kind, path, seed=1, num_workers=num_workers)
        batches = list(loader.epoch(1))
        loader.close()
        return batches

    for one, two in zip(read(1), read(2), strict=True):
        assert torch.equal(pixels_of(one), pixels_of(two))
        assert torch.equal(one.index, two.index)
