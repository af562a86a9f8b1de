"""A method's row in every campaign: its numbers, its campaign's floor and unit of cost."""

import pytest

from fastssl.report.load import load_runs
from fastssl.report.method_tables import NOT_YET, method_results


@pytest.fixture
def campaign(write, fake):
    return lambda *records: load_runs([write(list(records))])


def cells(text):
    header, _, *rows = [line for line in text.splitlines() if line.startswith("|")]
    names = [cell.strip() for cell in header.strip("|").split("|")]
    return [dict(zip(names, (cell.strip() for cell in row.strip("|").split("|")))) for row in rows]


def test_row_stands_beside_the_floor_and_the_supervised_runs_cost(campaign, fake):
    frame = campaign(*fake.campaign())
    (row,) = cells(method_results([frame], "simclr"))
    ends = {r["method"]: r for r in frame.filter(frame["final"]).to_dicts()}
    simclr, floor, ceiling = ends["simclr"], ends["random"], ends["supervised"]
    assert row["recipe"] == "`demo-simclr`"
    assert row["record"] == f"`{simclr['record'][:12]}`"
    assert float(row["ridge %"]) == pytest.approx(100 * simclr["ridge"], abs=0.051)
    assert float(row["above random"]) == pytest.approx(100 * (simclr["ridge"] - floor["ridge"]), abs=0.051)
    per_image = lambda run: run["compute_h"] / run["images"]
    assert float(row["cost"]) == pytest.approx(per_image(simclr) / per_image(ceiling), abs=0.051)


def test_runs_of_several_seeds_are_one_row_with_an_interval(campaign, fake):
    (row,) = cells(method_results([campaign(*fake.campaign(seeds=3))], "vicreg"))
    assert row["runs"] == "3"
    assert "±" in row["ridge %"]


def test_campaign_without_floor_and_ceiling_leaves_their_cells_empty(campaign, fake):
    (row,) = cells(method_results([campaign(*fake.run("diet"))], "diet"))
    assert (row["cost"], row["above random"]) == ("", "")


def test_method_nobody_ran_says_so(campaign, fake):
    assert method_results([campaign(*fake.run("diet"))], "byol") == NOT_YET
    assert method_results([], "byol") == NOT_YET
