"""Draws what happens to each image: the only randomness of the augmentation room.

`plan` says what each draw means. Here it is vectorised in torch, for any device, without a host sync. Two compiled
samplers draw the same, bit for bit: `sample_cpu` serves when the index lies on the CPU (about 30 times faster there),
`sample_triton` on a GPU (one launch for some 300).
"""

from collections.abc import Sequence
from importlib.util import find_spec

import torch
from jaxtyping import Bool, Float32, Float64, Int32, Int64
from torch import Tensor

from fastssl.augment import plan as plans
from fastssl.augment.constant import on_device
from fastssl.augment.plan import BLOCKS, NUM_TRIES, UNIT, DrawPlan, check_key, plan_draws
from fastssl.kernels.philox import philox4x32
from fastssl.views import NUM_WORDS, ViewKey, ViewParams, ViewSpec

Words = Int64[Tensor, "b blocks 4"]
Flags = Bool[Tensor, "b"]


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
    if key.index.device.type == "cuda" and find_spec("triton"):
        from fastssl.augment.sample_triton import sample_fused

        return sample_fused(draw_plans, key)
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
    """The table of one view from its words; the columns follow `views.CROP_AT` and its neighbours."""
    factors, order = _jitter(plan, words.get(plans.JITTER), index)
    angle, translate = _affine(plan, words.get(plans.AFFINE), index)
    noise, noise_key = _noise(plan, words.get(plans.NOISE), index)
    integers = (
        _crop(plan, words.get(plans.CROP), index),
        _happens(words.get(plans.FLIP), plan.flip_below, index)[:, None],
        _happens(words.get(plans.VERTICAL_FLIP), plan.vertical_flip_below, index)[:, None],
        _shift(plan, words.get(plans.PAD), index),
        _happens(words.get(plans.GRAY), plan.gray_below, index)[:, None],
        _happens(words.get(plans.SOLARIZE), plan.solarize_below, index)[:, None],
        order,
        _erase(plan, words.get(plans.ERASE), index),
        translate,
        noise_key,
    )
    floats = (factors, _sigma(plan, words.get(plans.BLUR), index), angle, noise, _zeros(index, 3, torch.float32))
    table = torch.cat(
        (torch.cat([part.to(torch.int32) for part in integers], dim=1), torch.cat(floats, dim=1).view(torch.int32)),
        dim=1,
    )
    assert table.shape[1] == NUM_WORDS
    return ViewParams(table)


def _zeros(index: Int64[Tensor, "b"], count: int, dtype: torch.dtype) -> Tensor:
    return torch.zeros(len(index), count, dtype=dtype, device=index.device)


def _happens(words: Words | None, below: int, index: Int64[Tensor, "b"], block: int = 0) -> Flags:
    if words is None:
        return torch.zeros_like(index, dtype=torch.bool)
    return words[:, block, 0] >> 8 < below


def _between(word: Int64[Tensor, "*shape"], bounds: plans.Span) -> Float64[Tensor, "*shape"]:
    return (word >> 8).double() * UNIT * bounds[1] + bounds[0]


def _first_fitting(
    words: Words, height: int, width: int, scale: plans.Span, log_ratio: plans.Span, *, wide: bool
) -> tuple[Int64[Tensor, "b 4"], Flags]:
    """The first of the ten boxes that fits into `height` x `width`, and whether one does.

    The ratio is width / height when `wide`, and then a box may fill the image; else it is height / width, and the box
    must be smaller (torchvision's RandomResizedCrop and RandomErasing).
    """
    area = _between(words[..., 0], scale) * float(height * width)
    ratio = plans.exp(_between(words[..., 1], log_ratio))
    long, short = (area * ratio).sqrt().round().long(), (area / ratio).sqrt().round().long()
    tall, across = (short, long) if wide else (long, short)
    least, slack = (1, 0) if wide else (0, 1)
    fits = (across >= least) & (across <= width - slack) & (tall >= least) & (tall <= height - slack)
    top = words[..., 2] * (height - tall + 1) >> 32
    left = words[..., 3] * (width - across + 1) >> 32
    boxes = torch.stack((top, left, tall, across), dim=-1)
    first = fits.to(torch.uint8).argmax(dim=1)  # of equal values, the first
    return boxes.take_along_dim(first[:, None, None], dim=1)[:, 0], fits.any(dim=1)


def _crop(plan: DrawPlan, words: Words | None, index: Int64[Tensor, "b"]) -> Int64[Tensor, "b 4"]:
    fallback = on_device(plan.fallback, torch.int64, index.device)
    if words is None:
        return fallback.repeat(len(index), 1)
    box, found = _first_fitting(words, plan.height, plan.width, plan.scale, plan.log_ratio, wide=True)
    return torch.where(found[:, None], box, fallback)


def _erase(plan: DrawPlan, words: Words | None, index: Int64[Tensor, "b"]) -> Int64[Tensor, "b 4"]:
    if words is None:
        return _zeros(index, 4, torch.int64)
    tries = words[:, :NUM_TRIES]
    box, found = _first_fitting(tries, plan.size, plan.size, plan.erase_scale, plan.erase_log_ratio, wide=False)
    happens = _happens(words, plan.erase_below, index, NUM_TRIES) & found
    return torch.where(happens[:, None], box, 0)


def _shift(plan: DrawPlan, words: Words | None, index: Int64[Tensor, "b"]) -> Int64[Tensor, "b 2"]:
    if words is None:
        return _zeros(index, 2, torch.int64)
    return (words[:, 0, :2] * (2 * plan.pad + 1) >> 32) - plan.pad


def _affine(
    plan: DrawPlan, words: Words | None, index: Int64[Tensor, "b"]
) -> tuple[Float32[Tensor, "b 1"], Int64[Tensor, "b 2"]]:
    if words is None:
        return _zeros(index, 1, torch.float32), _zeros(index, 2, torch.int64)
    happens = _happens(words, plan.affine_below, index)[:, None]
    angle = torch.where(happens, _between(words[:, 0, 1:2], plan.angle), 0.0).float()
    moved = _between(words[:, 0, 2:], plan.translate).round().long()
    return angle, torch.where(happens, moved, 0)


def _jitter(
    plan: DrawPlan, words: Words | None, index: Int64[Tensor, "b"]
) -> tuple[Float32[Tensor, "b 4"], Int64[Tensor, "b 4"]]:
    orders = on_device(plans.ORDERS, torch.int64, index.device)
    neutral = on_device(plans.NEUTRAL, torch.float32, index.device)
    if words is None:
        return neutral.repeat(len(index), 1), orders[0].repeat(len(index), 1)
    happens = _happens(words, plan.jitter_below, index, 1)[:, None]
    low, width = on_device(plan.factors, torch.float64, index.device).unbind(1)
    factors = ((words[:, 0] >> 8).double() * UNIT * width + low).float()
    order = torch.where(happens, orders[words[:, 1, 1] * len(plans.ORDERS) >> 32], orders[0])
    return torch.where(happens, factors, neutral), order


def _sigma(plan: DrawPlan, words: Words | None, index: Int64[Tensor, "b"]) -> Float32[Tensor, "b 1"]:
    if words is None:
        return _zeros(index, 1, torch.float32)
    happens = _happens(words, plan.blur_below, index)[:, None]
    return torch.where(happens, _between(words[:, 0, 1:2], plan.sigma), 0.0).float()


def _noise(
    plan: DrawPlan, words: Words | None, index: Int64[Tensor, "b"]
) -> tuple[Float32[Tensor, "b 1"], Int32[Tensor, "b 2"]]:
    if words is None:
        return _zeros(index, 1, torch.float32), _zeros(index, 2, torch.int32)
    happens = _happens(words, plan.noise_below, index)[:, None]
    sigma = torch.where(happens, _between(words[:, 0, 1:2], plan.noise_sigma), 0.0).float()
    bits = words[:, 0, 2:] << 32 >> 32  # as a signed number of 32 bits, which int32 holds
    return sigma, torch.where(happens, bits, 0).to(torch.int32)
