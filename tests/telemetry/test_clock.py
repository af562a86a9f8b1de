"""The clock: phases that pause one another, add up to wall time, and survive restarts."""

import time

import pytest
import torch

from fastssl.errors import InputError
from fastssl.telemetry.clock import PHASES, Clock


class FakeTime:
    def __init__(self):
        self.s = 100.0

    def __call__(self):
        return self.s


@pytest.fixture
def tick():
    return FakeTime()


@pytest.fixture
def clock(tick):
    return Clock(now=tick)


def test_clock_starts_with_every_phase_at_zero(clock):
    assert clock.seconds == dict.fromkeys(PHASES, 0.0)


def test_inner_phase_pauses_the_outer_one(clock, tick):
    with clock.phase("train"):
        tick.s += 5
        with clock.phase("eval"):
            tick.s += 70
            with clock.phase("data"):
                tick.s += 11
        tick.s += 3
    tick.s += 1000  # outside every phase: nobody's time
    assert clock.seconds == {"compile": 0, "data": 11, "train": 8, "eval": 70, "checkpoint": 0}


def test_phase_may_be_entered_inside_itself(clock, tick):
    with clock.phase("train"):
        tick.s += 1
        with clock.phase("train"):
            tick.s += 2
    assert clock.seconds["train"] == 3


def test_running_phase_counts_before_it_ends(clock, tick):
    with clock.phase("train"):
        tick.s += 4
        assert clock.spent_s("train", "data") == 4
        with clock.phase("data", sync=False):
            tick.s += 2
            assert clock.spent_s("train") == 4
            assert clock.spent_s("train", "data") == 6
    assert clock.spent_s("train", "data") == 6


def test_exception_ends_its_phase_and_goes_on(clock, tick):
    def fail_after(seconds):
        tick.s += seconds
        raise KeyError("inside")

    with clock.phase("train"):
        with pytest.raises(KeyError, match="inside"), clock.phase("eval"):
            fail_after(7)
        tick.s += 2
    assert (clock.seconds["eval"], clock.seconds["train"]) == (7, 2)


def test_abandoned_generator_does_not_leave_its_phase_open(clock, tick):
    def batches():
        with clock.phase("data"):
            tick.s += 1
            yield

    with clock.phase("train"):
        generator = batches()
        next(generator)
        generator.close()
        tick.s += 3
    assert (clock.seconds["data"], clock.seconds["train"]) == (1, 3)


@pytest.mark.parametrize("use", [lambda c: c.phase("warmup").__enter__(), lambda c: c.spent_s("warmup")])
def test_unknown_phase_is_refused_by_name(clock, use):
    with pytest.raises(InputError, match=r"^phase='warmup' is unknown; give one of compile, "):
        use(clock)


def test_gpu_hours_count_every_device_for_the_named_phases(tick):
    clock = Clock(world_size=4, now=tick)
    for name, seconds in {"train": 1800, "data": 900, "eval": 5000}.items():
        with clock.phase(name):
            tick.s += seconds
    assert clock.gpu_hours("train", "data") == pytest.approx(3.0)
    assert clock.gpu_hours() == 0


def test_world_size_below_one_is_refused():
    with pytest.raises(InputError, match=r"^world_size=0 "):
        Clock(world_size=0)


def test_state_accumulates_over_restarts(clock, tick):
    with clock.phase("train"):
        tick.s += 10
        state = clock.state_dict()  # as in a checkpoint: taken while a phase runs
    second = Clock(now=tick)
    with second.phase("compile"):
        tick.s += 2  # spent before the checkpoint is read, and not to be lost
    second.load_state_dict(state)
    second.load_state_dict(state)
    with second.phase("train"):
        tick.s += 5
    assert (second.seconds["compile"], second.seconds["train"]) == (2, 15)
    third = Clock(now=tick)
    third.load_state_dict(second.state_dict())
    assert third.seconds == second.seconds


def test_state_survives_a_weights_only_checkpoint(clock, tick, tmp_path):
    with clock.phase("eval"):
        tick.s += 1.5
    torch.save(clock.state_dict(), tmp_path / "clock.pt")
    assert torch.load(tmp_path / "clock.pt", weights_only=True) == clock.state_dict()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seconds": {**dict.fromkeys(PHASES, 1.0), "warmup": 1.0}}, "phase='warmup' is unknown"),
        ({"seconds": {"train": 1.0}}, "no phase 'compile'"),
        ({"world_size": 8}, "world_size=1 but the run was timed on 8"),
    ],
)
def test_state_of_another_clock_is_refused(clock, change, message):
    with pytest.raises(InputError, match=message):
        clock.load_state_dict({**clock.state_dict(), **change})


def test_record_holds_seconds_world_size_and_device(tick):
    clock = Clock("cuda:1", world_size=2, now=tick)
    with clock.phase("data", sync=False):
        tick.s += 3
    assert clock.record() == {
        "compile_s": 0.0, "data_s": 3.0, "train_s": 0.0, "eval_s": 0.0, "checkpoint_s": 0.0,
        "wall_s": 3.0, "world_size": 2, "device": "cuda",
    }  # fmt: skip


def test_cuda_is_waited_for_at_both_edges_and_only_when_asked(monkeypatch, tick):
    waits = []
    monkeypatch.setattr(
        torch.cuda, "synchronize", lambda device: (waits.append(device), setattr(tick, "s", tick.s + 9))
    )
    clock = Clock(torch.device("cuda"), now=tick)
    with clock.phase("train"):
        assert len(waits) == 1
        with clock.phase("data", sync=False):
            tick.s += 1
        assert len(waits) == 1
        with clock.phase("eval"):  # the wait on entry is for queued training work, and charged to it
            assert clock.seconds["train"] == 9
    assert waits == ["cuda"] * 4
    assert clock.seconds == {"compile": 0, "data": 1, "train": 18, "eval": 9, "checkpoint": 0}


def test_cuda_is_not_waited_for_after_an_exception(monkeypatch, tick):
    waits = []
    monkeypatch.setattr(torch.cuda, "synchronize", waits.append)
    with pytest.raises(RuntimeError, match="kernel"), Clock("cuda", now=tick).phase("train"):
        raise RuntimeError("kernel")
    assert len(waits) == 1


def test_phase_ends_even_when_the_wait_for_the_device_fails(monkeypatch, tick):
    clock = Clock("cuda", now=tick)

    def fail(device):
        raise RuntimeError("device lost")

    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    phase = clock.phase("train")
    phase.__enter__()
    tick.s += 6
    monkeypatch.setattr(torch.cuda, "synchronize", fail)
    with pytest.raises(RuntimeError, match="device lost"):
        phase.__exit__(None, None, None)
    tick.s += 50
    assert clock.seconds["train"] == 6


def test_phases_add_up_to_real_wall_time():
    clock = Clock()
    begin = time.perf_counter()
    with clock.phase("train"):
        inner_begin = time.perf_counter()
        for _ in range(20):
            with clock.phase("data", sync=False):
                time.sleep(0.004)
            time.sleep(0.002)
        with clock.phase("eval"):
            time.sleep(0.03)
        inner_s = time.perf_counter() - inner_begin
    assert inner_s <= sum(clock.seconds.values()) + 1e-9 <= time.perf_counter() - begin + 2e-9
    assert clock.seconds["data"] >= 0.08
    assert clock.seconds["train"] >= 0.04
    assert clock.seconds["eval"] >= 0.03


@pytest.mark.gpu
def test_queued_kernels_are_charged_to_the_phase_that_launched_them():
    a = torch.ones(8192, 8192, device="cuda")
    clock = Clock("cuda")
    (a @ a).sum().item()
    with clock.phase("train"):
        for _ in range(20):
            a @ a
        with clock.phase("eval"):
            pass
    assert clock.seconds["train"] > 10 * clock.seconds["eval"]
