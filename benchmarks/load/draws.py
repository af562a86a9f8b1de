"""Random resized crops for contestants that have none of their own: torchvision's rule, on Python's generator.

One image at a time, because that is how these contestants work; it takes 4 us, torchvision's own draw 60.
"""

import math
from random import Random

from fastssl.views import ViewSpec

ATTEMPTS = 10
Crop = tuple[int, int, int, int, bool]
"""Top, left, height, width in pixels, and whether to flip left to right."""


def draw_crop(random: Random, height: int, width: int, spec: ViewSpec) -> Crop:
    """As `torchvision.transforms.RandomResizedCrop.get_params` draws, and a flip."""
    assert spec.crop_scale is not None
    flip = random.random() < spec.flip_p
    low, high = math.log(spec.crop_ratio[0]), math.log(spec.crop_ratio[1])
    for _ in range(ATTEMPTS):
        area = height * width * random.uniform(*spec.crop_scale)
        ratio = math.exp(random.uniform(low, high))
        wide, tall = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < tall <= height:
            return random.randint(0, height - tall), random.randint(0, width - wide), tall, wide, flip
    return (*_centre(height, width, spec), flip)


def _centre(height: int, width: int, spec: ViewSpec) -> tuple[int, int, int, int]:
    """The largest allowed crop in the middle, after ten draws that did not fit."""
    low, high = spec.crop_ratio
    tall, wide = height, width
    if width / height < low:
        tall = round(width / low)
    elif width / height > high:
        wide = round(height * high)
    return (height - tall) // 2, (width - wide) // 2, tall, wide
