"""Rounds on a GPU are queued before the device comes to them. No GPU is needed: torch's part is played."""

import pytest
import torch

from benchmarks import rounds
from benchmarks.rounds import MOST_CALLS, MOST_LAUNCHES, MOST_SPIN_S, Plan, plan_queued_round, plan_round, time_on_gpu


def test_fast_contestants_repeat_their_batch():
    assert plan_round(0.08, 0.03).calls == 3
    assert plan_round(0.08, 5.0).calls == 1


@pytest.mark.parametrize(
    ("call_s", "host_s", "launches", "calls"),
    [
        (100e-6, 90e-6, 2, MOST_CALLS),  # fused: limited by the number of calls
        (20e-3, 90e-6, 2, 4),  # its device is the slow one: as long as a round shall last
        (8e-3, 5e-3, 300, 3),  # some hundred launches: limited by the queue
        (4e-3, 4e-3, 10, 20),  # slow to queue: no more than shall last
        (90e-3, 90e-3, 900, 1),  # just so
    ],
)
def test_round_is_queued_within_the_spin(call_s, host_s, launches, calls):
    plan = plan_queued_round(0.08, call_s, host_s, launches)
    assert plan.calls == calls
    assert calls * launches <= MOST_LAUNCHES
    assert 2 * calls * host_s == pytest.approx(plan.spin_s)
    assert plan.spin_s <= MOST_SPIN_S


@pytest.mark.parametrize(("call_s", "host_s", "launches", "calls"), [(0.16, 0.15, 100, 1), (0.06, 0.05, 5000, 2)])
def test_nobody_waits_for_what_cannot_be_queued_ahead(call_s, host_s, launches, calls):
    assert plan_queued_round(0.08, call_s, host_s, launches) == Plan(calls, spin_s=0.0)


class Gpu:
    """What torch.cuda is asked for, in order; its clock is `now`, in milliseconds, and a cycle takes a microsecond."""

    def __init__(self, spins=True):
        self.log, self.now = [], 0.0
        if spins:
            self._sleep = self.spin

    def spin(self, cycles):
        self.log.append("spin")
        self.now += cycles / 1000

    def Event(self, enable_timing):
        return Event(self)

    def work(self):
        self.log.append("work")
        self.now += 7.0


class Event:
    def __init__(self, gpu):
        self.gpu = gpu

    def record(self):
        self.gpu.log.append("event")
        self.at = self.gpu.now

    def synchronize(self):
        self.gpu.log.append("wait")

    def elapsed_time(self, other):
        return other.at - self.at


@pytest.fixture
def play(monkeypatch):
    def start(gpu):
        monkeypatch.setattr(torch, "cuda", gpu)
        rounds._cycles_per_s.cache_clear()
        return gpu

    yield start
    rounds._cycles_per_s.cache_clear()


def test_time_of_the_device_leaves_out_what_it_waited_for(play):
    gpu = play(Gpu())
    rounds._cycles_per_s()
    gpu.log.clear()
    measured = time_on_gpu(gpu.work, spin_s=0.1)
    assert gpu.log == ["event", "spin", "event", "work", "event", "wait"]
    assert measured.device_s == pytest.approx(7e-3)
    assert measured.ahead


@pytest.mark.parametrize(("spins", "spin_s"), [(True, 0.0), (False, 0.1)])
def test_round_that_nothing_came_before_was_not_queued_ahead(play, spins, spin_s):
    gpu = play(Gpu(spins))
    measured = time_on_gpu(gpu.work, spin_s)
    assert gpu.log == ["event", "event", "work", "event", "wait"]
    assert measured.device_s == pytest.approx(7e-3)
    assert not measured.ahead
