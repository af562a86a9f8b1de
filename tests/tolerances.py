"""The one table of how far two ways of computing the same normalised view may lie apart, by the dtype of the result.

A normalised pixel lies within about +-5 (std .2), where float16 steps by 2^-8 at most and bfloat16 by 2^-5, so half a
step is lost by rounding to them; the float32 row covers a dozen roundings of order 1e-7, magnified by 1 / std, by hue,
which divides by the spread of a nearly gray pixel, and by a rotation: float32 places it to 1e-5 of a pixel at 224 px.
"""

import torch

# dtype -> (maximum error of any value, mean error), of normalised views
TOLERANCE = {
    torch.float32: (2e-4, 2e-6),
    torch.float16: (4e-3, 4e-4),
    torch.bfloat16: (3.2e-2, 4e-3),
}
