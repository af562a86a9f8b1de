"""Hours in small: a loader that reads on and on, over damaged images and abandoned epochs, stays as it was."""

import contextlib
import gc
import itertools
import os
import time
from pathlib import Path

import numpy as np
import pytest

from tests.faults.betons import open_kind, zero

DURATION_S = float(os.environ.get("FASTSSL_SOAK_S", "600"))
NUM_IMAGES, BATCH = 1000, 50
HURT = range(17, NUM_IMAGES, 100)
"""One in a hundred."""


def anonymous_bytes() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1]) * 1024


def count_open() -> tuple[int, int]:
    """Threads and files."""
    return len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))


def read_whole(loader, number) -> None:
    """One epoch, with the count of what it served held against what it must."""
    served, skipped = np.zeros(NUM_IMAGES, dtype=np.int64), 0
    for batch in loader.epoch(number):
        served[batch.index.numpy()] += 1
        skipped += batch.skipped
        assert (batch.labels == batch.index % 5).all()
    expected = np.ones(NUM_IMAGES, dtype=np.int64)
    expected[HURT] = 0
    assert (served == expected).all()
    assert skipped == len(HURT)


def leave_early(loader, number) -> None:
    batches = loader.epoch(number)
    with contextlib.suppress(ZeroDivisionError):
        for step, _ in enumerate(batches):
            if step == number % 7:
                if number % 2:
                    break
                raise ZeroDivisionError


@pytest.mark.slow
@pytest.mark.timeout(DURATION_S * 2 + 300)
@pytest.mark.parametrize("kind", ["crops", "images", "resident", "ffcv"])
def test_loader_stays_as_it_was(beton, kind):
    """A quarter of the time each. Memory of the second half is that of the first, to a few per cent."""
    path = beton("jpg", NUM_IMAGES)
    for sample in HURT:
        zero(0.0, 0.1)(path, sample)
    loader = open_kind(kind, path, batch_size=BATCH, num_workers=2, on_error="skip")
    for number in range(4):
        read_whole(loader, number)
        leave_early(loader, number)
    gc.collect()
    before, started, used = count_open(), time.monotonic(), []
    for number in itertools.count(4):
        read_whole(loader, number)
        leave_early(loader, number)
        used.append(anonymous_bytes())
        assert count_open() == before
        if time.monotonic() - started > DURATION_S / 4 and len(used) >= 10:
            break
    loader.close()
    half = len(used) // 2
    first, second = np.mean(used[:half]), np.mean(used[half:])
    assert second < first * 1.02 + 1e6, f"{len(used)} epochs: {first / 1e6:.1f} MB, then {second / 1e6:.1f} MB"
