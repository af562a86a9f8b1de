"""Views made from drawn parameters beside the reference backend's."""

import numpy as np
import pytest
import torch

from fastssl import native
from fastssl.augment.resize import crop_resize
from fastssl.augment.sample import sample_views
from fastssl.views import OFF, ViewKey, ViewSpec
from tests.native.images import AnyPool, as_jpeg, one_batch, textured, whole_decode
from tests.native.test_region_resize import LEVELS

SHAPE = (180, 240)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_views_of_a_table_equal_the_reference(pool: AnyPool, interpolation: str):
    images = [as_jpeg(textured(*SHAPE, seed)) for seed in range(8)]
    specs = [ViewSpec(**{**OFF, "size": size, "interpolation": interpolation, "flip_p": 0.5}) for size in (64, 64, 32)]
    params = sample_views(specs, ViewKey(0, 0, 0, torch.arange(8)), *SHAPE)
    outs = [np.zeros((8, spec.size, spec.size, 3), np.uint8) for spec in specs]
    views = [native.View(p.table.numpy(), out, interpolation) for p, out in zip(params, outs, strict=True)]
    assert pool.make_crops(*one_batch(images, SHAPE), views) == []
    pixels = torch.from_numpy(np.stack([whole_decode(data) for data in images])).permute(0, 3, 1, 2)
    for spec, drawn, out in zip(specs, params, outs, strict=True):
        exact = 255 * crop_resize(pixels, drawn.crop, spec.size, interpolation).clamp(0, 1).permute(0, 2, 3, 1)
        exact = torch.where(drawn.flip[:, None, None, None], exact.flip(2), exact)
        assert drawn.flip.any()
        assert (exact - torch.from_numpy(out).float()).abs().max() < LEVELS
