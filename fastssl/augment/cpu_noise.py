"""Gaussian noise of the compiled pass, drawn per pixel from its place in the view.

Logarithm, sine and cosine are short series here: a call of the library's functions would keep the loop scalar.
"""

from typing import Any

import numpy as np

from fastssl.augment.compiled import FAST, compiled
from fastssl.kernels.philox import M0, M1, ROUNDS, W0, W1

BLOCK = 256
"""Pixels drawn together, one round after the other: ten rounds in one loop over pixels would stay scalar."""
_FIRST, _SECOND = np.uint64(M0), np.uint64(M1)
_STEP, _OTHER_STEP = np.uint64(W0), np.uint64(W1)
_32, _MASK = np.uint64(32), np.uint64(0xFFFFFFFF)
_ZERO, _ONE, _TWO = np.float32(0), np.float32(1), np.float32(2)
_LN2 = np.float32(np.log(2))
_ANGLE = np.float32(2 * np.pi / 2**24)
_ROOT = 0x3F3504F3
"""Bits of sqrt(1/2): mantissas are taken from there to sqrt(2), so that the logarithm of 1 has no rounding error."""
_BY_3, _BY_5, _BY_7, _BY_9 = (np.float32(2 / n) for n in (3, 5, 7, 9))
_S3, _S5, _S7, _S9 = (np.float32(value) for value in (-1 / 6, 1 / 120, -1 / 5040, 1 / 362880))
_C2, _C4, _C6, _C8 = (np.float32(value) for value in (-1 / 2, 1 / 24, -1 / 720, 1 / 40320))


@compiled()
def _radius(word: Any) -> Any:
    """sqrt(-2 ln u) with u = ((word >> 8) + 1) 2^-24: ln by the series of artanh, to 1e-8 of its value."""
    bits = np.int32(np.float32((word >> 8) + 1).view(np.int32) - np.int32(_ROOT))
    exponent = np.float32((bits >> 23) - 24)
    mantissa = np.int32((bits & 0x7FFFFF) + _ROOT).view(np.float32)
    s = (mantissa - _ONE) / (mantissa + _ONE)
    z = s * s
    log = s * (_TWO + z * (_BY_3 + z * (_BY_5 + z * (_BY_7 + z * _BY_9))))
    return np.sqrt(-_TWO * (log + exponent * _LN2))


@compiled()
def _turn(word: Any) -> Any:
    """cos and sin of 2 pi (word >> 8) 2^-24: Taylor's series around the nearest quarter turn, to 3e-8."""
    steps = word >> 8
    quarter = (steps + (1 << 21)) >> 22
    angle = np.float32(steps - (quarter << 22)) * _ANGLE
    z = angle * angle
    sin = angle + angle * z * (_S3 + z * (_S5 + z * (_S7 + z * _S9)))
    cos = _ONE + z * (_C2 + z * (_C4 + z * (_C6 + z * _C8)))
    odd = (quarter & 1) == 1
    down, left = (quarter & 2) == 2, ((quarter + 1) & 2) == 2
    across, up = (sin, cos) if odd else (cos, sin)
    return -across if left else across, -up if down else up


@compiled()
def _noisy(value: Any, noise: Any) -> Any:
    value = max(_ZERO, value + noise)
    return min(_ONE, value)


@compiled()
def _draw(start: int, key: tuple[int, int], words: Any) -> None:
    """`philox.philox4x32` of counters (start, 0, 0, 0) and on into `words` (4, block), uint64."""
    a, b, c, d = words[0], words[1], words[2], words[3]
    k, other_k = np.uint64(key[0]), np.uint64(key[1])
    for p in range(BLOCK):
        a[p], b[p], c[p], d[p] = start + p, 0, 0, 0
    for _ in range(ROUNDS):
        for p in range(BLOCK):
            product, other = a[p] * _FIRST, c[p] * _SECOND
            a[p], b[p] = (other >> _32) ^ b[p] ^ k, other & _MASK
            c[p], d[p] = (product >> _32) ^ d[p] ^ other_k, product & _MASK
        k, other_k = (k + _STEP) & _MASK, (other_k + _OTHER_STEP) & _MASK


@compiled(fastmath=FAST)
def add_noise(flat: Any, sigma: Any, key: tuple[int, int], words: Any) -> None:
    """sigma times a normal number added to every value of `flat` (3, s * s), then cut to 0-1.

    Pixel p has the four words of Philox at counter (p, 0, 0, 0): a radius and an angle for red and green, and another
    pair for blue (Box and Muller 1958), as in `noise`. `words` is room for (4, block) uint64.
    """
    for start in range(0, flat.shape[1], BLOCK):
        _draw(start, key, words)
        red, green, blue = flat[0, start:], flat[1, start:], flat[2, start:]
        for p in range(min(BLOCK, len(red))):
            far, (across, up) = sigma * _radius(np.int64(words[0, p])), _turn(np.int64(words[1, p]))
            red[p], green[p] = _noisy(red[p], far * across), _noisy(green[p], far * up)
            across, _ = _turn(np.int64(words[3, p]))
            blue[p] = _noisy(blue[p], sigma * _radius(np.int64(words[2, p])) * across)
