"""`fastssl report budget`: targets, budgets, groups and differences of made-up records, and what it refuses."""

import json

import pytest

from fastssl.cli import main
from fastssl.errors import InputError
from fastssl.report.budget import Questions, budget_report
from fastssl.report.load import load_runs
from fastssl.report.price import Rates, with_price


def row(report, arm):
    return next(value for value in report.table.values if value["arm"] == arm)


def test_targets_and_budgets_become_columns(write, fake):
    frame = load_runs([write(fake.campaign(seeds=3))])
    report = budget_report(frame, Questions(target=0.65, at_h=15 / 3600))
    simclr = row(report, "SimCLR")
    assert 0.41 < simclr["at"]["mean"] < 0.75
    assert simclr["to_target"]["reached"] == 3
    assert 0 < simclr["to_target"]["compute_h"] < 30 / 3600
    floor = row(report, "random encoder")
    assert floor["to_target"]["reached"] == 0
    assert "missed (>" in next(" ".join(cells) for cells in report.table.rows if cells[0].startswith("random"))
    assert "a straight line" in report.table.note
    assert "seconds to 65 %" in " ".join(report.table.header)


def test_equal_seeds_show_no_difference_and_one_run_no_test(write, fake):
    frame = load_runs([write(fake.campaign(seeds=3, methods=("simclr", "barlow_twins")))])
    report = budget_report(frame)
    lines = [line for line in report.summary if "−" in line]
    assert len(lines) == 1
    assert "no difference shown" in lines[0]
    single = budget_report(load_runs([write(fake.campaign(methods=("simclr", "vicreg")), "one.jsonl")]))
    assert any("no test of a difference" in line for line in single.summary)
    assert not any("−" in line for line in single.summary)


def test_a_real_difference_is_told_and_the_best_is_on_the_front(write, fake):
    report = budget_report(load_runs([write(fake.campaign(seeds=6, methods=("simclr", "diet")))]))
    (line,) = (line for line in report.summary if "−" in line)
    assert line.startswith("SimCLR − DIET: +")
    assert "no difference" not in line
    assert row(report, "SimCLR")["on_front"]
    assert any(line.startswith("best at some compute") and "SimCLR" in line for line in report.summary)


def test_a_target_met_at_once_is_a_bound_and_a_part_of_the_runs_has_no_mean(write, fake):
    frame = load_runs([write(fake.campaign(seeds=3, methods=("simclr", "supervised")))])
    early = row(budget_report(frame, Questions(target=0.42)), "supervised")["to_target"]
    assert (early["at_first_probe"], early["ci95"]) == (True, None)
    tops = [run["ridge"].max() for run in frame.filter(frame["method"] == "simclr").partition_by("run")]
    report = budget_report(frame, Questions(target=float(sorted(tops)[1] + sorted(tops)[2]) / 2))
    some = row(report, "SimCLR")["to_target"]
    assert (some["reached"], some["compute_h"]) == (1, None)
    cell = next(cells for cells in report.table.rows if cells[0] == "SimCLR")
    assert any(text.startswith("> ") and "(1 of 3 reached it)" in text for text in cell)


def test_groups_by_a_field_pool_and_say_so(write, fake):
    records = []
    for views in (2, 4):
        for seed in (0, 1):
            records += fake.run("simclr", seed, recipe={"views": views, "batch_size": 128 * (seed + 1)})
            for record in records[-5:]:
                record["case"]["run"] = f"r-{views}-{seed}"
    frame = load_runs([write(records)], by="views")
    assert sorted(frame["arm"].unique()) == ["SimCLR (views 2)", "SimCLR (views 4)"]
    assert frame["pooled"].unique().to_list() == ["batch_size"]
    assert any("differ in batch_size" in line for line in budget_report(frame).summary)
    with pytest.raises(InputError, match=r"by=view is no field.*views"):
        load_runs([write(records, "again.jsonl")], by="view")


def test_price_is_of_the_whole_run_and_only_what_is_known(write, fake):
    frame = load_runs([write([fake.point("simclr", budget={"joules": 3.6e6}, clock={"wall_s": 7200.0})])])
    priced = with_price(frame, Rates(per_compute_h=2.0, per_kwh=0.5)).row(0, named=True)
    assert priced["energy_kwh"] == pytest.approx(1.0)
    assert priced["price"] == pytest.approx(2 * 2.0 + 0.5)
    without = with_price(load_runs([write([fake.point("diet")], "d.jsonl")]), Rates(per_kwh=0.5)).row(0, named=True)
    assert without["price"] is None
    with pytest.raises(InputError, match="price_per_kwh=-1"):
        Rates(per_kwh=-1)


def test_command_writes_all_outputs(write, fake, tmp_path, capsys):
    path, out = write(fake.campaign(seeds=2)), tmp_path / "out" / "b"
    assert main(["report", "budget", str(path), "--out", str(out), "--target", "60", "--at", "12s", "--json"]) == 0
    document = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert {f.rsplit(".")[-1] for f in document["files"]} == {"png", "svg", "csv", "md"}
    text = out.with_name("b.md").read_text()
    assert text.startswith("![Accuracy against compute, views and epochs](b.svg)")
    assert "| SimCLR |" in text


@pytest.mark.parametrize(
    ("arguments", "needle"),
    [
        (["--at", "soon"], "at=soon is no time"),
        (["--at", "0s"], "at=0"),
        (["--target", "160"], "target=160"),
        (["--only", "nothing*"], "only=nothing* matches none"),
        (["--price-per-gpu-h", "-1"], "price_per_gpu_h=-1"),
    ],
)
def test_bad_questions_are_one_line(write, fake, tmp_path, capsys, arguments, needle):
    path = write(fake.run("simclr"))
    assert main(["report", "budget", str(path), "--out", str(tmp_path / "b"), *arguments]) == 1
    assert needle in capsys.readouterr().err
    assert not (tmp_path / "b.png").exists()


def test_mixtures_are_refused_or_said_in_the_table_too(write, fake, tmp_path, capsys):
    path = write([*fake.run("simclr"), fake.point("diet", case={"protocol": "another"})])
    assert main(["report", "budget", str(path), "--out", str(tmp_path / "b")]) == 1
    assert "protocol differs between runs" in capsys.readouterr().err
    assert main(["report", "budget", str(path), "--out", str(tmp_path / "b"), "--allow-mixed"]) == 0
    out = capsys.readouterr().out
    assert "MIXED: protocol differs" in out
    assert "best at some compute" not in out
