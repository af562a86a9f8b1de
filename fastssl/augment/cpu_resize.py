"""The geometry of the compiled pass: crop, resize, pad and crop, flips in one go, then rotation with translation.

Filters are tables of weights per output row and column (`resize.resize_weights` without its zeros). A shift or a flip
only changes which entry of the table a row or column of the view takes, so it costs nothing; black has no entry.

The vertical filter runs along whole source rows. Eight filtered rows are then woven into columns of eight, along which
the horizontal filter runs, and eight filtered columns are woven back into rows: every inner loop is contiguous and
free of branches, which is what LLVM turns into vector instructions. It does so for weaving too (eight stores side by
side, .1 ns per value where moving values one by one takes .6), but not for the reverse (.3 to .5).

Inner loops index by the bare loop variable or by unsigned numbers: numba guards other sums against being negative
(Python's index from the end), and the guard keeps the loop scalar. Times: one AVX-512 core, 2026-11.
"""

from typing import Any, NamedTuple

import numpy as np

from fastssl.augment.compiled import FAST, compiled
from fastssl.augment.resize import CUBIC_ANTIALIAS, CUBIC_PLAIN
from fastssl.views import CROP_AT, FLIP_AT, SHIFT_AT, TRANSLATE_AT, VERTICAL_FLIP_AT

_WOVEN = 8
"""Rows or columns woven together; LLVM knows no wider store."""
_GROUPS = 4
"""Groups of rows made before they are woven back."""
_TRIPLE = 3 * _WOVEN
_U1, _U2, _U3, _U4, _U5, _U6, _U7, _U8 = (np.uint64(n) for n in range(1, 9))
_U24 = np.uint64(_TRIPLE)
_ZERO = np.float32(0)
_DEGREE = np.pi / 180


class Scratch(NamedTuple):
    """Room for one image on its way to a view."""

    down: Any
    """Filter tables, see `_no_filter`."""
    across: Any
    rows: Any
    """(8, w * 3 and more): a group of filtered rows."""
    columns: Any
    """(w and more, 24): the same, pixel by pixel, eight values of each channel."""
    narrow: Any
    """(s or a little more, groups, 24): filtered columns."""
    woven: Any
    """(groups * 24, 8): eight of those, woven back."""


@compiled()
def make_scratch(height: int, width: int, settings: Any) -> Any:
    """For any crop of an image of that size."""
    size = settings.size
    most = 2 * _reach(max(height, width), settings) + 5
    return Scratch(
        _no_filter(size, most),
        _no_filter(size, most),
        np.zeros((_WOVEN, 3 * width + 16), np.float32),
        np.zeros((width + 6, _TRIPLE), np.float32),
        np.zeros((-(-size // _WOVEN) * _WOVEN, _GROUPS, _TRIPLE), np.float32),
        np.zeros((_GROUPS * _TRIPLE, _WOVEN), np.float32),
    )


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
        for t in range(high - low, high - low + 3):
            weights[i, t] = _ZERO  # taps are taken by two down, by four across


@compiled()
def resize_crop(image: Any, words: Any, settings: Any, scratch: Any, view: Any) -> None:
    """One image (h, w * 3) to `view` (3, s, s)."""
    width = words[CROP_AT + 3]
    size, tile = settings.size, _WOVEN * _GROUPS
    _fill_filter(scratch.down, words[CROP_AT + 2], settings, settings.gain)
    _fill_filter(scratch.across, width, settings, 1.0)
    flip, shift = words[FLIP_AT], words[SHIFT_AT + 1]
    columns, narrow = scratch.columns.reshape(-1), scratch.narrow.reshape(-1)
    for start in range(0, size, tile):
        for group in range(min(_GROUPS, -((start - size) // _WOVEN))):
            _filter_rows(image, words, scratch.down, start + group * _WOVEN, scratch.rows)
            _weave(scratch.rows, -(-3 * width // 16) * 16, columns)
            # Taps past the crop's end weigh 0, but 0 times the NaN an earlier image left there is NaN.
            columns[_TRIPLE * width : _TRIPLE * (width + 3)] = _ZERO
            _filter_columns(columns, scratch.across, flip, shift, group, narrow, size)
        _weave_back(scratch.narrow, scratch.woven, start, view)


@compiled()
def _entry(place: int, flip: int, shift: int, size: int) -> int:
    """Row (or column) of the resized image that lands in this one of the view; -1 where that is black."""
    source = (size - 1 - place if flip else place) + shift
    return source if place < size and 0 <= source < size else -1


@compiled(fastmath=FAST)
def _filter_rows(image: Any, words: Any, down: Any, start: int, rows: Any) -> None:
    """Eight rows from `start` on, as wide as the crop, by pairs of taps; the weight past the last one is 0.

    Rows are sliced one at a time: of a slice in both directions numba forgets that its rows are contiguous.
    """
    first, count, weights, _ = down
    size, top, height = len(first), words[CROP_AT], words[CROP_AT + 2]
    left, width = 3 * words[CROP_AT + 1], 3 * words[CROP_AT + 3]
    for k in range(_WOVEN):
        row, filtered = _entry(start + k, words[VERTICAL_FLIP_AT], words[SHIFT_AT], size), rows[k]
        if row < 0:
            filtered[:width] = _ZERO
            continue
        for t in range(0, count[row], 2):
            tap = first[row] + t
            near, far = image[top + tap], image[top + min(tap + 1, height - 1)]
            near, far = near[left : left + width], far[left : left + width]
            weight, next_weight = weights[row, t], weights[row, t + 1]
            if t == 0:
                for x in range(width):
                    filtered[x] = weight * np.float32(near[x]) + next_weight * np.float32(far[x])
            else:
                for x in range(width):
                    filtered[x] += weight * np.float32(near[x]) + next_weight * np.float32(far[x])


@compiled()
def _weave(lines: Any, length: int, woven: Any) -> None:
    """Entry 8 x + k of the flat `woven` is entry x of line k."""
    a, b, c, d, e, f, g, h = lines[0], lines[1], lines[2], lines[3], lines[4], lines[5], lines[6], lines[7]
    for x in range(np.uint64(length)):
        p = _U8 * x
        woven[p], woven[p + _U1], woven[p + _U2], woven[p + _U3] = a[x], b[x], c[x], d[x]
        woven[p + _U4], woven[p + _U5], woven[p + _U6], woven[p + _U7] = e[x], f[x], g[x], h[x]


@compiled(fastmath=FAST)
def _filter_columns(columns: Any, across: Any, flip: int, shift: int, group: int, narrow: Any, size: int) -> None:
    """A group of rows of the view, by four taps; the weights past the last one are 0."""
    first, count, weights, _ = across
    for target in range(size):
        x = _entry(target, flip, shift, size)
        line = np.uint64(target * _GROUPS + group) * _U24
        if x < 0:
            for k in range(_U24):
                narrow[line + k] = _ZERO
            continue
        p, weight = np.uint64(first[x]) * _U24, weights[x]
        a, b, c, d = weight[0], weight[1], weight[2], weight[3]
        q, r, s = p + _U24, p + _U24 + _U24, p + _U24 + _U24 + _U24
        for k in range(_U24):
            narrow[line + k] = a * columns[p + k] + b * columns[q + k] + c * columns[r + k] + d * columns[s + k]
        for t in range(4, count[x], 4):
            a, b, c, d = weight[t], weight[t + 1], weight[t + 2], weight[t + 3]
            p, q, r, s = s + _U24, s + _U24 + _U24, s + _U24 + _U24 + _U24, s + _U24 + _U24 + _U24 + _U24
            for k in range(_U24):
                narrow[line + k] += a * columns[p + k] + b * columns[q + k] + c * columns[r + k] + d * columns[s + k]


@compiled()
def _weave_back(narrow: Any, woven: Any, start: int, view: Any) -> None:
    """All groups to rows `start` and on of the view."""
    size = view.shape[1]
    lines, entries, flat = narrow.reshape(len(narrow), _GROUPS * _TRIPLE), woven.reshape(-1), view.reshape(-1)
    for left in range(0, size, _WOVEN):
        _weave(lines[left : left + _WOVEN], _GROUPS * _TRIPLE, entries)
        for row in range(min(_GROUPS * _WOVEN, size - start)):
            for channel in range(3):
                source = np.uint64(((row // _WOVEN * 3 + channel) * _WOVEN + row % _WOVEN) * _WOVEN)
                target = np.uint64((channel * size + start + row) * size + left)
                if left + _WOVEN <= size:
                    _copy_eight(entries, source, flat, target)
                else:
                    for x in range(np.uint64(size - left)):
                        flat[target + x] = entries[source + x]


@compiled()
def _copy_eight(source: Any, p: int, target: Any, q: int) -> None:
    """All read before any is written: then LLVM need not ask whether the two overlap, and moves one vector."""
    a, b, c, d = source[p], source[p + _U1], source[p + _U2], source[p + _U3]
    e, f, g, h = source[p + _U4], source[p + _U5], source[p + _U6], source[p + _U7]
    target[q], target[q + _U1], target[q + _U2], target[q + _U3] = a, b, c, d
    target[q + _U4], target[q + _U5], target[q + _U6], target[q + _U7] = e, f, g, h


@compiled(fastmath=FAST)
def warp(view: Any, angle: Any, words: Any, framed: Any, near: Any, shares: Any) -> None:
    """`view` (3, s, s) turned by `angle` degrees clockwise and moved, bilinear.

    Places are float64, as rounding them would cost more than rounding values. `framed` (3, (s + 3)^2) holds planes
    whose frame is black: one line before the picture, two behind it. A place further out is moved onto the frame, so
    that no tap needs a question. `near` (s) and `shares` (2, s) take the places of a row, found once for all channels.
    """
    size = view.shape[1]
    line = size + 3
    cos, sin = np.cos(angle * _DEGREE), np.sin(angle * _DEGREE)
    centre, end = (size - 1) / 2, size + 1.0
    share_x, share_y = shares[0], shares[1]
    for channel in range(3):
        for y in range(size):
            inside, source = framed[channel, (y + 1) * line + 1 :], view[channel, y]
            for x in range(size):
                inside[x] = source[x]
    for y in range(size):
        below = y - centre - words[TRANSLATE_AT]
        from_x, from_y = centre + 1.0 + sin * below, centre + 1.0 + cos * below
        for x in range(size):
            across = x - centre - words[TRANSLATE_AT + 1]
            place_x = min(end, max(0.0, from_x + cos * across))
            place_y = min(end, max(0.0, from_y - sin * across))
            whole_x, whole_y = np.int32(place_x), np.int32(place_y)
            share_x[x], share_y[x] = np.float32(place_x - whole_x), np.float32(place_y - whole_y)
            near[x] = whole_y * line + whole_x
        for channel in range(3):
            target, plane = view[channel, y], framed[channel]
            next_line = plane[line:]
            for x in range(size):
                at = np.uint64(near[x])
                one = plane[at] + share_x[x] * (plane[at + _U1] - plane[at])
                other = next_line[at] + share_x[x] * (next_line[at + _U1] - next_line[at])
                target[x] = one + share_y[x] * (other - one)
