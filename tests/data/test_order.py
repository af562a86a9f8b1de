import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastssl.data.options import WriteOptions
from fastssl.data.order import Schedule, choose_jpg, epoch_order, held_out_indices, subset_indices
from fastssl.errors import InputError


@given(seed=st.integers(0, 2**64 - 1), epoch=st.integers(0, 10**6), n=st.integers(1, 300))
def test_epoch_order_is_a_permutation(seed, epoch, n):
    order = epoch_order(seed, epoch, n)
    assert order.dtype == np.int64
    assert np.array_equal(np.sort(order), np.arange(n))


def test_epoch_order_depends_on_seed_and_epoch_alone():
    first = epoch_order(3, 5, 1000)
    assert np.array_equal(first, epoch_order(3, 5, 1000))
    for other in (epoch_order(3, 6, 1000), epoch_order(4, 5, 1000), epoch_order(3 + 2**32, 5, 1000)):
        assert np.mean(first == other) < 0.02


def test_epoch_order_is_uniform_over_places():
    # Sample 0 of 8 over 4,000 epochs: each place 500 times, sd 21; five sd either side.
    places = np.array([np.flatnonzero(epoch_order(0, epoch, 8) == 0)[0] for epoch in range(4000)])
    assert np.all(np.abs(np.bincount(places, minlength=8) - 500) < 5 * np.sqrt(4000 / 8 * 7 / 8))


def test_epoch_order_breaks_ties_by_index(monkeypatch):
    def no_randomness(counter, key):
        zeros = np.zeros(np.broadcast_shapes(*(np.shape(word) for word in counter)), dtype=np.int64)
        return zeros, zeros, zeros, zeros

    monkeypatch.setattr("fastssl.data.order.philox4x32", no_randomness)
    assert np.array_equal(epoch_order(0, 0, 100), np.arange(100))


def test_order_and_subset_are_pinned():
    """A change here changes the order of every run ever made: it needs a decision and a changelog entry."""
    assert epoch_order(0, 0, 10).tolist() == [3, 2, 9, 5, 1, 8, 0, 6, 7, 4]
    assert epoch_order(2**63 + 1, 7, 10).tolist() == [6, 7, 1, 2, 3, 5, 4, 9, 8, 0]
    assert subset_indices(np.arange(12) % 3, 0.5, 3).tolist() == [2, 3, 4, 6, 8, 10]


def test_held_out_samples_and_jpegs_are_pinned():
    """A change here changes the betons that users have written and published results on."""
    assert held_out_indices(np.arange(12) % 3, 0.4, 3).tolist() == [0, 1, 6, 8, 10]
    assert held_out_indices(np.arange(12) % 3, 5, 2**63 + 1).tolist() == [1, 6, 9, 10, 11]
    as_jpg = choose_jpg(20, WriteOptions(mode="proportion", jpg_proportion=0.4, subset_seed=3))
    assert np.flatnonzero(as_jpg).tolist() == [1, 2, 4, 5, 7, 11, 12, 16, 17, 19]


def test_sequential_order_counts_up():
    assert np.array_equal(epoch_order(1, 2, 9, "sequential"), np.arange(9))


@pytest.mark.parametrize(
    ("kwargs", "field"),
    [({"order": "shuffled"}, "order"), ({"seed": -1}, "seed"), ({"seed": 2**64}, "seed"), ({"epoch": -1}, "epoch")],
)
def test_epoch_order_names_the_bad_field(kwargs, field):
    with pytest.raises(InputError, match=f"^{field}="):
        epoch_order(**{"seed": 0, "epoch": 0, "n": 4, **kwargs})


@given(
    fractions=st.tuples(st.floats(0.05, 1.0), st.floats(0.05, 1.0)),
    counts=st.lists(st.integers(20, 60), min_size=1, max_size=5),
    seed=st.integers(0, 1000),
)
def test_subsets_are_balanced_sorted_and_nested(fractions, counts, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    labels = labels[np.random.default_rng(seed).permutation(len(labels))]
    small, large = (subset_indices(labels, fraction, seed) for fraction in sorted(fractions))
    assert set(small) <= set(large)
    assert np.all(np.diff(large) > 0)
    for label, count in enumerate(counts):
        assert abs(np.sum(labels[large] == label) - max(fractions) * count) <= 0.5


def test_subsets_of_different_seeds_differ():
    labels = np.zeros(100, dtype=np.int64)
    assert set(subset_indices(labels, 0.5, 0)) != set(subset_indices(labels, 0.5, 1))
    assert np.array_equal(subset_indices(labels, 1.0, 0), np.arange(100))


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.5, float("nan"), 0.004])
def test_subset_names_the_bad_fraction(fraction):
    with pytest.raises(InputError, match=r"^fraction="):
        subset_indices(np.zeros(100, dtype=np.int64), fraction)


def test_schedule_cuts_the_epoch_into_batches():
    dropped = Schedule(num_samples=10, batch_size=4)
    kept = Schedule(num_samples=10, batch_size=4, drop_last=False)
    assert [len(batch) for batch in dropped.batches(0)] == [4, 4]
    assert [len(batch) for batch in kept.batches(0)] == [4, 4, 2]
    assert (len(dropped), len(kept)) == (2, 3)
    assert np.array_equal(kept.positions(3, start_step=1), epoch_order(0, 3, 10)[4:])


@pytest.mark.parametrize(
    ("kwargs", "field"),
    [({"batch_size": 11}, "batch_size"), ({"batch_size": 0}, "batch_size"), ({"seed": -3}, "seed")],
)
def test_schedule_names_the_bad_field(kwargs, field):
    with pytest.raises(InputError, match=f"^{field}="):
        Schedule(**{"num_samples": 10, "batch_size": 4, **kwargs})


@pytest.mark.parametrize("start_step", [-1, 3])
def test_schedule_refuses_a_step_outside_the_epoch(start_step):
    with pytest.raises(InputError, match=r"^start_step="):
        Schedule(num_samples=10, batch_size=4).positions(0, start_step)
