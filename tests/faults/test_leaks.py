"""What a loader borrows it gives back: threads, files, processes, memory. What a batch was lent it keeps."""

import contextlib
import gc
import multiprocessing
import os
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.faults.betons import open_kind, pixels_of

DECODING = ("crops", "images")
KINDS = (*DECODING, "resident", "ffcv", "folder")
EPOCHS = 100


def resources() -> dict[str, int]:
    return {
        "threads": len(os.listdir("/proc/self/task")),
        "files": len(os.listdir("/proc/self/fd")),
        "children": len(multiprocessing.active_children()),
        "mappings": Path("/proc/self/maps").read_text().count("\n"),
    }


def anonymous_bytes() -> int:
    """Memory of this process that no file stands for."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def assert_back(before: dict[str, int]) -> None:
    """Threads of torch's DataLoader end a moment later. The allocator's mappings may come and go, by a few, and a
    library may start a thread of its own late; what an epoch leaks is there dozens of times."""
    deadline = time.monotonic() + 30
    slack = {"threads": 1, "files": 0, "children": 0, "mappings": 8}
    while True:
        now = resources()
        over = {name: (before[name], now[name]) for name in now if now[name] > before[name] + slack[name]}
        if not over:
            return
        assert time.monotonic() < deadline, over
        gc.collect()
        time.sleep(0.02)


def abandon(loader, number: int) -> None:
    """Leaves an epoch early: by a break, by an exception, or with it unread."""
    batches = loader.epoch(number)
    if number % 3 == 0:
        for _ in batches:
            break
    elif number % 3 == 1:
        with contextlib.suppress(ZeroDivisionError):
            for _ in batches:
                raise ZeroDivisionError


@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_abandoned_epochs_leave_nothing(beton, kind):
    loader = open_kind(kind, beton(), batch_size=4, num_workers=0 if kind == "folder" else 2)
    for number in range(6):
        abandon(loader, number)
    before, memory = resources(), anonymous_bytes()
    for number in range(EPOCHS):
        abandon(loader, number)
    assert_back(before)
    assert anonymous_bytes() < memory + 4e6
    loader.close()


def test_abandoned_worker_processes_end(beton):
    loader = open_kind("folder", beton(), batch_size=4, num_workers=2)
    abandon(loader, 0)
    before = resources()
    for number in range(6):
        abandon(loader, number)
    assert_back(before)
    loader.close()


@pytest.mark.parametrize("kind", KINDS)
def test_fifty_loaders_leave_nothing(beton, kind):
    path = beton()

    def use():
        loader = open_kind(kind, path, batch_size=4, num_workers=0 if kind == "folder" else 2)
        next(loader.epoch(0))
        loader.close()

    for _ in range(3):
        use()
    before, memory = resources(), anonymous_bytes()
    for _ in range(50):
        use()
    assert_back(before)
    assert anonymous_bytes() < memory + 8e6


@pytest.mark.parametrize("kind", DECODING)
def test_memory_does_not_grow_over_fifty_epochs(beton, kind):
    """Buffers go round: no more of them than the loader says, however many batches it serves."""
    loader = open_kind(kind, beton(), batch_size=4, num_workers=2)
    make, made_bytes = loader._buffers._make, []

    def counted(shape):
        buffer = make(shape)
        made_bytes.append(buffer.nbytes)
        return buffer

    loader._buffers._make = counted
    for number in range(55):
        for batch in loader.epoch(number):
            assert len(batch.index) == 4
        if number == 5:
            memory = anonymous_bytes()
    assert sum(made_bytes) <= loader.describe()["buffer_bytes"]
    assert anonymous_bytes() < memory + 2e6
    loader.close()


HOLDERS = {
    "tensor": lambda pixels: pixels,
    "slice": lambda pixels: pixels[1:3],
    "one pixel": lambda pixels: pixels[-1, 0, -1, -1:],
    "array": lambda pixels: pixels.numpy(),
    "view of an array": lambda pixels: pixels.numpy()[2:, 1],
    "permuted": lambda pixels: pixels.permute(0, 2, 3, 1),
    "flat": lambda pixels: pixels.permute(0, 2, 3, 1).reshape(-1),
    "storage": lambda pixels: torch.tensor([], dtype=torch.uint8).set_(pixels.untyped_storage(), 0, (30,)),
}


@pytest.mark.parametrize("kind", DECODING)
@pytest.mark.parametrize("holder", HOLDERS)
def test_memory_that_anything_still_refers_to_is_not_written_again(beton, kind, holder):
    loader = open_kind(kind, beton(), batch_size=4)
    batch = next(loader.epoch(0))
    held = HOLDERS[holder]((batch.crops or (batch.images,))[0])
    del batch
    array = held if isinstance(held, np.ndarray) else held.numpy()
    before = array.copy()
    del array
    for number in range(4):
        for batch in loader.epoch(number):
            for pixels in pixels_of(batch):
                pixels[:] = 201
    loader.close()
    assert np.array_equal(held, before)


@pytest.mark.parametrize("kind", DECODING)
def test_memory_that_nothing_refers_to_is_lent_again(beton, kind):
    loader = open_kind(kind, beton(), batch_size=4)
    held = list(loader.epoch(0))
    first = {pixels.ctypes.data for batch in held for pixels in pixels_of(batch)}
    assert len(first) == len(held) * len(pixels_of(held[0]))
    del held
    again = {pixels.ctypes.data for batch in loader.epoch(1) for pixels in pixels_of(batch)}
    assert again <= first
    loader.close()


@pytest.mark.parametrize("kind", KINDS)
def test_list_of_batches_holds_distinct_data(beton, kind):
    loader = open_kind(kind, beton(), batch_size=4, num_workers=0 if kind == "folder" else 2)
    listed = list(loader.epoch(0))
    for batch, fresh in zip(listed, loader.epoch(0), strict=True):
        for pixels, fresh_pixels in zip(pixels_of(batch), pixels_of(fresh), strict=True):
            assert np.array_equal(pixels, fresh_pixels)
    flat = [pixels for batch in listed for pixels in pixels_of(batch)]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(flat) for b in flat[:i])
    loader.close()


@pytest.mark.parametrize("kind", DECODING)
def test_closed_loader_keeps_no_buffer(beton, kind):
    loader = open_kind(kind, beton(), batch_size=4)
    made, gone = loader._buffers._make, []

    def watched(shape):
        buffer = made(shape)
        weakref.finalize(buffer, gone.append, shape)
        return buffer

    loader._buffers._make = watched
    held = next(loader.epoch(0))
    list(loader.epoch(1))
    loader.close()
    lent = len(pixels_of(held))
    assert len(gone) > lent
    count = len(gone)
    del held
    assert len(gone) == count + lent
