"""Loaders `crops` and `images` on files that FFCV itself wrote, and what of a JPEG they decode."""

import numpy as np
import pytest
import torch
from ffcv.fields import IntField, RGBImageField
from ffcv.writer import DatasetWriter
from PIL import Image

from fastssl.augment import Drawer, get_backend, make_views
from fastssl.augment.resize import crop_resize
from fastssl.data.beton import BetonFile
from fastssl.data.format import MODE_JPG
from fastssl.data.open import open_loader
from fastssl.errors import InputError
from fastssl.views import ViewSpec
from tests.conftest import picture

NUM_IMAGES = 24
SPECS = (ViewSpec(size=40, interpolation="bicubic"), ViewSpec(size=24), ViewSpec.plain(16, 0.9))
LEVELS = 0.66


class Photographs:
    """What FFCV's writer takes: images of several sizes, with labels."""

    def __len__(self):
        return NUM_IMAGES

    def __getitem__(self, index):
        return Image.fromarray(picture(index, 60 + 7 * (index % 4), 90 - 11 * (index % 3))), index % 3


@pytest.fixture(scope="module", params=["raw", "jpg", "proportion"])
def by_ffcv(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("ffcv") / "several-sizes.beton"
    options = {"write_mode": request.param, "max_resolution": 80, "jpeg_quality": 90}
    writer = DatasetWriter(str(path), {"image": RGBImageField(**options), "label": IntField()}, num_workers=1)
    writer.from_indexed_dataset(Photographs(), chunksize=8)
    return path


def batches_of(kind, path, **options):
    loader = open_loader(kind, path, batch_size=10, drop_last=False, views=Drawer(SPECS, 0), **options)
    batches = list(loader.epoch(1))
    loader.close()
    return batches


def exact_crops(beton, batch, view):
    """The view's crops by arithmetic in floats on the beton's own decode, in levels."""
    params, spec = batch.draw.params[view], SPECS[view]
    made = []
    for index, crop, flip in zip(batch.index.tolist(), params.crop, params.flip.tolist(), strict=True):
        pixels = torch.from_numpy(beton.decode(index)).permute(2, 0, 1)[None]
        one = crop_resize(pixels, crop[None], spec.size, spec.interpolation, antialias=True)[0].clamp(0, 1) * 255
        made.append(one.flip(2) if flip else one)
    return torch.stack(made)


def test_files_by_ffcv_are_served_and_every_crop_is_exact_to_a_rounding(by_ffcv):
    beton = BetonFile(by_ffcv)
    assert len(np.unique(beton.sizes, axis=0)) > 3
    seen = []
    for batch in batches_of("crops", by_ffcv):
        seen += batch.index.tolist()
        assert batch.images.shape == (0, 3, 0, 0)
        assert batch.labels.tolist() == [index % 3 for index in batch.index.tolist()]
        for view, crops in enumerate(batch.crops):
            assert (crops - exact_crops(beton, batch, view)).abs().max() <= LEVELS
    assert sorted(seen) == list(range(NUM_IMAGES))


@pytest.mark.parametrize("kind", ["images", "resident"])
def test_views_of_whole_images_are_those_of_crops_but_for_a_rounding(by_ffcv, kind):
    specs = [ViewSpec(**{**vars_of(spec), "jitter_p": 0.0, "mean": (0.0,) * 3, "std": (1.0,) * 3}) for spec in SPECS]
    plain = [ViewSpec(**{**vars_of(spec), "mean": None, "std": None}) for spec in specs]
    made = {}
    for loader in ("crops", kind):
        opened = open_loader(loader, by_ffcv, batch_size=10, drop_last=False, views=Drawer(tuple(plain), 0))
        made[loader] = [make_views(b, specs, get_backend("reference"), seed=0, epoch=1) for b in opened.epoch(1)]
        opened.close()
    for ready, cut in zip(made["crops"], made[kind], strict=True):
        for a, b in zip(ready, cut, strict=True):
            assert (a - b).abs().max() * 255 <= LEVELS + 1e-3


def vars_of(spec):
    return {name: getattr(spec, name) for name in spec.__dataclass_fields__}


def test_scaled_decode_is_near_and_changes_only_jpegs(by_ffcv):
    beton = BetonFile(by_ffcv)
    small = (ViewSpec(size=8, crop_scale=(0.5, 1.0)),)
    exact, scaled = (
        open_loader("crops", by_ffcv, batch_size=NUM_IMAGES, order="sequential", views=Drawer(small, 0), scaled=scaled)
        for scaled in (False, True)
    )
    [one], [other] = list(exact.epoch(0)), list(scaled.epoch(0))
    exact.close(), scaled.close()
    distance = (one.crops[0].int() - other.crops[0].int()).abs().float().mean(dim=(1, 2, 3))
    jpeg = torch.from_numpy(beton.modes == MODE_JPG)
    assert (distance[~jpeg] == 0).all()
    assert (distance[jpeg] < 8).all()
    assert not jpeg.any() or (distance[jpeg] > 0).any()


@pytest.mark.parametrize("kind", ["images", "resident", "ffcv"])
def test_scaled_decode_has_no_effect_elsewhere_and_says_so(tiny_beton, kind):
    with pytest.raises(InputError, match=f"^scaled=True has no effect with loader={kind}"):
        open_loader(kind, tiny_beton(20), batch_size=4, scaled=True)


def test_views_without_antialias_are_refused_where_they_are_cut(tiny_beton):
    views = Drawer((ViewSpec(antialias=False),), 0)
    with pytest.raises(InputError, match=r"^antialias=False of view 0"):
        open_loader("crops", tiny_beton(20), batch_size=4, views=views)
    with pytest.raises(InputError, match=r"^loader=crops needs views"):
        open_loader("crops", tiny_beton(20), batch_size=4)
