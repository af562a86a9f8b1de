"""The colour operations of `augment_views`, on blocks of float32 pixels in 0-1: `augment/colour.py` in Triton.

What depends on the view alone (which operation, its factor) is a scalar, so a view pays only for what it drew.
"""
# pyright: reportGeneralTypeIssues=false, reportAssignmentType=false, reportAttributeAccessIssue=false
# (Triton's annotations and loops are not Python's.)

import triton.language as tl

from fastssl.kernels.columns import BRIGHTNESS_AT, NOISE_AT, NOISE_KEY_AT, ORDER_AT
from fastssl.kernels.jit import jit
from fastssl.kernels.philox_triton import philox4x32

# Numbers of the operations in `jitter_order`, and the luma: those of `augment/plan.py` and `augment/colour.py`.
CONTRAST, SATURATION, HUE = tl.constexpr(1), tl.constexpr(2), tl.constexpr(3)
RED, GREEN, BLUE = tl.constexpr(0.2989), tl.constexpr(0.587), tl.constexpr(0.114)
_STEP, _TURN = tl.constexpr(2.0**-24), tl.constexpr(6.283185307179586 * 2.0**-24)


@jit
def number(drawn, at):
    """A float of a row of `ViewParams.table`, which holds its bits."""
    return tl.load(drawn + at).to(tl.float32, bitcast=True)


@jit
def unit(value):
    return tl.minimum(tl.maximum(value, 0.0), 1.0)


@jit
def gray_of(red, green, blue):
    return red * RED + green * GREEN + blue * BLUE


@jit
def contrast_step(drawn):
    """How many operations of the jitter come before the contrast."""
    step = tl.where(tl.load(drawn + ORDER_AT + 1) == CONTRAST, 1, 0)
    step = tl.where(tl.load(drawn + ORDER_AT + 2) == CONTRAST, 2, step)
    return tl.where(tl.load(drawn + ORDER_AT + 3) == CONTRAST, 3, step)


@jit
def jitter(red, green, blue, drawn, steps, mean):
    """The first `steps` operations of the view's order; `mean` is its mean gray at the contrast's turn.

    Brightness, contrast and saturation are one blend, with black, the mean or the pixel's gray.
    """
    for step in range(steps):
        op = tl.load(drawn + ORDER_AT + step)
        factor = number(drawn, BRIGHTNESS_AT + op)
        if op == HUE:
            if factor != 0.0:
                red, green, blue = _turn_hue(red, green, blue, factor * 6.0)
        elif factor != 1.0:
            share = tl.where(op == SATURATION, 1.0 - factor, 0.0)
            rest = tl.where(op == CONTRAST, mean * (1.0 - factor), 0.0) + gray_of(red, green, blue) * share
            red = unit(red * factor + rest)
            green = unit(green * factor + rest)
            blue = unit(blue * factor + rest)
    return red, green, blue


@jit
def _turn_hue(red, green, blue, sixths):
    """`colour.adjust_hue`; one wrap at either end is the remainder, as hue lies in -1..5 and its turn in -3..3."""
    top = tl.maximum(tl.maximum(red, green), blue)
    chroma = top - tl.minimum(tl.minimum(red, green), blue)
    per = 1.0 / tl.where(chroma > 0.0, chroma, 1.0)
    if_green, if_blue = 2.0 + (blue - red) * per, 4.0 + (red - green) * per
    hue = tl.where(top == red, (green - blue) * per, tl.where(top == green, if_green, if_blue)) + sixths
    hue = tl.where(hue < 0.0, hue + 6.0, hue)
    hue = tl.where(hue >= 6.0, hue - 6.0, hue)
    return _channel(hue + 5.0, top, chroma), _channel(hue + 3.0, top, chroma), _channel(hue + 1.0, top, chroma)


@jit
def _channel(distance, top, chroma):
    distance = tl.where(distance >= 6.0, distance - 6.0, distance)
    return top - chroma * unit(tl.minimum(distance, 4.0 - distance))


@jit
def add_noise(red, green, blue, drawn, pixel):
    """Normal noise counted by the pixel's number in the view, then cut to 0-1; off where its sigma is 0."""
    sigma = number(drawn, NOISE_AT)
    if sigma > 0.0:
        key0 = tl.load(drawn + NOISE_KEY_AT).to(tl.uint32, bitcast=True)
        key1 = tl.load(drawn + NOISE_KEY_AT + 1).to(tl.uint32, bitcast=True)
        none = tl.zeros_like(pixel).to(tl.uint32)
        w0, w1, w2, w3 = philox4x32(pixel.to(tl.uint32), none, none, none, none + key0, none + key1)
        turn, radius = _turn(w1), _radius(w0)
        red = unit(red + sigma * (radius * tl.cos(turn)))
        green = unit(green + sigma * (radius * tl.sin(turn)))
        blue = unit(blue + sigma * (_radius(w2) * tl.cos(_turn(w3))))
    return red, green, blue


@jit
def _radius(word):
    """Box-Muller's radius from a uniform number in (0, 1] of 24 bits."""
    return tl.sqrt(-2.0 * tl.log(((word >> 8) + 1).to(tl.float32) * _STEP))


@jit
def _turn(word):
    return (word >> 8).to(tl.float32) * _TURN
