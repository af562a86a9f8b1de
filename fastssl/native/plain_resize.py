"""resize.c once more, in numba: the same weights, the same integers, and so the same bytes.

Whatever changes the arithmetic there changes it here; tests hold the two together bit for bit. No `fastmath` and no
fused products: a weight that rounds another way is another pixel.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from jaxtyping import UInt8

_WEIGHT_BITS, _BETWEEN_BITS = 14, 6
_ONE = 1 << _WEIGHT_BITS
_ROWS = 8
"""Rows that go through the second pass together."""


def _compiled(function: Callable[..., Any]) -> Any:
    """All of it is in this file, so that numba sees by itself when the code it keeps is of an older one."""
    try:
        return numba.njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # there is no folder to keep it in
        return numba.njit(nogil=True, error_model="numpy")(function)


@_compiled
def _filter_at(x: float, cubic: bool) -> float:
    if not cubic:
        return 1 - x if x < 1 else 0.0
    if x < 1:
        return (1.5 * x - 2.5) * x * x + 1
    if x < 2:
        return ((-0.5 * x + 2.5) * x - 4) * x + 2
    return 0.0


@_compiled
def _round_weights(exact, count, total, weights):
    """Integers that add up to one; the largest, the first of equals, takes what rounding leaves."""
    gain, left, largest = _ONE / total, _ONE, 0
    for t in range(count):
        weights[t] = int(exact[t] * gain + (_ONE * 4 + 0.5)) - _ONE * 4
        left -= weights[t]
        if weights[t] > weights[largest]:
            largest = t
    weights[largest] += left


@_compiled
def _weights(start, length, extent, size, cubic):
    """First source pixel, number of source pixels and weights of each output pixel along one direction."""
    scale = length / size
    reach = (2 if cubic else 1) * (scale if scale > 1 else 1.0)
    squeeze = 1 / scale if scale > 1 else 1.0
    taps = 2 * int(np.ceil(reach)) + 2
    first, counts = np.zeros(size, np.int64), np.zeros(size, np.int64)
    weights, exact = np.zeros((size, taps), np.int32), np.zeros(taps)
    for i in range(size):
        centre = start + scale * (i + 0.5)
        low = max(int(centre - reach + 0.5), 0)
        high = min(int(centre + reach + 0.5), extent)
        total = 0.0
        for t in range(low, high):
            exact[t - low] = _filter_at(abs((t + 0.5 - centre) * squeeze), cubic)
            total += exact[t - low]
        _round_weights(exact, high - low, total, weights[i])
        first[i], counts[i] = low, high - low
    return first, counts, weights


@_compiled
def _filter_row(rows, weights, line):
    """Between the passes a value keeps six bits below the point."""
    shift = _WEIGHT_BITS - _BETWEEN_BITS
    line[:] = 1 << (shift - 1)
    for t in range(len(rows)):
        weight = weights[t]
        for x in range(len(line)):
            line[x] += weight * np.int32(rows[t, x])
    for x in range(len(line)):
        line[x] >>= shift


@_compiled
def _filter_columns(woven, first, counts, weights, flip, out):
    """`woven` holds the same value of each of the rows side by side, so that a vector takes them all."""
    size, shift, sums = len(first), _WEIGHT_BITS + _BETWEEN_BITS, np.empty(_ROWS, np.int32)
    for x in range(size):
        at = size - 1 - x if flip else x
        for channel in range(3):
            sums[:] = 1 << (shift - 1)
            for t in range(counts[x]):
                values, weight = woven[3 * (first[x] + t) + channel], weights[x, t]
                for row in range(_ROWS):
                    sums[row] += weight * values[row]
            for row in range(out.shape[0]):
                out[row, at, channel] = min(max(sums[row] >> shift, 0), 255)


@_compiled
def _cut(rows, box, flip, cubic, out):
    top, left, height, width = box
    first_row, first_column, size = int(np.floor(top)), int(np.floor(left)), out.shape[0]
    num_rows = min(int(np.ceil(top + height)), rows.shape[0]) - first_row
    num_columns = min(int(np.ceil(left + width)), rows.shape[1] // 3) - first_column
    down, down_counts, down_weights = _weights(top - first_row, height, num_rows, size, cubic)
    across, across_counts, across_weights = _weights(left - first_column, width, num_columns, size, cubic)
    line, woven = np.empty(3 * num_columns, np.int32), np.zeros((3 * num_columns, _ROWS), np.int32)
    columns = rows[first_row:, 3 * first_column : 3 * (first_column + num_columns)]
    for y in range(size):
        _filter_row(columns[down[y] : down[y] + down_counts[y]], down_weights[y], line)
        woven[:, y % _ROWS] = line
        if y % _ROWS == _ROWS - 1 or y == size - 1:
            _filter_columns(woven, across, across_counts, across_weights, flip, out[y - y % _ROWS : y + 1])


def cut_view(
    pixels: UInt8[np.ndarray, "h w 3"],
    box: tuple[float, float, float, float],
    flip: bool,
    cubic: bool,
    out: UInt8[np.ndarray, "s s 3"],
) -> None:
    """Crops `box` (top, left, height, width in pixels; fractions allowed) and resizes it into `out`. No GIL."""
    height, width = pixels.shape[:2]
    _cut(pixels.reshape(height, 3 * width), tuple(map(float, box)), flip, cubic, out)
