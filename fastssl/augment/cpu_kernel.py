"""The compiled pass of the CPU backend: one image at a time, all its operations while it lies in cache.

Bytes per view of s px from an image of h x w: 3 h w read at most (the crop; four times that from floats), 12 s^2
written (6 s^2 in bfloat16); the scratch in between is 12 s^2 for the view and 192 per pixel of the crop's width, so
a view of 32 px never leaves the first cache.

A view is held as three planes: `view` (3, s, s), or `flat` (3, s * s) where places do not matter.
"""

from typing import Any, NamedTuple

import numpy as np

from fastssl.augment.compiled import FAST, compiled
from fastssl.augment.cpu_colour import adjust, blur, clip, make_gray, solarize
from fastssl.augment.cpu_noise import BLOCK, add_noise
from fastssl.augment.cpu_resize import make_scratch, resize_crop, warp
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

_U1, _U2, _U3 = np.uint64(1), np.uint64(2), np.uint64(3)


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
    view = np.zeros((3, size, size), np.float32)
    flat, spare = view.reshape(3, size * size), np.zeros((size, size), np.float32)
    framed = np.zeros((3, (size + 3) * (size + 3)), np.float32)
    near, shares = np.zeros(size, np.uint32), np.zeros((2, size), np.float32)
    line = np.zeros(size + settings.blur_taps, np.float32)
    drawn = np.zeros((4, BLOCK), np.uint64)
    scratch = make_scratch(height, row // 3, settings)
    for i in range(len(images)):
        words, reals = table[i], floats[i]
        resize_crop(images[i], words, settings, scratch, view)
        if settings.cubic:
            clip(flat)
        if reals[ANGLE_AT] != 0 or words[TRANSLATE_AT] != 0 or words[TRANSLATE_AT + 1] != 0:
            warp(view, reals[ANGLE_AT], words, framed, near, shares)
        for step in range(4):
            op = words[ORDER_AT + step]
            adjust(flat, op, reals[BRIGHTNESS_AT + op], size)
        if words[GRAY_AT]:
            make_gray(flat)
        if reals[SIGMA_AT] > 0:
            blur(view, reals[SIGMA_AT], settings.blur_taps, line, spare)
        if words[SOLARIZE_AT]:
            solarize(flat, np.float32(settings.threshold))
        if reals[NOISE_AT] > 0:
            key = (_word(words[NOISE_KEY_AT]), _word(words[NOISE_KEY_AT + 1]))
            add_noise(flat, reals[NOISE_AT], key, drawn)
        if settings.halves:
            halves = out[i].reshape(size, size, 3)
            _write_halves(flat, settings, out[i].reshape(-1))
            _erase(halves, words[ERASE_AT:], _half(np.float32(settings.erase_value)))
        else:
            values = out[i].view(np.float32).reshape(size, size, 3)
            _write(flat, settings, values.reshape(-1))
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
def _write(flat: Any, settings: Settings, out: Any) -> None:
    """Normalised, channels last."""
    red, green, blue = settings.mean
    mean_red, mean_green, mean_blue = np.float32(red), np.float32(green), np.float32(blue)
    red, green, blue = settings.inverse_std
    per_red, per_green, per_blue = np.float32(red), np.float32(green), np.float32(blue)
    reds, greens, blues = flat[0], flat[1], flat[2]
    for p in range(np.uint64(len(reds))):
        at = _U3 * p
        out[at] = (reds[p] - mean_red) * per_red
        out[at + _U1] = (greens[p] - mean_green) * per_green
        out[at + _U2] = (blues[p] - mean_blue) * per_blue


@compiled(fastmath=FAST)
def _write_halves(flat: Any, settings: Settings, out: Any) -> None:
    """`_write` in bfloat16."""
    red, green, blue = settings.mean
    mean_red, mean_green, mean_blue = np.float32(red), np.float32(green), np.float32(blue)
    red, green, blue = settings.inverse_std
    per_red, per_green, per_blue = np.float32(red), np.float32(green), np.float32(blue)
    reds, greens, blues = flat[0], flat[1], flat[2]
    for p in range(np.uint64(len(reds))):
        at = _U3 * p
        out[at] = _half((reds[p] - mean_red) * per_red)
        out[at + _U1] = _half((greens[p] - mean_green) * per_green)
        out[at + _U2] = _half((blues[p] - mean_blue) * per_blue)


@compiled()
def _erase(out: Any, box: Any, value: Any) -> None:
    top, left, height, width = box[0], box[1], box[2], box[3]
    out[top : top + height, left : left + width] = value
