"""The one table of how far two ways of computing the same normalised view may lie apart, by the dtype of the result.

A normalised pixel lies within about +-5 (std .2), where float16 steps by 2^-8 at most and bfloat16 by 2^-5, so half a
step is lost by rounding to them; the float32 row covers a dozen roundings of order 1e-7, magnified by 1 / std, by hue,
which divides by the spread of a nearly gray pixel, and by a rotation: float32 places it to 1e-5 of a pixel at 224 px.
"""

from importlib.util import find_spec

import torch

from fastssl.augment import BACKENDS

# dtype -> (maximum error of any value, mean error), of normalised views
TOLERANCE = {
    torch.float32: (2e-4, 2e-6),
    torch.float16: (4e-3, 4e-4),
    torch.bfloat16: (3.2e-2, 4e-3),
}
_RUNS_FUSED = find_spec("triton") is not None and not torch.cuda.is_available()
# Where there is a GPU, Triton compiles for it and runs nothing on the CPU: there `fused` has the tests marked `gpu`.
CPU_BACKENDS = [name for name in BACKENDS if name != "auto" and (name != "fused" or _RUNS_FUSED)]
"""Backends to hold against the oracle on the CPU; `reference` is the oracle."""
