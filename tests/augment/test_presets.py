"""Presets: valid at any size, made by every backend, with the numbers of their sources and a page that lists them."""

from pathlib import Path

import pytest
import torch

from fastssl.augment import get_backend, make_views
from fastssl.augment.presets import LEAST_SIZE, PRESETS, get_preset
from fastssl.errors import InputError
from fastssl.types import Batch
from fastssl.views import ViewSpec

PAGE = Path(__file__).parents[2] / "docs" / "presets.md"
DIALS = [name for name, preset in PRESETS.items() if preset.strengths]


@pytest.mark.parametrize("name", PRESETS)
def test_preset_makes_views_at_any_size_and_strength(name):
    preset = PRESETS[name]
    images = torch.randint(0, 256, (2, 3, 40, 30), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    batch = Batch(images=images, labels=torch.arange(2), index=torch.arange(2))
    for size in (LEAST_SIZE, 15, 32, 96, 224):
        for strength in preset.strengths or (None,):
            specs = get_preset(name, size=size, strength=strength)
            assert specs[0].size == size
            assert all(spec.blur_kernel >= 3 and spec.blur_kernel // 2 < spec.size for spec in specs)
    specs = [ViewSpec(**{**vars(spec), "mean": (0.5,) * 3, "std": (0.2,) * 3}) for spec in get_preset(name, size=16)]
    views = make_views(batch, specs, get_backend("cpu"), seed=0, epoch=0)
    assert [view.shape[-1] for view in views] == [spec.size for spec in specs]
    assert all(view.isfinite().all() for view in views)


def test_sizes_and_blurs_of_the_originals():
    """224 and 96 pixels, 23 taps of SimCLR, BYOL and SwAV; three for SimCLR's rule at 32 pixels."""
    for name, sizes in (("dino", [224] * 2 + [96] * 8), ("swav", [224] * 2 + [96] * 6)):
        assert [spec.size for spec in get_preset(name)] == sizes
    for name in ("simclr", "byol", "swav"):
        assert {spec.blur_kernel for spec in get_preset(name)} == {23}
    assert get_preset("byol", size=32)[0].blur_kernel == 3
    assert [spec.size for spec in get_preset("dino", size=112)][-1] == 48


def test_pairs_differ_in_blur_and_solarize_alone():
    first, second = get_preset("byol")
    changed = {name for name in vars(first) if getattr(first, name) != getattr(second, name)}
    assert changed == {"blur_p", "solarize_p"}
    assert (first.blur_p, second.blur_p, first.solarize_p, second.solarize_p) == (1.0, 0.1, 0.0, 0.2)


def test_dials_reach_the_named_points():
    assert get_preset("issl", strength=1.0) == get_preset("issl-fine")
    assert get_preset("issl", strength=2.0) == get_preset("issl-coarse")
    coarse, fine = get_preset("issl-coarse")[0], get_preset("issl-fine")[0]
    assert (fine.crop_scale, coarse.crop_scale) == ((0.2, 1.0), (0.1, 1.0))
    assert (fine.brightness, fine.hue, fine.gray_p, fine.blur_p) == (0.4, 0.1, 0.1, 0.0)
    assert (coarse.brightness, coarse.hue, coarse.gray_p, coarse.blur_p) == (0.8, 0.2, 0.2, 0.5)
    assert get_preset("issl", strength=0.25)[0].blur_p == 0.0
    assert get_preset("simclr", size=32, strength=0.5)[0].hue == get_preset("simclr-cifar")[0].hue == 0.1
    assert get_preset("noise-only", strength=0.05)[0].noise_sigma == (0.05, 0.05)


@pytest.mark.parametrize("name", DIALS)
def test_every_strength_of_a_dial_has_an_effect(name):
    least, usual, most = PRESETS[name].strengths
    specs = {get_preset(name, strength=strength) for strength in (least, usual, most)}
    assert len(specs) == 3 - (usual == most)


@pytest.mark.parametrize("name", DIALS)
def test_strength_outside_the_dial_is_refused(name):
    least, _, most = PRESETS[name].strengths
    for strength in (least - 0.01, most + 0.01, float("nan")):
        with pytest.raises(InputError, match=r"^strength=.*give"):
            get_preset(name, strength=strength)


@pytest.mark.parametrize("name", sorted(set(PRESETS) - set(DIALS)))
def test_strength_without_a_dial_is_refused(name):
    with pytest.raises(InputError, match=r"^strength=1\.0 has no effect on the preset"):
        get_preset(name, strength=1.0)


def test_unknown_name_and_tiny_size_are_refused():
    with pytest.raises(InputError, match=r"^preset='simclrr' is unknown; give one of simclr, "):
        get_preset("simclrr")
    with pytest.raises(InputError, match=r"^size=7 is too small"):
        get_preset("simclr", size=7)


def page():
    """docs/presets.md as the code would have it, between its markers."""
    rows = ["| Name | Views | Strength | What | Source |", "| --- | --- | --- | --- | --- |"]
    rows += [
        f"| `{name}` | {preset.layout} | {preset.dial} | {preset.about} | {preset.source} |"
        for name, preset in PRESETS.items()
    ]
    return "\n".join(rows)


def test_page_of_presets_is_that_of_the_code():
    for preset in PRESETS.values():
        assert preset.about.endswith(".")
        assert preset.source != preset.about
    assert page() in PAGE.read_text(), "write the table of docs/presets.md anew: print(page())"
