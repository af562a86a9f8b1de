"""The compiled pass of the CPU backend: one image at a time, all its operations while it lies in cache.

Bytes per view of s px from an image of h x w: 3 h w read at most (the crop; four times that from floats), 12 s^2
written (6 s^2 in bfloat16); the scratch in between is 12 s^2 for the view and 128 times the crop's width in values,
so a view of 32 px never leaves the first cache.

The view is held transposed, `view[channel, x, y]` with y cut into tiles: the vertical filter runs along whole source
rows, its rows are stored as columns, and the horizontal filter then runs along y, so that every inner loop is long,
contiguous and free of branches, which is what LLVM turns into vector instructions. No colour operation cares which way
x runs. Values between the size and the end of the last tile start at 0 and stay 0 up to the contrast, the only
operation that looks at the whole view, so they never count in its mean.
"""

from typing import Any, NamedTuple

import numpy as np

from fastssl.augment.compiled import FAST, compiled
from fastssl.augment.cpu_colour import adjust, blur, clip, make_gray, solarize
from fastssl.augment.cpu_noise import add_noise
from fastssl.augment.cpu_resize import TILE, filter_tables, resize_crop, warp
from fastssl.views import (
    ANGLE_AT,
    BRIGHTNESS_AT,
    ERASE_AT,
    GRAY_AT,
    NOISE_AT,
    NOISE_KEY_AT,
    ORDER_AT,
    SIGMA_AT,
    SOLARIZE_AT,
    TRANSLATE_AT,
)


class Settings(NamedTuple):
    """What all views of a batch share, as numba takes it."""

    size: int
    gain: float
    """What brings the images' values to 0-1."""
    cubic: bool
    antialias: bool
    blur_taps: int
    threshold: float
    mean: tuple[float, float, float]
    inverse_std: tuple[float, float, float]
    erase_value: float
    halves: bool
    """Whether the views are bfloat16."""


@compiled()
def make_views(images: Any, table: Any, floats: Any, settings: Settings, out: Any) -> None:
    """Images (b, h, w * 3), bytes or float32, to normalised views.

    `table` is that of `ViewParams` and `floats` the same memory as float32, rows in step with the images. `out` takes
    the bits of the views in uint16: (b, s, s * 3) where they are bfloat16, else (b, s, s * 6).
    """
    height, row = images.shape[1:]
    size = settings.size
    tiles = -(-size // TILE)
    tiled = np.zeros((3, size, tiles, TILE), np.float32)
    view, columnar = tiled.reshape(3, size * tiles * TILE), tiled.reshape(3, size, tiles * TILE)
    spare = np.zeros((size, tiles * TILE), np.float32)
    framed = np.zeros((size + 3) * (size + 3), np.float32)
    buffer = np.zeros(max(row, size + settings.blur_taps), np.float32)
    columns = np.zeros((row + 3, TILE), np.float32)
    tables = filter_tables(height, row // 3, settings)
    for i in range(len(images)):
        words, reals = table[i], floats[i]
        resize_crop(images[i], words, settings, tables, buffer, columns, tiled)
        if settings.cubic:
            clip(view)
        if reals[ANGLE_AT] != 0 or words[TRANSLATE_AT] != 0 or words[TRANSLATE_AT + 1] != 0:
            warp(columnar, reals[ANGLE_AT], words, framed)
        for step in range(4):
            op = words[ORDER_AT + step]
            adjust(view, op, reals[BRIGHTNESS_AT + op], size)
        if words[GRAY_AT]:
            make_gray(view)
        if reals[SIGMA_AT] > 0:
            blur(columnar, reals[SIGMA_AT], settings.blur_taps, buffer, spare)
        if words[SOLARIZE_AT]:
            solarize(view, np.float32(settings.threshold))
        if reals[NOISE_AT] > 0:
            add_noise(columnar, reals[NOISE_AT], (_word(words[NOISE_KEY_AT]), _word(words[NOISE_KEY_AT + 1])))
        if settings.halves:
            halves = out[i].reshape(size, size, 3)
            _write_halves(columnar, settings, halves)
            _erase(halves, words[ERASE_AT:], _half(np.float32(settings.erase_value)))
        else:
            values = out[i].view(np.float32).reshape(size, size, 3)
            _write(columnar, settings, values)
            _erase(values, words[ERASE_AT:], np.float32(settings.erase_value))


@compiled()
def _word(signed: Any) -> int:
    """The 32 bits as a number from 0 on."""
    return np.int64(signed) & 0xFFFFFFFF


@compiled()
def _half(value: Any) -> Any:
    """Upper half of the bits of a float32, rounded half to even: bfloat16."""
    bits = np.float32(value).view(np.uint32)
    return np.uint16((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))


@compiled(fastmath=FAST)
def _write(view: Any, settings: Settings, out: Any) -> None:
    """Normalised, transposed back, channels last; in blocks, so that neither side is read or written by lone lines."""
    size = settings.size
    red, green, blue = settings.mean
    mean_red, mean_green, mean_blue = np.float32(red), np.float32(green), np.float32(blue)
    red, green, blue = settings.inverse_std
    per_red, per_green, per_blue = np.float32(red), np.float32(green), np.float32(blue)
    for block in range(0, size, TILE):
        for y in range(block, min(block + TILE, size)):
            for x in range(size):
                out[y, x, 0] = (view[0, x, y] - mean_red) * per_red
                out[y, x, 1] = (view[1, x, y] - mean_green) * per_green
                out[y, x, 2] = (view[2, x, y] - mean_blue) * per_blue


@compiled(fastmath=FAST)
def _write_halves(view: Any, settings: Settings, out: Any) -> None:
    """`_write` in bfloat16."""
    size = settings.size
    red, green, blue = settings.mean
    mean_red, mean_green, mean_blue = np.float32(red), np.float32(green), np.float32(blue)
    red, green, blue = settings.inverse_std
    per_red, per_green, per_blue = np.float32(red), np.float32(green), np.float32(blue)
    for block in range(0, size, TILE):
        for y in range(block, min(block + TILE, size)):
            for x in range(size):
                out[y, x, 0] = _half((view[0, x, y] - mean_red) * per_red)
                out[y, x, 1] = _half((view[1, x, y] - mean_green) * per_green)
                out[y, x, 2] = _half((view[2, x, y] - mean_blue) * per_blue)


@compiled()
def _erase(out: Any, box: Any, value: Any) -> None:
    top, left, height, width = box[0], box[1], box[2], box[3]
    out[top : top + height, left : left + width] = value
