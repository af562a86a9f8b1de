"""Records to one row per evaluation point: what is kept, what is dropped aloud, what is told apart."""

import json
import subprocess
import sys

import polars as pl
import pytest

from fastssl.errors import InputError
from fastssl.report.arms import arm_key, arm_labels
from fastssl.report.load import COLUMNS, load_runs
from fastssl.telemetry.records import new_record


def test_every_point_is_one_row_in_order_of_arm_run_and_step(write, fake):
    frame = load_runs([write(fake.campaign(seeds=2))])
    assert frame.columns == list(COLUMNS)
    assert len(frame) == 2 * (5 * 5 + 1)
    assert frame["arm"].unique(maintain_order=True).to_list() == [
        "Barlow Twins", "DIET", "SimCLR", "VICReg", "random encoder", "supervised",
    ]  # fmt: skip
    for run in frame.partition_by("run"):
        assert run["step"].is_sorted()
        assert run["final"].to_list() == [False] * (len(run) - 1) + [True]


def test_compute_hours_are_the_clock_of_training_and_data_on_every_device(write, fake):
    clock = {"train_s": 1000.0, "data_s": 800.0, "eval_s": 9e9, "compile_s": 9e9, "checkpoint_s": 9e9, "world_size": 4}
    frame = load_runs([write([fake.point("simclr", clock=clock, budget={"gpu_h": 123.0})])])
    assert frame["compute_h"].item() == pytest.approx(2.0)


def test_values_come_from_their_fields(write, fake):
    record = fake.point("diet", 3, metrics={"ridge": 0.25, "knn": 0.125})
    row = load_runs([write([record])]).row(0, named=True)
    assert (row["ridge"], row["knn"], row["seed"], row["role"]) == (0.25, 0.125, 3, "method")
    assert (row["views"], row["images"]) == (record["budget"]["views"], record["budget"]["images"])
    assert (row["device"], row["dataset"], row["record"]) == ("AMD EPYC, 2 cores", "demo", record["id"])


@pytest.mark.parametrize(("count", "name"), [(1, "NVIDIA H200"), (8, "8 x NVIDIA H200")])
def test_gpus_are_named_with_their_number(write, fake, count, name):
    device = {"kind": "cuda", "name": "NVIDIA H200", "count": count, "memory_bytes": 1}
    frame = load_runs([write([{**fake.point("simclr"), "device": device}])])
    assert (frame["device"].item(), frame["device_kind"].item()) == (name, "cuda")


def test_folders_are_searched_and_a_file_named_twice_counts_once(write, fake, tmp_path):
    first = write(fake.run("simclr", 0), "a/records.jsonl")
    write(fake.run("simclr", 1), "b/c/records.jsonl")
    frame = load_runs([tmp_path, first, tmp_path / "a"])
    assert len(frame) == 10
    assert frame["run"].n_unique() == 2


def test_other_suites_are_left_out(write, fake):
    values = {name: fake.point("simclr")[name] for name in ("clock", "budget", "dataset")}
    timing = new_record(suite="load", case={"contestant": "x"}, scope=["decode"], metrics={}, **values)
    assert len(load_runs([write([timing, fake.point("simclr")])])) == 1
    with pytest.raises(InputError, match="hold no training run"):
        load_runs([write([timing], "only.jsonl")])


def test_nothing_and_missing_paths_are_refused(tmp_path):
    with pytest.raises(InputError, match="hold no training run"):
        load_runs([tmp_path])
    with pytest.raises(InputError, match="records=nothing hold no training run"):
        load_runs([])
    with pytest.raises(InputError, match=r"gone\.jsonl does not exist"):
        load_runs([tmp_path / "gone.jsonl"])


def test_of_a_run_trained_twice_the_last_attempt_counts_and_is_said(write, fake):
    first, second = fake.run("simclr"), fake.run("simclr", budget_s=20.0)
    with pytest.warns(UserWarning, match="run demo-simclr-0 was trained more than once"):
        frame = load_runs([write([*first[:3], *second])])
    assert frame["record"].to_list() == [record["id"] for record in second]


def test_runs_that_share_a_name_but_not_a_recipe_are_different_arms(write, fake):
    records = fake.run("simclr") + [
        {**record, "case": {**record["case"], "run": "other"}} for record in fake.run("simclr", 1, recipe={"views": 4})
    ]
    frame = load_runs([write(records)])
    assert frame.filter(pl.col("run") == "other")["arm"].unique().to_list() == ["SimCLR (views 4)"]
    assert frame.filter(pl.col("run") != "other")["arm"].unique().to_list() == ["SimCLR (views 2)"]


def test_workers_seed_and_name_make_no_arm():
    recipe = {"seed": 0, "name": "a", "views": 2, "data": {"workers": 2, "fraction": 1.0}}
    same = {"seed": 9, "name": "b", "views": 2, "data": {"workers": 8, "fraction": 1.0}}
    other = {"seed": 0, "name": "a", "views": 2, "data": {"workers": 2, "fraction": 0.5}}
    assert arm_key(recipe, device="x") == arm_key(same, device="x")
    assert arm_key(recipe, device="x") != arm_key(other, device="x")
    assert arm_key(recipe, device="x") != arm_key(recipe, device="y")


def test_arm_labels_name_what_differs_and_never_repeat():
    def arm(method="simclr", **fields):
        return method, arm_key(fields)

    assert arm_labels([arm(views=2), arm("diet", views=1), arm("newest", views=1)]) == ["SimCLR", "DIET", "newest"]
    assert arm_labels([arm(views=2, head={"d": 64}), arm(views=2, head={"d": None})]) == [
        "SimCLR (d 64)", "SimCLR (d none)",
    ]  # fmt: skip
    many = arm_labels([arm(a=1, b=1, c=1, d=1), arm(a=1, b=2, c=2, d=2, e=1)])
    assert many == ["SimCLR (b 1, c 1, d 1, ...)", "SimCLR (b 2, c 2, d 2, ...)"]
    assert arm_labels([arm(protocol="x"), arm(protocol="y")]) == ["SimCLR #1", "SimCLR #2"]


def test_reports_never_import_torch(write, fake, tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from fastssl.report.load import load_runs\n"
        "from fastssl.report.tables import budget_table\n"
        "from fastssl.report.figures import budget_csv, budget_figure\n"
        "frame, out = load_runs([Path(sys.argv[1])]), Path(sys.argv[2])\n"
        "budget_table(frame), budget_figure(frame, out), budget_csv(frame, out)\n"
        "print([m for m in ('torch', 'ffcv', 'kornia', 'matplotlib.pyplot') if m in sys.modules])\n"
    )
    command = [sys.executable, "-c", code, str(write(fake.campaign())), str(tmp_path / "out")]
    assert json.loads(subprocess.run(command, capture_output=True, check=True).stdout) == []


def test_label_stands_for_the_dataset_name(write, fake):
    frame = load_runs([write([fake.point("simclr")])], "CIFAR-10 (JPEG)")
    assert frame["dataset"].to_list() == ["CIFAR-10 (JPEG)"]
