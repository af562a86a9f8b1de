"""Tables and the figure of loaders are functions of their records."""

import sys

import plots
import pytest

from fastssl.errors import InputError
from fastssl.report.loader_costs import curve_of, load_loaders
from fastssl.report.loader_figure import has_curve, views_figure
from fastssl.report.loader_tables import loader_tables
from fastssl.telemetry.records import append_record, new_record

CLOCK = {"compile_s": 1.0, "data_s": 0.0, "train_s": 0.0, "eval_s": 0.0, "checkpoint_s": 0.0, "world_size": 1,
         "device": "cpu"}  # fmt: skip
BUDGET = {"gpu_h": None, "views": 100, "images": 50, "steps": None, "flops": None, "joules": None}
SOFTWARE = {"torch": "2.15.0", "ffcv": "1.0.2", "simplejpeg": None}
CODE = {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False, "version": "0.1.0"}
JPEG, RAW = {"mode": "jpg", "max_side": 500}, {"mode": "raw", "max_side": None}


def timing(contestant, ms, *, case="jpeg-2x224", sizes=(224, 224), stored=JPEG, outcome="ok", reason="", mb=100.0):
    """A record of six steady blocks of `ms` CPU milliseconds per image on two busy threads, or of a failure."""
    blocks = [] if outcome != "ok" else [ms * 1e-3] * 6
    facts = {
        "name": case, "contestant": contestant, "quick": False, "reason": reason, "regime": f"regime of {contestant}",
        "stored": stored, "batch": 256, "num_images": 1024, "image_bytes": 47_020.0, "threads": 2,
        "threads_requested": 2, "specs": [{"size": size} for size in sizes],
    }  # fmt: skip
    metrics = {"first_batch_s": 0.5, "private_bytes": mb * 1e6} if blocks else {}
    record = new_record(suite="load", case=facts, scope=["decode"], samples=blocks, unit="cpu_s_per_image",
                        outcome=outcome, clock={**CLOCK, "wall_s_per_image": [value / 2 for value in blocks]},
                        budget=BUDGET, metrics=metrics, dataset={"id": "photographs", "fingerprint": "ab"},
                        started_utc="2026-11-21T10:00:00+00:00")  # fmt: skip
    device = {"kind": "cpu", "name": "AMD EPYC", "count": 1, "memory_bytes": 8 << 30}
    return {**record, "device": device, "host": {**record["host"], "cores": 2}, "software": SOFTWARE, "code": CODE}


CAMPAIGN = [
    timing("crops", 0.8),
    timing("images", 0.6),
    timing("threads", 1.2),
    timing("ffcv", 2.4, mb=900.0),
    timing("decode", 0.64),
    timing("huffman", 0.4),
    timing("torchvision v2", 0, outcome="wrong", reason="view 0: crop | area"),
    timing("crops", 0.7, case="jpeg-1x224", sizes=(224,)),
    timing("images", 0.6, case="jpeg-1x224", sizes=(224,)),
    timing("crops", 0.02, case="cifar-2x32", sizes=(32, 32), stored=RAW),
    timing("threads", 0.01, case="cifar-2x32", sizes=(32, 32), stored=RAW),
    timing("copy", 0.001, case="cifar-2x32", sizes=(32, 32), stored=RAW),
]


def tables_of(path):
    """By the words of their titles before the colon."""
    return {table.title.split(":")[0]: table for table in loader_tables(load_loaders([path]))}


def test_case_table_gives_cost_ratio_share_and_memory(write):
    table = tables_of(write(CAMPAIGN))["2 views of 224 px from JPEGs of 47 kB"]
    assert table.title.endswith(": AMD EPYC, 2 cores")
    assert table.header[1] == "CPU ms per image"
    assert [row[0] for row in table.rows[2:5]] == ["**ours: crops**", "decode once, Python threads", "FFCV"]
    assert table.rows[1] == ("libjpeg-turbo, whole decode (ceiling)", "0.64 (0.64 to 0.64)",
                             "3,120 (3,120 to 3,120)", "", "100%", "0.50", "")  # fmt: skip
    assert table.rows[2][1:] == ("0.80 (0.80 to 0.80)", "2,500 (2,500 to 2,500)", "1", "80%", "0.50", "100")
    assert table.rows[4][3] == "3.00 times (3.00 to 3.00)"
    assert "Peers with less CPU time than ours: none." in table.note


def test_loader_that_leaves_the_views_to_a_gpu_shares_no_table_with_the_others(write):
    tables = tables_of(write(CAMPAIGN))
    with_images = {title for title, table in tables.items() if any("images" in row[0] for row in table.rows)}
    assert with_images == {"Who is who"}


def test_contestant_that_was_wrong_keeps_its_row_with_the_reason(write):
    table = tables_of(write(CAMPAIGN))["2 views of 224 px from JPEGs of 47 kB"]
    assert table.rows[-1][0] == "torchvision v2, DataLoader: wrong (view 0: crop / area)"
    assert set(table.rows[-1][1:]) == {""}


def test_small_costs_are_in_microseconds_and_losses_are_told(write):
    table = tables_of(write(CAMPAIGN))["2 views of 32 px from raw pixels, 47 kB an image"]
    assert table.header[1] == "CPU us per image"
    assert table.rows[1][:4] == ("decode once, Python threads", "10.0 (10.0 to 10.0)", "200,000 (200,000 to 200,000)",
                                 "2.00 times faster (2.00 to 2.00)")  # fmt: skip
    assert "less CPU time than ours: decode once, Python threads (2.00 times faster)." in table.note


def test_campaign_is_told_in_short(write):
    short = tables_of(write(CAMPAIGN))["In short"]
    assert short.rows[0][1:] == ("0.80 ms", "2,500", "decode once, Python threads", "1.50 times", "3.00 times",
                                 "9.00 times")  # fmt: skip
    assert short.rows[1][1:] == ("20.0 us", "100,000", "decode once, Python threads", "2.00 times faster", "", "")


def test_who_is_who_names_regimes_and_versions(write):
    who = tables_of(write(CAMPAIGN))["Who is who"]
    assert who.rows[0] == ("ours: crops", "regime of crops", "2")
    assert who.note == "Measured on 2026-11-21 at commit 0123456, with torch 2.15.0, ffcv 1.0.2."


def test_curve_is_of_the_numbers_of_views(write):
    path = write(CAMPAIGN)
    curve = tables_of(path)["CPU time against the number of views of 224 px"]
    assert curve.header == ("views", "ours: crops", "ours: images", "decode once, Python threads", "FFCV",
                            "libjpeg-turbo, whole decode (ceiling)")  # fmt: skip
    assert [row[:3] for row in curve.rows] == [("1", "0.70 (0.70 to 0.70)", "0.60 (0.60 to 0.60)"),
                                               ("2", "0.80 (0.80 to 0.80)", "0.60 (0.60 to 0.60)")]  # fmt: skip
    assert [number for number, _ in curve_of(load_loaders([path]), "crops")] == [1, 2]
    assert not any(title.startswith("1 view of") for title in tables_of(path))


def test_campaign_where_nothing_of_ours_ran_has_tables_all_the_same(write):
    failed = timing("crops", 0, outcome="failed", reason="not compiled")
    tables = tables_of(write([failed, timing("ffcv", 2.4)]))
    assert "In short" not in tables
    assert [row[3] for row in tables["2 views of 224 px from JPEGs of 47 kB"].rows] == ["", ""]


def test_last_measurement_counts_and_others_are_refused(write, fake):
    frame = load_loaders([write([timing("crops", 0.8), timing("crops", 0.9)])])
    assert frame["blocks"].to_list() == [pytest.approx([0.9e-3] * 6)]
    with pytest.raises(InputError, match="hold no loader"):
        load_loaders([write(fake.run("simclr"), "train.jsonl")])
    broken = timing("crops", 0.8)
    broken["clock"]["wall_s_per_image"] = [1.0]
    with pytest.raises(InputError, match="wall_s_per_image=1 blocks"):
        load_loaders([write([broken], "broken.jsonl")])


def test_figure_is_the_same_for_the_same_records(write, tmp_path):
    frame = load_loaders([write(CAMPAIGN)])
    assert has_curve(frame)
    drawn = [views_figure(frame, tmp_path / name / "curve") for name in ("a", "b")]
    assert [path.name for path in drawn[0]] == ["curve.png", "curve.svg"]
    assert all(one.read_bytes() == other.read_bytes() for one, other in zip(*drawn, strict=True))
    assert not has_curve(load_loaders([write(CAMPAIGN[:6], "one-point.jsonl")]))


def test_documents_get_tables_and_figure(tmp_path, monkeypatch):
    document = tmp_path / "docs" / "loaders.md"
    document.parent.mkdir()
    (tmp_path / "README.md").write_text("# no tables\n")
    document.write_text("<!-- table: load -->\n<!-- end: load -->\n")
    monkeypatch.setattr(sys, "argv", ["plots.py", "--root", str(tmp_path)])
    plots.main()
    assert plots.UNMEASURED in document.read_text()
    for record in CAMPAIGN:
        append_record(tmp_path / "results" / "load" / "cpu-x" / "first.jsonl", record)
    plots.main()
    assert "## cpu-x, first" in document.read_text()
    assert "](../results/figures/load-cpu-x-first.svg)" in document.read_text()
    assert (tmp_path / "results" / "figures" / "load-cpu-x-first.svg").is_file()
