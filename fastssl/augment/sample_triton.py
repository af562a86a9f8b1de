"""The sampler as one launch: bit for bit `sample.sample_torch`, which takes some 300 launches on a GPU.

A lane draws for one sample, a program for a block of samples of one view. Per view and sample 8 bytes are read and 128
written, after 25 calls of Philox at most.

Two traps of compiled float64: a constant may pass through float32 on its way into a tensor, so every number that is not
exact there is loaded; and a product must not be fused with the sum behind it, or it rounds otherwise than the other
samplers do (hence `enable_fp_fusion=False`).
"""
# pyright: reportInvalidTypeForm=false, reportGeneralTypeIssues=false, reportIndexIssue=false, reportCallIssue=false
# (Triton's annotations and loops are not Python's.)

from collections.abc import Sequence

import torch
import triton
import triton.language as tl

from fastssl import views
from fastssl.augment import plan as plans
from fastssl.augment.constant import on_device
from fastssl.augment.plan import DrawPlan
from fastssl.kernels.columns import (
    ANGLE_AT,
    BRIGHTNESS_AT,
    CROP_AT,
    ERASE_AT,
    FLIP_AT,
    GRAY_AT,
    NOISE_AT,
    NOISE_KEY_AT,
    NUM_WORDS,
    ORDER_AT,
    SHIFT_AT,
    SIGMA_AT,
    SOLARIZE_AT,
    TRANSLATE_AT,
    VERTICAL_FLIP_AT,
)
from fastssl.kernels.jit import jit, jit_for_any
from fastssl.kernels.philox_triton import philox4x32
from fastssl.views import ViewKey, ViewParams

_BLOCK = 64
DRAW_OPTIONS = {"num_warps": _BLOCK // 32, "enable_fp_fusion": False}

# A plan travels as two rows: its whole numbers with the fallback box, its spans (low end and width of each) with the
# four of the jitter and the series of `exp` behind them. Below, where each of them stands.
_WHOLES = ("height", "width", "size", "crops", "pad", "flip_below", "vertical_flip_below", "jitter_below", "gray_below",
           "blur_below", "solarize_below", "affine_below", "noise_below", "erase_below")  # fmt: skip
_SPANS = ("scale", "log_ratio", "sigma", "angle", "translate", "noise_sigma", "erase_scale", "erase_log_ratio")


def _whole(name: str) -> tl.constexpr:
    return tl.constexpr(_WHOLES.index(name))


def _span(name: str) -> tl.constexpr:
    return tl.constexpr(2 * _SPANS.index(name))


_HEIGHT, _WIDTH, _SIZE, _CROPS, _PAD = (_whole(name) for name in ("height", "width", "size", "crops", "pad"))
_FLIP, _VERTICAL_FLIP = _whole("flip_below"), _whole("vertical_flip_below")
_JITTER, _GRAY, _SOLARIZE = _whole("jitter_below"), _whole("gray_below"), _whole("solarize_below")
_BLUR, _AFFINE, _NOISE, _ERASE = (_whole(f"{name}_below") for name in ("blur", "affine", "noise", "erase"))
_FALLBACK, _NUM_WHOLES = tl.constexpr(len(_WHOLES)), tl.constexpr(len(_WHOLES) + 4)
_SCALE, _LOG_RATIO, _ERASE_SCALE, _ERASE_LOG_RATIO = (
    _span(name) for name in ("scale", "log_ratio", "erase_scale", "erase_log_ratio")
)
_SIGMA, _ANGLE, _TRANSLATE, _NOISE_SIGMA = (_span(name) for name in ("sigma", "angle", "translate", "noise_sigma"))
_FACTORS, _SERIES = tl.constexpr(2 * len(_SPANS)), tl.constexpr(2 * len(_SPANS) + 8)
_NUM_TERMS = tl.constexpr(len(plans.EXP_SERIES))
_NUM_FLOATS = tl.constexpr(2 * len(_SPANS) + 8 + len(plans.EXP_SERIES))

_OP_CROP, _OP_FLIP, _OP_JITTER = tl.constexpr(plans.CROP), tl.constexpr(plans.FLIP), tl.constexpr(plans.JITTER)
_OP_GRAY, _OP_BLUR, _OP_SOLARIZE = tl.constexpr(plans.GRAY), tl.constexpr(plans.BLUR), tl.constexpr(plans.SOLARIZE)
_OP_VERTICAL_FLIP, _OP_PAD = tl.constexpr(plans.VERTICAL_FLIP), tl.constexpr(plans.PAD)
_OP_AFFINE, _OP_NOISE, _OP_ERASE = tl.constexpr(plans.AFFINE), tl.constexpr(plans.NOISE), tl.constexpr(plans.ERASE)
_NUM_TRIES, _NUM_ORDERS = tl.constexpr(plans.NUM_TRIES), tl.constexpr(len(plans.ORDERS))
_UNIT = tl.constexpr(plans.UNIT)
# Adding and taking away 1.5 * 2^52 rounds a float64 to an integer, half to even.
_ROUNDER = tl.constexpr(1.5 * 2.0**52)


def sample_fused(draw_plans: Sequence[DrawPlan], key: ViewKey) -> list[ViewParams]:
    """The parameters of several views, on the device of `key.index`. No host sync."""
    device, num_samples = key.index.device, len(key.index)
    table = torch.empty(len(draw_plans), num_samples, views.NUM_WORDS, dtype=torch.int32, device=device)
    if num_samples:
        draw_kernel[triton.cdiv(num_samples, _BLOCK), len(draw_plans)](
            key.index.contiguous(),
            on_device(tuple(_wholes(plan) for plan in draw_plans), torch.int64, device),
            on_device(tuple(_floats(plan) for plan in draw_plans), torch.float64, device),
            on_device(plans.ORDERS, torch.int64, device),
            table,
            num_samples,
            key.seed - (key.seed >> 63 << 64),  # the same 64 bits, signed
            key.epoch,
            key.view,
            BLOCK=_BLOCK,
            **DRAW_OPTIONS,
        )
    return [ViewParams(one) for one in table]


def _wholes(plan: DrawPlan) -> tuple[int, ...]:
    return (*(int(getattr(plan, name)) for name in _WHOLES), *plan.fallback)


def _floats(plan: DrawPlan) -> tuple[float, ...]:
    spans = (*(getattr(plan, name) for name in _SPANS), *plan.factors)
    return (*(value for span in spans for value in span), *plans.EXP_SERIES)


@jit_for_any("num_samples", "seed", "epoch", "first_view")
def draw_kernel(
    index, wholes, floats, orders, table, num_samples, seed: tl.int64, epoch: tl.int64, first_view: tl.int64,
    BLOCK: tl.constexpr
):  # fmt: skip
    """Program (block of samples, view). What the view's plan can never do is skipped by a scalar branch."""
    lane, view = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.program_id(1)
    alive = lane < num_samples
    sample = tl.load(index + lane, mask=alive, other=0).to(tl.uint32)
    row = table + (view.to(tl.int64) * num_samples + lane) * NUM_WORDS
    wholes += view * _NUM_WHOLES
    floats += view * _NUM_FLOATS
    zero = tl.zeros((BLOCK,), tl.int64)
    epoch_word = (zero + epoch).to(tl.uint32)
    stream = zero + ((first_view + view) << 16)
    for word in tl.static_range(NOISE_AT + 1, NUM_WORDS):
        _put(row, word, zero, alive)
    _draw_crop(seed, sample, epoch_word, stream, wholes, floats, row, alive)
    _draw_flag(seed, sample, epoch_word, stream, _OP_FLIP, tl.load(wholes + _FLIP), row + FLIP_AT, alive)
    _draw_flag(seed, sample, epoch_word, stream, _OP_VERTICAL_FLIP, tl.load(wholes + _VERTICAL_FLIP),
               row + VERTICAL_FLIP_AT, alive)  # fmt: skip
    _draw_flag(seed, sample, epoch_word, stream, _OP_GRAY, tl.load(wholes + _GRAY), row + GRAY_AT, alive)
    _draw_flag(seed, sample, epoch_word, stream, _OP_SOLARIZE, tl.load(wholes + _SOLARIZE), row + SOLARIZE_AT, alive)
    _draw_shift(seed, sample, epoch_word, stream, wholes, row, alive)
    _draw_affine(seed, sample, epoch_word, stream, wholes, floats, row, alive)
    _draw_jitter(seed, sample, epoch_word, stream, wholes, floats, orders, row, alive)
    _draw_sigma(seed, sample, epoch_word, stream, wholes, floats, row, alive)
    _draw_noise(seed, sample, epoch_word, stream, wholes, floats, row, alive)
    _draw_erase(seed, sample, epoch_word, stream, wholes, floats, row, alive)


@jit
def _draw_crop(seed, sample, epoch_word, stream, wholes, floats, row, alive):
    zero = tl.zeros_like(stream)
    top, left = zero + tl.load(wholes + _FALLBACK), zero + tl.load(wholes + _FALLBACK + 1)
    tall, wide = zero + tl.load(wholes + _FALLBACK + 2), zero + tl.load(wholes + _FALLBACK + 3)
    if tl.load(wholes + _CROPS) != 0:
        height, width = tl.load(wholes + _HEIGHT), tl.load(wholes + _WIDTH)
        found = zero == 1
        for attempt in range(_NUM_TRIES):
            w0, w1, w2, w3 = _words(seed, sample, epoch_word, stream, _OP_CROP, zero + attempt)
            across, down = _sides(w0, w1, floats, _SCALE, _LOG_RATIO, height * width)
            fits = (~found) & (across > 0) & (across <= width) & (down > 0) & (down <= height)
            top = tl.where(fits, w2 * (height - down + 1) >> 32, top)
            left = tl.where(fits, w3 * (width - across + 1) >> 32, left)
            tall, wide, found = tl.where(fits, down, tall), tl.where(fits, across, wide), found | fits
    _put_box(row, CROP_AT, top, left, tall, wide, alive)


@jit
def _draw_erase(seed, sample, epoch_word, stream, wholes, floats, row, alive):
    zero = tl.zeros_like(stream)
    top, left, tall, wide = zero, zero, zero, zero
    below = tl.load(wholes + _ERASE)
    if below > 0:
        size = tl.load(wholes + _SIZE)
        w0, w1, w2, w3 = _words(seed, sample, epoch_word, stream, _OP_ERASE, zero + _NUM_TRIES)
        wanted = (w0 >> 8) < below
        for attempt in range(_NUM_TRIES):
            w0, w1, w2, w3 = _words(seed, sample, epoch_word, stream, _OP_ERASE, zero + attempt)
            down, across = _sides(w0, w1, floats, _ERASE_SCALE, _ERASE_LOG_RATIO, size * size)
            fits = wanted & (down < size) & (across < size)
            top = tl.where(fits, w2 * (size - down + 1) >> 32, top)
            left = tl.where(fits, w3 * (size - across + 1) >> 32, left)
            tall, wide, wanted = tl.where(fits, down, tall), tl.where(fits, across, wide), wanted & ~fits
    _put_box(row, ERASE_AT, top, left, tall, wide, alive)


@jit
def _draw_flag(seed, sample, epoch_word, stream, OP: tl.constexpr, below, at, alive):
    happens = tl.zeros_like(stream)
    if below > 0:
        word, _w1, _w2, _w3 = _words(seed, sample, epoch_word, stream, OP, tl.zeros_like(stream))
        happens = ((word >> 8) < below).to(tl.int64)
    _put(at, 0, happens, alive)


@jit
def _draw_shift(seed, sample, epoch_word, stream, wholes, row, alive):
    pad = tl.load(wholes + _PAD)
    down, right = tl.zeros_like(stream), tl.zeros_like(stream)
    if pad > 0:
        w0, w1, _w2, _w3 = _words(seed, sample, epoch_word, stream, _OP_PAD, tl.zeros_like(stream))
        down, right = (w0 * (2 * pad + 1) >> 32) - pad, (w1 * (2 * pad + 1) >> 32) - pad
    _put(row, SHIFT_AT, down, alive)
    _put(row, SHIFT_AT + 1, right, alive)


@jit
def _draw_affine(seed, sample, epoch_word, stream, wholes, floats, row, alive):
    below = tl.load(wholes + _AFFINE)
    down, right, angle = tl.zeros_like(stream), tl.zeros_like(stream), tl.zeros_like(stream).to(tl.float64)
    if below > 0:
        w0, w1, w2, w3 = _words(seed, sample, epoch_word, stream, _OP_AFFINE, tl.zeros_like(stream))
        happens = (w0 >> 8) < below
        angle = tl.where(happens, _between(w1, floats, _ANGLE), 0.0)
        down = tl.where(happens, _rounded(_between(w2, floats, _TRANSLATE)), 0)
        right = tl.where(happens, _rounded(_between(w3, floats, _TRANSLATE)), 0)
    _put_float(row, ANGLE_AT, angle, alive)
    _put(row, TRANSLATE_AT, down, alive)
    _put(row, TRANSLATE_AT + 1, right, alive)


@jit
def _draw_jitter(seed, sample, epoch_word, stream, wholes, floats, orders, row, alive):
    below = tl.load(wholes + _JITTER)
    code, hue = tl.zeros_like(stream), tl.zeros_like(stream).to(tl.float64)
    brightness, contrast, saturation = hue + 1.0, hue + 1.0, hue + 1.0
    if below > 0:
        w0, w1, w2, w3 = _words(seed, sample, epoch_word, stream, _OP_JITTER, tl.zeros_like(stream) + 1)
        happens = (w0 >> 8) < below
        code = tl.where(happens, w1 * _NUM_ORDERS >> 32, 0)
        w0, w1, w2, w3 = _words(seed, sample, epoch_word, stream, _OP_JITTER, tl.zeros_like(stream))
        brightness = tl.where(happens, _between(w0, floats, _FACTORS), 1.0)
        contrast = tl.where(happens, _between(w1, floats, _FACTORS + 2), 1.0)
        saturation = tl.where(happens, _between(w2, floats, _FACTORS + 4), 1.0)
        hue = tl.where(happens, _between(w3, floats, _FACTORS + 6), 0.0)
    _put_float(row, BRIGHTNESS_AT, brightness, alive)
    _put_float(row, BRIGHTNESS_AT + 1, contrast, alive)
    _put_float(row, BRIGHTNESS_AT + 2, saturation, alive)
    _put_float(row, BRIGHTNESS_AT + 3, hue, alive)
    for step in tl.static_range(4):
        _put(row, ORDER_AT + step, tl.load(orders + code * 4 + step), alive)


@jit
def _draw_sigma(seed, sample, epoch_word, stream, wholes, floats, row, alive):
    below = tl.load(wholes + _BLUR)
    sigma = tl.zeros_like(stream).to(tl.float64)
    if below > 0:
        w0, w1, _w2, _w3 = _words(seed, sample, epoch_word, stream, _OP_BLUR, tl.zeros_like(stream))
        sigma = tl.where((w0 >> 8) < below, _between(w1, floats, _SIGMA), 0.0)
    _put_float(row, SIGMA_AT, sigma, alive)


@jit
def _draw_noise(seed, sample, epoch_word, stream, wholes, floats, row, alive):
    below = tl.load(wholes + _NOISE)
    first, second, sigma = tl.zeros_like(stream), tl.zeros_like(stream), tl.zeros_like(stream).to(tl.float64)
    if below > 0:
        w0, w1, w2, w3 = _words(seed, sample, epoch_word, stream, _OP_NOISE, tl.zeros_like(stream))
        happens = (w0 >> 8) < below
        sigma = tl.where(happens, _between(w1, floats, _NOISE_SIGMA), 0.0)
        first, second = tl.where(happens, w2, 0), tl.where(happens, w3, 0)
    _put_float(row, NOISE_AT, sigma, alive)
    _put(row, NOISE_KEY_AT, first, alive)
    _put(row, NOISE_KEY_AT + 1, second, alive)


@jit
def _words(seed, sample, epoch_word, stream, OP: tl.constexpr, block):
    """Four words of Philox as int64, 0..2^32-1."""
    bits = seed.to(tl.uint64)  # wide first: the interpreter takes a small number for one of 32 bits
    low, high = bits.to(tl.uint32), (bits >> 32).to(tl.uint32)
    w0, w1, w2, w3 = philox4x32(sample, epoch_word, (stream | OP).to(tl.uint32), block.to(tl.uint32), low, high)
    return w0.to(tl.int64), w1.to(tl.int64), w2.to(tl.int64), w3.to(tl.int64)


@jit
def _between(word, floats, AT: tl.constexpr):
    return (word >> 8).to(tl.float64) * _UNIT * tl.load(floats + AT + 1) + tl.load(floats + AT)


@jit
def _rounded(value):
    """The nearest integer, half to even."""
    return ((value + _ROUNDER) - _ROUNDER).to(tl.int64)


@jit
def _sides(area_word, ratio_word, floats, AREA_AT: tl.constexpr, RATIO_AT: tl.constexpr, whole_area):
    """sqrt(area * ratio) and sqrt(area / ratio), rounded."""
    area = _between(area_word, floats, AREA_AT) * whole_area.to(tl.float64)
    x = _between(ratio_word, floats, RATIO_AT) * 0.0625
    series = x * tl.load(floats + _SERIES) + 1.0
    for term in tl.static_range(1, _NUM_TERMS):
        series = x * series * tl.load(floats + _SERIES + term) + 1.0
    for _ in tl.static_range(4):
        series = series * series
    return _rounded(tl.sqrt(area * series)), _rounded(tl.sqrt(area / series))


@jit
def _put(row, AT: tl.constexpr, value, alive):
    tl.store(row + AT, value.to(tl.int32), mask=alive)


@jit
def _put_float(row, AT: tl.constexpr, value, alive):
    """The bits of the nearest float32."""
    tl.store(row + AT, value.to(tl.float32).to(tl.int32, bitcast=True), mask=alive)


@jit
def _put_box(row, AT: tl.constexpr, top, left, tall, wide, alive):
    _put(row, AT, top, alive)
    _put(row, AT + 1, left, alive)
    _put(row, AT + 2, tall, alive)
    _put(row, AT + 3, wide, alive)
