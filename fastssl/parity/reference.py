"""The reference contestant: torchvision's own PIL pipeline on the same images."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from PIL import Image
from torch import Tensor
from torchvision import transforms
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2.functional import gaussian_noise

from fastssl.errors import InputError
from fastssl.kernels.seeding import seeded
from fastssl.parity.statistics import pixel_statistics
from fastssl.views import ViewSpec

NUM_DRAWS = 24
"""Independent draws of one view per image; their spread is the sampling noise of each statistic."""
_NUM_CROPS = 20_000
"""Crops drawn from `RandomResizedCrop.get_params` for the Kolmogorov-Smirnov tests."""


@dataclass(frozen=True)
class Reference:
    mean: dict[str, float]
    """Statistic -> its mean over the draws."""
    noise: dict[str, float]
    """Statistic -> its standard deviation over the draws of one view; of v views it is sqrt(v) times less."""
    crops: Int64[Tensor, "k 4"]
    """Top, left, height, width as torchvision draws them for images of this size."""


def draw_reference(images: Sequence[UInt8[np.ndarray, "h w 3"]], spec: ViewSpec, *, seed: int) -> Reference:
    """Statistics of torchvision's views of the images. Random through torch's global generator, which is restored."""
    height, width = images[0].shape[:2]
    draws = [
        pixel_statistics(torchvision_views(images, spec, seed=seed * NUM_DRAWS + draw), spec)
        for draw in range(NUM_DRAWS)
    ]
    by_name = {name: np.array([draw[name] for draw in draws]) for name in draws[0]}
    return Reference(
        mean={name: float(values.mean()) for name, values in by_name.items()},
        noise={name: float(values.std(ddof=1)) for name, values in by_name.items()},
        crops=torchvision_crops(spec, height, width, _NUM_CROPS, seed),
    )


def torchvision_pipeline(spec: ViewSpec) -> transforms.Compose:
    """`spec` (with its mean and std) as a torchvision pipeline from a PIL image to a normalised tensor.

    Errors: `InputError` without antialiasing, which PIL always does.
    """
    if not spec.antialias:
        raise InputError("antialias=False has no reference: PIL always antialiases; give True (no --no-antialias)")
    steps: list[Callable] = [_geometry(spec)]
    if spec.pad > 0:
        steps.append(transforms.RandomCrop(spec.size, spec.pad))
    steps.append(transforms.RandomHorizontalFlip(spec.flip_p))
    if spec.vertical_flip_p > 0:
        steps.append(transforms.RandomVerticalFlip(spec.vertical_flip_p))
    if spec.warps:
        steps.append(_affine(spec))
    jitter = transforms.ColorJitter(spec.brightness, spec.contrast, spec.saturation, spec.hue)
    steps += [transforms.RandomApply([jitter], spec.jitter_p), transforms.RandomGrayscale(spec.gray_p)]
    if spec.blur_p > 0:
        steps.append(transforms.RandomApply([transforms.GaussianBlur(spec.blur_kernel, spec.blur_sigma)], spec.blur_p))
    if spec.solarize_p > 0:
        steps.append(transforms.RandomSolarize(spec.solarize_threshold * 255, spec.solarize_p))
    steps.append(transforms.ToTensor())
    if spec.noise_p > 0:
        steps.append(transforms.RandomApply([_Noise(spec.noise_sigma)], spec.noise_p))
    steps.append(transforms.Normalize(spec.mean, spec.std))
    if spec.erase_p > 0:
        value: Any = spec.erase_value  # a float is as good as the int it is annotated with
        steps.append(transforms.RandomErasing(spec.erase_p, spec.erase_scale, spec.erase_ratio, value))
    return transforms.Compose(steps)


def _affine(spec: ViewSpec) -> torch.nn.Module:
    """On a tensor: there pixels fade into the black outside over one pixel's width, in PIL the edge is hard."""
    shift = (spec.translate, spec.translate) if spec.translate else None
    moved = transforms.RandomAffine(spec.rotation, shift, interpolation=InterpolationMode.BILINEAR)
    on_tensor = transforms.Compose([transforms.PILToTensor(), moved, transforms.ToPILImage()])
    return transforms.RandomApply([on_tensor], spec.affine_p)


class _Noise(torch.nn.Module):
    """torchvision's `GaussianNoise` with a standard deviation drawn from a range, where that has one."""

    def __init__(self, sigma: tuple[float, float]) -> None:
        super().__init__()
        self.sigma = sigma

    def forward(self, image: Tensor) -> Tensor:
        return gaussian_noise(image, sigma=float(torch.empty(()).uniform_(*self.sigma)))


def _geometry(spec: ViewSpec) -> torch.nn.Module:
    mode = InterpolationMode(spec.interpolation)
    if spec.crop_scale is None:
        return transforms.Resize((spec.size, spec.size), mode)
    return transforms.RandomResizedCrop(spec.size, spec.crop_scale, spec.crop_ratio, mode)


def torchvision_views(
    images: Sequence[UInt8[np.ndarray, "h w 3"]], spec: ViewSpec, *, seed: int
) -> Float32[Tensor, "n 3 s s"]:
    """One view of each image."""
    pipeline = torchvision_pipeline(spec)
    with seeded(seed):
        made = [pipeline(Image.fromarray(pixels)) for pixels in images]
    return torch.stack(made)  # pyright: ignore[reportArgumentType] (ToTensor has made tensors of them)


def torchvision_crops(spec: ViewSpec, height: int, width: int, count: int, seed: int) -> Int64[Tensor, "k 4"]:
    """Boxes from `RandomResizedCrop.get_params`; the whole image when the spec does not crop."""
    if spec.crop_scale is None:
        return torch.tensor([[0, 0, height, width]]).expand(count, 4)
    blank, scale, ratio = torch.empty(3, height, width), list(spec.crop_scale), list(spec.crop_ratio)
    with seeded(seed):
        return torch.tensor([transforms.RandomResizedCrop.get_params(blank, scale, ratio) for _ in range(count)])
