"""Whatever fails, and whoever leaves when: the consumer gets an exception or an end, soon, and no call goes on."""

import os
import signal
import threading
import time
from concurrent.futures import Future

import pytest

from fastssl.augment import Drawer
from fastssl.data.open import open_loader
from fastssl.errors import InputError
from tests.faults.betons import SPECS, open_kind

pytestmark = pytest.mark.timeout(120)
DECODING = ("crops", "images")


class Broken(Exception):
    pass


class Hook:
    """A drawer that does something first; counts the calls that are going on."""

    specs = SPECS

    def __init__(self, act):
        self.act, self.calls, self.running, self.lock = act, 0, 0, threading.Lock()

    def __call__(self, epoch, index, sizes):
        with self.lock:
            self.calls += 1
            self.running += 1
            call = self.calls
        try:
            self.act(call)
            return Drawer(SPECS, 0)(epoch, index, sizes)
        finally:
            with self.lock:
                self.running -= 1


def fail_from(first):
    def act(call):
        if call >= first:
            raise Broken(f"call {call}")

    return act


def assert_usable(loader):
    assert len(list(loader.epoch(7))) == len(loader)


@pytest.mark.parametrize("kind", DECODING)
def test_drawer_that_fails_ends_the_epoch_with_its_exception(beton, kind):
    hook = Hook(lambda call: None)
    loader = open_loader(kind, beton(), batch_size=2, num_workers=2, views=hook)
    batches = loader.epoch(0)
    next(batches)
    hook.act = fail_from(0)
    with pytest.raises(Broken):
        list(batches)
    assert hook.running == 0
    with pytest.raises(StopIteration):
        next(batches)
    hook.act = lambda call: None
    assert_usable(loader)
    loader.close()


@pytest.mark.parametrize("kind", DECODING)
@pytest.mark.parametrize("failing", [1, 2, 4])
def test_batches_before_the_one_that_failed_are_served(beton, kind, failing):
    """With one batch under way at a time, calls come in the order of the batches."""
    hook = Hook(fail_from(failing))
    loader = open_loader(kind, beton(), batch_size=5, num_workers=1, views=hook)
    loader._batches_ahead = 1
    batches = loader.epoch(0)
    for _ in range(failing - 1):
        next(batches)
    with pytest.raises(Broken, match=f"call {failing}"):
        next(batches)
    loader.close()


@pytest.mark.parametrize(("kind", "work"), [("crops", "make_crops"), ("images", "read_images")])
def test_pool_that_fails_ends_the_epoch_with_its_exception(beton, monkeypatch, kind, work):
    loader = open_kind(kind, beton(), batch_size=2)
    batches = loader.epoch(0)
    next(batches)
    with monkeypatch.context() as patched:
        patched.setattr(type(loader._pool), work, lambda *_, **__: (_ for _ in ()).throw(MemoryError("no room")))
        with pytest.raises(MemoryError, match="no room"):
            list(batches)
    assert_usable(loader)
    loader.close()


@pytest.mark.parametrize("kind", DECODING)
def test_memory_that_runs_out_in_a_batch_is_its_exception(beton, monkeypatch, kind):
    loader = open_kind(kind, beton(), batch_size=2)
    monkeypatch.setattr(loader._buffers, "_make", lambda shape: (_ for _ in ()).throw(MemoryError("no room")))
    with pytest.raises(MemoryError, match="no room"):
        next(loader.epoch(0))
    loader.close()


@pytest.fixture
def interruptible():
    """SIGINT raises; it is ignored in what a shell starts in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("kind", DECODING)
@pytest.mark.usefixtures("interruptible")
def test_interrupt_of_a_waiting_consumer_leaves_nothing_running(beton, monkeypatch, kind):
    waits, result = threading.Event(), Future.result
    monkeypatch.setattr(Future, "result", lambda future: waits.set() or result(future))

    def interrupt_and_go_on(call):
        waits.wait()
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)

    hook = Hook(interrupt_and_go_on)
    loader = open_loader(kind, beton(), batch_size=2, num_workers=1, views=hook)
    loader._batches_ahead = 1  # so that the one waited for is the only one
    with pytest.raises(KeyboardInterrupt):
        next(loader.epoch(0))
    assert hook.running == 0
    hook.act = lambda call: None
    assert_usable(loader)
    loader.close()


@pytest.mark.parametrize("kind", ["crops", "images", "resident", "ffcv"])
@pytest.mark.parametrize("num_epochs", [1, 3])
def test_loader_closed_while_epochs_are_read_says_so(beton, kind, num_epochs):
    loader = open_kind(kind, beton(), batch_size=2)
    epochs = [loader.epoch(number) for number in range(num_epochs)]
    for batches in epochs:
        next(batches)
    loader.close()
    for batches in epochs:
        with pytest.raises(InputError, match="closed"):
            next(batches)
        batches.close()


@pytest.mark.parametrize("kind", DECODING)
def test_epoch_abandoned_after_the_loader_was_closed_ends_at_once(beton, kind):
    hook = Hook(lambda call: time.sleep(0.05))
    loader = open_loader(kind, beton(), batch_size=1, num_workers=1, views=hook)
    loader._batches_ahead = 9  # more than it has threads: some are begun and never run
    batches = loader.epoch(0)
    next(batches)
    loader.close()
    assert (hook.running, hook.calls < 9) == (0, True)
    batches.close()


@pytest.mark.parametrize("kind", ["crops", "images", "ffcv"])
def test_loader_closed_by_another_thread_ends_its_reader(beton, kind):
    def read():
        try:
            for number in range(10**6):
                for _ in loader.epoch(number):
                    pass
        except InputError as error:
            ends.append(str(error))

    for _ in range(5):
        loader, ends = open_kind(kind, beton(), batch_size=1), []
        readers = [threading.Thread(target=read) for _ in range(1 if kind == "ffcv" else 2)]
        for reader in readers:
            reader.start()
        time.sleep(0.05)
        loader.close()
        for reader in readers:
            reader.join(timeout=10)
            assert not reader.is_alive()
        assert len(ends) == len(readers)
        assert all("closed" in end for end in ends)


@pytest.mark.parametrize("kind", ["crops", "images", "ffcv"])
@pytest.mark.parametrize("started", [False, True])
def test_epoch_that_nobody_closes_ends_with_its_last_reference(beton, kind, started):
    loader = open_kind(kind, beton(), batch_size=2)
    list(loader.epoch(0))
    threads = set(threading.enumerate())
    batches = loader.epoch(1)
    if started:
        next(batches)
    del batches
    assert set(threading.enumerate()) <= threads
    assert_usable(loader)
    loader.close()


@pytest.mark.parametrize("kind", DECODING)
def test_loader_that_nobody_closes_ends_with_its_last_reference(beton, kind):
    def count_tasks():
        return len(os.listdir("/proc/self/task"))

    before, path = count_tasks(), beton()
    for _ in range(10):
        batches = open_kind(kind, path, batch_size=2).epoch(0)
        next(batches)
    del batches
    deadline = time.monotonic() + 30  # its threads see that they are not needed any more, and end
    while count_tasks() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert count_tasks() <= before
