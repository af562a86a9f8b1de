"""`philox.philox4x32` for Triton kernels, bit for bit: uint32 products wrap, and `umulhi` gives their upper halves."""
# pyright: reportGeneralTypeIssues=false, reportAssignmentType=false, reportAttributeAccessIssue=false
# (Triton's annotations and loops are not Python's.)

import triton.language as tl

from fastssl.kernels import philox
from fastssl.kernels.jit import jit

_M0, _M1 = tl.constexpr(philox.M0), tl.constexpr(philox.M1)
_W0, _W1 = tl.constexpr(philox.W0), tl.constexpr(philox.W1)
_ROUNDS = tl.constexpr(philox.ROUNDS)


@jit
def philox4x32(c0, c1, c2, c3, k0, k1):
    """Four uint32 blocks for a counter of four uint32 blocks or scalars and a key of two."""
    for _ in tl.static_range(_ROUNDS):
        high0, low0 = tl.umulhi(c0, _M0), c0 * _M0
        high1, low1 = tl.umulhi(c2, _M1), c2 * _M1
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0 = k0 + _W0
        k1 = k1 + _W1
    return c0, c1, c2, c3
