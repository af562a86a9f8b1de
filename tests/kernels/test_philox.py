"""Philox against Random123's published answers, on every kind of array it serves."""

import inspect

import numba
import numpy as np
import pytest
import torch

from fastssl.kernels.philox import philox4x32, uniform

# Random123's kat_vectors, lines "philox4x32 10": counter, key, answer.
KNOWN = [
    ((0,) * 4, (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
@pytest.mark.parametrize("kind", ["torch", "numpy", "int", "numba"])
def test_philox_gives_known_answers(counter, key, answer, kind):
    make = {
        "torch": lambda word: torch.tensor([word], dtype=torch.int64),
        "numpy": lambda word: np.array([word], dtype=np.int64),
        "int": int,
        "numba": np.int64,
    }[kind]
    generate = numba.njit(inspect.unwrap(philox4x32)) if kind == "numba" else philox4x32
    words = generate(tuple(make(word) for word in counter), key)
    assert tuple(int(np.asarray(word).reshape(())) for word in words) == answer


def test_philox_agrees_between_torch_and_numpy_and_broadcasts():
    rng = np.random.default_rng(0)
    index = rng.integers(0, 2**32, size=(50, 1))
    block = np.arange(6)[None]
    zero = np.zeros((1, 1), np.int64)
    from_numpy = philox4x32((index, zero, block, zero), (123, 456))
    arrays = (torch.from_numpy(array) for array in (index, zero, block, zero))
    from_torch = philox4x32(tuple(arrays), (123, 456))
    for left, right in zip(from_numpy, from_torch, strict=True):
        assert left.shape == (50, 6)
        assert left.min() >= 0
        assert left.max() < 2**32
        np.testing.assert_array_equal(left, right.numpy())


def test_uniform_is_below_one_and_equal_in_torch_and_numpy():
    bits = np.array([0, 255, 256, 2**31, 2**32 - 1], dtype=np.int64)
    expected = np.array([0, 0, 2.0**-24, 0.5, 1 - 2.0**-24], dtype=np.float32)
    assert uniform(bits).dtype == np.float32
    np.testing.assert_array_equal(uniform(bits), expected)
    np.testing.assert_array_equal(uniform(torch.from_numpy(bits)).numpy(), expected)


def test_uniform_words_are_flat_and_uncorrelated():
    index = np.arange(200_000, dtype=np.int64)
    zero = np.zeros(1, np.int64)
    draws = np.stack([uniform(word) for word in philox4x32((index, zero, zero, zero), (7, 0))])
    counts = np.stack([np.histogram(word, bins=64, range=(0, 1))[0] for word in draws])
    chi2 = ((counts - 200_000 / 64) ** 2 / (200_000 / 64)).sum(axis=1)
    assert (chi2 < 110).all()  # 63 degrees of freedom: mean 63, .9998 quantile 110
    assert np.abs(np.corrcoef(draws) - np.eye(4)).max() < 0.01
