"""Pools and single views: each test that takes one runs with the C pool and with the plain one.

Without the compiled library the C pool's tests are skipped, saying why.
"""

from collections.abc import Iterator

import numpy as np
import pytest

from fastssl import native
from fastssl.data.jpeg import decode_jpeg
from fastssl.native.plain import PlainPool
from tests.native.images import AnyPool, Cut, OpenPool, one_batch


@pytest.fixture
def needs_library() -> None:
    if reason := native.available():
        pytest.skip(reason)


@pytest.fixture(params=["native", "plain"])
def open_pool(request: pytest.FixtureRequest) -> OpenPool:
    """`open_pool(num_threads)`."""
    if request.param == "plain":
        return lambda num_threads: PlainPool(num_threads, decode_jpeg)
    request.getfixturevalue("needs_library")
    return native.Pool


@pytest.fixture
def pool(open_pool: OpenPool) -> Iterator[AnyPool]:
    with open_pool(2) as threads:
        yield threads


@pytest.fixture
def cut(pool: AnyPool) -> Cut:
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
