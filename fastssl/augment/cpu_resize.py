"""The geometry of the compiled pass: crop, resize, pad and crop, flips in one go, then rotation with translation.

Filters are tables of weights per output row and column (`resize.resize_weights` without its zeros). A shift or a flip
only changes which entry of the table a row or column of the view takes, so it costs nothing; black has no entry.

Inner loops index by the bare loop variable or by unsigned numbers: numba guards other sums against being negative
(Python's index from the end), and the guard keeps the loop scalar (columns filtered in 4.2 us per view with sums, 1.0
without, on an AVX-512 core, 2026-11).
"""

from typing import Any

import numpy as np

from fastssl.augment.compiled import FAST, compiled
from fastssl.augment.resize import CUBIC_ANTIALIAS, CUBIC_PLAIN
from fastssl.views import CROP_AT, FLIP_AT, SHIFT_AT, TRANSLATE_AT, VERTICAL_FLIP_AT

TILE = 32
"""Rows of the view filtered at once; a constant, so that the inner loops have no remainder."""
_ZERO = np.float32(0)
_DEGREE = np.pi / 180


@compiled()
def filter_tables(height: int, width: int, settings: Any) -> Any:
    """Room for the filters of any crop of that image: one down, one across."""
    most = 2 * _reach(max(height, width), settings) + 3
    return _no_filter(settings.size, most), _no_filter(settings.size, most)


@compiled()
def _reach(extent: int, settings: Any) -> int:
    """Most source pixels on one side of the filter's centre."""
    half = 2 if settings.cubic else 1
    shrink = extent / settings.size
    return int(np.ceil(half * shrink)) if settings.antialias and shrink > 1.0 else half


@compiled()
def _no_filter(num_rows: int, most: int) -> Any:
    """First source pixel, number of them, and weights, per output row; a row of weights in float64."""
    return (
        np.zeros(num_rows, np.int64),
        np.zeros(num_rows, np.int64),
        np.zeros((num_rows, most), np.float32),
        np.empty(most, np.float64),
    )


@compiled()
def _kernel(distance: float, cubic: bool, a: float) -> float:
    """The hat or Keys' cubic, as in `resize`."""
    if not cubic:
        return max(1.0 - distance, 0.0)
    if distance < 1.0:
        return ((a + 2.0) * distance - (a + 3.0)) * distance * distance + 1.0
    if distance < 2.0:
        return ((distance - 5.0) * distance + 8.0) * distance * a - 4.0 * a
    return 0.0


@compiled()
def _fill_filter(table: Any, length: int, settings: Any, gain: float) -> None:
    """Weights from `length` pixels to the view's size, times `gain`."""
    first, count, weights, exact = table
    half = 2 if settings.cubic else 1
    scale = length / settings.size
    stretch = max(scale, 1.0)
    for i in range(settings.size):
        centre = scale * (i + 0.5)
        if settings.antialias:
            low = max(np.int64(centre - half * stretch + 0.5), 0)
            high = min(np.int64(centre + half * stretch + 0.5), length)
            total = 0.0
            for t in range(high - low):
                exact[t] = _kernel(abs(low + t + 0.5 - centre) / stretch, settings.cubic, CUBIC_ANTIALIAS)
                total += exact[t]
        else:
            position = centre - 0.5 if settings.cubic else max(centre - 0.5, 0.0)
            whole = np.int64(np.floor(position))
            low, high = max(whole + 1 - half, 0), min(whole + half + 1, length)
            total = 1.0
            exact[: high - low] = 0.0
            for tap in range(whole + 1 - half, whole + half + 1):
                near = min(max(tap, 0), length - 1)
                exact[near - low] += _kernel(abs(tap - position), settings.cubic, CUBIC_PLAIN)
        first[i], count[i] = low, high - low
        for t in range(high - low):
            weights[i, t] = exact[t] * (gain / total)
        weights[i, high - low] = 0.0  # taps are taken in pairs


@compiled()
def resize_crop(image: Any, words: Any, settings: Any, tables: Any, buffer: Any, columns: Any, tiled: Any) -> None:
    """One image (h, w * 3) to `tiled` (3, s, tiles, TILE): rows, then columns, tile by tile; zeros past row s."""
    top, left, height, width = words[CROP_AT], words[CROP_AT + 1], words[CROP_AT + 2], words[CROP_AT + 3]
    down, across = tables
    _fill_filter(down, height, settings, settings.gain)
    _fill_filter(across, width, settings, 1.0)
    crop = image[top : top + height, 3 * left : 3 * (left + width)]
    for tile in range(tiled.shape[2]):
        for y in range(TILE):
            row = _entry(tile * TILE + y, words[VERTICAL_FLIP_AT], words[SHIFT_AT], settings.size)
            _filter_row(crop, down, row, y, buffer, columns)
        _filter_columns(columns, across, words[FLIP_AT], words[SHIFT_AT + 1], tile, tiled)


@compiled()
def _entry(place: int, flip: int, shift: int, size: int) -> int:
    """Row (or column) of the resized image that lands in this one of the view; -1 where that is black."""
    source = (size - 1 - place if flip else place) + shift
    return source if place < size and 0 <= source < size else -1


@compiled(fastmath=FAST)
def _filter_row(crop: Any, down: Any, row: int, y: int, buffer: Any, columns: Any) -> None:
    """One row of the resized image, as wide as the crop, into entry y of every column."""
    first, count, weights, _ = down
    width = crop.shape[1]
    if row < 0:
        for x in range(width):
            columns[x, y] = _ZERO
        return
    source, weight = crop[first[row]], weights[row, 0]
    for x in range(width):
        buffer[x] = weight * np.float32(source[x])
    for t in range(1, count[row]):
        source, weight = crop[first[row] + t], weights[row, t]
        for x in range(width):
            buffer[x] += weight * np.float32(source[x])
    for x in range(width):
        columns[x, y] = buffer[x]


@compiled(fastmath=FAST)
def _filter_columns(columns: Any, across: Any, flip: int, shift: int, tile: int, tiled: Any) -> None:
    """Every column of one tile, by pairs of taps; the weight past the last one is 0."""
    first, count, weights, _ = across
    size = tiled.shape[1]
    for target in range(size):
        x = _entry(target, flip, shift, size)
        if x < 0:
            tiled[:, target, tile] = _ZERO
            continue
        for channel in range(3):
            left, right = first[x] * 3 + channel, first[x] * 3 + channel + 3
            weight, next_weight = weights[x, 0], weights[x, 1]
            for y in range(TILE):
                tiled[channel, target, tile, y] = weight * columns[left, y] + next_weight * columns[right, y]
            for t in range(2, count[x], 2):
                left, right = left + 6, right + 6
                weight, next_weight = weights[x, t], weights[x, t + 1]
                for y in range(TILE):
                    tiled[channel, target, tile, y] += weight * columns[left, y] + next_weight * columns[right, y]


@compiled(fastmath=FAST)
def warp(view: Any, angle: Any, words: Any, framed: Any) -> None:
    """Turned by `angle` degrees clockwise and moved, bilinear, in `view` (3, s, >= s); nothing past row s is touched.

    Places are float64, as rounding them would cost more than rounding values. `framed` is a flat plane of (s + 3)^2 whose frame is black: one line before the picture, two behind it. A place
    further out is moved onto the frame, so that no tap needs a question.
    """
    size = view.shape[1]
    line = size + 3
    cos, sin = np.cos(angle * _DEGREE), np.sin(angle * _DEGREE)
    centre, end = (size - 1) / 2, size + 1.0
    for channel in range(3):
        for x in range(size):
            inside, source = framed[(x + 1) * line + 1 :], view[channel, x]
            for y in range(size):
                inside[y] = source[y]
        for x in range(size):
            target = view[channel, x]
            across = x - centre - words[TRANSLATE_AT + 1]
            from_x, from_y = centre + 1.0 + cos * across, centre + 1.0 - sin * across
            for y in range(size):
                below = y - centre - words[TRANSLATE_AT]
                place_x = min(end, max(0.0, from_x + sin * below))
                place_y = min(end, max(0.0, from_y + cos * below))
                whole_x, whole_y = np.uint64(place_x), np.uint64(place_y)
                share_x, share_y = np.float32(place_x - whole_x), np.float32(place_y - whole_y)
                near = whole_x * np.uint64(line) + whole_y
                far = near + np.uint64(line)
                one = framed[near] + share_y * (framed[near + np.uint64(1)] - framed[near])
                other = framed[far] + share_y * (framed[far + np.uint64(1)] - framed[far])
                target[y] = one + share_x * (other - one)
