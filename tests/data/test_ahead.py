"""Work ahead of its consumer: in order, bounded, and over when it is left."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from fastssl.augment import Drawer
from fastssl.data.ahead import make_ahead
from fastssl.data.open import open_loader
from fastssl.errors import InputError
from fastssl.views import ViewSpec


def test_results_come_in_order_and_no_more_than_depth_are_begun():
    begun = []

    def make(step):
        begun.append(step)
        return step * step

    with ThreadPoolExecutor(2) as threads:
        for at, made in enumerate(make_ahead(threads, make, range(9), 3)):
            assert made == at * at
            assert len(begun) <= at + 3
    assert sorted(begun) == list(range(9))


def test_what_a_step_raises_comes_out_in_its_place():
    with ThreadPoolExecutor(2) as threads:
        made = make_ahead(threads, lambda step: 6 // (2 - step), range(5), 3)
        assert [next(made), next(made)] == [3, 6]
        with pytest.raises(ZeroDivisionError):
            next(made)


def test_leaving_waits_for_what_runs_and_for_nothing_else():
    """Also when the pool was shut down before, with steps still in its queue."""
    running, go, ended = threading.Event(), threading.Event(), []

    def make(step):
        if step > 0:
            running.set()
            go.wait(10)
        ended.append(step)

    threads = ThreadPoolExecutor(1)
    made = make_ahead(threads, make, range(9), 5)
    next(made)
    assert running.wait(10)
    threads.shutdown(wait=False, cancel_futures=True)
    threading.Timer(0.2, go.set).start()
    made.close()
    assert ended == [0, 1]


@pytest.mark.parametrize("kind", ["crops", "images", "resident"])
def test_closing_a_loader_ends_all_its_running_epochs(tiny_beton, kind):
    """Two at once have more steps begun than there are threads for them."""
    loader = open_loader(kind, tiny_beton(64), batch_size=4, views=Drawer((ViewSpec(size=8),), 0))
    running = [loader.epoch(0), loader.epoch(1)]
    for batches in running:
        next(batches)
    loader.close()
    for batches in running:
        with pytest.raises(InputError, match="closed"):
            next(batches)
