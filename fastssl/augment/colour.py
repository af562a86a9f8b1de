"""The operations after the crop, as formulas on float32 images in 0-1: torchvision's `functional` on float tensors.

Every function takes one factor per sample and keeps the shape. None is random, none waits for the device.
"""

import torch
from jaxtyping import Bool, Float32
from torch import Tensor
from torch.nn import functional as F

from fastssl.augment.constant import on_device

Images = Float32[Tensor, "b 3 h w"]
PerSample = Float32[Tensor, "b"]

GRAY_WEIGHTS = (0.2989, 0.587, 0.114)
"""torchvision's luma (ITU-R BT.601, its first weight cut short): they add up to .9999, so gray loses 1e-4."""


def spread(values: Tensor) -> Tensor:
    """(b,) to (b, 1, 1, 1)."""
    return values[:, None, None, None]


def grayscale(images: Images) -> Float32[Tensor, "b 1 h w"]:
    red, green, blue = images.split(1, dim=1)
    return red * GRAY_WEIGHTS[0] + green * GRAY_WEIGHTS[1] + blue * GRAY_WEIGHTS[2]


def blend(images: Images, other: Float32[Tensor, "b _ _ _"] | float, factor: PerSample) -> Images:
    """`factor` parts of the images, the rest of the other, cut to 0-1."""
    share = spread(factor)
    return (images * share + other * (1.0 - share)).clamp(0.0, 1.0)


def adjust_brightness(images: Images, factor: PerSample) -> Images:
    """Towards black below 1, away from it above."""
    return blend(images, 0.0, factor)


def adjust_contrast(images: Images, factor: PerSample) -> Images:
    """Towards the mean of the image's gray values."""
    return blend(images, grayscale(images).mean(dim=(1, 2, 3), keepdim=True), factor)


def adjust_saturation(images: Images, factor: PerSample) -> Images:
    """Towards each pixel's gray."""
    return blend(images, grayscale(images), factor)


def adjust_hue(images: Images, shift: PerSample) -> Images:
    """Turns the hue of the HSV hexcone by `shift` turns; gray pixels stay. Pixels must lie in 0-1."""
    top, bottom = images.amax(dim=1, keepdim=True), images.amin(dim=1, keepdim=True)
    chroma = top - bottom
    red, green, blue = ((top - images) / torch.where(chroma == 0, 1.0, chroma)).split(1, dim=1)
    is_red, is_green = top == images[:, :1], top == images[:, 1:2]
    sixth = torch.where(is_red, blue - green, torch.where(is_green, 2 + red - blue, 4 + green - red))
    sixth = (sixth + 6 * spread(shift)) % 6
    # Smith 1978's hexcone, inverted: channel n falls short of `top` where the hue is far from its own.
    offset = on_device((5.0, 3.0, 1.0), torch.float32, images.device)[:, None, None]
    distance = (sixth + offset) % 6
    return top - chroma * torch.minimum(distance, 4 - distance).clamp(0.0, 1.0)


def to_gray(images: Images, gray: Bool[Tensor, "b"]) -> Images:
    """Three equal channels where `gray`."""
    return torch.where(spread(gray), grayscale(images), images)


def blur_taps(sigma: PerSample, num_taps: int) -> Float32[Tensor, "b taps"]:
    """Weights of a Gaussian at -radius..radius, normalised over the taps; sigma 0 gives the unit impulse."""
    radius = num_taps // 2
    offset = torch.arange(-radius, radius + 1, device=sigma.device, dtype=torch.float32)
    # Below a hundredth of a pixel the neighbour's weight, e^-5000, is 0 in float32.
    return torch.softmax(-0.5 * (offset / sigma.clamp(min=0.01)[:, None]) ** 2, dim=1)


def gaussian_blur(images: Images, sigma: PerSample, num_taps: int) -> Images:
    """Rows and columns smoothed, edges mirrored without repeating the edge pixel; sigma 0 leaves a sample as it is."""
    height, width = images.shape[2:]
    taps, radius = blur_taps(sigma, num_taps), num_taps // 2
    padded = F.pad(images, (radius, radius, radius, radius), mode="reflect")
    rows = sum(padded[:, :, t : t + height] * spread(taps[:, t]) for t in range(num_taps))
    assert isinstance(rows, Tensor)
    blurred = sum(rows[..., t : t + width] * spread(taps[:, t]) for t in range(num_taps))
    assert isinstance(blurred, Tensor)
    return torch.where(spread(sigma > 0), blurred, images)


def solarize(images: Images, chosen: Bool[Tensor, "b"], threshold: float) -> Images:
    """Values at or above the threshold inverted, where `chosen`."""
    return torch.where(spread(chosen) & (images >= threshold), 1.0 - images, images)


def normalise(images: Images, mean: Float32[Tensor, "3"], std: Float32[Tensor, "3"]) -> Images:
    """(pixel - mean) / std per channel."""
    return (images - mean[:, None, None]) / std[:, None, None]
