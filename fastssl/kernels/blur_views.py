"""The Gaussian blur of `augment_views`: one axis at a time over a view's own scratch, mirrored at the edges.

A program has its whole view to itself, so between two passes a barrier of its own threads is all it waits for, and the
blur needs no launch of its own. Each output pixel gathers its taps: 2 `taps` reads per channel, of rows that lie in
cache. A banded matrix product per tile of 32 x 32 would do 192 multiplications per pixel and channel whatever the
taps: more than the 46 of 23 taps, unless they run as rounded products.
"""
# pyright: reportGeneralTypeIssues=false, reportAssignmentType=false, reportAttributeAccessIssue=false
# (Triton's annotations and loops are not Python's.)

import triton.language as tl

from fastssl.kernels.jit import jit


@jit
def blurred(plane, y, x, sigma, SIZE: tl.constexpr, TAPS: tl.constexpr, ALONG_Y: tl.constexpr):
    """Red, green, blue of pixels (y, x), smoothed along one axis; `plane` is float32 (3, SIZE, SIZE)."""
    RADIUS: tl.constexpr = TAPS // 2
    red = tl.zeros(y.shape, tl.float32)
    green = tl.zeros(y.shape, tl.float32)
    blue = tl.zeros(y.shape, tl.float32)
    total = 0.0
    for tap in range(TAPS):
        away = (tap - RADIUS) / sigma
        weight = tl.exp(-0.5 * away * away)
        total += weight
        if ALONG_Y:
            at = plane + _mirror(y + (tap - RADIUS), SIZE) * SIZE + x
        else:
            at = plane + y * SIZE + _mirror(x + (tap - RADIUS), SIZE)
        red += weight * tl.load(at)
        green += weight * tl.load(at + SIZE * SIZE)
        blue += weight * tl.load(at + 2 * SIZE * SIZE)
    return red / total, green / total, blue / total


@jit
def _mirror(position, SIZE: tl.constexpr):
    """Reflected at the ends without repeating the end."""
    position = tl.abs(position)
    return tl.minimum(position, 2 * SIZE - 2 - position)


@jit
def keep(plane, pixel, inside, red, green, blue, SIZE: tl.constexpr):
    """Writes pixels, by number, to `plane`."""
    tl.store(plane + pixel, red, mask=inside)
    tl.store(plane + SIZE * SIZE + pixel, green, mask=inside)
    tl.store(plane + 2 * SIZE * SIZE + pixel, blue, mask=inside)
