"""The contract of loaders lets the right ones through and names what is wrong with others."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.contract import NUM_PROBES
from benchmarks.load import checks, ours, threads
from benchmarks.load.cases import view
from benchmarks.load.contestant import Delivered, Task
from benchmarks.load.stored import Cache, StoredSet
from fastssl.data.arrays import array_source
from fastssl.data.options import WriteOptions
from fastssl.data.pack import write_beton
from fastssl.views import ViewSpec

SPECS = (view(32), view(32), view(16, (0.05, 0.3)))
LABELS = np.arange(40) % 4


@pytest.fixture(scope="module", params=["jpg", "raw"])
def task(request, tmp_path_factory):
    """Forty pictures of 60 x 80 pixels."""
    draw = np.random.default_rng(0)
    coarse = torch.from_numpy(draw.uniform(0, 255, (40, 3, 5, 5)).astype(np.float32))
    smooth = torch.nn.functional.interpolate(coarse, (60, 80), mode="bilinear").round().to(torch.uint8)
    path = tmp_path_factory.mktemp("stored") / f"{request.param}.beton"
    source = array_source(smooth.permute(0, 2, 3, 1).numpy(), LABELS, name="pictures")
    write_beton(source, path, WriteOptions(mode=request.param, quality=95))
    return Task(StoredSet(path), SPECS, batch=16, threads=2)


@pytest.fixture(scope="module")
def ramps(tmp_path_factory):
    cache = Cache(tmp_path_factory.mktemp("ramps"), 8, 8)
    return {"jpg": cache.ramps("jpeg-500"), "raw": cache.ramps("raw-500")}


def ramps_of(task, ramps):
    return ramps[task.stored.beton.stem]


class Changed:
    """The library's own loader with its batches changed."""

    def __init__(self, task, change):
        self.inner, self.change = ours.OurLoader("crops", task), change
        self.antialiased = self.inner.antialiased

    def block(self, number):
        return map(self.change, self.inner.block(number))


@pytest.mark.parametrize(("module", "name"), [(ours, "crops"), (threads, "threads")])
def test_right_loaders_pass(module, name, task, ramps):
    opened = module.open_contestant(name, task)
    assert checks.epoch_breaches(opened, task) == []
    assert 1 <= opened.threads() <= task.threads  # Python's pool starts no second thread while the first is idle
    opened.close()
    probe = checks.probe_task(task, ramps_of(task, ramps))
    assert checks.crop_breaches(module.open_contestant(name, probe), probe) == []


def test_images_are_as_stored_under_their_crops(task):
    assert checks.image_breaches(ours.OurLoader("images", task), task) == []
    shifted = Changed(task, lambda batch: batch)
    shifted.inner = ours.OurLoader("images", task)
    shifted.change = lambda batch: replace(batch, images=batch.images.roll(1, 2))
    assert any("not as stored under the crop" in line for line in checks.image_breaches(shifted, task))


def views(change):
    return lambda batch: replace(batch, views=tuple(change(view) for view in batch.views))


WRONG_BATCHES = {
    "a view too few": (lambda batch: replace(batch, views=batch.views[:2]), "2 views, not 3"),
    "floats": (views(lambda view: view.float()), "torch.float32, not torch.uint8"),
    "another size": (views(lambda view: view[..., :8]), "not (16, 32, 32, 3) or (16, 3, 32, 32)"),
    "zeros, as of a JPEG that did not decode": (views(lambda view: view * 0), "16 of 16 images show nothing"),
    "one image of zeros": (
        views(lambda view: torch.cat([view[:1] * 0, view[1:]])),
        "1 of 16 images show nothing",
    ),
    "labels of others": (lambda batch: replace(batch, labels=batch.labels.roll(1)), "labels are not those"),
    "two levels brighter": (views(lambda view: (view.int() + 2).clamp(0, 255).byte()), "levels from torchvision's"),
    "other crops": (
        lambda batch: replace(batch, crops=tuple(table + np.array([3, 0, 0, 0, 0]) for table in batch.crops)),
        "levels from torchvision's",
    ),
    "flips that are not told": (
        lambda batch: replace(batch, crops=tuple(table * np.array([1, 1, 1, 1, 0]) for table in batch.crops)),
        "levels from torchvision's",
    ),
}


@pytest.mark.parametrize("case", WRONG_BATCHES)
def test_wrong_batches_are_named(case, task):
    change, words = WRONG_BATCHES[case]
    assert any(words in line for line in checks.epoch_breaches(Changed(task, change), task))


def test_image_left_out_is_named(task):
    """A label too often, and an epoch too short: without an index, the labels tell."""
    constant = Changed(task, lambda batch: Delivered(batch.views, batch.labels * 0))
    assert any("labels were served" in line for line in checks.epoch_breaches(constant, task))
    short = Changed(task, lambda batch: batch)
    short.block = lambda number: list(short.inner.block(number))[:1]
    assert checks.epoch_breaches(short, task) == ["16 images in a block, not 32"]


WRONG_WORK = {
    "never flips": ({"flip_p": 0.0}, "flipped"),
    "milder crops": ({"crop_scale": (0.3, 1.0)}, "crop area"),
    "square crops": ({"crop_ratio": (1.0, 1.0)}, "crop ratio"),
}


@pytest.mark.parametrize("case", WRONG_WORK)
def test_other_draws_are_named(case, task, ramps):
    change, words = WRONG_WORK[case]
    probe = checks.probe_task(task, ramps_of(task, ramps))
    other = replace(probe, specs=tuple(replace(spec, **change) for spec in probe.specs))
    assert any(words in line for line in checks.crop_breaches(ours.OurLoader("crops", other), probe))


def test_shuffled_images_and_one_draw_for_two_views_are_named(task, ramps):
    probe = checks.probe_task(task, ramps_of(task, ramps))
    shuffled = Changed(probe, views(lambda view: view.roll(1, 0)))
    assert any("not of the image in their place" in line for line in checks.crop_breaches(shuffled, probe))
    twice = Changed(probe, lambda batch: replace(batch, views=(batch.views[0], *batch.views[:1], *batch.views[2:])))
    assert any("one draw served both" in line for line in checks.crop_breaches(twice, probe))


def test_probes_hold_each_kind_of_view_and_one_kind_twice(task, ramps):
    probe = checks.probe_task(replace(task, specs=(view(224),) * 2 + (view(96, (0.05, 0.14)),) * 6), task.stored)
    assert [spec.crop_scale for spec in probe.specs] == [(0.08, 1.0), (0.08, 1.0), (0.05, 0.14)]
    assert NUM_PROBES % probe.batch == 0


def test_views_hold_nothing_but_crop_and_flip():
    spec = view(224)
    assert (spec.flip_p, spec.jitter_p, spec.gray_p, spec.blur_p) == (0.5, 0.0, 0.0, 0.0)
    assert spec.crop_ratio == ViewSpec().crop_ratio
