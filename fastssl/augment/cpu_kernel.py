"""The compiled pass of the CPU backend: one image at a time, all its operations while it lies in cache.

Bytes per view of s px from an image of h x w: 3 h w read at most (the crop), 12 s^2 written; the scratch in between
is 12 s^2 for the view and 128 times the crop's width in values, so a view of 32 px never leaves the first cache.

The view is held transposed, `view[channel, x, y]` with y cut into tiles: the vertical filter runs along whole source
rows, its rows are stored as columns, and the horizontal filter then runs along y, so that every inner loop is long,
contiguous and free of branches, which is what LLVM turns into vector instructions. No colour operation cares which way
x runs. Values between the size and the end of the last tile start at 0 and stay 0 up to the contrast, the only
operation that looks at the whole view, so they never count in its mean.

All constants are float32: a Python float would lift a whole loop to float64. Inner loops index by the bare loop
variable: numba guards a sum against being negative (Python's index from the end), and the guard keeps the loop scalar
(columns filtered in 4.2 us per view with sums, 1.0 without, on an AVX-512 core, 2026-11).
"""

from typing import Any, NamedTuple

import numpy as np

from fastssl.augment.colour import GRAY_WEIGHTS
from fastssl.augment.compiled import compiled
from fastssl.augment.plan import BRIGHTNESS, CONTRAST, HUE, SATURATION
from fastssl.augment.resize import CUBIC_ANTIALIAS, CUBIC_PLAIN

TILE = 32
"""Rows of the view filtered at once; a constant, so that the inner loops have no remainder."""
_ZERO, _ONE, _TWO, _FOUR, _SIX = (np.float32(value) for value in (0, 1, 2, 4, 6))
_RED, _GREEN, _BLUE = (np.float32(weight) for weight in GRAY_WEIGHTS)
_CUT = 1.0 / 255.0
# Fused multiply-adds change the last bit only; sums may be split over vector lanes, always the same way.
_FAST = {"contract", "reassoc", "nsz"}


class Settings(NamedTuple):
    """What all views of a batch share, as numba takes it."""

    size: int
    cubic: bool
    antialias: bool
    blur_taps: int
    threshold: float
    mean: tuple[float, float, float]
    inverse_std: tuple[float, float, float]


class Drawn(NamedTuple):
    """`ViewParams` as numpy arrays, rows in step with the images."""

    crop: Any
    flip: Any
    factors: Any
    """(b, 4): brightness, contrast, saturation, hue."""
    order: Any
    gray: Any
    sigma: Any
    solarize: Any


@compiled()
def make_views(images: Any, drawn: Drawn, settings: Settings, out: Any) -> None:
    """uint8 images (b, h, w * 3) to normalised float32 views `out` (b, s, s, 3)."""
    height, row = images.shape[1:]
    size = settings.size
    tiles = -(-size // TILE)
    tiled = np.zeros((3, size, tiles, TILE), np.float32)
    view, columnar = tiled.reshape(3, size * tiles * TILE), tiled.reshape(3, size, tiles * TILE)
    spare = np.zeros((size, tiles * TILE), np.float32)
    buffer = np.zeros(max(row, size + settings.blur_taps), np.float32)
    columns = np.zeros((row + 3, TILE), np.float32)
    most = 2 * _reach(max(height, row // 3), settings) + 3
    across, down = _no_filter(size, most), _no_filter(tiles * TILE, most)
    for i in range(len(images)):
        top, left, crop_height, crop_width = drawn.crop[i]
        _fill_filter(down, crop_height, settings, _CUT)
        _fill_filter(across, crop_width, settings, 1.0)
        crop = images[i, top : top + crop_height, 3 * left : 3 * (left + crop_width)]
        _resize(crop, down, across, drawn.flip[i], buffer, columns, tiled)
        if settings.cubic:
            _clip(view)
        for step in range(4):
            op = drawn.order[i, step]
            _adjust(view, op, drawn.factors[i, op], size)
        if drawn.gray[i]:
            _make_gray(view)
        if drawn.sigma[i] > 0:
            _blur(columnar, drawn.sigma[i], settings.blur_taps, buffer, spare)
        if drawn.solarize[i]:
            _solarize(view, np.float32(settings.threshold))
        _write(columnar, settings, out[i])


@compiled()
def _reach(extent: int, settings: Settings) -> int:
    """Most source pixels on one side of the filter's centre."""
    half = 2 if settings.cubic else 1
    shrink = extent / settings.size
    return int(np.ceil(half * shrink)) if settings.antialias and shrink > 1.0 else half


@compiled()
def _no_filter(num_rows: int, most: int) -> Any:
    """First source pixel, number of them, and weights, per output row; zero rows beyond the size."""
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
def _fill_filter(table: Any, length: int, settings: Settings, gain: float) -> None:
    """Weights from `length` pixels to the view's size, times `gain`: `resize.resize_weights` without its zeros."""
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


@compiled(fastmath=_FAST)
def _resize(crop: Any, down: Any, across: Any, flip: bool, buffer: Any, columns: Any, tiled: Any) -> None:
    """Rows, then columns, tile by tile; a flip only changes where a column lands."""
    row_first, row_count, row_weights, _ = down
    width = crop.shape[1]
    for tile in range(tiled.shape[2]):
        for y in range(TILE):
            row = tile * TILE + y
            _filter_row(crop, row_first[row], row_count[row], row_weights[row], width, buffer)
            for x in range(width):
                columns[x, y] = buffer[x]
        _filter_columns(columns, across, flip, tile, tiled)


@compiled(fastmath=_FAST)
def _filter_row(crop: Any, first: int, count: int, weights: Any, width: int, buffer: Any) -> None:
    if count == 0:
        buffer[:width] = _ZERO
        return
    source, weight = crop[first], weights[0]
    for x in range(width):
        buffer[x] = weight * np.float32(source[x])
    for t in range(1, count):
        source, weight = crop[first + t], weights[t]
        for x in range(width):
            buffer[x] += weight * np.float32(source[x])


@compiled(fastmath=_FAST)
def _filter_columns(columns: Any, across: Any, flip: bool, tile: int, tiled: Any) -> None:
    """Every column of one tile, by pairs of taps; the weight past the last one is 0."""
    first, count, weights, _ = across
    size = tiled.shape[1]
    for x in range(size):
        target = size - 1 - x if flip else x
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


@compiled()
def _unit(value: Any) -> Any:
    """Cut to 0-1; selects, not branches."""
    value = max(_ZERO, value)
    return min(_ONE, value)


@compiled()
def _clip(view: Any) -> None:
    for channel in range(3):
        plane = view[channel]
        for p in range(len(plane)):
            plane[p] = _unit(plane[p])


@compiled()
def _adjust(view: Any, op: int, factor: Any, size: int) -> None:
    """One colour operation; nothing happens at its neutral factor."""
    if op == HUE:
        if factor != _ZERO:
            _turn_hue(view, factor * _SIX)
    elif factor != _ONE:
        if op == BRIGHTNESS:
            _blend_with(view, _ZERO, factor)
        elif op == CONTRAST:
            _blend_with(view, _sum_gray(view) / np.float32(size * size), factor)
        elif op == SATURATION:
            _saturate(view, factor)


@compiled(fastmath=_FAST)
def _sum_gray(view: Any) -> Any:
    red, green, blue = view[0], view[1], view[2]
    total = _ZERO
    for p in range(len(red)):
        total += red[p] * _RED + green[p] * _GREEN + blue[p] * _BLUE
    return total


@compiled(fastmath=_FAST)
def _blend_with(view: Any, other: Any, factor: Any) -> None:
    rest = other * (_ONE - factor)
    for channel in range(3):
        plane = view[channel]
        for p in range(len(plane)):
            plane[p] = _unit(plane[p] * factor + rest)


@compiled(fastmath=_FAST)
def _saturate(view: Any, factor: Any) -> None:
    red, green, blue = view[0], view[1], view[2]
    for p in range(len(red)):
        rest = (red[p] * _RED + green[p] * _GREEN + blue[p] * _BLUE) * (_ONE - factor)
        red[p] = _unit(red[p] * factor + rest)
        green[p] = _unit(green[p] * factor + rest)
        blue[p] = _unit(blue[p] * factor + rest)


@compiled()
def _channel(hue: Any, offset: Any, top: Any, chroma: Any) -> Any:
    distance = hue + offset
    distance = distance - _SIX if distance >= _SIX else distance
    mirrored = _FOUR - distance
    distance = min(mirrored, distance)
    return top - chroma * _unit(distance)


@compiled(fastmath=_FAST)
def _turn_hue(view: Any, sixths: Any) -> None:
    """`colour.adjust_hue`; one wrap at either end is the remainder, as hue lies in -1..5 and its turn in -3..3."""
    reds, greens, blues = view[0], view[1], view[2]
    for p in range(len(reds)):
        red, green, blue = reds[p], greens[p], blues[p]
        top = max(green, red)
        top = max(blue, top)
        bottom = min(green, red)
        bottom = min(blue, bottom)
        chroma = top - bottom
        per = _ONE / (chroma if chroma > _ZERO else _ONE)
        hue = (green - blue) * per
        if_green, if_blue = _TWO + (blue - red) * per, _FOUR + (red - green) * per
        other = if_green if top == green else if_blue
        hue = (hue if top == red else other) + sixths
        hue = hue + _SIX if hue < _ZERO else hue
        hue = hue - _SIX if hue >= _SIX else hue
        reds[p] = _channel(hue, _FOUR + _ONE, top, chroma)
        greens[p] = _channel(hue, _TWO + _ONE, top, chroma)
        blues[p] = _channel(hue, _ONE, top, chroma)


@compiled(fastmath=_FAST)
def _make_gray(view: Any) -> None:
    red, green, blue = view[0], view[1], view[2]
    for p in range(len(red)):
        gray = red[p] * _RED + green[p] * _GREEN + blue[p] * _BLUE
        red[p], green[p], blue[p] = gray, gray, gray


@compiled()
def _mirror(position: int, size: int) -> int:
    """Reflected at the ends without repeating the end."""
    position = -position if position < 0 else position
    return 2 * size - 2 - position if position >= size else position


@compiled(fastmath=_FAST)
def _blur(view: Any, sigma: Any, num_taps: int, line: Any, spare: Any) -> None:
    """Along y through a mirrored line, then along x by whole columns."""
    size, radius = view.shape[1], num_taps // 2
    taps = np.empty(num_taps, np.float64)
    for t in range(num_taps):
        taps[t] = np.exp(-0.5 * ((t - radius) / np.float64(sigma)) ** 2)
    weights = (taps / taps.sum()).astype(np.float32)
    for channel in range(3):
        for x in range(size):
            source, target = view[channel, x], spare[x]
            inside = line[radius:]
            for y in range(size):
                inside[y] = source[y]
            for edge in range(radius):
                line[edge] = source[radius - edge]
                inside[size + edge] = source[size - 2 - edge]
            target[:] = _ZERO
            for t in range(num_taps):
                weight, shifted = weights[t], line[t:]
                for y in range(size):
                    target[y] += weight * shifted[y]
        for x in range(size):
            target = view[channel, x]
            target[:] = _ZERO
            for t in range(num_taps):
                weight, source = weights[t], spare[_mirror(x + t - radius, size)]
                for y in range(len(target)):
                    target[y] += weight * source[y]


@compiled()
def _solarize(view: Any, threshold: Any) -> None:
    for channel in range(3):
        plane = view[channel]
        for p in range(len(plane)):
            plane[p] = _ONE - plane[p] if plane[p] >= threshold else plane[p]


@compiled(fastmath=_FAST)
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
