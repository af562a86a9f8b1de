"""What order quasi_random keeps of a file in memory, as the kernel counts it."""

import ctypes
import mmap
import os

import numpy as np
import pytest

from fastssl.augment import Drawer
from fastssl.data.arrays import array_source
from fastssl.data.beton import BetonFile
from fastssl.data.open import open_loader
from fastssl.data.options import WriteOptions
from fastssl.data.pack import write_beton
from fastssl.data.policy import OrderConfig
from fastssl.views import ViewSpec

NUM_IMAGES, SIDE_PX = 1600, 48  # 11 MB
ORDER = OrderConfig(order="quasi_random", block_bytes=128 * 1024, window_blocks=6)
BATCH = 16  # four batches are under way at most, 64 images: less than a group of some 110
_LIBC = ctypes.CDLL(None, use_errno=True)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Every image is noise of its own, on the disk and out of the page cache."""
    path = tmp_path_factory.mktemp("pages") / "noise.beton"
    images = np.random.default_rng(0).integers(0, 256, (NUM_IMAGES, SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    write_beton(array_source(images, np.arange(NUM_IMAGES) % 5), path, WriteOptions(mode="raw"))
    drop_from_cache(path)
    if cached_bytes(np.memmap(path, mode="r")) > 0:
        pytest.skip("temporary files lie in memory here (tmpfs), where the kernel can give back nothing")
    return path


def drop_from_cache(path):
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def cached_bytes(content) -> int:
    """How much of a mapped file lies in the page cache, whoever brought it there."""
    pages = np.zeros(-(-len(content) // mmap.PAGESIZE), dtype=np.uint8)
    start, size = ctypes.c_void_p(content.ctypes.data), ctypes.c_size_t(len(content))
    assert _LIBC.mincore(start, size, ctypes.c_void_p(pages.ctypes.data)) == 0
    return int((pages & 1).sum()) * mmap.PAGESIZE


@pytest.fixture
def watch(path):
    """`watch(kind, order)`: bytes of the file in memory at every batch of an epoch, and the loader's file."""
    loaders = []

    def read(kind, order, epoch=0):
        loader = open_loader(
            kind, path, batch_size=BATCH, order=order, num_workers=2, views=Drawer((ViewSpec(size=8),), 0)
        )
        loaders.append(loader)
        drop_from_cache(path)
        beton = loader._served.beton
        return [cached_bytes(beton.content) for _ in loader.epoch(epoch)], beton

    yield read
    for loader in loaders:
        loader.close()


@pytest.mark.parametrize("kind", ["crops", "images"])
def test_no_more_than_two_working_sets_are_in_memory(watch, kind):
    found, beton = watch(kind, ORDER)
    blocks = len(beton.content) // ORDER.block
    bound = 2 * ORDER.working_set_bytes(int(beton.payload_sizes.max())) + blocks * mmap.PAGESIZE
    assert bound < len(beton.content) / 4, "a bound worth the name"
    assert max(found) <= bound
    assert cached_bytes(beton.content) <= bound / 2, "an epoch that ended gives back what it had"


@pytest.mark.parametrize("kind", ["crops", "images"])
def test_epoch_that_is_left_gives_back_what_it_had(path, kind):
    loader = open_loader(kind, path, batch_size=BATCH, order=ORDER, views=Drawer((ViewSpec(size=8),), 0))
    drop_from_cache(path)
    batches = loader.epoch(0)
    for _ in range(12):
        next(batches)
    batches.close()
    beton = loader._served.beton
    assert cached_bytes(beton.content) <= ORDER.working_set_bytes(int(beton.payload_sizes.max()))
    loader.close()


@pytest.mark.parametrize("order", ["random", "sequential"])
def test_other_orders_leave_the_file_to_the_kernel(watch, order):
    found, beton = watch("crops", order)
    assert max(found) > 0.9 * len(beton.content)
    assert cached_bytes(beton.content) > 0.9 * len(beton.content)


def test_pixels_are_right_though_pages_come_and_go(path):
    loader = open_loader("images", path, batch_size=BATCH, order=ORDER, num_workers=2)
    drop_from_cache(path)
    whole, seen = BetonFile(path), []
    for batch in loader.epoch(3):
        seen += batch.index.tolist()
        stored = np.stack([whole.decode(index) for index in batch.index.tolist()])
        assert np.array_equal(batch.images.permute(0, 2, 3, 1).numpy(), stored)
    assert sorted(seen) == list(range(NUM_IMAGES))
    loader.close()


def test_two_epochs_at_once_serve_the_right_pixels(path):
    """One gives back pages that the other still needs: they are read again."""
    loader = open_loader("images", path, batch_size=BATCH, order=ORDER, num_workers=2)
    whole = BetonFile(path)
    for pair in zip(loader.epoch(0), loader.epoch(1), strict=True):
        for batch in pair:
            index = int(batch.index[0])
            assert np.array_equal(batch.images[0].permute(1, 2, 0).numpy(), whole.decode(index))
    loader.close()
