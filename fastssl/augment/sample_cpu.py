"""The sampler in compiled scalars: bit for bit `sample.sample_torch`, image by image, drawing only what it needs."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Int64

from fastssl.augment import plan as plans
from fastssl.augment.compiled import compiled
from fastssl.augment.plan import NUM_TRIES, UNIT, DrawPlan
from fastssl.kernels.philox import philox4x32
from fastssl.views import ViewKey, ViewParams

_philox = compiled()(philox4x32)
_exp = compiled()(plans.exp)
_ORDERS = np.array(plans.ORDERS, dtype=np.int64)
_CROP, _FLIP, _JITTER = plans.CROP, plans.FLIP, plans.JITTER
_GRAY, _BLUR, _SOLARIZE = plans.GRAY, plans.BLUR, plans.SOLARIZE


def sample_compiled(plan: DrawPlan, key: ViewKey) -> ViewParams:
    """The parameters of one view, on the CPU."""
    b = len(key.index)
    crop, order = np.empty((b, 4), np.int64), np.empty((b, 4), np.int64)
    factors, sigma = np.empty((4, b), np.float32), np.empty(b, np.float32)
    flags = np.empty((3, b), np.bool_)
    words = (key.seed & 0xFFFFFFFF, key.seed >> 32)
    _sample(plan, key.index.contiguous().numpy(), key.epoch, key.view << 16, words, crop, order, factors, sigma, flags)
    flip, gray, solarize = torch.from_numpy(flags)
    brightness, contrast, saturation, hue = torch.from_numpy(factors)
    return ViewParams(
        crop=torch.from_numpy(crop),
        flip=flip,
        brightness=brightness,
        contrast=contrast,
        saturation=saturation,
        hue=hue,
        jitter_order=torch.from_numpy(order),
        gray=gray,
        blur_sigma=torch.from_numpy(sigma),
        solarize=solarize,
    )


@compiled()
def _sample(
    plan: DrawPlan,
    index: Int64[np.ndarray, "b"],
    epoch: int,
    view: int,
    key: tuple[int, int],
    crop: Any,
    order: Any,
    factors: Any,
    sigma: Any,
    flags: Any,
) -> None:
    for i in range(len(index)):
        sample_index = index[i]
        _crop(plan, sample_index, epoch, view | _CROP, key, crop[i])
        flags[0, i] = _happens(plan.flip_below, sample_index, epoch, view | _FLIP, key)
        _jitter(plan, sample_index, epoch, view | _JITTER, key, order[i], factors[:, i])
        flags[1, i] = _happens(plan.gray_below, sample_index, epoch, view | _GRAY, key)
        sigma[i] = 0.0
        if plan.blur_below > 0:
            words = _philox((sample_index, epoch, view | _BLUR, 0), key)
            if words[0] >> 8 < plan.blur_below:
                sigma[i] = _between(words[1], plan.sigma)
        flags[2, i] = _happens(plan.solarize_below, sample_index, epoch, view | _SOLARIZE, key)


@compiled()
def _happens(below: int, index: int, epoch: int, stream: int, key: tuple[int, int]) -> bool:
    return below > 0 and _philox((index, epoch, stream, 0), key)[0] >> 8 < below


@compiled()
def _between(word: int, bounds: plans.Range) -> float:
    return np.float64(word >> 8) * UNIT * bounds[1] + bounds[0]


@compiled()
def _crop(plan: DrawPlan, index: int, epoch: int, stream: int, key: tuple[int, int], box: Any) -> None:
    if plan.crops:
        for attempt in range(NUM_TRIES):
            words = _philox((index, epoch, stream, attempt), key)
            area = _between(words[0], plan.scale) * np.float64(plan.height * plan.width)
            ratio = _exp(_between(words[1], plan.log_ratio))
            width = np.int64(np.rint(np.sqrt(area * ratio)))
            height = np.int64(np.rint(np.sqrt(area / ratio)))
            if 0 < width <= plan.width and 0 < height <= plan.height:
                box[0] = words[2] * (plan.height - height + 1) >> 32
                box[1] = words[3] * (plan.width - width + 1) >> 32
                box[2], box[3] = height, width
                return
    box[0], box[1], box[2], box[3] = plan.fallback


@compiled()
def _jitter(
    plan: DrawPlan, index: int, epoch: int, stream: int, key: tuple[int, int], order: Any, factors: Any
) -> None:
    factors[0], factors[1], factors[2], factors[3] = 1.0, 1.0, 1.0, 0.0
    code = 0
    if plan.jitter_below > 0:
        words = _philox((index, epoch, stream, 1), key)
        if words[0] >> 8 < plan.jitter_below:
            code = words[1] * 24 >> 32
            factors_words = _philox((index, epoch, stream, 0), key)
            for f in range(4):
                factors[f] = _between(factors_words[f], plan.factors[f])
    for f in range(4):
        order[f] = _ORDERS[code, f]
