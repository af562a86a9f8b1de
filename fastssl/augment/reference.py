"""The oracle: float32, one operation after the other, written to be read. Every other backend is held against it."""

from collections.abc import Sequence

import torch
from jaxtyping import Float32
from torch import Tensor

from fastssl.augment import colour, geometry, plan
from fastssl.augment.chain import ViewBackend, finish, placed
from fastssl.augment.noise import add_noise
from fastssl.types import Images, Views
from fastssl.views import ViewParams, ViewSpec

_ADJUSTS = (colour.adjust_brightness, colour.adjust_contrast, colour.adjust_saturation, colour.adjust_hue)


class ReferenceBackend(ViewBackend):
    """torchvision's operations on float tensors, on any device. No host sync."""

    name = "reference"

    def _apply_views(
        self, images: Images, params: Sequence[ViewParams], specs: Sequence[ViewSpec], dtype: torch.dtype
    ) -> Views:
        return tuple(_apply(images, one, spec, dtype) for one, spec in zip(params, specs, strict=True))


def _apply(images: Images, params: ViewParams, spec: ViewSpec, dtype: torch.dtype) -> Tensor:
    views = placed(images, params, spec)
    if spec.warps:
        views = geometry.affine(views, params.angle, params.translate)
    if spec.jitters:
        views = _adjust_in_order(views, params)
    if spec.gray_p > 0:
        views = colour.to_gray(views, params.gray)
    if spec.blur_p > 0:
        views = colour.gaussian_blur(views, params.blur_sigma, spec.blur_kernel)
    if spec.solarize_p > 0:
        views = colour.solarize(views, params.solarize, spec.solarize_threshold)
    if spec.noise_p > 0:
        views = add_noise(views, params.noise_sigma, params.noise_key)
    return finish(views, params, spec, dtype)


def _adjust_in_order(views: Float32[Tensor, "b 3 s s"], params: ViewParams) -> Float32[Tensor, "b 3 s s"]:
    """Brightness, contrast, saturation and hue in each sample's own order: four steps, each tries every operation and
    keeps it where it is that sample's turn. Sixteen operations where four count; the price of being clear."""
    factors = (params.brightness, params.contrast, params.saturation, params.hue)
    for step in range(4):
        turn = params.jitter_order[:, step]
        for op, (adjust, factor, neutral) in enumerate(zip(_ADJUSTS, factors, plan.NEUTRAL, strict=True)):
            chosen = colour.spread((turn == op) & (factor != neutral))
            views = torch.where(chosen, adjust(views, factor), views)
    return views
