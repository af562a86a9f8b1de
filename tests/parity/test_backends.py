"""Sample once, apply anywhere: every backend against the oracle, within the one table of tolerances."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from jaxtyping import TypeCheckError
from oracle import CPU_BACKENDS, TOLERANCE

from fastssl.augment import get_backend, make_views
from fastssl.augment.presets import PRESETS, get_preset
from fastssl.augment.reference import ReferenceBackend
from fastssl.augment.sample import sample, sample_views
from fastssl.errors import InputError
from fastssl.types import Batch
from fastssl.views import ViewKey, ViewSpec

NORM = {"mean": (0.49, 0.48, 0.45), "std": (0.25, 0.24, 0.26)}
PLAIN = replace(ViewSpec.plain(16), **NORM)
STILL = {"brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0, "jitter_p": 1.0}
ALONE = {
    "nothing": {},
    "crop": {"crop_scale": (0.08, 1.0)},
    "crop, without antialias": {"crop_scale": (0.08, 1.0), "antialias": False},
    "crop, bicubic": {"crop_scale": (0.08, 1.0), "interpolation": "bicubic"},
    "crop, bicubic without antialias": {"crop_scale": (0.08, 1.0), "interpolation": "bicubic", "antialias": False},
    "pad": {"pad": 6},
    "flip": {"flip_p": 1.0},
    "vertical flip": {"vertical_flip_p": 1.0},
    "rotation": {"rotation": 180.0},
    "translation": {"translate": 0.4},
    "rotation and translation": {"rotation": 30.0, "translate": 0.2},
    "brightness": {**STILL, "brightness": 0.8},
    "contrast": {**STILL, "contrast": 0.8},
    "saturation": {**STILL, "saturation": 0.8},
    "hue": {**STILL, "hue": 0.5},
    "gray": {"gray_p": 1.0},
    "blur": {"blur_p": 1.0, "blur_kernel": 7},
    "solarize": {"solarize_p": 1.0},
    "noise": {"noise_p": 1.0, "noise_sigma": (0.01, 0.5)},
    "erase": {"erase_p": 1.0, "erase_value": 0.7},
}
"""Each operation by itself, on images of the view's own size."""
EVERYTHING = {
    "vertical_flip_p": 0.5,
    "affine_p": 0.7,
    "rotation": 180.0,
    "translate": 0.2,
    "jitter_p": 1.0,
    "hue": 0.5,
    "gray_p": 0.3,
    "blur_p": 0.6,
    "solarize_p": 0.4,
    "noise_p": 0.5,
    "noise_sigma": (0.05, 0.3),
    "erase_p": 0.5,
    "erase_value": -0.7,
    **NORM,
}
SPECS = {
    "simclr 32": ((32, 32), ViewSpec(**NORM)),
    "everything, odd": ((31, 47), ViewSpec(size=17, pad=3, blur_kernel=5, **EVERYTHING)),
    "everything, enlarged": ((9, 13), ViewSpec(size=24, pad=8, blur_kernel=9, interpolation="bicubic", **EVERYTHING)),
    "everything, one pixel": ((5, 7), ViewSpec(size=1, blur_kernel=1, antialias=False, **EVERYTHING)),
    "enlarged, without antialias": ((9, 13), ViewSpec(size=33, antialias=False, **NORM)),
    "bicubic without antialias": ((31, 47), ViewSpec(size=8, interpolation="bicubic", antialias=False, **NORM)),
    "one image pixel": ((1, 1), ViewSpec(size=3, rotation=90.0, **NORM)),
} | {f"{name} alone": ((16, 16), replace(PLAIN, **change)) for name, change in ALONE.items()}
FAST = [name for name in CPU_BACKENDS if name != "reference"]
ALL = CPU_BACKENDS
NUM_IMAGES = 48
FEW = 4
"""Images for a backend that Triton's interpreter runs, program by program."""
ENOUGH = ("simclr-cifar", "dino")
"""Presets that the interpreter runs by default: presets differ in numbers, which are constants of one kernel."""


def num_images(name):
    return FEW if name == "fused" else NUM_IMAGES


def any_case(name):
    """A case for what holds whatever the operations are: one with fewer of them where the interpreter runs each."""
    return "bicubic without antialias" if name == "fused" else "everything, odd"


def dtypes(name):
    """The interpreter is slow, and cuts to bfloat16 instead of rounding; on a GPU every dtype is tried."""
    return [torch.float32] if name == "fused" else list(TOLERANCE)


def pictures(count, height, width):
    """Half noise, half smooth; with flat, black and white ones, where hue and contrast are special."""
    generator = torch.Generator().manual_seed(height * width)
    noise = torch.rand(count, 3, height, width, generator=generator)
    small = torch.rand(count, 3, 3, 3, generator=generator)
    noise[::2] = torch.nn.functional.interpolate(small[::2], (height, width), mode="bilinear")
    noise[1:2], noise[3:4], noise[5:6] = 0.0, 0.4, 1.0
    return (noise * 255).round().to(torch.uint8).contiguous(memory_format=torch.channels_last)


@cache
def oracle(case, count):
    """(images, params, the oracle's views) of a case."""
    (height, width), spec = SPECS[case]
    images = pictures(count, height, width)
    params = sample(spec, ViewKey(0, 1, 2, torch.arange(count)), height, width)
    return images, params, ReferenceBackend().apply(images, params, spec)


def assert_close(views, truth, dtype):
    worst, mean = TOLERANCE[dtype]
    error = (views.float() - truth).abs()
    assert error.max() <= worst
    assert error.mean() <= mean


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("case", SPECS)
def test_backend_meets_the_oracle(name, case):
    spec = SPECS[case][1]
    images, params, truth = oracle(case, num_images(name))
    backend = get_backend(name, "cpu")
    assert backend.supports(spec, images.device) is None
    untouched, drawn = images.clone(), params.table.clone()
    for dtype in dtypes(name):
        views = backend.apply(images, params, spec, dtype)
        assert views.dtype == dtype
        assert views.shape == truth.shape == (len(images), 3, spec.size, spec.size)
        assert views.is_contiguous(memory_format=torch.channels_last)
        assert_close(views, truth, dtype)
    assert torch.equal(images, untouched)
    assert torch.equal(params.table, drawn)


@pytest.mark.parametrize("case", SPECS)
def test_operation_changes_views_so_that_its_test_can_fail(case):
    (height, width), spec = SPECS[case]
    images, _, truth = oracle(case, NUM_IMAGES)
    plain = replace(ViewSpec.plain(spec.size), **NORM)
    params = sample(plain, ViewKey(0, 1, 2, torch.arange(NUM_IMAGES)), height, width)
    changed = (truth - ReferenceBackend().apply(images, params, plain)).abs().amax(dim=(1, 2, 3)) > 1e-3
    assert bool(changed.any()) is (case != "nothing alone")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
def test_backend_takes_floats_as_it_takes_bytes(name, dtype):
    spec = SPECS[any_case(name)][1]
    images, params, truth = oracle(any_case(name), num_images(name))
    pixels = (images.double() / 255).to(dtype)
    views = get_backend(name).apply(pixels, params, spec, torch.float32)
    assert_close(views, ReferenceBackend().apply(pixels.float(), params, spec), torch.float32)
    if dtype in (torch.float32, torch.float64):  # which hold the bytes' values to the last digit that matters
        assert_close(views, truth, torch.float32)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_other_dtypes_are_one_rounding_of_float32(name, dtype):
    if name == "fused" and dtype == torch.bfloat16:
        pytest.skip("Triton's interpreter cuts to bfloat16 instead of rounding; the test on a GPU covers it")
    spec = SPECS[any_case(name)][1]
    images, params, _ = oracle(any_case(name), num_images(name))
    exact, rounded = (get_backend(name).apply(images, params, spec, to) for to in (torch.float32, dtype))
    assert torch.equal(rounded, exact.to(dtype))


@pytest.mark.parametrize("name", ALL)
def test_views_made_together_equal_views_made_one_by_one(name):
    images = pictures(2, 31, 47)
    specs = [SPECS[case][1] for case in ("everything, odd", "crop, bicubic alone", "everything, odd")]
    params = sample_views(specs, ViewKey(5, 0, 0, torch.arange(2)), 31, 47)
    backend = get_backend(name)
    together = backend.apply_views(images, params, specs, torch.bfloat16)
    assert len(together) == len(specs)
    for view, one, spec in zip(together, params, specs, strict=True):
        assert torch.equal(view, backend.apply(images, one, spec, torch.bfloat16))
    assert not torch.equal(together[0], together[2])


@pytest.mark.parametrize(("preset", "name"), [
    pytest.param(preset, name, marks=[pytest.mark.slow] * (name == "fused" and preset not in ENOUGH))
    for preset in PRESETS for name in FAST
])  # fmt: skip
def test_backend_meets_the_oracle_on_every_preset(preset, name):
    images = pictures(FEW, 20, 24)
    specs = [replace(spec, **NORM) for spec in dict.fromkeys(get_preset(preset, size=16))]
    params = sample_views(specs, ViewKey(0, 0, 0, torch.arange(FEW)), 20, 24)
    truth = ReferenceBackend().apply_views(images, params, specs, torch.float32)
    for views, expected in zip(get_backend(name).apply_views(images, params, specs, torch.float32), truth, strict=True):
        assert_close(views, expected, torch.float32)


@pytest.mark.parametrize("name", ALL)
def test_backend_is_not_touched_by_autocast(name):
    """A training step runs under autocast; rounding pixels to bfloat16 before the blur would be seen here."""
    spec, (images, params, _) = SPECS[any_case(name)][1], oracle(any_case(name), FEW)
    backend = get_backend(name)
    with torch.autocast("cpu", torch.bfloat16):
        inside = backend.apply(images, params, spec, torch.float32)
    assert torch.equal(inside, backend.apply(images, params, spec, torch.float32))


@pytest.mark.parametrize("name", ALL)
def test_backend_reads_any_memory_format_and_an_empty_batch(name):
    (height, width), spec = SPECS[any_case(name)]
    images, params, _ = oracle(any_case(name), FEW)
    backend = get_backend(name)
    last = backend.apply(images, params, spec, torch.float32)
    assert torch.equal(backend.apply(images.contiguous(), params, spec, torch.float32), last)
    assert torch.equal(backend.apply(images.flip(0).flip(0), params, spec, torch.float32), last)
    none = sample(spec, ViewKey(0, 0, 0, torch.arange(0)), height, width)
    assert backend.apply(images[:0], none, spec, torch.float32).shape == (0, 3, spec.size, spec.size)


@pytest.mark.parametrize("name", ["reference", "kornia"])
def test_backend_reads_nothing_back_from_the_device(name):
    """Meta tensors have no values: a host read of one raises. Every operation is on."""
    (height, width), spec = SPECS["everything, odd"]
    batch = Batch(
        images=torch.empty(4, 3, height, width, dtype=torch.uint8, device="meta"),
        labels=torch.empty(4, dtype=torch.int64, device="meta"),
        index=torch.empty(4, dtype=torch.int64, device="meta"),
    )
    (view,) = make_views(batch, [spec], get_backend(name, "meta"), seed=0, epoch=0, dtype=torch.bfloat16)
    assert view.shape == (4, 3, spec.size, spec.size)


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["reference", "kornia", "fused"])
@pytest.mark.parametrize("case", [*SPECS, *PRESETS])
def test_backend_on_cuda_meets_the_oracle_without_a_sync(name, case):
    if case in SPECS:
        (height, width), *specs = SPECS[case]
    else:
        (height, width), specs = (60, 80), [replace(spec, **NORM) for spec in get_preset(case, size=64)]
    images, index = pictures(NUM_IMAGES, height, width), torch.arange(NUM_IMAGES)
    params = sample_views(specs, ViewKey(0, 0, 0, index), height, width)
    truth = ReferenceBackend().apply_views(images, params, specs, torch.float32)
    batch = Batch(images=images.cuda(), labels=index.cuda(), index=index.cuda())
    backend = get_backend(name, "cuda")
    for dtype in TOLERANCE:
        make_views(batch, specs, backend, seed=0, epoch=0, dtype=dtype)  # constants are copied, kernels compiled once
        torch.cuda.set_sync_debug_mode("error")
        try:
            views = make_views(batch, specs, backend, seed=0, epoch=0, dtype=dtype)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        for view, expected in zip(views, truth, strict=True):
            assert_close(view.cpu(), expected, dtype)


@pytest.mark.parametrize("name", ALL)
def test_backend_refuses_what_it_cannot_make(name):
    backend, images = get_backend(name), pictures(FEW, 8, 8)
    params = sample(ViewSpec(size=8), ViewKey(0, 0, 0, torch.arange(FEW)), 8, 8)
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


@pytest.mark.parametrize("name", ALL)
def test_backend_refuses_params_that_do_not_fit(name):
    images, params, _ = oracle("everything, odd", FEW)
    backend, spec = get_backend(name), SPECS["everything, odd"][1]
    with pytest.raises(InputError, match=f"params of {FEW} samples on cpu do not fit {FEW - 1}"):
        backend.apply(images[:-1], params, spec)
    with pytest.raises(InputError, match=f"params of {FEW} samples on cpu do not fit 3"):
        backend.apply_views(images, [params], [spec], torch.float32, torch.arange(3))
    with pytest.raises(InputError, match="params=1, specs=2"):
        backend.apply_views(images, [params], [spec, spec])
    with pytest.raises((InputError, TypeCheckError), match=r"int32|i32"):
        backend.apply_views(images, [params], [spec], torch.float32, torch.arange(FEW, dtype=torch.int32))


@pytest.mark.parametrize("name", ALL)
def test_backend_reads_rows_of_a_whole_set(name):
    images, backend, rows = pictures(9, 31, 47), get_backend(name), torch.tensor([8, 2, 2])
    spec = SPECS[any_case(name)][1]
    batch = Batch(images=images[rows].contiguous(memory_format=torch.channels_last), labels=rows, index=rows)
    whole = Batch(images=images, labels=rows, index=rows, gathered=False)
    made = [make_views(one, [spec, spec], backend, seed=0, epoch=0) for one in (batch, whole)]
    for view, expected in zip(*made, strict=True):
        assert torch.equal(view, expected)
        assert view.is_contiguous(memory_format=torch.channels_last)
