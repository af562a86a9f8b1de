"""Kornia's functions driven by our parameters.

Kornia supplies the rotation's sampling, gray, hue, blur and solarize. What it defines otherwise than torchvision, or
computes with a wait for the device, is ours, shared with the oracle:

- crop and resize (`resize.crop_resize`): Kornia's random crop is a perspective warp without antialias;
- pad-and-crop, flips, erase (`geometry`): moves by whole pixels, where there is nothing to define otherwise;
- the coordinates of the rotation: `remap` samples at ours, given in grid_sample's own scale, as Kornia's scaling of
  them (and `warp_affine` with it) copies constants from the host;
- brightness, contrast, saturation: Kornia's brightness adds by default, its saturation scales HSV, and its gray weighs
  red by .299 instead of .2989, so the blends take `rgb_to_grayscale` with torchvision's weights;
- the Gaussian's taps: Kornia's blur checks sigma on the host, so the separable filter under it is called;
- noise: Kornia's draws from torch's generator, ours is a function of the sample's key.

No loop over samples and no host sync. The four colour operations come in a random order per sample: three of them are
blends, which commute with nothing but the neutral blend (factor 1, exact). So a batch runs three blend slots, one hue,
three blend slots; a sample's blends before its hue fill the first slots, those after it the last. Seven operations
where trying all four at each of four steps takes sixteen.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float32, Int32
from kornia.color import rgb_to_grayscale
from kornia.enhance import adjust_hue, solarize
from kornia.filters import filter2d_separable
from kornia.geometry.transform import remap
from torch import Tensor

from fastssl import types
from fastssl.augment.chain import ViewBackend, finish, placed
from fastssl.augment.colour import GRAY_WEIGHTS, blend, blur_taps, spread
from fastssl.augment.constant import on_device
from fastssl.augment.geometry import affine_source, is_moved
from fastssl.augment.noise import add_noise
from fastssl.augment.plan import BRIGHTNESS, CONTRAST, HUE
from fastssl.views import ViewParams, ViewSpec

Images = Float32[Tensor, "b 3 s s"]


class KorniaBackend(ViewBackend):
    """Kornia's functions, batched, on any device. No host sync."""

    name = "kornia"

    def _apply_views(
        self, images: types.Images, params: Sequence[ViewParams], specs: Sequence[ViewSpec], dtype: torch.dtype
    ) -> types.Views:
        return tuple(_apply(images, one, spec, dtype) for one, spec in zip(params, specs, strict=True))


def _apply(images: types.Images, params: ViewParams, spec: ViewSpec, dtype: torch.dtype) -> Tensor:
    views = placed(images, params, spec)
    if spec.warps:
        views = _affine(views, params)
    if spec.jitters:
        views = _jitter(views, params, spec)
    if spec.gray_p > 0:
        views = torch.where(spread(params.gray), _gray(views), views)
    if spec.blur_p > 0:
        taps = blur_taps(params.blur_sigma, spec.blur_kernel)
        blurred = filter2d_separable(views, taps, taps, border_type="reflect")
        views = torch.where(spread(params.blur_sigma > 0), blurred, views)
    if spec.solarize_p > 0:
        views = torch.where(spread(params.solarize), _solarized(views, spec.solarize_threshold), views)
    if spec.noise_p > 0:
        views = add_noise(views, params.noise_sigma, params.noise_key)
    return finish(views, params, spec, dtype)


def _solarized(views: Images, threshold: float) -> Images:
    """The threshold as a tensor that is on the device already: Kornia copies a plain number there and waits."""
    return solarize(views, on_device(float(threshold), torch.float32, views.device))


def _affine(views: Images, params: ViewParams) -> Images:
    size = views.shape[2]
    # grid_sample's own scale: -1 and 1 are the outer edges of the first and last pixel.
    y, x = (((2 * place + 1) / size - 1).float() for place in affine_source(params.angle, params.translate, size))
    moved = remap(views, x, y, mode="bilinear", padding_mode="zeros", align_corners=False, normalized_coordinates=True)
    return torch.where(spread(is_moved(params.angle, params.translate)), moved, views)


def _gray(views: Images) -> Float32[Tensor, "b 1 s s"]:
    return rgb_to_grayscale(views, rgb_weights=on_device(GRAY_WEIGHTS, torch.float32, views.device))


def _jitter(views: Images, params: ViewParams, spec: ViewSpec) -> Images:
    hue_step = (params.jitter_order == HUE).to(torch.uint8).argmax(dim=1, keepdim=True)
    before = torch.arange(4, device=views.device) < hue_step
    factors = torch.stack((params.brightness, params.contrast, params.saturation, torch.ones_like(params.hue)), dim=1)
    in_order = factors.take_along_dim(params.jitter_order.long(), dim=1)
    if spec.hue == 0:
        return _blends(views, params.jitter_order, in_order)
    views = _blends(views, params.jitter_order, torch.where(before, in_order, 1.0), steps=range(3))
    turned = adjust_hue(views, params.hue * (2 * math.pi))
    views = torch.where(spread(params.hue != 0), turned, views)
    return _blends(views, params.jitter_order, torch.where(before, 1.0, in_order), steps=range(1, 4))


def _blends(
    views: Images, order: Int32[Tensor, "b 4"], factors: Float32[Tensor, "b 4"], steps: range = range(4)
) -> Images:
    """One blend per step: with black, with the mean gray or with each pixel's gray, by the sample's own order."""
    for step in steps:
        op, gray = spread(order[:, step]), _gray(views)
        mean = gray.mean(dim=(2, 3), keepdim=True)
        other = torch.where(op == BRIGHTNESS, 0.0, torch.where(op == CONTRAST, mean, gray))
        views = blend(views, other, factors[:, step])
    return views
