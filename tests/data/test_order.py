from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastssl.data.order import Schedule, epoch_order
from fastssl.data.policy import OrderConfig
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

    monkeypatch.setattr("fastssl.data.draws.philox4x32", no_randomness)
    assert np.array_equal(epoch_order(0, 0, 100), np.arange(100))


def test_random_order_is_pinned():
    """A change here changes the order of every run ever made: it needs a decision and a changelog entry."""
    assert epoch_order(0, 0, 10).tolist() == [3, 2, 9, 5, 1, 8, 0, 6, 7, 4]
    assert epoch_order(2**63 + 1, 7, 10).tolist() == [6, 7, 1, 2, 3, 5, 4, 9, 8, 0]


def test_sequential_order_counts_up():
    assert np.array_equal(epoch_order(1, 2, 9, "sequential"), np.arange(9))


@pytest.mark.parametrize(
    ("kwargs", "field"),
    [({"order": "shuffled"}, "order"), ({"seed": -1}, "seed"), ({"seed": 2**64}, "seed"), ({"epoch": -1}, "epoch")],
)
def test_epoch_order_names_the_bad_field(kwargs, field):
    with pytest.raises(InputError, match=f"^{field}="):
        epoch_order(**{"seed": 0, "epoch": 0, "n": 4, **kwargs})


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


QUASI = OrderConfig(order="quasi_random", block_bytes=1000, window_blocks=4)
SLIDING = OrderConfig(order="sliding", window_images=120, stride_images=40)
ORDERS = [OrderConfig(), OrderConfig(order="sequential"), QUASI, SLIDING]


def file_offsets(n, seed=0, largest=400):
    """Payloads of 1 to `largest` bytes, one after the other, of which every third is not served."""
    sizes = np.random.default_rng(seed).integers(1, largest + 1, 2 * n)
    return np.delete(np.cumsum(sizes) - sizes, np.s_[::3])[:n].astype(np.int64)


def begun_blocks(places, n):
    """At each place of the order, how many blocks have been begun and not finished."""
    steps = np.zeros(n + 1, dtype=int)
    for of_block in places:
        steps[of_block[0]] += 1
        steps[of_block[-1] + 1] -= 1
    return np.cumsum(steps)[:n]


@given(
    seed=st.integers(0, 2**64 - 1),
    n=st.integers(1, 300),
    block_bytes=st.integers(1, 5000),
    window_blocks=st.integers(1, 9),
)
def test_quasi_random_never_has_more_blocks_begun_than_its_window(seed, n, block_bytes, window_blocks):
    config = OrderConfig(order="quasi_random", block_bytes=block_bytes, window_blocks=window_blocks)
    offsets = file_offsets(n, seed % 100)
    order = epoch_order(seed, 3, n, config, offsets)
    assert np.array_equal(np.sort(order), np.arange(n))
    blocks = offsets[order] // block_bytes
    places = [np.flatnonzero(blocks == block) for block in np.unique(blocks)]
    assert max(begun_blocks(places, n)) <= window_blocks
    shortest = sum(sorted(len(p) for p in places)[:window_blocks])
    for start in range(0, n, 7):
        assert len(set(blocks[start : start + shortest])) <= 2 * window_blocks


def test_quasi_random_mixes_within_its_window_and_reads_blocks_in_random_order():
    n, offsets = 6400, np.arange(6400) * 100  # 640 blocks of 10 samples, 160 groups of 40
    order = epoch_order(1, 0, n, QUASI, offsets)
    block = order // 10
    same = np.mean(block[1:] == block[:-1])  # 9 of the other 39 samples of a group
    assert abs(same - 9 / 39) < 5 * np.sqrt(9 / 39 * 30 / 39 / n)
    firsts = block.reshape(160, 40)
    assert all(len(set(group)) == 4 for group in firsts)
    # Means of 4 of 640 blocks have sd 92, and two of them lie 104 apart on average; blocks in file order, 4 apart.
    assert 85 < np.mean(np.abs(np.diff(firsts.mean(axis=1)))) < 125
    assert np.mean(order == epoch_order(1, 1, n, QUASI, offsets)) < 0.01


def test_quasi_random_gives_every_block_every_group_alike():
    # The group of block 0 of 8, in groups of 2: each of 4 a quarter of 4,000 epochs, five sd either side.
    config, offsets = OrderConfig(order="quasi_random", block_bytes=10, window_blocks=2), np.arange(8) * 10
    places = [np.flatnonzero(epoch_order(0, epoch, 8, config, offsets) == 0)[0] // 2 for epoch in range(4000)]
    assert np.all(np.abs(np.bincount(places, minlength=4) - 1000) < 5 * np.sqrt(4000 / 4 * 3 / 4))


def test_one_window_of_everything_is_the_random_order():
    n = 200
    whole = OrderConfig(order="quasi_random", block_bytes=10**9), OrderConfig(order="sliding", window_images=n)
    for config in whole:
        assert np.array_equal(epoch_order(5, 9, n, config, file_offsets(n)), epoch_order(5, 9, n))


def test_sliding_window_moves_along_one_permutation():
    n, windows = 400, [epoch_order(2, epoch, 400, SLIDING) for epoch in range(10)]
    assert all(len(set(window)) == 120 for window in windows)
    for earlier, later in pairwise(windows):
        assert len(set(earlier) & set(later)) == 80
        assert not np.array_equal(np.isin(earlier, later), np.arange(120) >= 40), "the window itself is shuffled"
    visits = np.bincount(np.concatenate(windows), minlength=n)
    assert np.all(visits == 3)  # w / s windows in each n / s
    assert set(epoch_order(2, 10, n, SLIDING)) == set(windows[0])
    assert set(epoch_order(3, 0, n, SLIDING)) != set(windows[0])


def test_sliding_window_stays_for_its_epochs_in_another_order():
    config = OrderConfig(order="sliding", window_images=50, epochs_per_window=3)
    orders = [epoch_order(0, epoch, 200, config) for epoch in range(4)]
    assert set(orders[0]) == set(orders[1]) == set(orders[2])
    assert not set(orders[0]) & set(orders[3])
    assert not np.array_equal(orders[0], orders[1])


def test_orders_of_large_data_are_pinned():
    """A change here changes the order of runs already made: it needs a decision and a changelog entry."""
    quasi = OrderConfig(order="quasi_random", block_bytes=30, window_blocks=2)
    assert epoch_order(0, 0, 12, quasi, np.arange(12) * 10).tolist() == [2, 1, 8, 0, 6, 7, 3, 9, 5, 11, 10, 4]
    sliding = OrderConfig(order="sliding", window_images=6, stride_images=2)
    assert epoch_order(2**63 + 1, 7, 12, sliding).tolist() == [6, 7, 10, 1, 3, 8]


@pytest.mark.parametrize("config", ORDERS, ids=lambda config: config.order)
def test_every_order_is_entered_at_any_step_and_does_not_know_the_batch_size(config):
    def schedule(batch_size):
        return Schedule(num_samples=300, batch_size=batch_size, order=config, seed=8, offsets=file_offsets(300))

    batches = list(schedule(7).batches(4))
    for start_step in (0, 1, len(batches) - 1, len(batches)):
        tail = list(schedule(7).batches(4, start_step))
        assert len(tail) == len(batches) - start_step
        assert all(np.array_equal(a, b) for a, b in zip(tail, batches[start_step:]))
    length = schedule(1).samples_per_epoch
    assert np.array_equal(schedule(1).positions(4)[: length // 7 * 7], np.concatenate(batches))


@pytest.mark.parametrize("config", ORDERS, ids=lambda config: config.order)
@given(world_size=st.integers(1, 5), per_rank=st.integers(1, 6), drop_last=st.booleans(), start_step=st.integers(0, 3))
def test_shares_of_the_ranks_make_up_every_batch(config, world_size, per_rank, drop_last, start_step):
    def schedule(**ranks):
        options = {"batch_size": world_size * per_rank, "order": config, "drop_last": drop_last}
        return Schedule(num_samples=301, offsets=file_offsets(301), **options, **ranks)

    alone = schedule()
    last = alone.samples_per_epoch % alone.batch_size
    if not drop_last and 0 < last < world_size:
        with pytest.raises(InputError, match=r"^batch_size="):
            schedule(world_size=world_size)
        return
    ranks = [schedule(rank=rank, world_size=world_size) for rank in range(world_size)]
    shares = [list(rank.batches(2, start_step)) for rank in ranks]
    assert {len(rank) for rank in ranks} == {len(alone)}
    assert min(len(share) for rank in shares for share in rank) >= 1
    for number, batch in enumerate(alone.batches(2, start_step)):
        assert np.array_equal(np.concatenate([rank[number] for rank in shares]), batch)
    assert all(len(rank) == len(alone) - start_step for rank in shares)


@pytest.mark.parametrize(
    ("kwargs", "field"),
    [
        ({"rank": 2, "world_size": 2}, "rank"),
        ({"rank": -1, "world_size": 2}, "rank"),
        ({"rank": 1}, "rank"),
        ({"world_size": 0}, "world_size"),
        ({"batch_size": 5, "world_size": 2}, "batch_size"),
        ({"batch_size": 9, "drop_last": False, "world_size": 3}, "batch_size"),
        ({"order": "quasi_random"}, "offsets"),
        ({"order": "quasi_random", "offsets": np.arange(9)}, "offsets"),
        ({"order": OrderConfig(order="sliding", window_images=11)}, "window_images"),
        ({"order": OrderConfig(order="sliding", window_images=3)}, "batch_size"),
    ],
)
def test_schedule_refuses_what_cannot_be_shared_or_ordered(kwargs, field):
    with pytest.raises(InputError, match=f"^{field}="):
        Schedule(**{"num_samples": 10, "batch_size": 4, **kwargs})


@pytest.mark.parametrize(
    ("kwargs", "field"),
    [
        ({"order": "shuffled"}, "order"),
        ({"order": "sliding"}, "window_images"),
        ({"order": "sliding", "window_images": 5, "stride_images": 6}, "stride_images"),
        ({"order": "sliding", "window_images": 5, "stride_images": 0}, "stride_images"),
        ({"order": "sliding", "window_images": 5, "epochs_per_window": 0}, "epochs_per_window"),
        ({"order": "sliding", "window_images": 5, "block_bytes": 5}, "block_bytes"),
        ({"order": "quasi_random", "window_blocks": 0}, "window_blocks"),
        ({"order": "quasi_random", "window_images": 5}, "window_images"),
        ({"window_blocks": 4}, "window_blocks"),
    ],
)
def test_order_names_the_option_that_is_wrong_or_without_effect(kwargs, field):
    with pytest.raises(InputError, match=f"^{field}="):
        OrderConfig(**kwargs)
