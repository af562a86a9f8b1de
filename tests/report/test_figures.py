"""The curve: drawn whole from records, the same each time, and never over things that cannot be compared."""

import csv

import polars as pl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from fastssl.errors import InputError
from fastssl.report import figures
from fastssl.report.figures import budget_csv, budget_figure, mixtures
from fastssl.report.load import load_runs


@pytest.fixture
def frame(write, fake):
    return load_runs([write(fake.campaign(seeds=2))])


def draw(frame):
    figure = Figure(dpi=100)
    FigureCanvasAgg(figure)
    figures._draw(figure, frame, {}, None)
    figure.canvas.draw()
    return figure


def test_figure_and_numbers_are_written_whole(frame, tmp_path):
    out = tmp_path / "figures" / "demo-v1.2"
    paths = [*budget_figure(frame, out), budget_csv(frame, out)]
    assert [path.name for path in paths] == ["demo-v1.2.png", "demo-v1.2.svg", "demo-v1.2.csv"]
    assert sorted(out.parent.iterdir()) == sorted(paths)
    with Image.open(paths[0]) as image:
        assert image.size == (2200, 860)
    assert paths[1].read_text().rstrip().endswith("</svg>")
    rows = list(csv.DictReader(paths[2].open()))
    assert len(rows) == len(frame)
    assert float(rows[0]["ridge"]) == frame["ridge"][0]


def test_same_records_give_the_same_bytes(frame, tmp_path):
    first, second = (budget_figure(frame, tmp_path / name) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert b"<dc:date>" not in first[1].read_bytes()


def test_failure_leaves_the_old_figure(frame, tmp_path, monkeypatch):
    paths = budget_figure(frame, tmp_path / "a")
    before = [path.read_bytes() for path in paths]
    monkeypatch.setattr(Figure, "savefig", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        budget_figure(frame, tmp_path / "a")
    assert [path.read_bytes() for path in paths] == before
    assert len(list(tmp_path.glob(".*"))) == 0


def test_three_panels_share_accuracy_and_differ_in_cost(frame):
    panels = draw(frame).axes
    assert [panel.get_xlabel() for panel in panels] == [
        "machine-seconds (training clock)", "views processed (thousands)", "epochs",
    ]  # fmt: skip
    assert len({panel.get_ylim() for panel in panels}) == 1
    assert {panel.get_xscale() for panel in panels} == {"linear"}
    low, high = panels[0].get_ylim()
    assert all(low < 100 * value < high for value in frame["ridge"])


def test_mean_of_the_seeds_is_the_thick_line(frame):
    axis = draw(frame).axes[0]
    thick = [line for line in axis.lines if line.get_linewidth() == 2.0 and line.get_color() == figures.PALETTE[0]]
    assert len(thick) == 1
    ends = frame.filter((pl.col("method") == "simclr") & pl.col("final"))
    assert thick[0].get_ydata()[-1] == pytest.approx(100 * ends["ridge"].mean())
    assert thick[0].get_xdata()[-1] == pytest.approx(3600 * ends["compute_h"].mean())


def test_floor_is_a_level_per_probe_and_ceiling_a_dashed_curve(frame):
    axis = draw(frame).axes[1]
    floor = {line.get_linewidth(): line for line in axis.lines if line.get_color() == figures.FLOOR}
    for probe, width in {"ridge": 1.6, "knn": 0.9}.items():
        expected = 100 * frame.filter(pl.col("role") == "floor")[probe].mean()
        assert tuple(floor[width].get_ydata()) == pytest.approx((expected, expected))
    ceiling = [line for line in axis.lines if line.get_color() == figures.CEILING and line.get_linewidth() == 2.0]
    assert len(ceiling) == 1
    assert ceiling[0].get_linestyle() == "--"


@pytest.mark.parametrize("recipes", [[{}], [{"views": v, "projector_dimension": 64 * v} for v in (2, 4, 8, 16)]])
def test_labels_cover_neither_one_another_nor_a_panel(write, fake, recipes):
    records = [
        {**record, "case": {**record["case"], "run": f"{method}-{i}"}}
        for i, recipe in enumerate(recipes)
        for method in ("simclr", "barlow_twins", "vicreg", "diet", "supervised", "random")
        for record in fake.run(method, 0, recipe=recipe)
    ]
    figure = draw(load_runs([write(records)]))
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]  # an annotation's own covers its leader
    assert len(boxes) == 6 * len(recipes)
    assert not [(i, j) for i, a in enumerate(boxes) for j, b in enumerate(boxes[:i]) if a.overlaps(b)]
    assert not [1 for box in boxes for axis in figure.axes if box.overlaps(axis.get_window_extent())]
    assert all(box.y0 >= 0 and box.y1 <= figure.bbox.y1 for box in boxes)


def test_log_axis_only_where_runs_differ_tenfold(write, fake):
    short, long = fake.run("simclr", budget_s=10.0), fake.run("diet", budget_s=300.0)
    panels = draw(load_runs([write(short + long)])).axes
    assert panels[0].get_xscale() == "log"
    assert draw(load_runs([write(fake.run("vicreg"), "one.jsonl")])).axes[0].get_xscale() == "linear"


def test_colours_are_told_apart(write, fake):
    records = [
        {**record, "case": {**record["case"], "run": f"r{views}"}}
        for views in (2, 4, 8, 16)
        for record in fake.run("barlow_twins", recipe={"views": views})
    ]
    frame = load_runs([write(records + fake.run("simclr"))])
    looks = figures._looks(frame.partition_by("arm", maintain_order=True))
    assert len({look.colour for look in looks}) == len({look.marker for look in looks}) == 5


MIXTURES = {
    "dataset": {"dataset": {"id": "cifar10"}},
    "protocol": {"case": {"protocol": "kNN of something else"}},
}


@pytest.mark.parametrize("name", [*MIXTURES, "device"])
def test_mixture_is_refused_and_said_when_allowed(write, fake, tmp_path, name):
    other = fake.point("vicreg", **MIXTURES.get(name, {}))
    if name == "device":
        other["device"] = {"kind": "cuda", "name": "NVIDIA H200", "count": 1, "memory_bytes": 1}
    frame = load_runs([write([*fake.run("simclr"), other])])
    with pytest.raises(InputError, match=f"^{name} differs between runs .*--allow-mixed$"):
        budget_figure(frame, tmp_path / "x")
    assert not (tmp_path / "x.png").exists()
    svg = budget_figure(frame, tmp_path / "x", allow_mixed=True)[1]
    assert f"MIXED {name}s, not comparable" in svg.read_text()


def test_same_name_with_other_images_is_a_mixture_but_a_subset_is_not(write, fake):
    other = {"dataset": {"fingerprint": "ffff"}}
    rewritten = load_runs([write([fake.point("simclr"), fake.point("vicreg", **other)])])
    assert mixtures(rewritten) == {"dataset": ["demo ab12cd34", "demo ffff"]}
    half = fake.point("vicreg", recipe={"data": {"dataset": "demo", "fraction": 0.5, "workers": 2}}, **other)
    assert mixtures(load_runs([write([fake.point("simclr"), half], "half.jsonl")])) == {}


def test_two_core_counts_are_two_machines(write, fake):
    other = fake.point("vicreg")
    other["host"]["cores"] = 16
    assert "device" in mixtures(load_runs([write([fake.point("simclr"), other])]))


def test_title_names_dataset_and_device(frame, tmp_path):
    svg = budget_figure(frame, tmp_path / "x")[1].read_text()
    assert "Accuracy per compute: demo on AMD EPYC, 2 cores" in svg
    assert "means of 2 seeds" in svg


def test_long_title_stays_on_the_figure(write, fake):
    record = fake.point("simclr")
    record["device"]["name"] = (
        "Vendor(R) Processor(TM) with a Remarkably Long and Detailed Designation 9999XL @ 3.10 GHz"
    )
    figure = draw(load_runs([write([record])]))
    assert all(text.get_window_extent().x1 <= figure.bbox.x1 for text in figure.texts)


def test_floor_alone_can_be_drawn(write, fake, tmp_path):
    assert budget_figure(load_runs([write(fake.run("random"))]), tmp_path / "x")[0].is_file()
