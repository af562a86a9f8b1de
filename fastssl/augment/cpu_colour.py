"""The operations on values of the compiled pass: colour jitter, gray, blur, solarize.

A view is `flat` (3, s * s) where places do not matter, `view` (3, s, s) where they do.

All constants are float32: a Python float would lift a whole loop to float64.
"""

from typing import Any

import numpy as np

from fastssl.augment.colour import GRAY_WEIGHTS
from fastssl.augment.compiled import FAST, compiled
from fastssl.augment.plan import BRIGHTNESS, CONTRAST, HUE, SATURATION

_ZERO, _ONE, _TWO, _FOUR, _SIX = (np.float32(value) for value in (0, 1, 2, 4, 6))
_RED, _GREEN, _BLUE = (np.float32(weight) for weight in GRAY_WEIGHTS)


@compiled()
def _unit(value: Any) -> Any:
    """Cut to 0-1; selects, not branches."""
    value = max(_ZERO, value)
    return min(_ONE, value)


@compiled()
def clip(flat: Any) -> None:
    for channel in range(3):
        plane = flat[channel]
        for p in range(len(plane)):
            plane[p] = _unit(plane[p])


@compiled()
def adjust(flat: Any, op: int, factor: Any, size: int) -> None:
    """One colour operation; nothing happens at its neutral factor."""
    if op == HUE:
        if factor != _ZERO:
            _turn_hue(flat, factor * _SIX)
    elif factor != _ONE:
        if op == BRIGHTNESS:
            _blend_with(flat, _ZERO, factor)
        elif op == CONTRAST:
            _blend_with(flat, _sum_gray(flat) / np.float32(size * size), factor)
        elif op == SATURATION:
            _saturate(flat, factor)


@compiled(fastmath=FAST)
def _sum_gray(flat: Any) -> Any:
    red, green, blue = flat[0], flat[1], flat[2]
    total = _ZERO
    for p in range(len(red)):
        total += red[p] * _RED + green[p] * _GREEN + blue[p] * _BLUE
    return total


@compiled(fastmath=FAST)
def _blend_with(flat: Any, other: Any, factor: Any) -> None:
    rest = other * (_ONE - factor)
    for channel in range(3):
        plane = flat[channel]
        for p in range(len(plane)):
            plane[p] = _unit(plane[p] * factor + rest)


@compiled(fastmath=FAST)
def _saturate(flat: Any, factor: Any) -> None:
    red, green, blue = flat[0], flat[1], flat[2]
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


@compiled(fastmath=FAST)
def _turn_hue(flat: Any, sixths: Any) -> None:
    """`colour.adjust_hue`; one wrap at either end is the remainder, as hue lies in -1..5 and its turn in -3..3."""
    reds, greens, blues = flat[0], flat[1], flat[2]
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


@compiled(fastmath=FAST)
def make_gray(flat: Any) -> None:
    red, green, blue = flat[0], flat[1], flat[2]
    for p in range(len(red)):
        gray = red[p] * _RED + green[p] * _GREEN + blue[p] * _BLUE
        red[p], green[p], blue[p] = gray, gray, gray


@compiled()
def _mirror(position: int, size: int) -> int:
    """Reflected at the ends without repeating the end."""
    position = -position if position < 0 else position
    return 2 * size - 2 - position if position >= size else position


@compiled(fastmath=FAST)
def blur(view: Any, sigma: Any, num_taps: int, line: Any, spare: Any) -> None:
    """Along x through a mirrored line, then along y by whole rows; the two taps at one distance share their weight."""
    size, radius = view.shape[1], num_taps // 2
    taps = np.empty(num_taps, np.float64)
    for t in range(num_taps):
        taps[t] = np.exp(-0.5 * ((t - radius) / np.float64(sigma)) ** 2)
    weights = (taps / taps.sum()).astype(np.float32)
    for channel in range(3):
        for y in range(size):
            source, target = view[channel, y], spare[y]
            inside = line[radius:]
            for x in range(size):
                inside[x] = source[x]
                target[x] = weights[radius] * source[x]
            for edge in range(radius):
                line[edge] = source[radius - edge]
                inside[size + edge] = source[size - 2 - edge]
            for t in range(radius):
                _add_two(target, weights[t], line[t:], line[2 * radius - t :])
        for y in range(size):
            target, source = view[channel, y], spare[y]
            for x in range(size):
                target[x] = weights[radius] * source[x]
            for t in range(radius):
                _add_two(target, weights[t], spare[_mirror(y + t - radius, size)], spare[_mirror(y + radius - t, size)])


@compiled(fastmath=FAST)
def _add_two(target: Any, weight: Any, one: Any, other: Any) -> None:
    for x in range(len(target)):
        target[x] += weight * (one[x] + other[x])


@compiled()
def solarize(flat: Any, threshold: Any) -> None:
    for channel in range(3):
        plane = flat[channel]
        for p in range(len(plane)):
            plane[p] = _ONE - plane[p] if plane[p] >= threshold else plane[p]
