"""The sampler in compiled scalars: bit for bit `sample.sample_torch`, image by image, drawing only what it needs."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Int32, Int64

from fastssl.augment import plan as plans
from fastssl.augment.compiled import compiled
from fastssl.augment.plan import NUM_TRIES, UNIT, DrawPlan, plan_draws
from fastssl.kernels.philox import philox4x32
from fastssl.views import (
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
    ViewKey,
    ViewParams,
    ViewSpec,
)

_philox = compiled()(philox4x32)
_exp = compiled()(plans.exp)
_ORDERS = np.array(plans.ORDERS, dtype=np.int64)
_NEUTRAL = plans.NEUTRAL
_CROP, _FLIP, _JITTER, _GRAY, _BLUR = plans.CROP, plans.FLIP, plans.JITTER, plans.GRAY, plans.BLUR
_SOLARIZE, _VERTICAL_FLIP, _PAD = plans.SOLARIZE, plans.VERTICAL_FLIP, plans.PAD
_AFFINE, _NOISE, _ERASE = plans.AFFINE, plans.NOISE, plans.ERASE


def sample_compiled(plan: DrawPlan, key: ViewKey) -> ViewParams:
    """The parameters of one view, on the CPU."""
    table = torch.zeros(len(key.index), NUM_WORDS, dtype=torch.int32)
    sizes = np.full((len(table), 2), (plan.height, plan.width), np.int64)
    fallbacks = np.full((len(table), 4), plan.fallback, np.int64)
    _fill(plan, sizes, fallbacks, key, table)
    return ViewParams(table)


def sample_sized(
    specs: Sequence[ViewSpec], key: ViewKey, sizes: Int64[np.ndarray, "b 2"]
) -> Int32[torch.Tensor, "v b 32"]:
    """The tables of views `key.view`, `key.view + 1`, ... of images of these sizes (height, width), on the CPU.

    A row is what `sample.sample` gives for an image of that size. Raises `InputError` as it does.
    """
    tables = torch.zeros(len(specs), len(key.index), NUM_WORDS, dtype=torch.int32)
    for v, spec in enumerate(specs):
        one = replace(key, view=key.view + v)
        plans.check_key(one)
        _fill(plan_draws(spec, 1, 1), sizes, plans.fallback_boxes(spec, sizes), one, tables[v])
    return tables


def _fill(
    plan: DrawPlan, sizes: np.ndarray, fallbacks: np.ndarray, key: ViewKey, table: Int32[torch.Tensor, "b 32"]
) -> None:
    """The plan's own size and fallback are not looked at."""
    words, floats = table.numpy(), table.view(torch.float32).numpy()
    seed = (key.seed & 0xFFFFFFFF, key.seed >> 32)
    _sample(plan, sizes, fallbacks, key.index.contiguous().numpy(), key.epoch, key.view << 16, seed, words, floats)


@compiled()
def _sample(
    plan: DrawPlan,
    sizes: Int64[np.ndarray, "b 2"],
    fallbacks: Int64[np.ndarray, "b 4"],
    index: Int64[np.ndarray, "b"],
    epoch: int,
    view: int,
    key: tuple[int, int],
    table: Any,
    floats: Any,
) -> None:
    """Fills the rows of a table of zeros; `floats` is the same memory.

    Rows go by number: an array of a row would be counted in and out again, which costs as much as the draws.
    """
    for i in range(len(index)):
        sample_index = index[i]
        _crop(plan, sizes, fallbacks, sample_index, epoch, view | _CROP, key, table, i)
        table[i, FLIP_AT] = _happens(plan.flip_below, sample_index, epoch, view | _FLIP, key)
        table[i, VERTICAL_FLIP_AT] = _happens(plan.vertical_flip_below, sample_index, epoch, view | _VERTICAL_FLIP, key)
        table[i, GRAY_AT] = _happens(plan.gray_below, sample_index, epoch, view | _GRAY, key)
        table[i, SOLARIZE_AT] = _happens(plan.solarize_below, sample_index, epoch, view | _SOLARIZE, key)
        _jitter(plan, sample_index, epoch, view | _JITTER, key, table, floats, i)
        if plan.pad > 0:
            words = _philox((sample_index, epoch, view | _PAD, 0), key)
            table[i, SHIFT_AT] = (words[0] * (2 * plan.pad + 1) >> 32) - plan.pad
            table[i, SHIFT_AT + 1] = (words[1] * (2 * plan.pad + 1) >> 32) - plan.pad
        if plan.affine_below > 0:
            words = _philox((sample_index, epoch, view | _AFFINE, 0), key)
            if words[0] >> 8 < plan.affine_below:
                floats[i, ANGLE_AT] = _between(words[1], plan.angle)
                table[i, TRANSLATE_AT] = np.rint(_between(words[2], plan.translate))
                table[i, TRANSLATE_AT + 1] = np.rint(_between(words[3], plan.translate))
        if plan.blur_below > 0:
            words = _philox((sample_index, epoch, view | _BLUR, 0), key)
            if words[0] >> 8 < plan.blur_below:
                floats[i, SIGMA_AT] = _between(words[1], plan.sigma)
        if plan.noise_below > 0:
            words = _philox((sample_index, epoch, view | _NOISE, 0), key)
            if words[0] >> 8 < plan.noise_below:
                floats[i, NOISE_AT] = _between(words[1], plan.noise_sigma)
                table[i, NOISE_KEY_AT], table[i, NOISE_KEY_AT + 1] = words[2], words[3]
        if plan.erase_below > 0:
            _erase(plan, sample_index, epoch, view | _ERASE, key, table, i)


@compiled()
def _happens(below: int, index: int, epoch: int, stream: int, key: tuple[int, int]) -> bool:
    return below > 0 and _philox((index, epoch, stream, 0), key)[0] >> 8 < below


@compiled()
def _between(word: int, bounds: plans.Span) -> float:
    return np.float64(word >> 8) * UNIT * bounds[1] + bounds[0]


@compiled()
def _crop(
    plan: DrawPlan, sizes: Any, fallbacks: Any, index: int, epoch: int, stream: int, key: tuple[int, int], table: Any,
    i: int,
) -> None:  # fmt: skip
    if plan.crops:
        full_height, full_width = sizes[i, 0], sizes[i, 1]
        for attempt in range(NUM_TRIES):
            words = _philox((index, epoch, stream, attempt), key)
            area = _between(words[0], plan.scale) * np.float64(full_height * full_width)
            ratio = _exp(_between(words[1], plan.log_ratio))
            width = np.int64(np.rint(np.sqrt(area * ratio)))
            height = np.int64(np.rint(np.sqrt(area / ratio)))
            if 0 < width <= full_width and 0 < height <= full_height:
                table[i, CROP_AT] = words[2] * (full_height - height + 1) >> 32
                table[i, CROP_AT + 1] = words[3] * (full_width - width + 1) >> 32
                table[i, CROP_AT + 2], table[i, CROP_AT + 3] = height, width
                return
    for k in range(4):
        table[i, CROP_AT + k] = fallbacks[i, k]


@compiled()
def _erase(plan: DrawPlan, index: int, epoch: int, stream: int, key: tuple[int, int], table: Any, i: int) -> None:
    if _philox((index, epoch, stream, NUM_TRIES), key)[0] >> 8 >= plan.erase_below:
        return
    for attempt in range(NUM_TRIES):
        words = _philox((index, epoch, stream, attempt), key)
        area = _between(words[0], plan.erase_scale) * np.float64(plan.size * plan.size)
        ratio = _exp(_between(words[1], plan.erase_log_ratio))
        height = np.int64(np.rint(np.sqrt(area * ratio)))
        width = np.int64(np.rint(np.sqrt(area / ratio)))
        if height < plan.size and width < plan.size:
            table[i, ERASE_AT] = words[2] * (plan.size - height + 1) >> 32
            table[i, ERASE_AT + 1] = words[3] * (plan.size - width + 1) >> 32
            table[i, ERASE_AT + 2], table[i, ERASE_AT + 3] = height, width
            return


@compiled()
def _jitter(
    plan: DrawPlan, index: int, epoch: int, stream: int, key: tuple[int, int], table: Any, floats: Any, i: int
) -> None:
    for f in range(4):
        floats[i, BRIGHTNESS_AT + f] = _NEUTRAL[f]
    code = 0
    if plan.jitter_below > 0:
        words = _philox((index, epoch, stream, 1), key)
        if words[0] >> 8 < plan.jitter_below:
            code = words[1] * len(_ORDERS) >> 32
            factors_words = _philox((index, epoch, stream, 0), key)
            for f in range(4):
                floats[i, BRIGHTNESS_AT + f] = _between(factors_words[f], plan.factors[f])
    for f in range(4):
        table[i, ORDER_AT + f] = _ORDERS[code, f]
