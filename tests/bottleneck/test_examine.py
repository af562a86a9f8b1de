"""The examination on real files, with every measurement cut short: the numbers mean little, their places everything."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fastssl.augment import Drawer
from fastssl.bottleneck import changes, decoding, examination, examine, step_changes
from fastssl.bottleneck.figure import draw
from fastssl.bottleneck.pipeline import STAGES
from fastssl.bottleneck.stored import stored_in, written_otherwise
from fastssl.bottleneck.subject import find_subject
from fastssl.bottleneck.timing import LEAST_REPEATS, measure
from fastssl.bottleneck.training import crops_batch
from fastssl.data.arrays import ArraySource
from fastssl.data.beton import BetonFile
from fastssl.data.options import WriteOptions
from fastssl.data.pack import write_beton
from fastssl.data.source import SourceInfo
from fastssl.errors import InputError
from fastssl.methods.supervised import SupervisedConfig
from fastssl.recipe import DataConfig, Recipe
from fastssl.views import ViewSpec
from tests.conftest import picture

SHORT_S = 0.002


def recipe(**fields) -> Recipe:
    """Two views of 16 px, batches of 8, for a CPU of any kind."""
    usual = {"data": DataConfig(loader="crops"), "spec": ViewSpec(size=16), "batch_size": 8, "precision": "fp32"}
    return Recipe(name="short", device="cpu", **(usual | fields))


@pytest.fixture
def mixed_beton(tmp_path) -> Path:
    """24 JPEGs of several sizes, without labels."""
    images = [picture(i, 40 + i, 70 - i) for i in range(24)]
    source = ArraySource(images, np.full(24, -1), SourceInfo(name="mixed"))  # type: ignore[arg-type]
    write_beton(source, tmp_path / "mixed.beton", WriteOptions(mode="jpg"))
    return tmp_path / "mixed.beton"


@pytest.mark.parametrize("kind", ["crops", "images", "resident", "ffcv"])
def test_every_loader_is_examined_and_the_document_is_whole(tiny_beton, tmp_path, kind):
    seen = []
    report = examine(str(tiny_beton(30, 48, 40, "jpg")), recipe(), loader=kind, seconds=SHORT_S,
                     progress=lambda done, total: seen.append((done, total)))  # fmt: skip
    document = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert document["ok"] is True
    assert [stage["name"] for stage in document["stages"]] == list(STAGES)
    assert document["limit"] in STAGES
    assert {"crops", "images", "resident"} <= set(document["measured"]["loaders"])
    assert document["run"]["loader"] == kind
    assert sum(stage["share"] for stage in document["stages"]) == pytest.approx(1)
    assert all(one["predicted"] > 0 and one["measured"] > 0 for one in document["model"]["predictions"])
    assert 0 <= document["model"]["data_wait"] <= 1
    assert len(report.rows()) == len(STAGES)
    assert document["verdict"] == report.lines()[0]
    assert seen[-1] == (1, 1)
    assert [done for done, _ in seen[:-1]] == list(range(1, len(seen)))
    assert all(done <= total for done, total in seen)


def test_without_the_native_decoder_it_examines_the_slow_path_and_says_so(tiny_beton, monkeypatch):
    monkeypatch.setenv("FASTSSL_DECODER", "plain")
    report = examine(str(tiny_beton(30)), recipe(), seconds=SHORT_S)
    assert any("decoder plain" in line for line in report.facts())


def test_images_of_several_sizes_without_labels_are_examined(mixed_beton):
    report = examine(str(mixed_beton), recipe(), seconds=SHORT_S)
    assert report.subject.served.info.num_classes == 0
    assert "up to 63x70" in report.facts()[0]


def test_plain_simclr_fits_the_images(tiny_beton):
    subject = find_subject(str(tiny_beton(30, 100, 140, "jpg")))
    assert [spec.size for spec in subject.recipe.drawer.specs] == [96, 96]
    assert subject.recipe.batch_size == 30


def test_a_file_of_other_classes_trains_a_head_of_its_own(tiny_beton):
    report = examine(str(tiny_beton(30)), recipe(method=SupervisedConfig()), seconds=SHORT_S)
    assert report.subject.served.info.num_classes == 5


def test_labels_are_asked_for_where_they_are_read(mixed_beton):
    with pytest.raises(InputError, match="without a label and method=supervised reads labels"):
        examine(str(mixed_beton), recipe(method=SupervisedConfig()), seconds=SHORT_S)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seconds": 0.0}, "seconds=0.0 is no time"),
        ({"loader": "folder"}, "loader=folder is not examined"),
        ({"loader": "nvjpeg"}, "loader=nvjpeg is not examined on cpu"),
        ({"workers": 0}, "workers=0 is not a number of threads"),
    ],
)
def test_what_cannot_be_examined_is_one_line(tiny_beton, arguments, message):
    with pytest.raises(InputError, match=message):
        examine(str(tiny_beton(30)), recipe(), **({"seconds": SHORT_S} | arguments))


def test_damaged_sample_is_named(tiny_beton, tmp_path):
    content = bytearray(tiny_beton(30, 48, 40, "jpg").read_bytes())
    start = int(BetonFile(tiny_beton(30, 48, 40, "jpg")).offsets[4])
    content[start : start + 40] = bytes(40)
    (tmp_path / "torn.beton").write_bytes(content)
    with pytest.raises(InputError, match=r"sample 4 .*damaged"):
        examine(str(tmp_path / "torn.beton"), recipe(), seconds=SHORT_S)


# ------------------------------------------------------------------ changes


def examined(path, **fields):
    report = examine(str(path), recipe(**fields), seconds=SHORT_S)
    return report.subject, report.measured


def test_changes_are_those_that_this_file_and_machine_allow(tiny_beton, monkeypatch):
    subject, measured = examined(tiny_beton(30, 48, 40, "jpg"))
    monkeypatch.setattr(changes, "usable_cores", lambda: 3)
    found = {change.what: change for change in changes.loader_changes(subject, measured, SHORT_S)}
    assert set(found) == {
        "write the file with --mode jpg --max-side 18",
        "write the file with --mode raw --max-side 18",
        "--workers 3",
        "--scaled-decode",
        "--loader images",
        "--loader resident",
    }
    assert "2 of 3 cores" in found["--workers 3"].evidence
    assert "GB on cpu" in found["--loader resident"].evidence
    raw = {stage.name: stage for stage in found["write the file with --mode raw --max-side 18"].stages}
    jpg = {stage.name: stage for stage in found["write the file with --mode jpg --max-side 18"].stages}
    assert raw["decode"].cost.cpu_s < jpg["decode"].cost.cpu_s


def test_raw_images_of_the_right_size_leave_nothing_to_write(tiny_beton):
    subject, measured = examined(tiny_beton(30, 18, 18))
    found = {change.what for change in changes.loader_changes(subject, measured, SHORT_S)}
    assert found == {"--loader images", "--loader resident"}


def test_resident_set_that_does_not_fit_is_not_offered(tiny_beton, monkeypatch):
    monkeypatch.setattr(examination, "free_bytes", lambda device="cpu": 1000)
    _, measured = examined(tiny_beton(30))
    assert set(measured.loaders) == {"crops", "images"}


def test_images_written_otherwise_are_what_the_writer_writes(tiny_beton, tmp_path):
    beton = BetonFile(tiny_beton(30, 48, 40, "jpg"))
    options = WriteOptions(mode="jpg", max_side=24)
    stored = written_otherwise(beton, np.arange(0, 30, 3), options, 2)
    images = [beton.decode(i) for i in range(0, 30, 3)]
    write_beton(ArraySource(images, np.zeros(10, np.int64), SourceInfo(name="x")), tmp_path / "x.beton", options)  # type: ignore[arg-type]
    written = BetonFile(tmp_path / "x.beton")
    assert (stored.sizes == written.sizes).all()
    assert (stored.samples["bytes"] == written.payload_sizes).all()
    assert stored.source.tobytes() == b"".join(bytes(written.payload(i)) for i in range(10))


def test_enlarged_views_are_those_of_smaller_crops():
    sizes, index = np.array([[50, 50], [10, 50], [16, 16]]), np.arange(3)
    assert changes.enlarged(Drawer((ViewSpec.plain(16),), 0)(0, index, sizes)) == pytest.approx(1 / 3)
    assert changes.enlarged(Drawer((ViewSpec.plain(16), ViewSpec.plain(4)), 0)(0, index, sizes)) == pytest.approx(1 / 6)


class Recorder:
    """A pool that makes nothing and remembers the boxes it was asked for: per call, one (b, 4) array per view."""

    def __init__(self):
        self.asked = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def make_crops(self, source, samples, views, *, scaled):
        self.asked.append([view.crops[:, :4].copy() for view in views])
        return []


def test_whole_region_and_crops_are_asked_of_the_decoder(tiny_beton, monkeypatch):
    pool = Recorder()
    monkeypatch.setattr(decoding, "open_pool", lambda threads: (pool, "none"))
    stored = stored_in(BetonFile(tiny_beton(12, 48, 40, "jpg")), np.arange(12))
    draw = stored.draw(recipe().drawer)
    decoding.measure_decoding(stored, draw, 1, 1e-6)
    distinct = [pool.asked[0]]
    for call in pool.asked[1:]:
        if not all(map(np.array_equal, call, distinct[-1])):
            distinct.append(call)
    whole, region, crops = distinct
    drawn = [params.crop.numpy() for params in draw.params]
    assert all(map(np.array_equal, crops, drawn))
    assert (whole[0] == [0, 0, 1, 1]).all()
    assert (whole[1] == [47, 39, 1, 1]).all()
    first = np.minimum(drawn[0][:, :2], drawn[1][:, :2])
    last = np.maximum(drawn[0][:, :2] + drawn[0][:, 2:], drawn[1][:, :2] + drawn[1][:, 2:]) - 1
    assert (region[0][:, :2] == first).all()
    assert (region[1][:, :2] == last).all()
    assert (region[0][:, 2:] == 1).all()


def test_step_is_tried_in_full_precision_on_a_cpu_and_other_backends_where_there_are_some(tiny_beton, monkeypatch):
    subject = find_subject(str(tiny_beton(30)), recipe(precision="bf16"))
    parts, batch = crops_batch(subject)
    _, measured = examined(tiny_beton(30))
    monkeypatch.setattr(step_changes, "other_backends", lambda parts: ("reference",))
    found = list(step_changes.step_changes(parts, batch, measured.augment, measured.step, SHORT_S))
    assert [(change.what, change.stages[0].name) for change in found] == [
        ("--precision fp32", "step"),
        ("--backend reference", "augment"),
    ]
    assert "per image in bf16 and" in found[0].evidence


def test_full_precision_has_no_other_to_try(tiny_beton):
    subject = find_subject(str(tiny_beton(30)), recipe())
    parts, batch = crops_batch(subject)
    _, measured = examined(tiny_beton(30))
    assert list(step_changes.step_changes(parts, batch, measured.augment, measured.step, SHORT_S)) == []
    assert step_changes.other_backends(replace(parts, device=torch.device("cuda"))) != ()


# ------------------------------------------------------------------ timing and picture


def test_measure_does_not_count_the_first_run_and_repeats_short_work():
    runs = []
    cost = measure(lambda: runs.append(sum(range(20_000))), 10, 0.05)
    assert len(runs) >= 1 + LEAST_REPEATS
    assert 0 < cost.cpu_s < 0.1


def test_work_longer_than_the_time_given_is_measured_once():
    runs = []
    cost = measure(lambda: runs.append(time.sleep(0.02)), 10, 0.001)
    assert len(runs) == 1 + 1
    assert cost.wall_s >= 0.002


@pytest.mark.parametrize("ending", [".png", ".svg"])
def test_picture_is_written_and_repeats_itself(tiny_beton, tmp_path, ending):
    report = examine(str(tiny_beton(30)), recipe(), seconds=SHORT_S)
    first, second = (draw(report, tmp_path / f"{name}{ending}").read_bytes() for name in "ab")
    assert first == second
    assert len(first) > 5_000


def test_picture_of_another_kind_is_refused(tiny_beton, tmp_path):
    report = examine(str(tiny_beton(30)), recipe(), seconds=SHORT_S)
    with pytest.raises(InputError, match=r"out=.*x\.jpg ends in none of"):
        draw(report, tmp_path / "x.jpg")
