"""The cost model finds the constants that made the times, and says what it cannot know."""

import polars as pl
import pytest
from test_loader_tables import timing

from fastssl.errors import InputError
from fastssl.report.bench_figures import has_bars, loader_bars, model_curves, step_bars
from fastssl.report.cost_model import Constants, can_fit, decoded_share, fit
from fastssl.report.cost_model_tables import growth_of, model_tables
from fastssl.report.feed_costs import load_steps
from fastssl.report.loader_costs import load_loaders

TRUE = Constants(entropy_s=0.5e-3, inverse_s=0.3e-3, share=0.6, per_view_s=20e-6, per_pixel_s=1.5e-9)
SEEN = ((1, 224), (2, 224), (4, 224), (8, 224), (2, 96), (2, 160))


def alone(contestant, seconds, views, size, threads=1):
    record = timing(contestant, 1e3 * seconds, case=f"jpeg-{views}x{size}-t{threads}", sizes=(size,) * views)
    return {**record, "case": {**record["case"], "threads": threads, "threads_requested": threads}}


def campaign(constants=TRUE, seen=SEEN):
    records = []
    for views, size in seen:
        records.append(alone("crops", constants.seconds(views, size), views, size))
        records.append(alone("decode", constants.entropy_s + constants.inverse_s, views, size))
        records.append(alone("huffman", constants.entropy_s, views, size))
    return records


def test_the_constants_that_made_the_times_are_found(write):
    found, points = fit(load_loaders([write(campaign())]))
    for name in ("entropy_s", "inverse_s", "share", "per_view_s", "per_pixel_s"):
        assert getattr(found, name) == pytest.approx(getattr(TRUE, name), rel=1e-6)
    assert [(point.views, point.size) for point in points] == sorted(SEEN)
    assert all(point.predicted_s == pytest.approx(point.measured_s, rel=1e-6) for point in points)


def test_a_case_that_does_not_fit_is_told_by_the_others_alone(write):
    records = [alone("crops", 5e-3, *SEEN[-1]) if record["case"]["name"].startswith("jpeg-2x160")
               and record["case"]["contestant"] == "crops" else record for record in campaign()]  # fmt: skip
    _, points = fit(load_loaders([write(records)]))
    odd = next(point for point in points if (point.views, point.size) == SEEN[-1])
    assert odd.predicted_s == pytest.approx(TRUE.seconds(*SEEN[-1]), rel=1e-6)
    assert odd.measured_s == pytest.approx(5e-3)


def test_nothing_costs_less_than_nothing(write):
    cheap = Constants(0.5e-3, 0.3e-3, 0.3, 0.0, 0.0)
    records = [alone("crops", 0.9 * cheap.seconds(*case), *case) for case in SEEN]
    records += [record for record in campaign(cheap) if record["case"]["contestant"] != "crops"]
    found, _ = fit(load_loaders([write(records)]))
    assert found.per_view_s >= 0
    assert found.per_pixel_s >= 0


def test_a_share_of_an_image_is_decoded_at_most_once():
    assert decoded_share(0.6, 1) == pytest.approx(0.6)
    assert decoded_share(0.6, 2) == pytest.approx(0.84)
    assert decoded_share(1.0, 3) == 1.0


@pytest.mark.parametrize(
    "records", [campaign(seen=SEEN[:3]), [r for r in campaign() if r["case"]["contestant"] != "huffman"],
                [timing("crops", 1.0), timing("decode", 0.9), timing("huffman", 0.5)]],
    ids=["three cases", "no ceiling", "two threads"],
)  # fmt: skip
def test_what_the_model_needs_is_named(write, records):
    frame = load_loaders([write(records)])
    assert not can_fit(frame)
    with pytest.raises(InputError, match="the cost model needs 4"):
        fit(frame)


def test_growth_is_that_of_decoding_on_most_threads(write):
    records = [alone("decode", seconds, 2, 224, threads) for threads, seconds in ((1, 1e-3), (4, 1.2e-3), (16, 1.5e-3))]
    grown, where = growth_of(load_loaders([write(records)]))
    assert grown == pytest.approx(1.5)
    assert where.startswith("16 threads of")
    assert growth_of(load_loaders([write(records[:1], "alone.jsonl")])) == (1.0, "")


def test_the_first_stage_to_be_full_is_named(write, feeds):
    curves, steps = load_loaders([write(campaign())]), load_steps([write(feeds, "steps.jsonl")])
    *_, machines = model_tables(curves, steps, (1.5, "16 threads of a host"))
    seconds = 1.5 * TRUE.seconds(2, 224)
    workstation, server, node = machines.rows
    assert workstation[2] == f"{round(16 / seconds, -2):,.0f}"
    assert workstation[-2] == server[-2] == "the GPU"  # 1,000 images/s are wanted of 16 cores that bring some 9,000
    assert node[-2] == "the GPUs"
    assert workstation[-1] == f"{1_000 * seconds:.1f}"
    assert "each taking 1.50 times as long" in machines.note


def test_cores_and_disks_are_full_before_a_fast_gpu(write, feeds):
    """100,000 images/s a GPU: 16 cores bring 17,000, 64 cores more than the 64,000 of a disk."""
    fast = [{**record, "samples": [value / 100 for value in record["samples"]]} for record in feeds]
    steps = load_steps([write(fast, "steps.jsonl")])
    *_, machines = model_tables(load_loaders([write(campaign())]), steps, (1.0, ""))
    assert [row[-2] for row in machines.rows] == ["the cores", "a disk (NVMe)", "a disk (NVMe)"]


def test_figures_are_drawn_from_records(write, feeds, tmp_path):
    curves = load_loaders([write(campaign())])
    crowd = [timing(name, ms) for name, ms in (("crops", 1.0), ("threads", 1.4), ("ffcv", 5.0), ("webdataset", 2.6))]
    bars = load_loaders([write([*crowd, timing("decode", 0.9)], "bars.jsonl")])
    assert has_bars(bars)
    assert not has_bars(bars.filter(pl.col("contestant") != "decode"))
    drawn = [*model_curves(curves, tmp_path / "model"), *loader_bars(bars, tmp_path / "bars"),
             *step_bars(load_steps([write(feeds, "steps.jsonl")]), tmp_path / "steps")]  # fmt: skip
    assert all(path.stat().st_size > 10_000 for path in drawn)
