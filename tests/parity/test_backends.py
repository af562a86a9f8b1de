"""Sample once, apply anywhere: every backend against the oracle, within the one table of tolerances."""

import dataclasses

import pytest
import torch
from jaxtyping import TypeCheckError
from tolerances import TOLERANCE

from fastssl.augment import BACKENDS, get_backend, make_views
from fastssl.augment.cpu import CpuBackend
from fastssl.augment.reference import ReferenceBackend
from fastssl.augment.sample import sample
from fastssl.errors import InputError
from fastssl.types import Batch
from fastssl.views import ViewKey, ViewSpec

NORM = {"mean": (0.49, 0.48, 0.45), "std": (0.25, 0.24, 0.26)}
SPECS = {
    "simclr 32": ((32, 32), ViewSpec(**NORM)),
    "everything, odd": (
        (31, 47),
        ViewSpec(size=17, jitter_p=1.0, hue=0.5, blur_p=0.6, blur_kernel=5, solarize_p=0.4, gray_p=0.3, **NORM),
    ),
    "strong, wide blur, enlarged": (
        (9, 13),
        ViewSpec(size=40, brightness=0.8, contrast=0.8, saturation=0.8, hue=0.2, blur_p=1.0, blur_kernel=9, **NORM),
    ),
    "bicubic": ((31, 47), ViewSpec(size=33, interpolation="bicubic", **NORM)),
    "bicubic without antialias": ((31, 47), ViewSpec(size=8, interpolation="bicubic", antialias=False, **NORM)),
    "bilinear without antialias": ((64, 40), ViewSpec(size=24, antialias=False, hue=0.0, **NORM)),
    "hue alone": ((20, 20), ViewSpec(size=20, brightness=0, contrast=0, saturation=0, jitter_p=1, **NORM)),
    "contrast alone": ((20, 20), ViewSpec(size=65, brightness=0, hue=0, saturation=0, jitter_p=1, **NORM)),
    "plain": ((50, 30), dataclasses.replace(ViewSpec.plain(32), **NORM)),
    "one pixel": ((5, 7), ViewSpec(size=1, **NORM)),
}
FAST = [name for name in BACKENDS if name not in ("auto", "reference")]


def pictures(count, height, width):
    """Half noise, half smooth; with flat, black and white ones, where hue and contrast are special."""
    generator = torch.Generator().manual_seed(height * width)
    noise = torch.rand(count, 3, height, width, generator=generator)
    small = torch.rand(count, 3, 3, 3, generator=generator)
    noise[::2] = torch.nn.functional.interpolate(small[::2], (height, width), mode="bilinear")
    noise[1], noise[3], noise[5] = 0.0, 1.0, 0.4
    return (noise * 255).round().to(torch.uint8).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("case", SPECS)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_backend_meets_the_oracle(name, case, dtype):
    (height, width), spec = SPECS[case]
    images = pictures(64, height, width)
    params = sample(spec, ViewKey(0, 1, 2, torch.arange(64)), height, width)
    backend = get_backend(name, "cpu")
    assert backend.supports(spec, images.device) is None
    untouched = images.clone()
    views = backend.apply(images, params, spec, dtype)
    truth = ReferenceBackend().apply(images, params, spec)
    assert views.dtype == dtype
    assert views.shape == truth.shape == (64, 3, spec.size, spec.size)
    assert views.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(images, untouched)
    error = (views.float() - truth).abs()
    worst, mean = TOLERANCE[dtype]
    assert error.max() <= worst
    assert error.mean() <= mean


@pytest.mark.parametrize("name", ["reference", *FAST])
def test_backend_is_not_touched_by_autocast(name):
    """A training step runs under autocast; rounding pixels to bfloat16 before the blur would be seen here."""
    (height, width), spec = SPECS["everything, odd"]
    images, backend = pictures(8, height, width), get_backend(name)
    params = sample(spec, ViewKey(0, 0, 0, torch.arange(8)), height, width)
    with torch.autocast("cpu", torch.bfloat16):
        inside = backend.apply(images, params, spec, torch.float32)
    assert torch.equal(inside, backend.apply(images, params, spec, torch.float32))


@pytest.mark.parametrize("name", ["reference", *FAST])
def test_backend_reads_any_memory_format_and_an_empty_batch(name):
    (height, width), spec = SPECS["everything, odd"]
    images, backend = pictures(8, height, width), get_backend(name)
    params = sample(spec, ViewKey(0, 0, 0, torch.arange(8)), height, width)
    last = backend.apply(images, params, spec, torch.float32)
    assert torch.equal(backend.apply(images.contiguous(), params, spec, torch.float32), last)
    assert torch.equal(backend.apply(images.flip(0).flip(0), params, spec, torch.float32), last)
    none = sample(spec, ViewKey(0, 0, 0, torch.arange(0)), height, width)
    assert backend.apply(images[:0], none, spec, torch.float32).shape == (0, 3, spec.size, spec.size)


@pytest.mark.parametrize("name", ["reference", "kornia"])
def test_backend_reads_nothing_back_from_the_device(name):
    """Meta tensors have no values: a host read of one raises. Cropping, order, hue and blur are all on."""
    (height, width), spec = SPECS["everything, odd"]
    batch = Batch(
        images=torch.empty(4, 3, height, width, dtype=torch.uint8, device="meta"),
        labels=torch.empty(4, dtype=torch.int64, device="meta"),
        index=torch.empty(4, dtype=torch.int64, device="meta"),
    )
    (view,) = make_views(batch, [spec], get_backend(name, "meta"), seed=0, epoch=0, dtype=torch.bfloat16)
    assert view.shape == (4, 3, spec.size, spec.size)


@pytest.mark.parametrize("case", ["simclr 32", "everything, odd"])
def test_cpu_backend_is_bit_equal_for_any_number_of_threads(case):
    (height, width), spec = SPECS[case]
    images = pictures(150, height, width)
    params = sample(spec, ViewKey(3, 0, 0, torch.arange(150)), height, width)
    alone = CpuBackend(num_threads=1).apply(images, params, spec)
    for threads in (2, 3, 8):
        assert torch.equal(CpuBackend(num_threads=threads).apply(images, params, spec), alone)


def test_cpu_kernel_is_compiled_once_for_all_specs_and_threads():
    """A second signature would cost a run another ten seconds of compiling."""
    from fastssl.augment.cpu_kernel import make_views as kernel

    for (height, width), spec in SPECS.values():
        params = sample(spec, ViewKey(0, 0, 0, torch.arange(64)), height, width)
        for threads in (1, 2):
            CpuBackend(num_threads=threads).apply(pictures(64, height, width), params, spec)
    assert len(kernel.signatures) == 1


@pytest.mark.gpu
@pytest.mark.parametrize("case", SPECS)
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
def test_kornia_on_cuda_meets_the_oracle_without_a_sync(case, dtype):
    (height, width), spec = SPECS[case]
    images, index = pictures(64, height, width), torch.arange(64)
    truth = ReferenceBackend().apply(images, sample(spec, ViewKey(0, 0, 0, index), height, width), spec)
    batch = Batch(images=images.cuda(), labels=index.cuda(), index=index.cuda())
    backend = get_backend("kornia", "cuda")
    make_views(batch, [spec], backend, seed=0, epoch=0, dtype=dtype)  # constants are copied to the device once
    torch.cuda.set_sync_debug_mode("error")
    try:
        (views,) = make_views(batch, [spec], backend, seed=0, epoch=0, dtype=dtype)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert (views.float().cpu() - truth).abs().max() <= TOLERANCE[dtype][0]


@pytest.mark.parametrize("name", ["reference", *FAST])
def test_backend_refuses_what_it_cannot_make(name):
    backend, images = get_backend(name), pictures(8, 8, 8)
    params = sample(ViewSpec(size=8), ViewKey(0, 0, 0, torch.arange(8)), 8, 8)
    for spec, words in (
        (ViewSpec(size=8), "mean or std is None"),
        (ViewSpec(size=8, mean=(0, 0, 0), std=(1, 0, 1)), "divide by zero"),
        (ViewSpec(size=4, blur_p=1, blur_kernel=9, **NORM), "blur_kernel=9"),
    ):
        reason = backend.supports(spec, images.device)
        assert reason is not None
        assert words in reason
        with pytest.raises(InputError, match=words):
            backend.apply(images, params, spec, torch.float32)
    with pytest.raises((InputError, TypeCheckError), match=r"uint8|UInt8"):  # shape checks, where on, see it first
        backend.apply(images.int(), params, ViewSpec(size=8, **NORM), torch.float32)
