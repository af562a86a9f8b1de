"""The picture of a spec's views."""

import numpy as np
import pytest
import torch
from PIL import Image

from fastssl.augment.sample import sample
from fastssl.augment.sheet import caption, view_sheet
from fastssl.errors import InputError
from fastssl.views import ViewKey, ViewSpec


def test_sheet_is_a_readable_picture_and_follows_the_seed(tmp_path):
    images = torch.randint(0, 256, (2, 3, 12, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    specs = [ViewSpec(size=8), ViewSpec(size=16, blur_p=1.0)]
    first, again, other = (
        np.asarray(Image.open(view_sheet(images, specs, tmp_path / name, seed=seed)))
        for name, seed in (("first.png", 0), ("again.png", 0), ("other.png", 1))
    )
    assert min(first.shape[:2]) > 200
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.png", "first.png", "other.png"]


def test_caption_names_what_happened_in_order():
    spec = ViewSpec(jitter_p=1.0, blur_p=1.0, gray_p=1.0, solarize_p=1.0, flip_p=1.0)
    params = sample(spec, ViewKey(0, 0, 0, torch.arange(3)), 32, 32)
    params.jitter_order[0] = torch.tensor([3, 1, 0, 2])
    crop, first, second, words = caption(params, 0).split("\n")
    assert crop.startswith("crop ")
    assert first.startswith(f"h{float(params.hue[0]):.2f} c")
    assert second.startswith("b")
    assert words.startswith("flip gray solarize blur ")
    plain = sample(ViewSpec.plain(32), ViewKey(0, 0, 0, torch.arange(1)), 32, 32)
    assert caption(plain, 0) == "crop 32x32 at 0,0\n"


def test_sheet_of_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match="specs=0"):
        view_sheet(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), [], tmp_path / "none.png")
