"""`fastssl bench`: options reach the part that they are of, and its records come back as rows."""

import pytest

from fastssl.cli import bench
from fastssl.telemetry.records import append_record, new_record

CLOCK = {"compile_s": 1.0, "data_s": 0.0, "train_s": 0.0, "eval_s": 0.0, "checkpoint_s": 0.0, "world_size": 1,
         "device": "cpu"}  # fmt: skip
BUDGET = dict.fromkeys(("gpu_h", "views", "images", "steps", "flops", "joules"))


def record(contestant, outcome="ok", reason=""):
    samples = [1e-3] * 6 if outcome == "ok" else []
    return new_record(
        suite="load", case={"name": "jpeg-2x224", "contestant": contestant, "reason": reason}, scope=["decode"],
        samples=samples, unit="cpu_s_per_image", outcome=outcome, metrics={}, budget=BUDGET,
        clock={**CLOCK, "wall_s_per_image": samples}, dataset={"id": "photographs", "fingerprint": "ab"},
    )  # fmt: skip


@pytest.fixture
def ran(monkeypatch):
    """What would have been run: (module, arguments) each; `ran.leaves` are the records that it appends."""

    class Ran(list):
        leaves = (record("crops"), record("decode"))

    calls = Ran()

    def run(module, arguments):
        calls.append((module, arguments))
        for one in calls.leaves:
            append_record(bench.Path(arguments[arguments.index("--records") + 1]), one)
        return 0

    monkeypatch.setattr(bench, "_run", run)
    return calls


def test_options_go_to_the_part_by_its_own_names(fastssl, ran, tmp_path):
    flags = ("--case", "jpeg-2x224", "--contestants", "fastssl,ffcv", "--threads", "1")
    done = fastssl("bench", "load", *flags, "--quick", "--json")
    (module, arguments), records = ran[0], str(tmp_path / "runs" / "bench" / "load.jsonl")
    assert module == "benchmarks.bench_loaders"
    assert arguments == ["--cases", "jpeg-2x224", "--contestants", "crops", "ffcv", "--threads", "1", "--quick",
                         "--records", records]  # fmt: skip
    assert done.status == 0
    ours, ceiling = done.document
    assert (ours["contestant"], ours["ceiling_ratio"], ours["cpu_ms_per_item"]) == ("crops", 1.0, 1.0)
    assert ceiling["contestant"] == "decode"


def test_rows_are_of_this_run_alone_unless_an_earlier_one_is_gone_on_with(fastssl, ran):
    fastssl("bench", "load", "--json")
    ran.leaves = (record("threads"),)
    assert [row["contestant"] for row in fastssl("bench", "load", "--json").document] == ["threads"]
    ran.leaves = (record("dali"),)
    full = fastssl("bench", "load", "--full", "--json").document
    assert [row["contestant"] for row in full] == ["crops", "decode", "threads", "dali"]


@pytest.mark.parametrize(("reason", "status"), [("not installed; `make peers` installs it", 0), ("it crashed", 1)])
def test_what_is_not_installed_is_no_failure_and_what_crashed_is(fastssl, ran, reason, status):
    ran.leaves = (record("crops"), record("dali", "failed", reason))
    done = fastssl("bench", "load", "--json")
    assert done.status == status
    assert done.document[1]["reason"] == reason


def test_a_part_that_leaves_nothing_failed(fastssl, ran, monkeypatch):
    monkeypatch.setattr(bench, "_run", lambda module, arguments: 1)
    done = fastssl("bench", "write")
    assert done.status == 1
    assert "bench write measured nothing; the reason stands above" in done.err


def test_an_installed_package_without_the_repository_says_what_to_do(fastssl, monkeypatch, tmp_path):
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    done = fastssl("bench", "load")
    assert done.status == 1
    assert "bench needs the repository" in done.err
