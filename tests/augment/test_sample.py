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
ALWAYS = dataclasses.replace(FULL, jitter_p=1.0, noise_p=1.0)
NUM = 20_000
THEIRS = 3000
"""Draws of torchvision, whose samplers take 50 us for one."""
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


@pytest.mark.parametrize(("size", "scale", "ratio"), [
    (32, (0.02, 0.33), (0.3, 3.3)),
    (31, (0.1, 0.5), (0.5, 3.0)),
    (17, (0.85, 1.0), (0.7, 1.2)),
])  # fmt: skip
def test_erase_follows_torchvision_get_params(size, scale, ratio):
    torch.manual_seed(0)
    image = torch.empty(3, size, size)
    theirs = np.array([transforms.RandomErasing.get_params(image, scale, ratio, [0.0])[:4] for _ in range(THEIRS)])
    ours = draw(ViewSpec(size=size, erase_p=1.0, erase_scale=scale, erase_ratio=ratio)).erase.numpy()
    assert (ours[ours[:, 2] == 0] == 0).all()
    fits, theirs_fit = ours[:, 2] > 0, theirs[:, 2] < size  # where nothing fits they give the whole image
    counts = [[fit.sum(), (~fit).sum()] for fit in (fits, theirs_fit)]
    assert stats.fisher_exact(counts).pvalue > 1e-3, counts
    for name, measure in {
        "area": lambda box: box[:, 2] * box[:, 3],
        "ratio": lambda box: box[:, 2] / box[:, 3],
        "top": lambda box: box[:, 0],
        "left": lambda box: box[:, 1],
        "to the bottom": lambda box: size - box[:, 0] - box[:, 2],
        "to the right": lambda box: size - box[:, 1] - box[:, 3],
    }.items():
        assert stats.ks_2samp(measure(ours[fits]), measure(theirs[theirs_fit])).pvalue > 1e-3, name


@pytest.mark.parametrize(("size", "rotation", "translate"), [(33, 30.0, 0.2), (17, 180.0, 0.5)])
def test_affine_follows_torchvision_get_params(size, rotation, translate):
    torch.manual_seed(0)
    limits = [-rotation, rotation], [translate, translate], None, None, [size, size]
    theirs = [transforms.RandomAffine.get_params(*limits) for _ in range(THEIRS)]
    ours = draw(ViewSpec(size=size, rotation=rotation, translate=translate))
    assert stats.ks_2samp(ours.angle.numpy(), [angle for angle, *_ in theirs]).pvalue > 1e-3
    moves = np.array([(down, right) for _, (right, down), *_ in theirs])
    for axis in (0, 1):
        assert_same_whole_numbers(ours.translate[:, axis].numpy(), moves[:, axis])


@pytest.mark.parametrize(("size", "pad"), [(32, 4), (17, 5)])
def test_shift_follows_torchvision_get_params(size, pad):
    torch.manual_seed(0)
    padded = torch.empty(3, size + 2 * pad, size + 2 * pad)
    theirs = np.array([transforms.RandomCrop.get_params(padded, (size, size))[:2] for _ in range(THEIRS)]) - pad
    ours = draw(ViewSpec(size=size, pad=pad)).shift.numpy()
    for axis in (0, 1):
        assert_same_whole_numbers(ours[:, axis], theirs[:, axis])


def assert_same_whole_numbers(ours, theirs):
    """The same values, as often."""
    values = np.unique(ours)
    assert values.tolist() == np.unique(theirs).tolist()
    counts = [[(drawn == value).sum() for value in values] for drawn in (ours, theirs)]
    assert stats.chi2_contingency(counts).pvalue > 1e-3


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
    noisy = params.noise_sigma > 0
    assert stats.kstest(params.noise_sigma[noisy].numpy(), stats.uniform(0.01, 0.19).cdf).pvalue > 1e-3
    for word in (params.noise_key[noisy].numpy() / 2**32).T:
        assert stats.kstest(word, stats.uniform.cdf).pvalue > 1e-3
    for happened, p in (
        (jittered, 0.8),
        (params.flip, 0.5),
        (params.gray, 0.2),
        (params.blur_sigma > 0, 0.5),
        (params.solarize, 0.2),
        (params.vertical_flip, 0.3),
        (params.angle != 0, 0.7),
        (noisy, 0.5),
        (params.erase[:, 2] > 0, 0.5),
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


def columns(params):
    """Name -> one number per sample."""
    boxes = {"crop": params.crop, "erase": params.erase}
    sides = ("top", "left", "height", "width")
    values = {f"{name} {side}": box[:, i] for name, box in boxes.items() for i, side in enumerate(sides)}
    pairs = {"shift": params.shift, "translate": params.translate, "noise key": params.noise_key}
    values |= {f"{name} {i}": pair[:, i] for name, pair in pairs.items() for i in (0, 1)}
    names = ("flip", "vertical_flip", "angle", *FACTORS, "gray", "blur_sigma", "solarize", "noise_sigma")
    values |= {name: getattr(params, name) for name in names}
    return values | {"order": params.jitter_order[:, 0], "rotated": params.angle != 0}


FACTORS = ("brightness", "contrast", "saturation", "hue")
BOXES = [{f"{name} {side}" for side in ("top", "left", "height", "width")} for name in ("crop", "erase")]
"""A box's place depends on its size."""
OFF_TOGETHER = [{*FACTORS, "order"}, {"noise_sigma", "noise key 0", "noise key 1"}]


@pytest.mark.parametrize(("spec", "dependent"), [(FULL, BOXES + OFF_TOGETHER), (ALWAYS, BOXES)])
def test_operations_are_independent_of_each_other_views_epochs_seeds_and_neighbours(spec, dependent):
    draws = [
        draw(spec, **change)
        for change in ({}, {"seed": 1}, {"epoch": 1}, {"view": 1}, {"seed": 2**32}, {"index": torch.arange(NUM) + 1})
    ]
    named = [(of, name, column.double()) for of, params in enumerate(draws) for name, column in columns(params).items()]
    correlation = torch.corrcoef(torch.stack([column for *_, column in named])).tolist()
    for i, (of, name, _) in enumerate(named):
        for j, (other_of, other, _) in enumerate(named[:i]):
            if of != other_of or not any({name, other} <= group for group in dependent):
                assert abs(correlation[i][j]) < 5 / math.sqrt(NUM), (of, name, other_of, other)


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
