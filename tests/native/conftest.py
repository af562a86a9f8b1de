"""Pools and single views for the native decoder; without the compiled library these tests are skipped, saying why."""

from collections.abc import Iterator

import numpy as np
import pytest

from fastssl import native
from tests.native.images import Cut, one_batch


@pytest.fixture(autouse=True)
def needs_library() -> None:
    if reason := native.available():
        pytest.skip(reason)


@pytest.fixture
def pool() -> Iterator[native.Pool]:
    with native.Pool(2) as threads:
        yield threads


@pytest.fixture
def cut(pool: native.Pool) -> Cut:
    """One view of one image: (image, (height, width), box, size, flip, interpolation) to (size, size, 3)."""

    def make(
        image: bytes | np.ndarray, whole: tuple[int, int], box: tuple[int, int, int, int], size: int,
        flip: bool = False, interpolation: str = "bilinear", scaled: bool = False,
    ) -> np.ndarray:  # fmt: skip
        out = np.empty((1, size, size, 3), np.uint8)
        view = native.View(np.array([[*box, flip]], np.int32), out, interpolation)
        assert pool.make_crops(*one_batch([image], whole), [view], scaled=scaled) == []
        return out[0]

    return make
