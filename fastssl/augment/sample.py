"""Draws what happens to each image: the only randomness of the augmentation room.

`plan` says what each draw means. Here it is vectorised in torch, for any device, without a host sync; `sample_cpu` is
the same in compiled scalars, bit for bit, and serves when the index lies on the CPU (about 30 times faster there).
"""

from collections.abc import Sequence
from importlib.util import find_spec

import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

from fastssl.augment import plan as plans
from fastssl.augment.constant import on_device
from fastssl.augment.plan import BLOCKS, UNIT, DrawPlan, check_key, plan_draws
from fastssl.kernels.philox import philox4x32
from fastssl.views import ViewKey, ViewParams, ViewSpec

Words = Int64[Tensor, "b blocks 4"]
Factor = Float32[Tensor, "b"]


def sample(spec: ViewSpec, key: ViewKey, height: int, width: int) -> ViewParams:
    """What happens to images of `height` x `width` pixels: one row per `key.index`, on its device. No host sync.

    A row depends on (seed, epoch, view, that index) and the spec alone, not on the batch around it. Raises
    `InputError` when seed, epoch or view do not fit.
    """
    return sample_views([spec], key, height, width)[0]


def sample_views(specs: Sequence[ViewSpec], key: ViewKey, height: int, width: int) -> list[ViewParams]:
    """`sample` for views `key.view`, `key.view + 1`, ... of the same images, drawn together; view v takes specs[v]."""
    keys = [ViewKey(key.seed, key.epoch, key.view + v, key.index) for v in range(len(specs))]
    for one in keys:
        check_key(one)
    draw_plans = [plan_draws(spec, height, width) for spec in specs]
    if key.index.device.type == "cpu" and find_spec("numba"):
        from fastssl.augment.sample_cpu import sample_compiled  # numba is only imported where it is used

        return [sample_compiled(plan, one) for plan, one in zip(draw_plans, keys, strict=True)]
    return sample_torch(draw_plans, key)


def sample_torch(draw_plans: Sequence[DrawPlan], key: ViewKey) -> list[ViewParams]:
    """The draws of several views in vectorised torch; one call of Philox makes all words, as launches cost most."""
    columns = tuple(
        (key.view + v << 16 | op, block)
        for v, plan in enumerate(draw_plans)
        for op in BLOCKS
        if plan.happens(op)
        for block in range(BLOCKS[op])
    )
    if not columns:
        return [_assemble(plan, {}, key.index) for plan in draw_plans]
    stream, block = on_device(columns, torch.int64, key.index.device).unbind(1)
    counter = (key.index[:, None], key.epoch, stream[None], block[None])
    words = torch.stack(philox4x32(counter, (key.seed & 0xFFFFFFFF, key.seed >> 32)), dim=-1)
    made, start = [], 0
    for plan in draw_plans:
        of_op: dict[int, Words] = {}
        for op, count in BLOCKS.items():
            if plan.happens(op):
                of_op[op], start = words[:, start : start + count], start + count
        made.append(_assemble(plan, of_op, key.index))
    return made


def _assemble(plan: DrawPlan, words: dict[int, Words], index: Int64[Tensor, "b"]) -> ViewParams:
    """The parameters of one view from its words; an operation without words has its neutral value."""
    brightness, contrast, saturation, hue, order = _jitter(plan, words.get(plans.JITTER), index)
    return ViewParams(
        crop=_crop(plan, words.get(plans.CROP), index),
        flip=_happens(words.get(plans.FLIP), plan.flip_below, index),
        brightness=brightness,
        contrast=contrast,
        saturation=saturation,
        hue=hue,
        jitter_order=order,
        gray=_happens(words.get(plans.GRAY), plan.gray_below, index),
        blur_sigma=_sigma(plan, words.get(plans.BLUR), index),
        solarize=_happens(words.get(plans.SOLARIZE), plan.solarize_below, index),
    )


def _happens(words: Words | None, below: int, index: Int64[Tensor, "b"]) -> Bool[Tensor, "b"]:
    if words is None:
        return torch.zeros_like(index, dtype=torch.bool)
    return words[:, 0, 0] >> 8 < below


def _between(word: Int64[Tensor, "*shape"], bounds: plans.Range) -> Float64[Tensor, "*shape"]:
    return (word >> 8).double() * UNIT * bounds[1] + bounds[0]


def _crop(plan: DrawPlan, words: Words | None, index: Int64[Tensor, "b"]) -> Int64[Tensor, "b 4"]:
    """The first of the ten tries that fits, else the fallback."""
    fallback = on_device(plan.fallback, torch.int64, index.device)
    if words is None:
        return fallback.repeat(len(index), 1)
    area = _between(words[..., 0], plan.scale) * float(plan.height * plan.width)
    ratio = plans.exp(_between(words[..., 1], plan.log_ratio))
    width = (area * ratio).sqrt().round().long()
    height = (area / ratio).sqrt().round().long()
    fits = (width > 0) & (width <= plan.width) & (height > 0) & (height <= plan.height)
    top = words[..., 2] * (plan.height - height + 1) >> 32
    left = words[..., 3] * (plan.width - width + 1) >> 32
    boxes = torch.stack((top, left, height, width), dim=-1)
    first = fits.to(torch.uint8).argmax(dim=1)  # of equal values, the first
    chosen = boxes.take_along_dim(first[:, None, None], dim=1)[:, 0]
    return torch.where(fits.any(dim=1, keepdim=True), chosen, fallback)


def _jitter(
    plan: DrawPlan, words: Words | None, index: Int64[Tensor, "b"]
) -> tuple[
    Float32[Tensor, "b"], Float32[Tensor, "b"], Float32[Tensor, "b"], Float32[Tensor, "b"], Int64[Tensor, "b 4"]
]:
    orders = on_device(plans.ORDERS, torch.int64, index.device)
    neutral = on_device((1.0, 1.0, 1.0, 0.0), torch.float32, index.device)
    if words is None:
        one, _, _, zero = neutral.repeat(len(index), 1).unbind(1)
        return one.clone(), one.clone(), one.clone(), zero.clone(), orders[0].repeat(len(index), 1)
    happens = (words[:, 1, 0] >> 8 < plan.jitter_below)[:, None]
    low, width = on_device(plan.factors, torch.float64, index.device).unbind(1)
    factors = ((words[:, 0] >> 8).double() * UNIT * width + low).float()
    factors = torch.where(happens, factors, neutral)
    order = torch.where(happens, orders[words[:, 1, 1] * len(plans.ORDERS) >> 32], orders[0])
    brightness, contrast, saturation, hue = factors.unbind(1)
    return brightness, contrast, saturation, hue, order


def _sigma(plan: DrawPlan, words: Words | None, index: Int64[Tensor, "b"]) -> Float32[Tensor, "b"]:
    if words is None:
        return torch.zeros_like(index, dtype=torch.float32)
    happens = words[:, 0, 0] >> 8 < plan.blur_below
    return torch.where(happens, _between(words[:, 0, 1], plan.sigma), 0.0).float()
