"""Gaussian noise that is a function of (key, pixel): any backend, batch or order draws the same.

Pixel p = y * size + x of a view takes the four words of Philox for the counter (p, 0, 0, 0) and the sample's own key.
Box and Muller 1958 make normal numbers of them, in float32, with u the high 24 bits of a word:

    radius(w) = sqrt(-2 ln((u + 1) / 2^24))      angle(w) = 2 pi u / 2^24
    red = radius(w0) cos angle(w1)    green = radius(w0) sin angle(w1)    blue = radius(w2) cos angle(w3)

Their largest value is sqrt(48 ln 2) = 5.8.
"""

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from fastssl.augment.colour import Images, spread
from fastssl.kernels.philox import normal_pair, philox4x32

_CHUNK_PIXELS = 2**21
"""Most pixels drawn at once: Philox in torch holds about a dozen arrays of int64, 200 MB then."""


def add_noise(images: Images, sigma: Float32[Tensor, "b"], key: Int64[Tensor, "b 2"]) -> Images:
    """value + sigma * normal number, cut to 0-1, where sigma is above 0; elsewhere the image as it is.

    No host sync; memory beyond the result is bounded (or one image's, where that is more).
    """
    size = images.shape[2]
    chunk = max(1, _CHUNK_PIXELS // (size * size))
    parts = [
        (some + spread(scale) * gaussian_noise(keys, size)).clamp(0.0, 1.0)
        for some, scale, keys in zip(images.split(chunk), sigma.split(chunk), key.split(chunk), strict=True)
    ]
    noisy = parts[0] if len(parts) == 1 else torch.cat(parts)
    return torch.where(spread(sigma > 0), noisy, images)


def gaussian_noise(key: Int64[Tensor, "b 2"], size: int) -> Float32[Tensor, "b 3 {size} {size}"]:
    """Normal numbers of mean 0 and deviation 1 for every value of a view, by a key of two 32-bit words per sample."""
    pixel = torch.arange(size * size, device=key.device)[None]
    words = philox4x32((pixel, 0, 0, 0), (key[:, :1], key[:, 1:]))
    red, green = normal_pair(words[0], words[1])
    blue, _ = normal_pair(words[2], words[3])
    return torch.stack((red, green, blue), dim=1).view(-1, 3, size, size)
