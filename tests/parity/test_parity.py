import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torchvision.transforms import functional

from fastssl import native
from fastssl.augment import get_backend, make_views
from fastssl.data.open import open_loader
from fastssl.data.served import serve
from fastssl.errors import InputError
from fastssl.parity import ParityReport, ParityRow, check_pipeline, run_parity
from fastssl.parity.reference import draw_reference, torchvision_crops, torchvision_views
from fastssl.parity.statistics import coordinate_ramp, ks_bound, ks_distance, pixel_statistics, read_crops
from fastssl.views import CROP_AT, FLIP_AT, ViewSpec

NUM_IMAGES = 256


@pytest.fixture(scope="module")
def served(tiny_beton):
    return serve(tiny_beton(NUM_IMAGES))


@pytest.fixture(scope="module")
def spec(served):
    return ViewSpec(mean=served.info.mean, std=served.info.std)


@pytest.fixture(scope="module")
def reference(served, spec):
    return draw_reference([served.beton.decode(i) for i in range(NUM_IMAGES)], spec, seed=0)


@pytest.fixture
def failures(served, spec, reference):
    """`failures(make, change)`: statistics out of bounds when views are made so, of batches changed so."""

    def check(make, change=lambda batch: batch) -> set[str]:
        loader = open_loader("resident", served.path, batch_size=64, drop_last=False)
        batches = (change(batch) for batch in loader.epoch(0))
        rows = check_pipeline("tested", batches, make, served, spec, reference, num_images=NUM_IMAGES)
        return {row.statistic for row in rows if not row.ok}

    return check


def ours(batch, specs):
    return make_views(batch, specs, get_backend("reference", "cpu"), seed=3, epoch=0, dtype=torch.float32)


def with_specs(change):
    return lambda batch, specs: ours(batch, [change(spec) for spec in specs])


def test_our_pipeline_has_parity(failures):
    assert failures(ours) == set()


@pytest.mark.parametrize("seed", [11, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (12, 13))])
def test_torchvision_has_parity_with_itself(failures, seed):
    calls = iter(range(1000 * seed, 1000 * seed + 100))

    def torchvision(batch, specs):
        images = [image.permute(1, 2, 0).numpy() for image in batch.images]
        return tuple(torchvision_views(images, spec, seed=next(calls)) for spec in specs)

    assert failures(torchvision) == set()


BROKEN_VIEWS = {
    "mean used for std": (with_specs(lambda s: replace(s, std=s.mean) if any(s.mean) else s), "red std"),
    "mean not subtracted": (with_specs(lambda s: replace(s, mean=(0.0, 0.0, 0.0))), "red mean"),
    "square crops": (with_specs(lambda s: replace(s, crop_ratio=(1.0, 1.0))), "crop aspect"),
    "crops of .2-1": (with_specs(lambda s: replace(s, crop_scale=(0.2, 1.0))), "crop area"),
    "crops at the corner": (
        lambda batch, specs: ours(replace(batch, images=batch.images.roll((-6, -6), (2, 3))), specs),
        "crop left",
    ),
    "views in BGR": (lambda batch, specs: [view.flip(1) for view in ours(batch, specs)], "channel order"),
    "never flipped": (with_specs(lambda s: replace(s, flip_p=0.0)), "flip rate"),
    "always flipped": (with_specs(lambda s: replace(s, flip_p=1.0)), "flip rate"),
    "half the grays": (with_specs(lambda s: replace(s, gray_p=s.gray_p / 2)), "gray share"),
    "pixels 0-255": (lambda batch, specs: [view * 255 for view in ours(batch, specs)], "green q50"),
    "not a number": (lambda batch, specs: [view * float("nan") for view in ours(batch, specs)], "blue mean"),
}


@pytest.mark.parametrize(("make", "statistic"), BROKEN_VIEWS.values(), ids=BROKEN_VIEWS)
def test_broken_views_are_caught(failures, make, statistic):
    assert statistic in failures(make)


def in_dataset_order(batch):
    return replace(batch, labels=torch.arange(len(batch.labels)) % 5)


BROKEN_BATCHES = {
    "labels not shuffled": (in_dataset_order, {"label agreement"}),
    "images in BGR": (lambda batch: replace(batch, images=batch.images.flip(1)), {"pixel distance", "red mean"}),
    "index off by one": (lambda batch: replace(batch, index=(batch.index + 1) % NUM_IMAGES), {"pixel distance"}),
    "one image black": (lambda batch: replace(batch, images=blackened(batch.images)), {"pixel distance"}),
}


def blackened(images):
    images = images.clone()
    images[0] = 0
    return images


@pytest.mark.parametrize(("change", "statistics"), BROKEN_BATCHES.values(), ids=BROKEN_BATCHES)
def test_broken_batches_are_caught(failures, change, statistics):
    assert statistics <= failures(ours, change)


@pytest.mark.parametrize("mode", ["raw", "jpg"])
def test_every_loader_has_parity(tiny_beton, mode):
    lines = []
    report = run_parity(
        tiny_beton(40, 32, 32, mode), backend="reference", num_images=40, num_workers=1, progress=lines.append
    )
    assert report.ok, report.lines(failures_only=True)
    assert {row.loader for row in report.rows} == {"crops", "images", "resident", "ffcv", "folder"}
    assert len(lines) == 6
    assert (report.num_images, report.views, report.dataset) == (40, 2, "tiny")


def _without_flips(views):
    kept = np.arange(views[0].crops.shape[1], dtype=np.int32) != FLIP_AT
    return [replace(view, crops=view.crops * kept) for view in views]


def _moved(views):
    crops = [view.crops.copy() for view in views]
    for crop in crops:
        crop[:, CROP_AT + 1] = 0  # of any crop: the left edge
    return [replace(view, crops=crop) for view, crop in zip(views, crops, strict=True)]


BROKEN_CUTS = {
    "never flipped": (_without_flips, {"flip rate", "pixel distance"}),
    "crops at the edge": (_moved, {"crop left", "pixel distance"}),
}


@pytest.mark.parametrize(("change", "statistics"), BROKEN_CUTS.values(), ids=BROKEN_CUTS)
def test_a_loader_that_cuts_wrongly_is_caught(tiny_beton, monkeypatch, change, statistics):
    make_crops = native.Pool.make_crops

    def broken(pool, source, samples, views, *, scaled=False):
        return make_crops(pool, source, samples, change(views), scaled=scaled)

    monkeypatch.setattr(native.Pool, "make_crops", broken)
    report = run_parity(tiny_beton(80), ["crops"], backend="reference", num_workers=1)
    assert statistics <= {row.statistic for row in report.rows if not row.ok}


def test_parity_of_odd_sizes_blur_and_solarize(tiny_beton):
    spec = ViewSpec(size=17, blur_p=0.5, solarize_p=0.2, interpolation="bicubic")
    report = run_parity(tiny_beton(40, 31, 47), ["resident"], spec, backend="reference", seed=5)
    assert report.ok, report.lines(failures_only=True)


OPERATIONS = {
    "pad": {"pad": 12},
    "rotation and translation": {"rotation": 90.0, "translate": 0.5},
    "noise": {"noise_p": 0.8, "noise_sigma": (0.1, 0.3)},
    "erase": {"erase_p": 0.8, "erase_value": 3.0},
}
"""Those that pixel statistics can see; a vertical flip leaves them as they are."""
FEW_IMAGES = 64


@pytest.fixture(scope="module")
def every_operation(tiny_beton):
    """A beton served, a spec with every operation on, and torchvision's statistics of it."""
    served = serve(tiny_beton(FEW_IMAGES))
    on = {name: value for change in OPERATIONS.values() for name, value in change.items()}
    spec = ViewSpec(mean=served.info.mean, std=served.info.std, vertical_flip_p=0.5, affine_p=0.8, **on)
    return served, spec, draw_reference([served.beton.decode(i) for i in range(FEW_IMAGES)], spec, seed=0)


@pytest.mark.parametrize("missing", [None, *OPERATIONS])
def test_parity_with_every_operation_on_and_with_one_of_them_missing(every_operation, missing):
    served, spec, reference = every_operation
    off = {name: getattr(ViewSpec(), name) for name in OPERATIONS.get(missing, ())}
    loader = open_loader("resident", served.path, batch_size=64, drop_last=False)
    made = with_specs(lambda one: replace(one, **off))
    rows = check_pipeline("tested", loader.epoch(0), made, served, spec, reference, num_images=FEW_IMAGES, views=4)
    failed = {row.statistic for row in rows if not row.ok}
    assert bool(failed) is (missing is not None), failed


def test_parity_of_whole_images(tiny_beton):
    report = run_parity(tiny_beton(32, 31, 47), ["resident"], ViewSpec.plain(24), backend="reference", views=1)
    assert report.ok, report.lines(failures_only=True)


def test_report_prints_and_serialises(tiny_beton):
    report = run_parity(tiny_beton(32), ["resident"], backend="reference", num_images=16, views=1)
    again = run_parity(tiny_beton(32), ["resident"], backend="reference", num_images=16, views=1)
    assert report == again
    document = json.loads(json.dumps(report.to_json()))
    assert document["ok"] is report.ok
    assert document["rows"][0]["statistic"] == "red mean"
    assert document["rows"][0]["ok"] is True
    assert len(report.lines()) == len(report.rows) + 2
    assert report.lines()[-1].startswith("PASS")


def test_one_bad_row_fails_the_report():
    good, bad, nan = (ParityRow("ffcv", "red mean", 0.0, 0.0, d, 0.1, "") for d in (0.1, 0.2, float("nan")))
    report = ParityReport("tiny", "f", "reference", 8, 2, 0, {}, (good, bad, nan))
    assert not report.ok
    assert len(report.failures) == 2
    assert report.lines()[-1].startswith("FAIL")
    assert [line.split()[-1] for line in report.lines()[1:4]] == ["ok", "FAIL", "FAIL"]
    assert len(report.lines(failures_only=True)) == 4


@pytest.mark.parametrize("kwargs", [{"loaders": []}, {"num_images": 2}, {"views": 0}])
def test_impossible_requests_are_named(tiny_beton, kwargs):
    with pytest.raises(InputError, match="=" + r".*give"):
        run_parity(tiny_beton(32), **kwargs)


def test_reference_without_antialiasing_is_refused_as_pil_has_none(tiny_beton):
    with pytest.raises(InputError, match=r"^antialias=False .*give True"):
        run_parity(tiny_beton(32), ["resident"], ViewSpec(antialias=False), backend="reference", num_images=16)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), side=st.sampled_from([(32, 32), (31, 47), (240, 320), (375, 500)]), size=st.integers(16, 64))
def test_crop_is_read_back_from_pixels(data, side, size):
    height, width = side
    box_height = data.draw(st.integers(height // 4, height))
    box_width = data.draw(st.integers(width // 4, width))
    top = data.draw(st.integers(0, height - box_height))
    left = data.draw(st.integers(0, width - box_width))
    flip = data.draw(st.booleans())
    ramp = coordinate_ramp(height, width).float() / 255
    view = functional.resized_crop(ramp, top, left, box_height, box_width, [size, size], antialias=True)
    crops = read_crops((view.flip(2) if flip else view)[None], height, width)
    assert bool(crops.flipped) is flip
    assert bool(crops.channels_in_order)
    # Whole-pixel reading; wide images are rounded to 255 levels, and an antialiased ramp ripples a little.
    error = (crops.boxes[0] - torch.tensor([top, left, box_height, box_width])).abs()
    assert error.max() <= (1 if max(side) <= 256 else 2 + max(side) // 128)


def test_channels_out_of_order_are_seen():
    views = (coordinate_ramp(32, 32).float() / 255)[None]
    assert bool(read_crops(views, 32, 32).channels_in_order)
    for order in ([2, 1, 0], [1, 0, 2], [0, 2, 1]):
        assert not bool(read_crops(views[:, order], 32, 32).channels_in_order)


def test_ks_agrees_with_scipy():
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=300), generator.normal(0.1, size=500).round(1)
    assert ks_distance(a, b) == pytest.approx(stats.ks_2samp(a, b).statistic)
    assert stats.kstwobign.sf(ks_bound(4000, 4000, 1e-3) * np.sqrt(2000)) == pytest.approx(1e-3, rel=0.01)


def test_pixel_statistics_are_those_of_numpy(spec):
    views = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 3, 32, 32)).astype(np.float32))
    measured = pixel_statistics(views, spec)
    assert measured["green mean"] == pytest.approx(views[:, 1].mean().item(), abs=1e-6)
    assert measured["blue std"] == pytest.approx(views[:, 2].std(correction=0).item(), abs=1e-6)
    assert measured["red q75"] == pytest.approx(np.quantile(views[:, 0].numpy(), 0.75), abs=1e-6)
    assert measured["gray share"] == 0.0
    gray = (torch.full((2, 3, 32, 32), 0.5) - torch.tensor(spec.mean).view(3, 1, 1)) / torch.tensor(spec.std).view(
        3, 1, 1
    )
    assert pixel_statistics(torch.cat([views[:2], gray]), spec)["gray share"] == 0.5


def test_reference_leaves_torchs_generator_alone(spec):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    image = np.zeros((32, 32, 3), dtype=np.uint8)
    assert torch.equal(torchvision_views([image], spec, seed=1), torchvision_views([image], spec, seed=1))
    torchvision_crops(spec, 32, 32, 5, seed=2)
    assert torch.equal(torch.rand(3), expected)
