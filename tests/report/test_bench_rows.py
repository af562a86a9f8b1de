"""One row per contestant and case, of any suite; and what got slower between two files."""

import pytest
from test_loader_tables import timing

from fastssl.report.bench_rows import bench_rows, paired_ratio, ratios


def row_of(rows, contestant):
    return next(row for row in rows if row["contestant"] == contestant)


def test_rows_hold_both_times_the_interval_and_the_share_of_the_ceiling():
    rows = bench_rows([timing("crops", 1.0), timing("decode", 0.8), timing("dali", 0, outcome="failed", reason="gone")])
    ours = row_of(rows, "crops")
    assert ours["cpu_ms_per_item"] == ours["cpu_ms_per_item_low"] == pytest.approx(1.0)
    assert ours["items_per_s"] == pytest.approx(2_000)
    assert ours["ceiling_ratio"] == pytest.approx(0.8)
    assert ours["ok"]
    gone = row_of(rows, "dali")
    assert (gone["ok"], gone["reason"], gone["cpu_ms_per_item"], gone["ceiling_ratio"]) == (False, "gone", None, None)


def test_a_step_is_measured_against_the_step_alone(feeds):
    rows = bench_rows(feeds)
    assert row_of(rows, "crops")["ceiling_ratio"] == pytest.approx(0.98)
    assert row_of(rows, "crops")["items_per_s"] == pytest.approx(980)
    assert row_of(rows, "crops")["cpu_ms_per_item"] is None


def test_of_what_was_measured_twice_the_last_counts():
    rows = bench_rows([timing("crops", 1.0), timing("crops", 2.0)])
    assert [row["cpu_ms_per_item"] for row in rows] == [pytest.approx(2.0)]


def test_ratios_are_of_what_both_files_hold_ceilings_last():
    base = [timing("decode", 0.8), timing("crops", 1.0), timing("ffcv", 5.0)]
    new = [timing("decode", 0.96), timing("crops", 1.2), timing("threads", 2.0)]
    found = ratios(base, new)
    assert [row["path"] for row in found] == ["load jpeg-2x224: crops", "load jpeg-2x224: decode"]
    assert found[0]["ratio"] == pytest.approx(1.2)
    assert (found[0]["low"], found[0]["high"]) == (pytest.approx(1.2), pytest.approx(1.2))
    assert [row["ceiling"] for row in found] == [False, True]
    assert found[0]["beside_ceiling"] == pytest.approx(1.0)  # the machine was slower, not the loader
    assert found[1]["beside_ceiling"] is None


def test_wall_time_is_turned_round_so_that_slower_is_above_one(feeds):
    slower = [{**r, "samples": [2 * value for value in r["samples"]]} for r in feeds]
    assert {round(row["ratio"], 6) for row in ratios(feeds, slower)} == {2.0}


def test_two_codes_measured_in_turn_are_compared_block_by_block():
    row = paired_ratio("loader", [1.0, 2.0, 3.0], [1.1, 2.2, 3.3])
    assert row["ratio"] == pytest.approx(1.1)
    assert row["low"] is None
