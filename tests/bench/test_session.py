"""A session: what is measured in which order, what is kept of it, and what becomes of failures."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks import rounds
from benchmarks import session as sessions
from benchmarks.cases import cases, groups
from benchmarks.peers import Contestant
from benchmarks.rounds import GpuRound
from benchmarks.session import Session, photographs
from fastssl.telemetry.records import read_records


def small_session(monkeypatch, *contestants, group="simclr-32"):
    """A session of contestants that hand their input on, unchecked."""
    session = Session(group, "cpu", quick=True)
    found = {entry.name: entry for entry in session.entries}
    session.entries = [found[name] for name in contestants]
    for entry in session.entries:
        entry.case = replace(entry.case, batch=4)
    plain = Contestant(lambda images, step: (images,), "regime", whole=False)
    monkeypatch.setattr(sessions, "build", lambda *given: plain)
    return session


def give_blocks(entry, count):
    entry.blocks, entry.cpu_s = [[1e-6]] * count, [1e-6] * count


def test_every_block_holds_every_contestant_once_in_another_order():
    session = Session("simclr-32", "cpu", quick=True)
    turns = np.array([position for _, position in session.turns()]).reshape(session.num_blocks, -1)
    assert [sorted(block) for block in turns.tolist()] == [list(range(len(session.entries)))] * session.num_blocks
    assert len({tuple(block) for block in turns.tolist()}) > 1


def test_wrong_contestant_becomes_a_record_without_samples(monkeypatch, tmp_path):
    session = small_session(monkeypatch, "cpu")
    one_view = Contestant(lambda images, step: (images,), "")
    monkeypatch.setattr(sessions, "build", lambda *given: one_view)
    session.prepare(session.entries[0])
    session.write(tmp_path / "records.jsonl")
    (record,) = read_records([tmp_path / "records.jsonl"])
    assert record["outcome"] == "wrong"
    assert record["samples"] == []
    assert record["case"]["reason"] == "1 views, not 2"


def test_contestants_share_batches_and_do_not_make_them_again(monkeypatch):
    made = []
    monkeypatch.setattr(sessions, "photographs", lambda *given: made.append(given) or photographs(*given))
    session = small_session(monkeypatch, "cpu", "kornia")
    for entry in session.entries:
        session.prepare(entry)
    first, second = session.entries
    assert first.outcome == second.outcome == "ok"
    assert made == [(4, 32, 32, number) for number in range(4)]
    assert all(one is other for one, other in zip(first.inputs, second.inputs, strict=True))


def test_photographs_are_smooth_pictures_that_differ():
    images = photographs(40, 30, 50, 0)
    assert images.shape == (40, 3, 30, 50)
    assert images.is_contiguous(memory_format=torch.channels_last)
    assert len({image.numpy().tobytes() for image in images}) == 40
    assert not torch.equal(images, photographs(40, 30, 50, 1))
    values = images.float()
    steps = (values[..., 1:] - values[..., :-1]).abs().mean()
    assert 2 < steps < 0.25 * values.std()


def test_interrupted_session_keeps_the_whole_blocks_of_each_case(monkeypatch, tmp_path):
    session = small_session(monkeypatch, "cpu", "kornia", "copy")
    ours, peer, late = session.entries
    late.case = replace(late.case, name="another case")
    for entry in (ours, peer):
        session.prepare(entry)
    give_blocks(ours, 3)
    give_blocks(peer, 2)
    session.write(tmp_path / "records.jsonl")
    records = read_records([tmp_path / "records.jsonl"])
    assert [record["case"]["contestant"] for record in records] == ["cpu", "kornia"]
    assert [record["case"]["rounds_per_block"] for record in records] == [[1, 1], [1, 1]]


def test_compiler_that_hides_the_timeout_is_a_timeout(monkeypatch):
    def build(*given):
        try:
            while True:
                pass
        except TimeoutError as error:
            raise RuntimeError("the compiler was stopped") from error

    session = small_session(monkeypatch, "cpu")
    (entry,) = session.entries
    entry.name = "torch.compile"
    monkeypatch.setattr(sessions, "COMPILE_S", 1)
    monkeypatch.setattr(sessions, "build", build)
    session.prepare(entry)
    assert (entry.outcome, entry.reason) == ("timeout", "took longer than 1 s to build, compile and check")


def test_records_of_a_gpu_hold_the_time_of_device_and_host(monkeypatch, tmp_path):
    """The device's side is made up; what becomes of it is not."""
    session = small_session(monkeypatch, "cpu")
    (entry,) = session.entries
    session.prepare(entry)
    entry.plan = rounds.Plan(calls=2, spin_s=0.1)
    session.device, session.rounds = "cuda", 2
    spins = []

    def timed(work, spin_s):
        spins.append(spin_s)
        return GpuRound(device_s=16e-6, host_s=80e-6 if spin_s == 0 else 1.0, ahead=len(spins) == 2)

    class Clock:
        def pedantic(self, work, setup, teardown, rounds, warmup_rounds):
            for _ in range(warmup_rounds + rounds):
                setup()
                work()
                teardown()

    monkeypatch.setattr(sessions, "time_on_gpu", timed)
    session.measure(Clock(), entry)
    session.write(tmp_path / "records.jsonl")
    (record,) = read_records([tmp_path / "records.jsonl"])
    assert spins == [0.0, 0.1, 0.1]
    assert record["samples"] == pytest.approx([1e-6, 1e-6])  # two batches of four images and two views
    assert record["metrics"]["host_s_per_view"] == pytest.approx(5e-6)
    assert record["metrics"]["queued_ahead_share"] == 0.5
    assert "cpu_s_per_view" not in record["metrics"]


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_cases_have_names_of_their_own_and_known_traffic(device):
    found = [case for group in groups(device, quick=False) for case in cases(group, device, quick=False)]
    assert len({case.name for case in found}) == len(found)
    plain = next(case for case in found if case.name.startswith("ops-32/plain"))
    assert plain.bytes_per_view == 32 * 32 * 3 * (1 + plain.dtype.itemsize)


def test_groups_of_operations_fit_a_process_on_a_gpu():
    assert {case.batch for case in cases("ops-224", "cuda", quick=False)} == {64}


def test_contestant_that_crashes_in_a_block_leaves_the_others_theirs(monkeypatch, tmp_path, benchmark):
    session = small_session(monkeypatch, "cpu", "kornia")
    for entry in session.entries:
        session.prepare(entry)
    sound, broken = session.entries
    give_blocks(sound, 5)
    give_blocks(broken, 1)

    def crash(images, step):
        raise RuntimeError("out of memory\nand more")

    broken.contestant = replace(broken.contestant, make=crash)
    with pytest.raises(RuntimeError, match="out of memory"):
        session.measure(benchmark, broken)
    session.write(tmp_path / "records.jsonl")
    kept, failed = read_records([tmp_path / "records.jsonl"])
    assert len(kept["samples"]) == 5
    assert failed["outcome"] == "failed"
    assert failed["case"]["reason"] == "RuntimeError: out of memory"
