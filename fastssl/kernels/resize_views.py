"""Which pixel of the resized, moved, flipped and turned crop a view shows: the geometry of `augment_views`.

The filters are those of `augment/resize.py`. Per axis, output pixel i of `size` looks at position
(length (2 i + 1) - size) / (2 size) of a crop of `length` pixels, and at the source pixels within a radius of it. That
fraction is taken apart in integers (whole part, rest over 2 size), so float32 only ever holds distances of a few
pixels, not coordinates. The integers fit 32 bits while length * 2 size < 2^31. Taps are read one by one: a window of
`count` source pixels that is the same for the whole view, with weights by distance.
"""
# pyright: reportGeneralTypeIssues=false, reportAssignmentType=false, reportAttributeAccessIssue=false
# (Triton's annotations and loops are not Python's.)

import triton.language as tl

from fastssl.kernels.colour_views import number, unit
from fastssl.kernels.columns import ANGLE_AT, CROP_AT, FLIP_AT, SHIFT_AT, TRANSLATE_AT, VERTICAL_FLIP_AT
from fastssl.kernels.jit import jit

# Keys' cubic: those of `augment/resize.py`.
CUBIC_ANTIALIAS, CUBIC_PLAIN = tl.constexpr(-0.5), tl.constexpr(-0.75)
_DEGREE = tl.constexpr(0.017453292519943295)


@jit
def warped(image, strides_c, strides_y, strides_x, drawn, y, x, scale,
           SIZE: tl.constexpr, CUBIC: tl.constexpr, ANTIALIAS: tl.constexpr, SHRINKS: tl.constexpr,
           MOVES: tl.constexpr, AFFINE: tl.constexpr):  # fmt: skip
    """Red, green, blue in 0-1 of view pixels (y, x), before any colour operation."""
    if AFFINE:
        angle = number(drawn, ANGLE_AT) * _DEGREE
        down, right = tl.load(drawn + TRANSLATE_AT), tl.load(drawn + TRANSLATE_AT + 1)
        CENTRE: tl.constexpr = (SIZE - 1) * 0.5
        far_y, far_x = (y - down).to(tl.float32) - CENTRE, (x - right).to(tl.float32) - CENTRE
        cosine, sine = tl.cos(angle), tl.sin(angle)
        from_y, from_x = CENTRE - sine * far_x + cosine * far_y, CENTRE + cosine * far_x + sine * far_y
        above, before = tl.floor(from_y), tl.floor(from_x)
        part_y, part_x = from_y - above, from_x - before
        red = tl.zeros(y.shape, tl.float32)
        green = tl.zeros(y.shape, tl.float32)
        blue = tl.zeros(y.shape, tl.float32)
        # A view that is not turned lies on the grid: its first corner is the pixel itself.
        corners = tl.where((angle != 0.0) | (down != 0) | (right != 0), 4, 1)
        for corner in range(corners):
            low, late = corner // 2, corner % 2
            weight = tl.where(low == 1, part_y, 1.0 - part_y) * tl.where(late == 1, part_x, 1.0 - part_x)
            corner_y, corner_x = above.to(tl.int32) + low, before.to(tl.int32) + late
            r, g, b = _moved(image, strides_c, strides_y, strides_x, drawn, corner_y, corner_x, scale,
                             SIZE, CUBIC, ANTIALIAS, SHRINKS, True)  # fmt: skip
            red += weight * r
            green += weight * g
            blue += weight * b
    else:
        red, green, blue = _moved(image, strides_c, strides_y, strides_x, drawn, y, x, scale,
                                  SIZE, CUBIC, ANTIALIAS, SHRINKS, MOVES)  # fmt: skip
    return red, green, blue


@jit
def _moved(image, strides_c, strides_y, strides_x, drawn, y, x, scale,
           SIZE: tl.constexpr, CUBIC: tl.constexpr, ANTIALIAS: tl.constexpr, SHRINKS: tl.constexpr,
           MOVES: tl.constexpr):  # fmt: skip
    """After both flips and the shift; black where (y, x) or what it shows lies outside, which needs `MOVES`."""
    inside = (y >= 0) & (y < SIZE) & (x >= 0) & (x < SIZE)
    y = tl.where(tl.load(drawn + VERTICAL_FLIP_AT) != 0, SIZE - 1 - y, y)
    x = tl.where(tl.load(drawn + FLIP_AT) != 0, SIZE - 1 - x, x)
    if MOVES:
        y += tl.load(drawn + SHIFT_AT)
        x += tl.load(drawn + SHIFT_AT + 1)
        inside = inside & (y >= 0) & (y < SIZE) & (x >= 0) & (x < SIZE)
        y = tl.minimum(tl.maximum(y, 0), SIZE - 1)
        x = tl.minimum(tl.maximum(x, 0), SIZE - 1)
    red, green, blue = _resized(image, strides_c, strides_y, strides_x, drawn, y, x, scale,
                                SIZE, CUBIC, ANTIALIAS, SHRINKS)  # fmt: skip
    if MOVES:
        red, green, blue = tl.where(inside, red, 0.0), tl.where(inside, green, 0.0), tl.where(inside, blue, 0.0)
    return red, green, blue


@jit
def _resized(image, strides_c, strides_y, strides_x, drawn, y, x, scale,
             SIZE: tl.constexpr, CUBIC: tl.constexpr, ANTIALIAS: tl.constexpr, SHRINKS: tl.constexpr):  # fmt: skip
    """Pixels of the crop at SIZE x SIZE, times `scale`; `SHRINKS` is off where no filter can be wider than at rest."""
    HALF: tl.constexpr = 2 if CUBIC else 1
    top, left = tl.load(drawn + CROP_AT), tl.load(drawn + CROP_AT + 1)
    height, width = tl.load(drawn + CROP_AT + 2), tl.load(drawn + CROP_AT + 3)
    if SHRINKS:
        tall, wide = tl.maximum(height, SIZE), tl.maximum(width, SIZE)
        num_rows, num_columns = (2 * HALF * tall + SIZE - 1) // SIZE, (2 * HALF * wide + SIZE - 1) // SIZE
        row_share, column_share = SIZE / tall.to(tl.float32), SIZE / wide.to(tl.float32)
    else:
        tall: tl.constexpr = SIZE
        wide: tl.constexpr = SIZE
        num_rows: tl.constexpr = 2 * HALF
        num_columns: tl.constexpr = 2 * HALF
        row_share: tl.constexpr = 1.0
        column_share: tl.constexpr = 1.0
    crop = image + top * strides_y + left * strides_x
    first_row, row_start = _window(y, height, HALF * tall, num_rows, row_share, SIZE)
    first_column, column_start = _window(x, width, HALF * wide, num_columns, column_share, SIZE)
    red = tl.zeros(y.shape, tl.float32)
    green = tl.zeros(y.shape, tl.float32)
    blue = tl.zeros(y.shape, tl.float32)
    total = tl.zeros(y.shape, tl.float32)
    for j in range(num_rows):
        row, row_weight = _tap(first_row + j, row_start + j * row_share, height, CUBIC, ANTIALIAS)
        for i in range(num_columns):
            column, weight = _tap(first_column + i, column_start + i * column_share, width, CUBIC, ANTIALIAS)
            weight *= row_weight
            at = crop + (row * strides_y + column * strides_x)
            red += weight * tl.load(at).to(tl.float32)
            green += weight * tl.load(at + strides_c).to(tl.float32)
            blue += weight * tl.load(at + 2 * strides_c).to(tl.float32)
            total += weight
    per = scale / total
    red, green, blue = red * per, green * per, blue * per
    if CUBIC:
        red, green, blue = unit(red), unit(green), unit(blue)
    return red, green, blue


@jit
def _window(i, length, reach, count, share, SIZE: tl.constexpr):
    """The first source pixel less than `reach / SIZE` before output pixel i's position, and how far into the filter's
    support it lies; the next pixel lies `share` further.

    `count` is the largest number of pixels in such a window (an open interval of 2 reach / SIZE).
    """
    # 2 SIZE times (position - radius + count + 1), which is never negative: integer division rounds towards 0.
    start = length * (2 * i + 1) - SIZE - 2 * reach + 2 * SIZE * (count + 1)
    whole = start // (2 * SIZE)
    return whole - count, share - (start - whole * (2 * SIZE)).to(tl.float32) * (share * (0.5 / SIZE))


@jit
def _tap(tap, into, length, CUBIC: tl.constexpr, ANTIALIAS: tl.constexpr):
    """The source pixel of a tap, moved to the crop's edge where it lies outside, and its weight: the hat or Keys' cubic
    `into` its support from the left end. With antialias the filter is cut at the edge, else the edge is repeated."""
    near = tl.minimum(tl.maximum(tap, 0), length - 1)
    if CUBIC:
        A: tl.constexpr = CUBIC_ANTIALIAS if ANTIALIAS else CUBIC_PLAIN
        distance = tl.abs(into - 2.0)
        inner = ((A + 2.0) * distance - (A + 3.0)) * distance * distance + 1.0
        outer = ((distance - 5.0) * distance + 8.0) * distance * A - 4.0 * A
        weight = tl.where(distance < 1.0, inner, tl.where(distance < 2.0, outer, 0.0))
    else:
        weight = tl.maximum(tl.minimum(into, 2.0 - into), 0.0)
    if ANTIALIAS:
        weight = tl.where(near == tap, weight, 0.0)
    return near, weight
