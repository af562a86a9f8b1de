"""The picture of a spec's views."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from fastssl.augment import Drawer, sheet
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


EVERYTHING = ViewSpec(
    pad=4, flip_p=1.0, vertical_flip_p=1.0, rotation=90.0, translate=0.2, jitter_p=1.0, gray_p=1.0, blur_p=1.0,
    solarize_p=1.0, noise_p=1.0, erase_p=1.0,
)  # fmt: skip


def test_caption_names_what_happened_in_order_and_keeps_its_width():
    params = sample(EVERYTHING, ViewKey(0, 0, 0, torch.arange(3)), 32, 32)
    params.jitter_order[0] = torch.tensor([3, 1, 0, 2])
    for width in (16, 24, 40):
        text = caption(params, 0, width)
        assert max(len(line) for line in text.split("\n")) <= width
        words = ["crop", "shift", "flip", "vertical flip", "rotate", "move",
                 f"h{float(params.hue[0]):.2f} c", "b", "gray", "blur", "solarize", "noise 0.10", "erase"]  # fmt: skip
        flat, at = text.replace("\n", " "), 0
        for word in words:
            at = flat.index(word, at) + len(word)
    down, right = params.shift[0].tolist()
    top, left, height, across = params.erase[0].tolist()
    assert f"shift {down},{right} " in caption(params, 0, 999)
    assert caption(params, 0, 999).endswith(f"erase {height}x{across} at {top},{left}")


def test_caption_leaves_out_what_is_off():
    assert caption(sample(ViewSpec.plain(32), ViewKey(0, 0, 0, torch.arange(1)), 32, 32), 0) == "crop 32x32 at 0,0"


def test_sheet_draws_views_of_different_sizes_to_one_scale_and_undoes_the_normalisation(tmp_path):
    """A flat image, its large view, and its small one, which solarizing darkens: areas 1, 1 and 1/4."""
    images = torch.zeros(1, 3, 40, 40, dtype=torch.uint8)
    images[:, 0] = images[:, 2] = 200
    large = replace(ViewSpec.plain(64), mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
    out = view_sheet(images, [large, replace(large, size=32, solarize_p=1.0)], tmp_path / "sheet.png")
    drawn = np.asarray(Image.open(out).convert("RGB")).astype(int)
    bright, dark = (int((np.abs(drawn - colour).max(-1) < 3).sum()) for colour in ((200, 0, 200), (55, 0, 55)))
    assert bright > 10_000
    assert abs(dark / bright - 1 / 8) < 0.02


def test_images_of_several_sizes_are_shown_without_padding_and_cut_inside(tmp_path):
    """White images of two shapes on a white page: padding, which is black, would be seen in the original or a view."""
    images = [torch.full((3, *size), 255, dtype=torch.uint8) for size in ((20, 60), (50, 30), (44, 44))]
    views = [replace(ViewSpec(size=24), mean=(0.5,) * 3, std=(0.25,) * 3, jitter_p=0.0, solarize_p=0.0, gray_p=0.0)] * 3
    bright = np.asarray(Image.open(view_sheet(images, views, tmp_path / "bright.png")).convert("L"))
    assert max(np.count_nonzero(row < 30) for row in bright) < 0.2 * bright.shape[1]
    black = [image.clone().zero_() if at == 1 else image for at, image in enumerate(images)]
    darker = np.asarray(Image.open(view_sheet(black, views, tmp_path / "darker.png")).convert("L"))
    assert max(np.count_nonzero(row < 30) for row in darker) > 0.5 * bright.shape[1]


def test_sheet_of_several_sizes_shows_the_draw_of_a_run(tmp_path, monkeypatch):
    sizes = ((20, 60), (50, 30))
    images = [torch.full((3, *size), 128, dtype=torch.uint8) for size in sizes]
    captions = []
    monkeypatch.setattr(sheet, "caption", lambda params, row, width=24: captions.append(params.table[row]) or "drawn")
    specs, index = (ViewSpec(size=24), ViewSpec(size=16)), torch.tensor([7, 3])
    view_sheet(images, specs, tmp_path / "sheet.png", seed=5, epoch=2, index=index)
    drawn = Drawer(specs, 5)(2, index.numpy(), np.array(sizes)).tables
    assert torch.equal(torch.stack(captions), drawn.transpose(0, 1).flatten(0, 1))


@pytest.mark.parametrize("name", ["sheet.jpg", "sheet", ".png"])
def test_sheet_of_another_format_is_refused_before_any_work(tmp_path, name):
    with pytest.raises(InputError, match=r"^out=.* does not end in \.png.*give"):
        view_sheet(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), [], tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_sheet_of_nothing_is_refused(tmp_path):
    with pytest.raises(InputError, match="specs=0"):
        view_sheet(torch.zeros(1, 3, 4, 4, dtype=torch.uint8), [], tmp_path / "none.png")
