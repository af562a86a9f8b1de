"""Each operation of the oracle, and all in order, against torchvision's functional on float tensors."""

import itertools

import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from fastssl.augment import colour
from fastssl.augment.noise import gaussian_noise
from fastssl.augment.plan import ORDERS
from fastssl.augment.reference import ReferenceBackend
from fastssl.augment.sample import sample
from fastssl.views import ViewKey, ViewParams, ViewSpec

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.25, 0.3)


def images(count=6, height=13, width=11):
    """Random pixels, with gray, black, white and two-equal-channel ones among them, where hue is a special case."""
    made = torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(count))
    made[:, :, 0] = made[:, :1, 0]
    made[:, :, 1], made[:, :, 2] = 0.0, 1.0
    made[:, 1, 3], made[:, 2, 4] = made[:, 0, 3], made[:, 1, 4]
    return made


def each(function, batch, values):
    return torch.stack([function(image, value) for image, value in zip(batch, values, strict=True)])


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_blend_operation_equals_torchvision(name):
    factors = [0.0, 0.3, 1.0, 1.4, 2.5, 0.9]
    ours = getattr(colour, f"adjust_{name}")(images(), torch.tensor(factors))
    theirs = each(getattr(tv, f"adjust_{name}"), images(), factors)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


def test_hue_equals_torchvision():
    shifts = [0.0, 0.1, -0.1, 0.5, -0.5, 0.33]
    ours = colour.adjust_hue(images(), torch.tensor(shifts))
    torch.testing.assert_close(ours, each(tv.adjust_hue, images(), shifts), atol=1e-5, rtol=0)


def test_grayscale_equals_torchvision_where_chosen():
    chosen = torch.tensor([True, False] * 3)
    ours = colour.to_gray(images(), chosen)
    torch.testing.assert_close(ours[::2], tv.rgb_to_grayscale(images()[::2], 3), atol=1e-6, rtol=0)
    assert torch.equal(ours[1::2], images()[1::2])


@pytest.mark.parametrize("taps", [1, 3, 5, 9])
def test_blur_equals_torchvision_with_a_sigma_per_sample(taps):
    sigmas = [0.1, 0.5, 1.0, 2.0, 0.0, 4.0]
    ours = colour.gaussian_blur(images(), torch.tensor(sigmas), taps)
    theirs = each(lambda x, sigma: tv.gaussian_blur(x, [taps, taps], [sigma, sigma]) if sigma else x, images(), sigmas)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=0)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_solarize_equals_torchvision_where_chosen(threshold):
    chosen = torch.tensor([True, False] * 3)
    ours = colour.solarize(images(), chosen, threshold)
    assert torch.equal(ours[::2], tv.solarize(images()[::2], threshold))
    assert torch.equal(ours[1::2], images()[1::2])


def test_normalise_equals_torchvision():
    ours = colour.normalise(images(), torch.tensor(MEAN), torch.tensor(STD))
    torch.testing.assert_close(ours, tv.normalize(images(), list(MEAN), list(STD)), atol=1e-6, rtol=0)


def by_torchvision(image, params: ViewParams, row: int, spec: ViewSpec):
    """One view, operation by operation, as torchvision's transforms would apply these parameters."""
    box, mode = params.crop[row].tolist(), InterpolationMode(spec.interpolation)
    view = tv.resized_crop(image.float() / 255, *box, [spec.size] * 2, mode, spec.antialias)
    if spec.interpolation == "bicubic":
        view = view.clamp(0, 1)
    down, right = params.shift[row].tolist()
    view = tv.crop(tv.pad(view, [spec.pad] * 4), spec.pad + down, spec.pad + right, spec.size, spec.size)
    view = tv.horizontal_flip(view) if params.flip[row] else view
    view = tv.vertical_flip(view) if params.vertical_flip[row] else view
    angle, (down, right) = float(params.angle[row]), params.translate[row].tolist()
    view = tv.affine(view, angle, [right, down], 1.0, [0.0, 0.0], interpolation=InterpolationMode.BILINEAR)
    adjusts = (tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation, tv.adjust_hue)
    factors = (params.brightness, params.contrast, params.saturation, params.hue)
    for op in params.jitter_order[row].tolist():
        view = adjusts[op](view, float(factors[op][row]))
    view = tv.rgb_to_grayscale(view, 3) if params.gray[row] else view
    sigma = float(params.blur_sigma[row])
    view = tv.gaussian_blur(view, [spec.blur_kernel] * 2, [sigma] * 2) if sigma else view
    view = tv.solarize(view, spec.solarize_threshold) if params.solarize[row] else view
    if params.noise_sigma[row] > 0:  # torchvision draws its own normal numbers, so these are ours
        drawn = gaussian_noise(params.noise_key[row : row + 1], spec.size)[0]
        view = (view + drawn * params.noise_sigma[row]).clamp(0, 1)
    view = tv.normalize(view, list(spec.mean), list(spec.std))
    top, left, height, width = params.erase[row].tolist()
    return tv.erase(view, top, left, height, width, torch.full((3, height, width), spec.erase_value))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_reference_composes_as_torchvision_in_every_order(interpolation):
    spec = ViewSpec(
        size=17,
        interpolation=interpolation,
        pad=4,
        vertical_flip_p=0.5,
        affine_p=0.6,
        rotation=180.0,
        translate=0.2,
        jitter_p=1.0,
        hue=0.3,
        blur_p=0.5,
        blur_kernel=5,
        solarize_p=0.3,
        gray_p=0.2,
        noise_p=0.5,
        noise_sigma=(0.05, 0.3),
        erase_p=0.5,
        erase_value=0.7,
        mean=MEAN,
        std=STD,
    )
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (24, 3, 31, 47), dtype=torch.uint8, generator=generator)
    params = sample(spec, ViewKey(0, 0, 0, torch.arange(24)), 31, 47)
    params.jitter_order.copy_(torch.tensor(ORDERS))
    views = ReferenceBackend().apply(pixels, params, spec)
    theirs = torch.stack([by_torchvision(image, params, row, spec) for row, image in enumerate(pixels)])
    torch.testing.assert_close(views, theirs, atol=2e-4, rtol=0)
    assert views.is_contiguous(memory_format=torch.channels_last)


def test_orders_matter_so_the_composed_test_can_fail():
    x, factor = images(), torch.full((6,), 0.5)
    first, second = (
        colour.adjust_brightness(colour.adjust_contrast(x, factor * 3), factor),
        colour.adjust_contrast(colour.adjust_brightness(x, factor), factor * 3),
    )
    assert (first - second).abs().max() > 0.05
    assert len(set(itertools.permutations(range(4)))) == len(ORDERS)
