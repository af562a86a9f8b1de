"""Views drawn before there are pixels are those drawn after, and what is left of them is applied the same."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fastssl.augment import Drawer, get_backend, make_views, sample_params
from fastssl.augment.sample import sample
from fastssl.errors import InputError
from fastssl.types import Batch
from fastssl.views import ViewKey, ViewSpec

NORM = {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
SPECS = (
    ViewSpec(size=24, blur_p=0.5),
    ViewSpec(size=17, crop_ratio=(0.2, 5)),
    ViewSpec.plain(8),
    ViewSpec.plain(8, 0.7),
)
SIZES = np.stack([np.arange(30, 80), np.arange(90, 40, -1)], axis=1)


def test_each_image_is_drawn_as_by_its_own_size():
    index = np.arange(50) * 7
    draw = Drawer(SPECS, seed=2**40 + 5)(3, index, SIZES)
    assert draw.tables.shape == (len(SPECS), 50, 32)
    for v, spec in enumerate(SPECS):
        for i, (height, width) in enumerate(SIZES.tolist()):
            key = ViewKey(2**40 + 5, 3, v, torch.from_numpy(index[i : i + 1]))
            assert torch.equal(draw.tables[v, i], sample(spec, key, height, width).table[0])


@pytest.mark.parametrize(("seed", "epoch"), [(-1, 0), (2**64, 0), (0, -1), (0, 2**32)])
def test_keys_that_do_not_fit_are_refused(seed, epoch):
    with pytest.raises(InputError, match="does not fit"):
        Drawer(SPECS, seed)(epoch, np.arange(50), SIZES)


@pytest.mark.parametrize(("height", "width", "share", "box"), [
    (30, 50, 1.0, (0, 10, 30, 30)), (50, 30, 1.0, (10, 0, 30, 30)), (41, 60, 0.5, (10, 20, 20, 20)),
    (32, 32, 1.0, (0, 0, 32, 32)), (1, 9, 0.1, (0, 4, 1, 1)),
])  # fmt: skip
def test_central_square(height, width, share, box):
    drawn = sample(ViewSpec.plain(8, share), ViewKey(0, 0, 0, torch.arange(2)), height, width)
    assert drawn.crop.tolist() == [list(box)] * 2


def test_central_square_is_refused_beside_a_random_crop_and_outside_of_its_range():
    with pytest.raises(InputError, match=r"^central=0.5 has no effect"):
        ViewSpec(central=0.5)
    for share in (0.0, 1.1, -1.0):
        with pytest.raises(InputError, match=f"^central={share} is not a share"):
            ViewSpec.plain(8, share)


CUT = (
    ViewSpec(size=24, blur_p=0.5, erase_p=0.3, **NORM),
    ViewSpec(size=16, pad=5, vertical_flip_p=0.5, **NORM),
    ViewSpec(size=20, rotation=20.0, translate=0.2, solarize_p=0.3, **NORM),
)


def images_and_draw(count=40, height=24, width=24):
    generator = np.random.default_rng(0)
    images = torch.from_numpy(generator.integers(0, 256, (count, 3, height, width), dtype=np.uint8))
    return images, Drawer(CUT, 7)(2, np.arange(count), np.full((count, 2), (height, width)))


@pytest.mark.parametrize("backend", ["reference", "kornia", "cpu", "fused"])
def test_views_of_crops_equal_views_of_images(backend):
    """Crops that need no resize carry no rounding, so both ways must meet exactly."""
    images, draw = images_and_draw(3 if backend == "fused" else 40)
    tables, crops = draw.tables.clone(), []
    for v, spec in enumerate(CUT):  # a crop of the view's size, at a place of its own
        for i, table in enumerate(tables[v]):
            top, left = i % (25 - spec.size), 3 * i % (25 - spec.size)
            table[:4] = torch.tensor([top, left, spec.size, spec.size])
        boxes = zip(images, tables[v, :, :4].tolist(), draw.params[v].flip.tolist(), strict=True)
        cut = [image[:, t : t + h, left : left + w].flip(2) if flip else image[:, t : t + h, left : left + w]
               for image, (t, left, h, w), flip in boxes]  # fmt: skip
        crops.append(torch.stack(cut).contiguous(memory_format=torch.channels_last))
    labels = torch.zeros(len(images)).long()
    drawn = Batch(images, labels, labels, draw=replace(draw, tables=tables))
    cropped = replace(drawn, images=images[:0], crops=tuple(crops))
    engine, options = get_backend(backend), {"seed": 7, "epoch": 2, "dtype": torch.float32}
    for whole, ready in zip(make_views(drawn, CUT, engine, **options), make_views(cropped, CUT, engine, **options)):
        assert torch.allclose(whole, ready, atol=2e-5 if backend != "fused" else 1e-4)


def test_a_batch_is_not_made_into_views_it_was_not_drawn_for():
    images, draw = images_and_draw()
    batch = Batch(images, torch.zeros(40).long(), torch.arange(40), draw=draw)
    assert torch.equal(sample_params(batch, CUT, seed=7, epoch=2)[1].table, draw.tables[1])
    unfilled = [replace(spec, mean=None, std=None) for spec in CUT]
    sample_params(batch, unfilled, seed=7, epoch=2)  # statistics play no part in what is drawn
    for changed in ({"seed": 8}, {"epoch": 3}):
        with pytest.raises(InputError, match=r"^seed=. ?.*epoch=. are not those of the batch"):
            sample_params(batch, CUT, **{"seed": 7, "epoch": 2, **changed})
    for specs in (CUT[:2], CUT[::-1], (*CUT[:2], replace(CUT[2], flip_p=0.1))):
        with pytest.raises(InputError, match=r"^specs=. views are not the 3"):
            sample_params(batch, specs, seed=7, epoch=2)
