"""What only the compiled CPU backend promises: any number of threads, any size beside its tiles, two signatures."""

import math
from dataclasses import replace

import pytest
import torch
from test_backends import EVERYTHING, NORM, PLAIN, SPECS, assert_close, pictures

from fastssl.augment.cpu import CpuBackend
from fastssl.augment.reference import ReferenceBackend
from fastssl.augment.sample import sample, sample_views
from fastssl.errors import InputError
from fastssl.views import SHIFT_AT, ViewKey, ViewParams, ViewSpec


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_cpu_backend_is_bit_equal_for_any_number_of_threads(dtype):
    specs = [SPECS[case][1] for case in ("everything, odd", "simclr 32", "bicubic without antialias")]
    images = pictures(150, 31, 47)
    params = sample_views(specs, ViewKey(3, 0, 0, torch.arange(150)), 31, 47)
    alone = CpuBackend(num_threads=1).apply_views(images, params, specs, dtype)
    for threads in (2, 3, 8):
        shared = CpuBackend(num_threads=threads).apply_views(images, params, specs, dtype)
        assert all(torch.equal(view, expected) for view, expected in zip(shared, alone, strict=True))


def test_cpu_view_does_not_depend_on_the_images_before_it():
    """Scratch is used again for the next image: nothing of the last one may show."""
    spec = SPECS["everything, odd"][1]
    images = pictures(40, 31, 47)
    params = sample(spec, ViewKey(0, 0, 0, torch.arange(40)), 31, 47)
    backend = CpuBackend(num_threads=1)
    views = backend.apply(images, params, spec)
    for i in range(40):
        assert torch.equal(backend.apply(images[i : i + 1], ViewParams(params.table[i : i + 1]), spec)[0], views[i])


@pytest.mark.parametrize("size", [2, 7, 8, 9, 31, 33, 40, 65])
def test_cpu_backend_meets_the_oracle_at_sizes_around_its_groups_and_tiles(size):
    spec = ViewSpec(size=size, pad=size // 2, blur_kernel=3, **EVERYTHING)
    images = pictures(12, 37, 29)
    params = sample(spec, ViewKey(0, 0, 0, torch.arange(12)), 37, 29)
    truth = ReferenceBackend().apply(images, params, spec)
    for threads in (1, 2):
        assert_close(CpuBackend(num_threads=threads).apply(images, params, spec), truth, torch.float32)


@pytest.mark.parametrize(("height", "width"), [(1, 200), (200, 1), (130, 3), (64, 256)])
def test_cpu_backend_meets_the_oracle_on_lean_images_that_shrink_a_lot(height, width):
    """Filters of two to a hundred taps, taken by two and by four."""
    for interpolation in ("bilinear", "bicubic"):
        spec = replace(PLAIN, size=5, interpolation=interpolation)
        images = pictures(6, height, width)
        params = sample(spec, ViewKey(0, 0, 0, torch.arange(6)), height, width)
        truth = ReferenceBackend().apply(images, params, spec)
        assert_close(CpuBackend().apply(images, params, spec), truth, torch.float32)


def test_cpu_contrast_counts_the_black_around_a_shifted_view():
    """A white image, half of it moved out: the mean gray is half of white's, which brings black halfway up."""
    spec = ViewSpec(size=8, pad=7, crop_scale=None, flip_p=0, jitter_p=1, brightness=0, saturation=0, hue=0,
                    mean=(0, 0, 0), std=(1, 1, 1))  # fmt: skip
    params = sample(spec, ViewKey(0, 0, 0, torch.arange(1)), 8, 8)
    params.table[:, SHIFT_AT : SHIFT_AT + 2] = torch.tensor([0, 4])
    params.contrast[:] = 0.5
    view = CpuBackend().apply(torch.full((1, 3, 8, 8), 255, dtype=torch.uint8), params, spec)
    mean = (0.2989 + 0.587 + 0.114) / 2
    torch.testing.assert_close(view[..., :4], torch.full((1, 3, 8, 4), 0.5 + mean / 2))
    torch.testing.assert_close(view[..., 4:], torch.full((1, 3, 8, 4), mean / 2))


def test_cpu_noise_is_normal():
    """100,000 values: mean and deviation within 4 standard errors of 0 and 1; the largest as large as it should be."""
    spec = replace(PLAIN, size=64, noise_p=1.0, noise_sigma=(0.05, 0.05), mean=(0.5, 0.5, 0.5), std=(0.05, 0.05, 0.05))
    images = torch.full((9, 3, 64, 64), 0.5)
    params = sample(spec, ViewKey(0, 0, 0, torch.arange(9)), 64, 64)
    noise = CpuBackend().apply(images, params, spec)
    count = noise.numel()
    assert noise.mean().abs() < 4 / math.sqrt(count)
    assert (noise.std() - 1).abs() < 4 / math.sqrt(2 * count)
    assert 3.5 < noise.abs().max() < 6
    pairs = torch.corrcoef(noise.permute(1, 0, 2, 3).flatten(1))
    assert (pairs - torch.eye(3)).abs().max() < 4 / math.sqrt(count / 3)


def test_cpu_kernel_is_compiled_once_for_bytes_and_once_for_floats():
    """Another signature would cost a run another ten seconds of compiling."""
    from fastssl.augment.cpu_kernel import make_views as kernel

    for (height, width), spec in SPECS.values():
        images = pictures(32, height, width)
        params = sample(spec, ViewKey(0, 0, 0, torch.arange(32)), height, width)
        for threads in (1, 2):
            for dtype in (torch.float32, torch.bfloat16):
                CpuBackend(num_threads=threads).apply(images, params, spec, dtype)
        CpuBackend().apply(images.half() / 255, params, spec)
    first = {str(signature[0]) for signature in kernel.signatures}
    assert len(kernel.signatures) == len(first) == 2


def test_cpu_spec_of_integers_needs_no_signature_of_its_own():
    from fastssl.augment.cpu_kernel import make_views as kernel

    images = pictures(6, 8, 8)
    spec = ViewSpec(size=8, solarize_p=1, solarize_threshold=1, erase_value=0, **NORM)
    params = sample(spec, ViewKey(0, 0, 0, torch.arange(6)), 8, 8)
    CpuBackend().apply(images, params, replace(spec, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)))
    before = len(kernel.signatures)
    CpuBackend().apply(images, params, replace(spec, mean=(0, 0, 0), std=(1, 1, 1)))
    assert len(kernel.signatures) == before


def test_boxes_outside_of_the_images_are_refused():
    """Compiled code would read, and write its scratch, where it must not."""
    spec = replace(PLAIN, crop_scale=(0.5, 1.0))
    params = sample(spec, ViewKey(0, 0, 0, torch.arange(20)), 36, 20)
    for height, width in ((30, 20), (36, 19)):
        with pytest.raises(InputError, match=f"outside of images of {height} x {width} px"):
            CpuBackend().apply(torch.zeros(20, 3, height, width, dtype=torch.uint8), params, spec)
    CpuBackend().apply(torch.zeros(20, 3, 36, 20, dtype=torch.uint8), params, spec)


def test_a_damaged_float_image_stays_alone():
    """Taps of weight 0 read scratch that an earlier image filled: 0 times NaN would be NaN."""
    spec = replace(PLAIN, size=24, crop_scale=(0.08, 1.0))
    images = torch.rand(12, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    params = sample(spec, ViewKey(0, 0, 0, torch.arange(12)), 40, 40)
    whole = CpuBackend(num_threads=1).apply(images, params, spec)
    images[::2] = torch.nan
    damaged = CpuBackend(num_threads=1).apply(images, params, spec)
    assert damaged[::2].isnan().any()
    assert torch.equal(damaged[1::2], whole[1::2])
