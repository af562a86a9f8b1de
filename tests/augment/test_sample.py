"""What is drawn: torchvision's distributions, from counters alone, the same in torch and in compiled scalars."""

import dataclasses
import json
import math
from pathlib import Path

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from scipy import stats
from torchvision import transforms

from fastssl.augment.plan import BLOCKS, CROP, FLIP, GRAY, ORDERS, exp, plan_draws
from fastssl.augment.sample import sample, sample_torch, sample_views
from fastssl.errors import InputError
from fastssl.views import ViewKey, ViewParams, ViewSpec

GOLDEN = Path(__file__).parent.parent / "golden" / "view_params.json"
FULL = ViewSpec(
    blur_p=0.5,
    solarize_p=0.2,
    vertical_flip_p=0.3,
    pad=3,
    affine_p=0.7,
    rotation=20.0,
    translate=0.2,
    noise_p=0.5,
    noise_sigma=(0.01, 0.2),
    erase_p=0.5,
)
NUM = 20_000
FIELDS = [name for name, value in vars(ViewParams).items() if isinstance(value, property) and name[0] != "_"]


def draw(spec=FULL, seed=0, epoch=0, view=0, index=None, height=32, width=32):
    index = torch.arange(NUM) if index is None else index
    return sample(spec, ViewKey(seed, epoch, view, index), height, width)


def rows(params):
    return {name: getattr(params, name) for name in FIELDS}


def assert_same(left, right):
    for name in FIELDS:  # first by name, for the message
        assert torch.equal(getattr(left, name), getattr(right, name)), name
    assert left.table.dtype == right.table.dtype == torch.int32
    assert torch.equal(left.table, right.table)


@pytest.mark.parametrize("size", [(32, 32), (31, 47), (375, 500), (20, 200)])
@pytest.mark.parametrize("scale", [(0.08, 1.0), (0.2, 0.6)])
def test_crop_follows_torchvision_get_params(size, scale):
    height, width = size
    torch.manual_seed(0)
    image = torch.empty(3, height, width)
    theirs = np.array(
        [transforms.RandomResizedCrop.get_params(image, list(scale), [3 / 4, 4 / 3]) for _ in range(4000)]
    )
    ours = draw(ViewSpec(crop_scale=scale), height=height, width=width).crop.numpy()
    assert (ours[:, :2] >= 0).all()
    assert (ours[:, 2:] >= 1).all()
    assert (ours[:, 0] + ours[:, 2] <= height).all()
    assert (ours[:, 1] + ours[:, 3] <= width).all()
    for name, measure in {
        "area": lambda c: c[:, 2] * c[:, 3],
        "ratio": lambda c: c[:, 3] / c[:, 2],
        "top": lambda c: c[:, 0],
        "left": lambda c: c[:, 1],
        "relative left": lambda c: c[:, 1] / (width - c[:, 3] + 1),
    }.items():
        assert stats.ks_2samp(measure(ours), measure(theirs)).pvalue > 1e-3, name


def test_crop_that_never_fits_is_torchvisions_central_one():
    tall, wide = ViewSpec(crop_scale=(1.0, 1.0), crop_ratio=(1.0, 2.0)), ViewSpec(crop_scale=(1, 1), crop_ratio=(1, 2))
    for spec, height, width in ((tall, 40, 10), (wide, 10, 40)):
        theirs = transforms.RandomResizedCrop.get_params(torch.empty(3, height, width), [1.0, 1.0], [1.0, 2.0])
        crop = draw(spec, index=torch.arange(5), height=height, width=width).crop
        assert crop.tolist() == [list(theirs)] * 5


def test_spec_without_crop_takes_the_whole_image():
    assert draw(ViewSpec.plain(32), index=torch.arange(3), height=31, width=47).crop.tolist() == [[0, 0, 31, 47]] * 3


def test_factors_are_uniform_and_happen_as_often_as_asked():
    params = draw()
    jittered = params.hue != 0
    for name, low, high in (
        ("brightness", 0.6, 1.4),
        ("contrast", 0.6, 1.4),
        ("saturation", 0.6, 1.4),
        ("hue", -0.1, 0.1),
    ):
        values = getattr(params, name)[jittered].numpy()
        assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 1e-3, name
    sigma = params.blur_sigma[params.blur_sigma > 0].numpy()
    assert stats.kstest(sigma, stats.uniform(0.1, 1.9).cdf).pvalue > 1e-3
    for happened, p in (
        (jittered, 0.8),
        (params.flip, 0.5),
        (params.gray, 0.2),
        (params.blur_sigma > 0, 0.5),
        (params.solarize, 0.2),
    ):
        assert abs(happened.double().mean() - p) < 4 * math.sqrt(p * (1 - p) / NUM)


def test_wide_jitter_starts_at_zero_as_in_torchvision():
    params = draw(ViewSpec(brightness=1.5, jitter_p=1.0))
    assert stats.kstest(params.brightness.numpy(), stats.uniform(0, 2.5).cdf).pvalue > 1e-3


def test_jitter_order_is_uniform_over_the_24_and_plain_when_off():
    params = draw()
    jittered = params.hue != 0
    codes = [ORDERS.index(tuple(order)) for order in params.jitter_order[jittered].tolist()]
    counts = np.bincount(codes, minlength=24)
    assert stats.chisquare(counts).pvalue > 1e-3
    assert (params.jitter_order[~jittered] == torch.arange(4)).all()


def test_operations_are_independent_of_each_other_views_epochs_seeds_and_neighbours():
    base = draw()
    columns = [base.crop[:, 0], base.crop[:, 2], base.flip, base.brightness, base.contrast, base.hue, base.gray]
    columns += [base.blur_sigma, base.solarize, base.jitter_order[:, 0]]
    for other in (draw(seed=1), draw(epoch=1), draw(view=1), draw(seed=2**32), draw(index=torch.arange(NUM) + 1)):
        columns += [other.crop[:, 0], other.flip, other.brightness, other.hue]
    stacked = torch.stack([column.double() for column in columns])
    correlation = torch.corrcoef(stacked) - torch.eye(len(columns))
    # Within a view a crop's position depends on its size, and the four factors are off together.
    dependent = [(0, 1), (3, 9), (3, 4), (3, 5), (4, 5), (4, 9), (5, 9)] + [
        (start + a, start + b) for start in (10, 14, 18, 22, 26) for a, b in ((2, 3),)
    ]
    for a, b in dependent:
        correlation[a, b] = correlation[b, a] = 0
    assert correlation.abs().max() < 5 / math.sqrt(NUM)


def test_a_row_does_not_depend_on_its_batch():
    index = torch.tensor([7, 999_999, 0, 7, 123])
    together = draw(index=index)
    for position, one in enumerate(index):
        alone = draw(index=one[None])
        for name, value in rows(alone).items():
            assert torch.equal(value[0], rows(together)[name][position]), name


def test_views_drawn_together_are_the_views_drawn_alone():
    specs = [FULL, ViewSpec.plain(32), ViewSpec(size=16)]
    key = ViewKey(5, 6, 0, torch.arange(100))
    for maker in (
        sample_views(specs, key, 31, 47),
        sample_torch([plan_draws(spec, 31, 47) for spec in specs], key),
    ):
        for view, (spec, params) in enumerate(zip(specs, maker, strict=True)):
            assert_same(params, draw(spec, 5, 6, view, torch.arange(100), 31, 47))


def probability():
    return st.sampled_from([0.0, 0.3, 1.0, 1, 0])


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(
    height=st.integers(1, 600),
    width=st.integers(1, 600),
    seed=st.integers(0, 2**64 - 1),
    epoch=st.integers(0, 2**32 - 1),
    view=st.integers(0, 2**16 - 2),
    scale=st.sampled_from([None, (0.08, 1.0), (1, 1), (0.001, 0.01)]),
    ratio=st.sampled_from([(3 / 4, 4 / 3), (1, 1), (0.1, 9.0)]),
    happens=st.tuples(*[probability()] * 9),
    size=st.sampled_from([1, 17, 224]),
    rotation=st.sampled_from([0, 0.0, 30, 180.0]),
    translate=st.sampled_from([0, 0.1, 0.99]),
    strengths=st.tuples(*[st.sampled_from([0, 0.0, 0.4, 1, 2.5])] * 3, st.sampled_from([0, 0.1, 0.5])),
)
def test_torch_and_compiled_draws_are_bit_equal(
    height, width, seed, epoch, view, scale, ratio, happens, strengths, size, rotation, translate
):
    flip, jitter, gray, blur, solarize, vertical_flip, affine, noise, erase = happens
    brightness, contrast, saturation, hue = strengths
    spec = ViewSpec(
        crop_scale=scale,
        crop_ratio=ratio,
        flip_p=flip,
        jitter_p=jitter,
        gray_p=gray,
        blur_p=blur,
        solarize_p=solarize,
        brightness=brightness,
        contrast=contrast,
        saturation=saturation,
        hue=hue,
        blur_sigma=(1, 2),
        size=size,
        pad=size // 3,
        vertical_flip_p=vertical_flip,
        affine_p=affine,
        rotation=rotation,
        translate=translate,
        noise_p=noise,
        erase_p=erase,
        erase_scale=(1, 1) if size == 1 else (0.02, 0.9),
    )
    key = ViewKey(seed, epoch, view, torch.tensor([0, 1, 2, 77, 2**31, 2**32 - 1]))
    (by_torch,) = sample_torch([plan_draws(spec, height, width)], key)
    assert_same(sample(spec, key, height, width), by_torch)


def test_operations_that_cannot_happen_draw_nothing(monkeypatch):
    columns = []

    def spy(counter, key):
        columns.append(counter[2].flatten().tolist())
        return (torch.zeros(len(counter[0]), counter[2].shape[1], dtype=torch.int64),) * 4

    monkeypatch.setattr("fastssl.augment.sample.philox4x32", spy)
    key = ViewKey(0, 0, 3, torch.arange(2))
    specs = [ViewSpec.plain(8), ViewSpec(jitter_p=0, gray_p=0), ViewSpec(brightness=0, contrast=0, saturation=0, hue=0)]
    sample_torch([plan_draws(spec, 32, 32) for spec in specs], key)
    ops = [[word & 0xFFFF for word in columns[0] if word >> 16 == view] for view in (3, 4, 5)]
    assert [sorted(set(of_view)) for of_view in ops] == [[], [CROP, FLIP], [CROP, FLIP, GRAY]]
    sample_torch([plan_draws(FULL, 32, 32)], key)
    assert sorted({word & 0xFFFF for word in columns[1]}) == sorted(BLOCKS)
    sample_torch([plan_draws(ViewSpec.plain(8), 32, 32)], key)
    assert len(columns) == 2


def test_draws_read_nothing_back_from_the_device():
    """A meta tensor has no values: any look at them from the host raises."""
    key = ViewKey(0, 0, 0, torch.empty(6, dtype=torch.int64, device="meta"))
    params = sample(FULL, key, 31, 47)
    assert params.crop.shape == (6, 4)
    assert all(value.device.type == "meta" for value in rows(params).values())


def test_exp_is_the_exponential():
    x = np.linspace(-3, 3, 2001)
    np.testing.assert_allclose(exp(x), np.exp(x), rtol=1e-13)


def test_draws_without_numba_are_the_same(monkeypatch):
    usual = draw(index=torch.arange(50), height=31, width=47)
    called = []
    monkeypatch.setattr("fastssl.augment.sample.find_spec", lambda name: called.append(name))
    assert_same(draw(index=torch.arange(50), height=31, width=47), usual)
    assert called == ["numba"]


def golden_params():
    params = draw(seed=2**40 + 3, epoch=17, view=1, index=torch.tensor([0, 1, 49_999, 2**31]), height=31, width=47)
    return {name: value.tolist() for name, value in rows(params).items()}


def test_draws_are_those_of_the_golden_file():
    """Changed draws change every run: write the file anew only on purpose, and say so in CHANGELOG.md."""
    assert golden_params() == json.loads(GOLDEN.read_text())


@pytest.mark.parametrize(("field", "value"), [("seed", -1), ("seed", 2**64), ("epoch", 2**32), ("view", 0xFFFF)])
def test_keys_that_do_not_fit_are_refused(field, value):
    key = dataclasses.replace(ViewKey(0, 0, 0, torch.arange(2)), **{field: value})
    with pytest.raises(InputError, match=f"{field}={value}"):
        sample(FULL, key, 32, 32)
