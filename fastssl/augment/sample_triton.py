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
from fastssl.kernels.jit import jit, jit_for_any
from fastssl.kernels.philox_triton import philox4x32
from fastssl.views import NUM_WORDS, ViewKey, ViewParams

_BLOCK = 64
DRAW_OPTIONS = {"num_warps": _BLOCK // 32, "enable_fp_fusion": False}
_INTEGERS = ("height", "width", "size", "crops", "pad", "flip_below", "vertical_flip_below", "jitter_below",
             "gray_below", "blur_below", "solarize_below", "affine_below", "noise_below", "erase_below")  # fmt: skip
_RANGES = ("scale", "log_ratio", "sigma", "angle", "translate", "noise_sigma", "erase_scale", "erase_log_ratio")

# Columns of the two tensors that hold a plan: its integers with the fallback box, its ranges with what is left over.
(_HEIGHT, _WIDTH, _SIZE, _CROPS, _PAD, _FLIP, _VERTICAL_FLIP, _JITTER, _GRAY, _BLUR, _SOLARIZE, _AFFINE, _NOISE,
 _ERASE, _FALLBACK) = (tl.constexpr(i) for i in range(len(_INTEGERS) + 1))  # fmt: skip
_NUM_INTEGERS = tl.constexpr(len(_INTEGERS) + 4)
(_SCALE, _LOG_RATIO, _SIGMA, _ANGLE, _TRANSLATE, _NOISE_SIGMA, _ERASE_SCALE, _ERASE_LOG_RATIO, _FACTORS,
 _, _, _, _SERIES) = (tl.constexpr(2 * i) for i in range(len(_RANGES) + 5))  # fmt: skip
_NUM_FLOATS = tl.constexpr(2 * len(_RANGES) + 8 + len(plans.EXP_SERIES))
_NUM_SERIES = tl.constexpr(len(plans.EXP_SERIES))

(_OP_CROP, _OP_FLIP, _OP_JITTER, _OP_GRAY, _OP_BLUR, _OP_SOLARIZE, _OP_VERTICAL_FLIP, _OP_PAD, _OP_AFFINE, _OP_NOISE,
 _OP_ERASE) = (tl.constexpr(op) for op in plans.BLOCKS)  # fmt: skip
_NUM_TRIES, _NUM_ORDERS = tl.constexpr(plans.NUM_TRIES), tl.constexpr(len(plans.ORDERS))
_UNIT = tl.constexpr(plans.UNIT)
# Adding and taking away 1.5 * 2^52 rounds a float64 to an integer, half to even.
_ROUNDER = tl.constexpr(1.5 * 2.0**52)

_CROP_AT, _FLIP_AT, _VERTICAL_FLIP_AT = (
    tl.constexpr(i) for i in (views.CROP_AT, views.FLIP_AT, views.VERTICAL_FLIP_AT)
)
_SHIFT_AT, _GRAY_AT, _SOLARIZE_AT = (tl.constexpr(i) for i in (views.SHIFT_AT, views.GRAY_AT, views.SOLARIZE_AT))
_ORDER_AT, _ERASE_AT, _TRANSLATE_AT = (tl.constexpr(i) for i in (views.ORDER_AT, views.ERASE_AT, views.TRANSLATE_AT))
_NOISE_KEY_AT, _BRIGHTNESS_AT = tl.constexpr(views.NOISE_KEY_AT), tl.constexpr(views.BRIGHTNESS_AT)
_SIGMA_AT, _ANGLE_AT, _NOISE_AT = (tl.constexpr(i) for i in (views.SIGMA_AT, views.ANGLE_AT, views.NOISE_AT))
_NUM_WORDS, _LAST_AT = tl.constexpr(NUM_WORDS), tl.constexpr(views.NOISE_AT)


def sample_fused(draw_plans: Sequence[DrawPlan], key: ViewKey) -> list[ViewParams]:
    """The parameters of several views, on the device of `key.index`. No host sync."""
    device, num_samples = key.index.device, len(key.index)
    table = torch.empty(len(draw_plans), num_samples, NUM_WORDS, dtype=torch.int32, device=device)
    if num_samples:
        draw_kernel[triton.cdiv(num_samples, _BLOCK), len(draw_plans)](
            key.index.contiguous(),
            on_device(tuple(_integers(plan) for plan in draw_plans), torch.int64, device),
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


def _integers(plan: DrawPlan) -> tuple[int, ...]:
    return (*(int(getattr(plan, name)) for name in _INTEGERS), *plan.fallback)


def _floats(plan: DrawPlan) -> tuple[float, ...]:
    ranges = (*(getattr(plan, name) for name in _RANGES), *plan.factors)
    return (*(value for pair in ranges for value in pair), *plans.EXP_SERIES)


@jit_for_any("num_samples", "seed", "epoch", "first_view")
def draw_kernel(
    index, integers, floats, orders, table, num_samples, seed: tl.int64, epoch: tl.int64, first_view: tl.int64,
    BLOCK: tl.constexpr
):  # fmt: skip
    lane, view = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK), tl.program_id(1)
    alive = lane < num_samples
    sample = tl.load(index + lane, mask=alive, other=0).to(tl.uint32)
    row = table + (view.to(tl.int64) * num_samples + lane) * _NUM_WORDS
    real = row.to(tl.pointer_type(tl.float32))
    integers += view * _NUM_INTEGERS
    floats += view * _NUM_FLOATS
    zero, none = tl.zeros((BLOCK,), tl.int64), tl.zeros((BLOCK,), tl.float64)
    epoch_word = (zero + epoch).to(tl.uint32)
    stream = zero + ((first_view + view) << 16)
    for word in tl.static_range(_LAST_AT + 1, _NUM_WORDS):
        tl.store(row + word, zero.to(tl.int32), mask=alive)

    found = zero == 1
    top, left = zero + tl.load(integers + _FALLBACK), zero + tl.load(integers + _FALLBACK + 1)
    tall, wide = zero + tl.load(integers + _FALLBACK + 2), zero + tl.load(integers + _FALLBACK + 3)
    if tl.load(integers + _CROPS) != 0:
        height, width = tl.load(integers + _HEIGHT), tl.load(integers + _WIDTH)
        for attempt in range(_NUM_TRIES):
            w0, w1, w2, w3 = _words(seed, sample, epoch_word, stream, _OP_CROP, zero + attempt)
            long, short = _sides(w0, w1, floats, _SCALE, _LOG_RATIO, height * width)
            fits = (~found) & (long > 0) & (long <= width) & (short > 0) & (short <= height)
            top = tl.where(fits, w2 * (height - short + 1) >> 32, top)
            left = tl.where(fits, w3 * (width - long + 1) >> 32, left)
            tall, wide, found = tl.where(fits, short, tall), tl.where(fits, long, wide), found | fits
    _store_box(row + _CROP_AT, top, left, tall, wide, alive)

    found = zero == 1
    top, left, tall, wide = zero, zero, zero, zero
    below = tl.load(integers + _ERASE)
    if below > 0:
        size = tl.load(integers + _SIZE)
        w0, w1, w2, w3 = _words(seed, sample, epoch_word, stream, _OP_ERASE, zero + _NUM_TRIES)
        happens = (w0 >> 8) < below
        for attempt in range(_NUM_TRIES):
            w0, w1, w2, w3 = _words(seed, sample, epoch_word, stream, _OP_ERASE, zero + attempt)
            long, short = _sides(w0, w1, floats, _ERASE_SCALE, _ERASE_LOG_RATIO, size * size)
            fits = happens & (~found) & (long < size) & (short < size)
            top = tl.where(fits, w2 * (size - long + 1) >> 32, top)
            left = tl.where(fits, w3 * (size - short + 1) >> 32, left)
            tall, wide, found = tl.where(fits, long, tall), tl.where(fits, short, wide), found | fits
    _store_box(row + _ERASE_AT, top, left, tall, wide, alive)

    flip = _flag(seed, sample, epoch_word, stream, _OP_FLIP, tl.load(integers + _FLIP))
    tl.store(row + _FLIP_AT, flip, mask=alive)
    flip = _flag(seed, sample, epoch_word, stream, _OP_VERTICAL_FLIP, tl.load(integers + _VERTICAL_FLIP))
    tl.store(row + _VERTICAL_FLIP_AT, flip, mask=alive)
    gray = _flag(seed, sample, epoch_word, stream, _OP_GRAY, tl.load(integers + _GRAY))
    tl.store(row + _GRAY_AT, gray, mask=alive)
    inverted = _flag(seed, sample, epoch_word, stream, _OP_SOLARIZE, tl.load(integers + _SOLARIZE))
    tl.store(row + _SOLARIZE_AT, inverted, mask=alive)

    pad = tl.load(integers + _PAD)
    down, right = zero, zero
    if pad > 0:
        w0, w1, w2, w3 = _words(seed, sample, epoch_word, stream, _OP_PAD, zero)
        down, right = (w0 * (2 * pad + 1) >> 32) - pad, (w1 * (2 * pad + 1) >> 32) - pad
    tl.store(row + _SHIFT_AT, down.to(tl.int32), mask=alive)
    tl.store(row + _SHIFT_AT + 1, right.to(tl.int32), mask=alive)

    below = tl.load(integers + _AFFINE)
    down, right, angle = zero, zero, none
    if below > 0:
        w0, w1, w2, w3 = _words(seed, sample, epoch_word, stream, _OP_AFFINE, zero)
        happens = (w0 >> 8) < below
        angle = tl.where(happens, _between(w1, floats, _ANGLE), 0.0)
        down = tl.where(happens, _whole(_between(w2, floats, _TRANSLATE)), 0)
        right = tl.where(happens, _whole(_between(w3, floats, _TRANSLATE)), 0)
    tl.store(real + _ANGLE_AT, angle.to(tl.float32), mask=alive)
    tl.store(row + _TRANSLATE_AT, down.to(tl.int32), mask=alive)
    tl.store(row + _TRANSLATE_AT + 1, right.to(tl.int32), mask=alive)

    below = tl.load(integers + _JITTER)
    first, second, third, turn, code = none + 1.0, none + 1.0, none + 1.0, none, zero
    if below > 0:
        w0, w1, w2, w3 = _words(seed, sample, epoch_word, stream, _OP_JITTER, zero + 1)
        happens = (w0 >> 8) < below
        code = tl.where(happens, w1 * _NUM_ORDERS >> 32, 0)
        w0, w1, w2, w3 = _words(seed, sample, epoch_word, stream, _OP_JITTER, zero)
        first = tl.where(happens, _between(w0, floats, _FACTORS), 1.0)
        second = tl.where(happens, _between(w1, floats, _FACTORS + 2), 1.0)
        third = tl.where(happens, _between(w2, floats, _FACTORS + 4), 1.0)
        turn = tl.where(happens, _between(w3, floats, _FACTORS + 6), 0.0)
    tl.store(real + _BRIGHTNESS_AT, first.to(tl.float32), mask=alive)
    tl.store(real + _BRIGHTNESS_AT + 1, second.to(tl.float32), mask=alive)
    tl.store(real + _BRIGHTNESS_AT + 2, third.to(tl.float32), mask=alive)
    tl.store(real + _BRIGHTNESS_AT + 3, turn.to(tl.float32), mask=alive)
    for step in tl.static_range(4):
        tl.store(row + _ORDER_AT + step, tl.load(orders + code * 4 + step).to(tl.int32), mask=alive)

    below = tl.load(integers + _BLUR)
    sigma = none
    if below > 0:
        w0, w1, w2, w3 = _words(seed, sample, epoch_word, stream, _OP_BLUR, zero)
        sigma = tl.where((w0 >> 8) < below, _between(w1, floats, _SIGMA), 0.0)
    tl.store(real + _SIGMA_AT, sigma.to(tl.float32), mask=alive)

    below = tl.load(integers + _NOISE)
    sigma, low, high = none, zero, zero
    if below > 0:
        w0, w1, w2, w3 = _words(seed, sample, epoch_word, stream, _OP_NOISE, zero)
        happens = (w0 >> 8) < below
        sigma = tl.where(happens, _between(w1, floats, _NOISE_SIGMA), 0.0)
        low, high = tl.where(happens, w2, 0), tl.where(happens, w3, 0)
    tl.store(real + _NOISE_AT, sigma.to(tl.float32), mask=alive)
    tl.store(row + _NOISE_KEY_AT, low.to(tl.int32), mask=alive)
    tl.store(row + _NOISE_KEY_AT + 1, high.to(tl.int32), mask=alive)


@jit
def _words(seed, sample, epoch_word, stream, OP: tl.constexpr, block):
    """Four words of Philox as int64, 0..2^32-1."""
    bits = seed.to(tl.uint64)  # wide first: the interpreter takes a small number for one of 32 bits
    low, high = bits.to(tl.uint32), (bits >> 32).to(tl.uint32)
    w0, w1, w2, w3 = philox4x32(sample, epoch_word, (stream | OP).to(tl.uint32), block.to(tl.uint32), low, high)
    return w0.to(tl.int64), w1.to(tl.int64), w2.to(tl.int64), w3.to(tl.int64)


@jit
def _flag(seed, sample, epoch_word, stream, OP: tl.constexpr, below):
    happens = tl.zeros_like(stream).to(tl.int32)
    if below > 0:
        word, _w1, _w2, _w3 = _words(seed, sample, epoch_word, stream, OP, tl.zeros_like(stream))
        happens = ((word >> 8) < below).to(tl.int32)
    return happens


@jit
def _between(word, floats, AT: tl.constexpr):
    return (word >> 8).to(tl.float64) * _UNIT * tl.load(floats + AT + 1) + tl.load(floats + AT)


@jit
def _whole(value):
    """The nearest integer, half to even."""
    return ((value + _ROUNDER) - _ROUNDER).to(tl.int64)


@jit
def _sides(area_word, ratio_word, floats, AREA_AT: tl.constexpr, RATIO_AT: tl.constexpr, whole_area):
    """sqrt(area * ratio) and sqrt(area / ratio), rounded."""
    area = _between(area_word, floats, AREA_AT) * whole_area.to(tl.float64)
    x = _between(ratio_word, floats, RATIO_AT) * 0.0625
    series = x * tl.load(floats + _SERIES) + 1.0
    for term in tl.static_range(1, _NUM_SERIES):
        series = x * series * tl.load(floats + _SERIES + term) + 1.0
    for _ in tl.static_range(4):
        series = series * series
    return _whole(tl.sqrt(area * series)), _whole(tl.sqrt(area / series))


@jit
def _store_box(at, top, left, tall, wide, alive):
    tl.store(at, top.to(tl.int32), mask=alive)
    tl.store(at + 1, left.to(tl.int32), mask=alive)
    tl.store(at + 2, tall.to(tl.int32), mask=alive)
    tl.store(at + 3, wide.to(tl.int32), mask=alive)
