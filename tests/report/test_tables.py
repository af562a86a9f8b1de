"""The budget table: means of finished runs, with floor and ceiling always in sight."""

import json

import pytest

from fastssl.report.load import load_runs
from fastssl.report.student import mean_and_halfwidth
from fastssl.report.tables import MISSING, budget_table


def table_of(write, records):
    return budget_table(load_runs([write(records)]))


def test_ceiling_stands_first_floor_last_and_methods_by_ridge(write, fake):
    table = table_of(write, fake.campaign(seeds=2))
    names = [row[0] for row in table.rows]
    assert names[0] == "supervised (ceiling)"
    assert names[-1] == "random encoder (floor)"
    between = [value["ridge"] for value in table.values[1:-1]]
    assert len(between) == 4
    assert between == sorted(between, reverse=True)


def test_numbers_are_those_of_the_final_weights(write, fake):
    records = fake.run("simclr", 0) + fake.run("simclr", 1) + fake.run("simclr", 2)
    value = next(v for v in table_of(write, records).values if v["method"] == "simclr")
    finals = [record["metrics"]["ridge"] for record in records if record["case"]["final"]]
    assert (value["ridge"], value["ridge_ci95"]) == pytest.approx(mean_and_halfwidth(finals))
    assert value["runs"] == 3


def test_one_run_has_no_interval_and_several_have_one(write, fake):
    one = table_of(write, fake.run("simclr"))
    two = budget_table(load_runs([write(fake.run("simclr") + fake.run("simclr", 1), "two.jsonl")]))
    assert [row[4] for row in one.rows if row[0] == "SimCLR" and "±" not in row[4]]
    assert [row[4] for row in two.rows if row[0] == "SimCLR" and "±" in row[4]]


def test_floor_and_ceiling_that_were_not_run_are_shown_as_such(write, fake):
    table = table_of(write, fake.run("simclr"))
    assert table.rows[0] == ("supervised (ceiling)", "not run", *[MISSING] * 4)
    assert table.rows[-1] == ("random encoder (floor)", "not run", *[MISSING] * 4)


def test_unfinished_run_is_counted_apart(write, fake):
    records = fake.run("simclr", 0) + fake.run("simclr", 1)[:4] + fake.run("diet", 0)[:2]
    table = table_of(write, records)
    rows = {row[0]: row for row in table.rows}
    assert rows["SimCLR"][1] == "1 (+1 unfinished)"
    assert rows["DIET"][1:] == ("0 (+1 unfinished)", *[MISSING] * 4)
    simclr = next(value for value in table.values if value["method"] == "simclr")
    assert simclr["ridge"] == fake.run("simclr", 0)[-1]["metrics"]["ridge"]


def test_cells_carry_readable_units(write, fake):
    clock = {"train_s": 900.0, "data_s": 300.0}
    record = fake.point("simclr", clock=clock, metrics={"ridge": 0.7, "knn": 0.654}, budget={"views": 2_500_000})
    table = table_of(write, [record])
    assert table.header == ("method", "runs", "views", "machine-minutes", "ridge %", "kNN %")
    assert table.rows[1] == ("SimCLR", "1", "2.5 M", "20.0", "70.0", "65.4")


def test_markdown_is_a_table_with_its_note(write, fake):
    table = table_of(write, fake.campaign())
    lines = table.markdown().splitlines()
    assert lines[0] == "| method | runs | views | machine-seconds | ridge % | kNN % |"
    assert lines[1] == "| --- | ---: | ---: | ---: | ---: | ---: |"
    assert {line.count("|") for line in lines[: 2 + len(table.rows)]} == {7}
    assert "demo on AMD EPYC, 2 cores" in lines[-1]
    assert "evaluation, compilation and checkpoints are outside it" in lines[-1]
    assert "ridge, single view; test split" in lines[-1]


def test_json_holds_the_numbers(write, fake):
    rows = json.loads(json.dumps(table_of(write, fake.campaign(seeds=2)).to_json()))
    assert len(rows) == 6
    assert all(0 < row["ridge"] < 1 and row["ridge_ci95"] > 0 and row["compute_h"] > 0 for row in rows)
