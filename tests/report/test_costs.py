"""Tables of benchmarks are functions of their records."""

import pytest

from fastssl.errors import InputError
from fastssl.report.cost_tables import augment_tables, unmeasured_gpu_tables
from fastssl.report.costs import load_timings, median_and_interval, ratio_and_interval
from fastssl.telemetry.records import new_record

CLOCK = {"compile_s": 1.0, "data_s": 0.0, "train_s": 0.0, "eval_s": 0.0, "checkpoint_s": 0.0, "world_size": 1,
         "device": "cpu"}  # fmt: skip
BUDGET = {"gpu_h": None, "views": 100, "images": 50, "steps": None, "flops": None, "joules": None}
VIEW = {"size": 32, "interpolation": "bicubic"}
NAMES = {"cpu": "AMD EPYC", "cuda": "NVIDIA H200"}
SOFTWARE = {"torch": "2.15.0", "kornia": "0.9.0", "triton": None}
CODE = {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False, "version": "0.1.0"}


def timing(contestant, blocks, *, group="simclr-32", case=None, outcome="ok", reason="", kind="cpu", views=(VIEW, VIEW),
           **metrics):  # fmt: skip
    """A record of one contestant; `blocks` are microseconds per view, a list per block."""
    facts = {
        "name": case or group, "group": group, "contestant": contestant, "quick": False, "reason": reason,
        "regime": "best", "batch": 50, "height": 32, "width": 32, "dtype": "float32", "specs": list(views),
        "threads_requested": 1, "threads": 1, "calls_per_round": 1,
        "rounds_per_block": [len(block) for block in blocks],
    }  # fmt: skip
    samples = [value * 1e-6 for block in blocks for value in block]
    usual = {"bytes_per_view": 14000, **({"cpu_s_per_view": sum(samples) / len(samples)} if samples else {})}
    record = new_record(suite="augment", case=facts, scope=["augment"], samples=samples, unit="s_per_view",
                        outcome=outcome, clock=CLOCK, budget=BUDGET, metrics={**usual, **metrics},
                        dataset={}, device="cpu", started_utc="2026-11-21T10:00:00+00:00")  # fmt: skip
    device = {"kind": kind, "name": NAMES[kind], "count": 1, "memory_bytes": 8 << 30}
    host = {**record["host"], "cores": 2}
    return {**record, "device": device, "host": host, "software": SOFTWARE, "code": CODE}


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


def tables_of(path):
    """By the first words of their titles."""
    tables = augment_tables(load_timings([path]))
    return {table.title.split(":")[0].split(",")[0]: table for table in tables}


def test_pipeline_table_gives_time_ratio_and_share_of_the_ceiling(write):
    pipeline = tables_of(write(CAMPAIGN))["SimCLR (CIFAR preset)"]
    assert pipeline.title == (
        "SimCLR (CIFAR preset), 2 views of 32 px from 32x32, bicubic: AMD EPYC, 2 cores, 1 thread"
    )
    assert pipeline.header[3] == "slower than cpu by"
    assert [row[0] for row in pipeline.rows[:3]] == ["memory copy (ceiling)", "**ours: cpu**", "Kornia"]
    assert pipeline.rows[0][3:] == ("", "100%")
    assert pipeline.rows[1] == ("**ours: cpu**", "10.0 (10.0 to 10.0)", "340", "1", "10%")
    assert pipeline.rows[2][3:] == ("15.0 times (15.0 to 15.0)", "0.7%")
    assert "Peers faster than our cpu: none." in pipeline.note


def test_draws_are_set_beside_applying_them(write):
    draws = tables_of(write(CAMPAIGN))["Drawing parameters beside applying them"]
    (row,) = draws.rows
    assert row[1:] == ("cpu", "0.20 (0.20 to 0.20)", "8.00 (8.00 to 8.00)", "2.50% (2.50% to 2.50%)")


def test_campaign_is_told_in_short_and_names_versions(write):
    tables = tables_of(write(CAMPAIGN))
    (row,) = tables["In short"].rows
    assert row[2:] == ("cpu", "10.0", "10%", "Kornia", "150", "15.0 times")
    who = tables["Who is who"]
    assert who.note == "Measured on 2026-11-21 at commit 0123456, with torch 2.15.0, kornia 0.9.0."
    assert dict(who.rows)["Kornia"] == "best"
    assert who.rows[0][0] == "ours: cpu"


def test_losses_are_told(write):
    records = [timing("cpu", steady(10)), timing("kornia", steady(80)), timing("torchvision v2", steady(8)),
               timing("kornia own", steady(40))]  # fmt: skip
    table = tables_of(write(records))["SimCLR (CIFAR preset)"]
    assert table.rows[0][0] == "torchvision v2"
    assert table.rows[0][3] == "1.25 times faster (1.25 to 1.25)"
    assert "Peers faster than our cpu: torchvision v2 by 1.25 times." in table.note
    assert "Peers faster than our kornia: torchvision v2 by 10.0 times, Kornia by 2.00 times." in table.note


def test_numbers_have_three_digits(write):
    table = tables_of(write([timing("cpu", steady(305.4)), timing("kornia", steady(15_142))]))["SimCLR (CIFAR preset)"]
    assert [row[1].split(" ")[0] for row in table.rows] == ["305", "15,100"]


def test_views_of_several_sizes_are_in_the_title(write):
    views = [{"size": size, "interpolation": "bilinear"} for size in (224, 224, 96)]
    table = tables_of(write([timing("cpu", steady(1), group="swav-224", views=views)]))["SwAV"]
    assert table.title.startswith("SwAV, 2 views of 224 px and 1 view of 96 px from 32x32, bilinear: ")


def test_contestant_that_was_not_timed_keeps_its_row_with_the_reason(write):
    table = tables_of(write(CAMPAIGN))["SimCLR (CIFAR preset)"]
    assert table.rows[-1] == ("torch.compile of reference: timeout (took longer than 60 s)", "", "", "", "")
    lines = table.markdown().splitlines()
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1


def test_operation_table_leaves_unmeasured_cells_empty_and_marks_the_fastest(write):
    records = [
        timing("copy", steady(1), group="ops-32", case="ops-32/plain"),
        timing("torchvision v2", steady(20), group="ops-32", case="ops-32/plain"),
        timing("cpu", steady(4), group="ops-32", case="ops-32/plain"),
        timing("cpu", [], group="ops-32", case="ops-32/noise", outcome="failed", reason="not supported"),
        timing("torchvision v2", steady(30), group="ops-32", case="ops-32/noise"),
        timing("torchvision v2", steady(2), group="ops-32", case="ops-32/flip"),
        timing("cpu", steady(4), group="ops-32", case="ops-32/flip"),
    ]
    table = tables_of(write(records))["Operations one by one"]
    assert table.header == ("operation", "ours: cpu", "torchvision v2", "memory copy (ceiling)")
    assert table.rows == (
        ("plain", "**4.00**", "20.0", "1.00"),
        ("noise", "", "**30.0**", ""),
        ("flip", "4.00", "**2.00**", ""),
    )
    assert "A peer is faster than our cpu in 1 of 2 operations: flip (torchvision v2 by 2.00 times)." in table.note


QUEUED = {"host_s_per_view": 3e-6, "queued_ahead_share": 1.0}


def test_table_of_a_gpu_tells_time_of_device_and_host_and_launches(write):
    records = [
        timing("copy", steady(1), kind="cuda", **QUEUED),
        timing("fused", steady(2), kind="cuda", launches_per_batch=2, **QUEUED),
        timing("kornia own", steady(90), kind="cuda", launches_per_batch=1400,
               host_s_per_view=88e-6, queued_ahead_share=0.0),
    ]  # fmt: skip
    table = tables_of(write(records))["SimCLR (CIFAR preset)"]
    assert table.title.endswith(": NVIDIA H200")
    assert table.header == unmeasured_gpu_tables()[0].header
    assert table.rows[1] == ("**ours: fused**", "2.00 (2.00 to 2.00)", "3.00", "1", "50%", "2")
    assert table.rows[2][0] == "Kornia\\*"
    assert table.rows[2][-1] == "1,400"
    assert "has gaps in it (\\*): Kornia." in table.note


def test_table_of_a_gpu_stays_one_when_ours_failed(write):
    crashed = timing("fused", [], kind="cuda", outcome="failed", reason="crash")
    table = tables_of(write([crashed, timing("kornia", steady(9), kind="cuda", **QUEUED)]))["SimCLR (CIFAR preset)"]
    assert table.title.endswith(": NVIDIA H200")
    assert table.header[-1] == "launches per batch"
    assert {len(row) for row in table.rows} == {len(table.header)}


def test_unmeasured_gpu_tables_are_empty_and_say_so():
    for table in unmeasured_gpu_tables():
        names = {row[0] for row in table.rows}
        assert {"ours: fused", "ours: kornia", "ours: reference", "torch.compile of reference"} <= names
        assert {cell for row in table.rows for cell in row[1:]} == {""}
        assert "No GPU has been measured yet" in table.note


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
