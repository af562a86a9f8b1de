"""The toy's tables: medians over seeds beside the reference, each where its cell says."""

import pytest

from fastssl.errors import InputError
from fastssl.report.toy_tables import EXPERIMENTS, compare, toy_tables


def records(shift=0.0):
    """Three seeds per cell around the reference, each `shift` tolerances off."""
    made = []
    for name, experiment in EXPERIMENTS.items():
        for cell in experiment.cells:
            for seed, noise in enumerate((-0.01, 0.0, 0.01)):
                for at in sorted({e.step or 1500 for e in cell.expected}):
                    metrics = {e.metric: e.value + noise + shift for e in cell.expected if (e.step or 1500) == at}
                    case = {"experiment": name, "cell": cell.name, "seed": seed, "step": at, "final": at == 1500}
                    made.append({"suite": "toy", "case": case, "metrics": metrics})
    return made


def test_table_holds_median_and_spread_of_every_number():
    tables = dict(toy_tables(records()))
    assert list(tables) == [experiment.title for experiment in EXPERIMENTS.values()]
    rows = [row for table in tables.values() for row in table.rows]
    assert len(rows) == sum(len(cell.expected) for e in EXPERIMENTS.values() for cell in e.cells) == 27
    assert rows[0] == ("weight 0.0001", "captured", "0.861", "0.861", "0.851", "0.871", "yes")
    assert "weight 0.0001, step 300" in {row[0] for row in rows}
    assert all("3 seeds" in table.note for table in tables.values())


def test_number_out_of_tolerance_is_said_to_be():
    verdicts = {(c.expected.metric, c.within) for name in EXPERIMENTS for c in compare(name, records(shift=0.04))}
    assert verdicts == {("captured", False), ("effective_rank", True)}


def test_cell_that_was_never_run_is_an_error():
    with pytest.raises(InputError, match=r"no toy of weight: weight 0\.001"):
        toy_tables([r for r in records() if r["case"]["cell"] != "weight 0.001"])
