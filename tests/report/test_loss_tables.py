"""Tables of losses are functions of their records; missed targets and other definitions are told."""

import sys

import plots
import pytest

from fastssl.errors import InputError
from fastssl.report.loss_costs import load_losses
from fastssl.report.loss_tables import loss_tables
from fastssl.telemetry.records import append_record, new_record

CLOCK = {"compile_s": 1.0, "data_s": 0.0, "train_s": 0.0, "eval_s": 0.0, "checkpoint_s": 0.0, "world_size": 1,
         "device": "cpu"}  # fmt: skip
BUDGET = {"gpu_h": None, "views": 100, "images": 50, "steps": None, "flops": None, "joules": None}
SOFTWARE = {"torch": "2.15.0", "lightly": "1.6.0", "solo-learn": None}
CODE = {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False, "version": "0.1.0"}
QUEUED = {"host_s_per_call": 8e-5, "queued_ahead_share": 1.0, "launches_per_call": 40}


def timing(contestant, ms, *, loss="vicreg", dim=512, views=2, rows=0, outcome="ok", reason="", same_as="ours", mb=10.0,
           kind="cpu", **metrics):  # fmt: skip
    """A record of six steady blocks of two rounds, `ms` milliseconds per call; or of a failure."""
    samples = [] if outcome != "ok" else [ms * 1e-3] * 12
    group = f"{loss}-n{rows}-d{dim}" if rows else f"{loss}-d{dim}"
    facts = {
        "name": group if rows else f"{group}-a{views}", "group": group, "loss": loss, "contestant": contestant,
        "quick": False, "reason": reason, "regime": f"regime of {contestant}", "absent": False, "same_as": same_as,
        "batch": 512, "dim": dim, "views": views, "rows": rows, "threads": 1,
        "rounds_per_block": [2] * (len(samples) // 2),
    }  # fmt: skip
    counted = {"peak_bytes": mb * 1e6, "flops": 3.2e9, "moved_bytes": 4.5e7, **metrics} if samples else {}
    record = new_record(suite="losses", case=facts, scope=["loss"], samples=samples, unit="cpu_s_per_call",
                        outcome=outcome, clock=CLOCK, budget=BUDGET, metrics=counted, dataset={},
                        started_utc="2026-11-21T10:00:00+00:00")  # fmt: skip
    name = "AMD EPYC" if kind == "cpu" else "NVIDIA H200"
    device = {"kind": kind, "name": name, "count": 1, "memory_bytes": 8 << 30}
    return {**record, "device": device, "host": {**record["host"], "cores": 2}, "software": SOFTWARE, "code": CODE}


CAMPAIGN = [
    timing("ours", 4.0),
    timing("lightly", 6.0, mb=20.0),
    timing("solo-learn", 0, outcome="wrong", reason="its value | is 2"),
    timing("copy", 0.1),
    timing("ours", 15.0, views=8),
    timing("lightly", 120.0, views=8, same_as="ours, pairwise"),
    timing("copy", 0.4, views=8),
    timing("ours", 13.0, loss="barlow_twins", mb=30.0),
    timing("lightly", 10.0, loss="barlow_twins", mb=20.0),
    timing("ours", 65.0, loss="barlow_twins", views=8),
    timing("ours, pairwise", 52.0, loss="barlow_twins", views=8),
    timing("ours", 1000.0, loss="diet", rows=50_000, views=1),
    timing("torch, dense", 950.0, loss="diet", rows=50_000, views=1),
]


def tables_of(path):
    """By the words of their titles before the colon."""
    return {table.title.split(":")[0]: table for table in loss_tables(load_losses([path]))}


def test_summary_tells_the_worst_case_and_marks_what_misses_the_target(write):
    short = tables_of(write(CAMPAIGN))["In short"]
    assert short.rows == (
        ("VICReg", "2", "2 of 2", "1.50 times faster than lightly", "2 views, D = 512", "50%"),
        ("Barlow Twins", "1", "**0 of 1**", "**1.30 times slower than lightly**", "2 views, D = 512", "150%"),
        ("DIET", "1", "1 of 1", "1.05 times slower than torch, dense", "50,000 images, D = 512", "100%"),
    )


def test_growth_is_held_against_its_target_for_ours_alone(write):
    growth = tables_of(write(CAMPAIGN))["Eight views take how many times the time of two"]
    assert growth.header == ("loss", "ours", "ours, pairwise", "lightly")
    assert growth.rows == (
        ("VICReg, D = 512", "3.75 (3.75 to 3.75)", "", "20.0 (20.0 to 20.0)"),
        ("Barlow Twins, D = 512", "**5.00 (5.00 to 5.00)**", "4.00 (4.00 to 4.00)", ""),
    )


def test_times_and_ratio_of_every_case_stand_in_the_table_of_the_loss(write):
    table = tables_of(write(CAMPAIGN))["VICReg"]
    assert table.title == "VICReg: AMD EPYC, 2 cores, 1 thread"
    assert table.header == ("case", "ours", "lightly", "solo-learn", "memory copy (ceiling)",
                            "ours beside the fastest peer")  # fmt: skip
    assert table.rows[0] == ("2 views, D = 512", "4.00 (4.00 to 4.00)", "6.00 (6.00 to 6.00)", "",
                             "0.10 (0.10 to 0.10)", "1.50 times faster than lightly")  # fmt: skip
    assert table.rows[1][2] == "120 (120 to 120) \\*"
    assert "beyond two views lightly gives `ours, pairwise`." in table.note
    assert "Not measured: solo-learn: wrong (its value / is 2)." in table.note


def test_counts_stand_in_a_table_of_their_own(write):
    table = tables_of(write(CAMPAIGN))["VICReg, counted"]
    assert table.rows[0] == ("2 views, D = 512", "3.20 / 0.045 / 10.0", "3.20 / 0.045 / 20.0", "")


def test_device_has_launches_host_time_and_a_mark_where_the_host_is_in_the_time(write):
    late = {**QUEUED, "queued_ahead_share": 0.0}
    path = write([timing("ours", 0.05, kind="cuda", **QUEUED), timing("lightly", 0.2, kind="cuda", **late)])
    tables = tables_of(path)
    assert tables["VICReg"].rows[0][1:3] == ("0.05 (0.05 to 0.05)", "0.20 (0.20 to 0.20) \\+")
    assert tables["VICReg"].note.startswith("Milliseconds of the device")
    assert "\\+ Not queued ahead" in tables["VICReg"].note
    assert tables["VICReg, counted"].rows[0][1] == "3.20 / 0.045 / 10.0 / 40; 80.0"


def test_campaign_without_peers_has_tables_all_the_same(write):
    absent = timing("lightly", 0, outcome="failed", reason="not installed: lightly")
    tables = tables_of(write([timing("ours", 4.0), absent]))
    assert "In short" not in tables
    assert tables["VICReg"].rows[0][-1] == ""
    assert "lightly: failed (not installed: lightly)" in tables["VICReg"].note


def test_last_measurement_counts_and_others_are_refused(write, fake):
    frame = load_losses([write([timing("ours", 4.0), timing("ours", 5.0)])])
    assert frame["blocks"].to_list() == [pytest.approx([5e-3] * 6)]
    with pytest.raises(InputError, match="hold no loss"):
        load_losses([write(fake.run("simclr"), "train.jsonl")])


def test_documents_get_the_tables(tmp_path, monkeypatch):
    document = tmp_path / "docs" / "losses.md"
    document.parent.mkdir()
    (tmp_path / "README.md").write_text("# no tables\n")
    document.write_text("<!-- table: losses -->\n<!-- end: losses -->\n")
    monkeypatch.setattr(sys, "argv", ["plots.py", "--root", str(tmp_path)])
    plots.main()
    assert plots.UNMEASURED in document.read_text()
    for record in CAMPAIGN:
        append_record(tmp_path / "results" / "losses" / "cpu-x" / "first.jsonl", record)
    plots.main()
    assert "## cpu-x, first" in document.read_text()
    monkeypatch.setattr(sys, "argv", ["plots.py", "--root", str(tmp_path), "--check"])
    assert plots.main() == 0
