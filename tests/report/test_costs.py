"""Tables of benchmarks are functions of their records."""

import pytest

from fastssl.errors import InputError
from fastssl.report.costs import (
    augment_tables,
    load_timings,
    median_and_interval,
    ratio_and_interval,
)
from fastssl.telemetry.records import new_record

CLOCK = {"compile_s": 1.0, "data_s": 0.0, "train_s": 0.0, "eval_s": 0.0, "checkpoint_s": 0.0, "world_size": 1,
         "device": "cpu"}  # fmt: skip
BUDGET = {"gpu_h": None, "views": 100, "images": 50, "steps": None, "flops": None, "joules": None}


def timing(contestant, blocks, *, group="simclr-32", case=None, outcome="ok", reason="", **changes):
    """A record of one contestant; `blocks` are microseconds per view, a list per block."""
    facts = {
        "name": case or group, "group": group, "contestant": contestant, "quick": False, "reason": reason,
        "regime": "best", "batch": 50, "height": 32, "width": 32, "dtype": "float32", "specs": [{}, {}],
        "threads_requested": 1, "threads": 1, "calls_per_round": 1,
        "rounds_per_block": [len(block) for block in blocks],
    }  # fmt: skip
    samples = [value * 1e-6 for block in blocks for value in block]
    metrics = {"bytes_per_view": 14000, **({"cpu_s_per_view": sum(samples) / len(samples)} if samples else {})}
    record = new_record(suite="augment", case=facts, scope=["augment"], samples=samples, unit="s_per_view",
                        outcome=outcome, clock=CLOCK, budget=BUDGET, metrics={**metrics, **changes},
                        dataset={}, device="cpu")  # fmt: skip
    device = {"kind": "cpu", "name": "AMD EPYC", "count": 1, "memory_bytes": 8 << 30}
    return {**record, "device": device, "host": {**record["host"], "cores": 2}}


def steady(value, blocks=6):
    return [[value, value, 100 * value]] * blocks  # the third round of each block was disturbed


CAMPAIGN = [
    timing("copy", steady(1)),
    timing("cpu", steady(10)),
    timing("kornia own", steady(150)),
    timing("torch.compile", [], outcome="timeout", reason="took longer than 60 s"),
    timing("cpu: sample", steady(0.2)),
    timing("cpu: apply", steady(8)),
]


def test_median_interval_is_that_of_order_statistics():
    assert median_and_interval([3.0, 1.0, 2.0, 5.0, 4.0]) == (3.0, None, None)
    assert median_and_interval([3.0, 1.0, 2.0, 5.0, 4.0, 6.0]) == (3.5, 1.0, 6.0)
    values = [float(value) for value in range(1, 13)]
    assert median_and_interval(values) == (6.5, 3.0, 10.0)


def test_ratios_are_taken_block_by_block():
    """A machine that slows threefold for half of the blocks slows both."""
    ours, theirs = [1.0, 1.0, 1.0, 3.0, 3.0, 3.0], [5.0, 5.0, 5.0, 15.0, 15.0, 15.0]
    assert ratio_and_interval(theirs, ours) == (5.0, 5.0, 5.0)
    with pytest.raises(InputError, match="within one run"):
        ratio_and_interval(theirs[:3], ours)


def test_pipeline_table_gives_time_ratio_and_share_of_the_ceiling(write):
    pipeline, draws = augment_tables(load_timings([write(CAMPAIGN)]))
    assert pipeline.title == "simclr-32 from 32x32: AMD EPYC, 2 cores, 1 thread"
    assert [row[0] for row in pipeline.rows[:3]] == ["memory copy (ceiling)", "cpu", "kornia own"]
    assert pipeline.rows[1] == ("cpu", "10.0 (10.0 to 10.0)", "340", "1.00 (1.00 to 1.00)", "10%")
    assert pipeline.rows[2][3] == "15.0 (15.0 to 15.0)"
    assert draws.rows == (("simclr-32, cpu", "0.20 (0.20 to 0.20)", "8.00 (8.00 to 8.00)", "2.50% (2.50% to 2.50%)"),)


def test_contestant_that_was_not_timed_keeps_its_row_with_the_reason(write):
    table = augment_tables(load_timings([write(CAMPAIGN)]))[0]
    assert table.rows[-1] == ("torch.compile: timeout (took longer than 60 s)", "", "", "", "")
    lines = table.markdown().splitlines()
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


def test_operation_table_leaves_unmeasured_cells_empty_and_marks_the_fastest(write):
    records = [
        timing("copy", steady(1), group="ops-32", case="ops-32/plain"),
        timing("torchvision v2", steady(20), group="ops-32", case="ops-32/plain"),
        timing("cpu", steady(4), group="ops-32", case="ops-32/plain"),
        timing("cpu", [], group="ops-32", case="ops-32/noise", outcome="failed", reason="not supported"),
        timing("torchvision v2", steady(30), group="ops-32", case="ops-32/noise"),
    ]
    (table,) = augment_tables(load_timings([write(records)]))
    assert table.header == ("operation", "cpu", "torchvision v2", "memory copy")
    assert table.rows == (("plain", "**4.00**", "20.0", "1.00"), ("noise", "", "**30.0**", ""))


def test_launches_are_a_column_where_they_were_counted(write):
    records = [timing("fused", steady(2), launches_per_batch=2), timing("kornia", steady(9), launches_per_batch=400)]
    (table,) = augment_tables(load_timings([write(records)]))
    assert table.header[-1] == "launches per batch"
    assert [row[-1] for row in table.rows] == ["2", "400"]


def test_last_measurement_of_a_case_counts(write):
    frame = load_timings([write([timing("cpu", steady(10)), timing("cpu", steady(12))])])
    assert frame["blocks"].to_list() == [pytest.approx([12e-6] * 6)]


def test_records_that_do_not_fit_are_refused(write, fake):
    with pytest.raises(InputError, match="hold no benchmark"):
        load_timings([write(fake.run("simclr"))])
    broken = timing("cpu", steady(1))
    broken["case"]["rounds_per_block"] = [2]
    with pytest.raises(InputError, match=r"rounds_per_block=\[2\]"):
        load_timings([write([broken], "broken.jsonl")])
