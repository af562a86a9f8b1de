"""The oracle: float32, one operation after the other, written to be read. Every other backend is held against it."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from fastssl.augment import colour
from fastssl.augment.chain import adjust_in_order, check_spec, cropped, finish, require
from fastssl.augment.resize import full_precision
from fastssl.views import ViewParams, ViewSpec

_ADJUSTS = (colour.adjust_brightness, colour.adjust_contrast, colour.adjust_saturation, colour.adjust_hue)


class ReferenceBackend:
    """torchvision's operations on float tensors, on any device. Deterministic; no host sync."""

    name = "reference"

    def __init__(self, reason: str = "asked for") -> None:
        self.reason = reason

    def supports(self, spec: ViewSpec, device: torch.device) -> str | None:
        return check_spec(spec)

    def apply(
        self,
        images: UInt8[Tensor, "b 3 h w"],
        params: ViewParams,
        spec: ViewSpec,
        dtype: torch.dtype = torch.float32,
    ) -> Float[Tensor, "b 3 {spec.size} {spec.size}"]:
        """Views (pixel - mean) / std in channels-last memory. Computes in float32, rounds once to `dtype`."""
        require(self.supports(spec, images.device), images, self.name)
        with full_precision(images.device):
            return self._apply(images, params, spec, dtype)

    @staticmethod
    def _apply(images: Tensor, params: ViewParams, spec: ViewSpec, dtype: torch.dtype) -> Tensor:
        views = cropped(images, params, spec)
        if spec.jitter_p > 0:
            views = adjust_in_order(views, params, _ADJUSTS)
        if spec.gray_p > 0:
            views = colour.to_gray(views, params.gray)
        if spec.blur_p > 0:
            views = colour.gaussian_blur(views, params.blur_sigma, spec.blur_kernel)
        return finish(views, params, spec, dtype)
