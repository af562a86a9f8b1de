"""All views of a batch that share their constants in one Triton launch: uint8 pixels in, normalised views out.

A program makes a view: it reads the view's row of `ViewParams.table` as scalars and goes through the pixels in blocks,
each from the gather to the store in registers. So a view pays for what it drew; what no view of the launch can draw is
not in the code. The contrast needs the mean of the whole view at its turn, hence a loop before the main one, over the
same pixels, only where a contrast was drawn. A blurred view is kept in a scratch of its own (`blur_views.py`).

Per view of s px from a crop of h x w, with e bytes per value of the result and c = 1 where a contrast was drawn:

    read     3 h w from memory, (1 + c) times by the program; 128 of the table, 8 of `rows`
    written  3 s^2 e
    blurred  24 s^2 written and 24 s^2 read back besides (two float32 copies), out of cache where they fit

    s = 32, bfloat16, CIFAR   at most 3,072 read,       6,144 written; blurred 24,576 each way
    s = 224, bfloat16         3 h w (196,608 of 256^2), 301,056 written; blurred 1,204,224 each way

Launches per batch: one per set of constants (size, filter, blur taps, threshold, normalisation, erase value), so one
for the views of SimCLR or BYOL and two for those of a multi-crop, and a copy that stacks the tables for each.
"""
# pyright: reportInvalidTypeForm=false, reportGeneralTypeIssues=false, reportIndexIssue=false, reportCallIssue=false
# pyright: reportAssignmentType=false, reportAttributeAccessIssue=false
# (Triton's annotations and loops are not Python's.)

from typing import NamedTuple

import torch
import triton.language as tl
from jaxtyping import Float, Float32, Int32, Int64
from torch import Tensor

from fastssl.kernels.blur_views import blurred, keep
from fastssl.kernels.colour_views import add_noise, contrast_step, gray_of, jitter, number
from fastssl.kernels.columns import CONTRAST_AT, ERASE_AT, GRAY_AT, NUM_WORDS, SIGMA_AT, SOLARIZE_AT
from fastssl.kernels.jit import is_interpreted, jit, jit_for_any
from fastssl.kernels.resize_views import warped
from fastssl.types import Images

NUM_WARPS = 8


class Constants(NamedTuple):
    """What all views of one launch share. The flags say what can happen to any of them; a flag off costs nothing."""

    size: int
    cubic: bool
    antialias: bool
    blur_taps: int
    threshold: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    erase_value: float
    moves: bool = True
    affine: bool = True
    jitter: bool = True
    blur: bool = True
    noise: bool = True
    erase: bool = True


@jit_for_any("b", "image_stride")
def augment_views_kernel(
    images, rows, table, out, scratch, b, image_stride, channel_stride, row_stride, column_stride,
    mean_red, mean_green, mean_blue, per_red, per_green, per_blue, scale, threshold, erase_value,
    HAS_ROWS: tl.constexpr, SIZE: tl.constexpr, CUBIC: tl.constexpr, ANTIALIAS: tl.constexpr, SHRINKS: tl.constexpr,
    MOVES: tl.constexpr, AFFINE: tl.constexpr, JITTER: tl.constexpr, BLUR: tl.constexpr, TAPS: tl.constexpr,
    NOISE: tl.constexpr, ERASE: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """One program makes one view; program v b + i makes view v of sample i."""
    view = tl.program_id(0).to(tl.int64)
    sample = view % b
    if HAS_ROWS:
        sample = tl.load(rows + sample)
    image, drawn = images + sample * image_stride, table + view * NUM_WORDS
    out += view * (3 * SIZE * SIZE)
    sharp = scratch + view * (6 * SIZE * SIZE)
    sigma = number(drawn, SIGMA_AT)
    mean = 0.0
    if JITTER and number(drawn, CONTRAST_AT) != 1.0:
        steps = contrast_step(drawn)
        total = tl.zeros((BLOCK,), tl.float32)
        for start in range(0, SIZE * SIZE, BLOCK):
            _, y, x, inside = _pixels(start, SIZE, BLOCK)
            red, green, blue = warped(image, channel_stride, row_stride, column_stride, drawn, y, x, scale,
                                      SIZE, CUBIC, ANTIALIAS, SHRINKS, MOVES, AFFINE)  # fmt: skip
            red, green, blue = jitter(red, green, blue, drawn, steps, 0.0)
            total += tl.where(inside, gray_of(red, green, blue), 0.0)
        mean = tl.sum(total, axis=0) / (SIZE * SIZE)
    for start in range(0, SIZE * SIZE, BLOCK):
        pixel, y, x, inside = _pixels(start, SIZE, BLOCK)
        red, green, blue = warped(image, channel_stride, row_stride, column_stride, drawn, y, x, scale,
                                  SIZE, CUBIC, ANTIALIAS, SHRINKS, MOVES, AFFINE)  # fmt: skip
        if JITTER:
            red, green, blue = jitter(red, green, blue, drawn, 4, mean)
        if tl.load(drawn + GRAY_AT) != 0:
            gray = gray_of(red, green, blue)
            red, green, blue = gray, gray, gray
        if BLUR and sigma > 0.0:
            keep(sharp, pixel, inside, red, green, blue, SIZE)
        else:
            _finish(out, drawn, pixel, y, x, inside, red, green, blue,
                    mean_red, mean_green, mean_blue, per_red, per_green, per_blue, threshold, erase_value,
                    NOISE, ERASE)  # fmt: skip
    if BLUR and sigma > 0.0:
        smooth = sharp + 3 * SIZE * SIZE
        tl.debug_barrier()  # what the other threads kept is there after it
        for start in range(0, SIZE * SIZE, BLOCK):
            pixel, y, x, inside = _pixels(start, SIZE, BLOCK)
            red, green, blue = blurred(sharp, y, x, sigma, SIZE, TAPS, True)
            keep(smooth, pixel, inside, red, green, blue, SIZE)
        tl.debug_barrier()
        for start in range(0, SIZE * SIZE, BLOCK):
            pixel, y, x, inside = _pixels(start, SIZE, BLOCK)
            red, green, blue = blurred(smooth, y, x, sigma, SIZE, TAPS, False)
            _finish(out, drawn, pixel, y, x, inside, red, green, blue,
                    mean_red, mean_green, mean_blue, per_red, per_green, per_blue, threshold, erase_value,
                    NOISE, ERASE)  # fmt: skip


@jit
def _pixels(start, SIZE: tl.constexpr, BLOCK: tl.constexpr):
    """Number, row and column of the block's pixels, and which of them there are; the rest repeat the last one."""
    pixel = start + tl.arange(0, BLOCK)
    inside = pixel < SIZE * SIZE
    pixel = tl.minimum(pixel, SIZE * SIZE - 1)
    return pixel, pixel // SIZE, pixel % SIZE, inside


@jit
def _finish(out, drawn, pixel, y, x, inside, red, green, blue,
            mean_red, mean_green, mean_blue, per_red, per_green, per_blue, threshold, erase_value,
            NOISE: tl.constexpr, ERASE: tl.constexpr):  # fmt: skip
    """Solarize, noise, normalise, erase; then the one rounding, and channels last."""
    if tl.load(drawn + SOLARIZE_AT) != 0:
        red = tl.where(red >= threshold, 1.0 - red, red)
        green = tl.where(green >= threshold, 1.0 - green, green)
        blue = tl.where(blue >= threshold, 1.0 - blue, blue)
    if NOISE:
        red, green, blue = add_noise(red, green, blue, drawn, pixel)
    red, green, blue = (red - mean_red) * per_red, (green - mean_green) * per_green, (blue - mean_blue) * per_blue
    if ERASE:
        below, after = y - tl.load(drawn + ERASE_AT), x - tl.load(drawn + ERASE_AT + 1)
        height, width = tl.load(drawn + ERASE_AT + 2), tl.load(drawn + ERASE_AT + 3)
        erased = (below >= 0) & (below < height) & (after >= 0) & (after < width)
        red = tl.where(erased, erase_value, red)
        green = tl.where(erased, erase_value, green)
        blue = tl.where(erased, erase_value, blue)
    at = out + pixel * 3
    tl.store(at, red, mask=inside)  # rounds to the dtype of `out`
    tl.store(at + 1, green, mask=inside)
    tl.store(at + 2, blue, mask=inside)


INTERPRETED = is_interpreted(augment_views_kernel)
"""Whether Triton runs on the CPU here, step by step: for tests alone."""
BLOCK = 4096 if INTERPRETED else 512
"""Pixels a program holds at once. On a GPU two per thread: 64 registers for the usual views, so that half of the warps
a multiprocessor can hold are at work. The interpreter pays per operation, whatever its width."""


def augment_views(
    images: Images,
    rows: Int64[Tensor, "samples"] | None,
    table: Int32[Tensor, "v samples 32"],
    constants: Constants,
    dtype: torch.dtype,
) -> Float[Tensor, "v samples s s 3"]:
    """Every view of `table` (rows of `ViewParams.table`), normalised, channels last. Deterministic, no host sync.

    Sample i reads images[i], or images[rows[i]] where `rows` is given; the images may lie in any memory format.
    """
    num_views, b, _ = table.shape
    size = constants.size
    kept = torch.float32 if INTERPRETED else dtype  # the interpreter cuts bfloat16 off where a GPU rounds
    out = torch.empty(num_views, b, size, size, 3, dtype=kept, device=images.device)
    if out.numel() == 0:
        return out.to(dtype)
    image_stride, *strides = (images.stride(axis) for axis in (0, 1, 2, 3))
    shrinks = constants.antialias and max(images.shape[2:]) > size
    augment_views_kernel[(num_views * b,)](
        images, rows if rows is not None else table, table, out, _scratch(out, constants), b, image_stride, *strides,
        *constants.mean, *(1.0 / value for value in constants.std),
        1.0 if images.is_floating_point() else 1 / 255, constants.threshold, constants.erase_value,
        HAS_ROWS=rows is not None, SIZE=size, CUBIC=constants.cubic, ANTIALIAS=constants.antialias, SHRINKS=shrinks,
        MOVES=constants.moves, AFFINE=constants.affine, JITTER=constants.jitter,
        BLUR=constants.blur, TAPS=constants.blur_taps, NOISE=constants.noise, ERASE=constants.erase,
        BLOCK=BLOCK, num_warps=NUM_WARPS, enable_fp_fusion=True,
    )  # fmt: skip
    return out.to(dtype)


def _scratch(out: Float[Tensor, "v samples s s 3"], constants: Constants) -> Float32[Tensor, "_"]:
    """Two float32 copies of every view for the blur; nothing without it."""
    return torch.empty(2 * out.numel() if constants.blur else 0, dtype=torch.float32, device=out.device)
