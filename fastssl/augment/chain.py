"""What the backends share: checks, the order of the operations, the random order within the colour jitter."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor

from fastssl.augment import colour
from fastssl.augment.constant import on_device
from fastssl.augment.resize import crop_resize
from fastssl.errors import InputError
from fastssl.views import ViewParams, ViewSpec


def check_spec(spec: ViewSpec) -> str | None:
    """Why a spec cannot be applied by any backend, or None."""
    if spec.mean is None or spec.std is None:
        return "mean or std is None; fill in the dataset's own (DatasetInfo.mean, DatasetInfo.std)"
    if min(spec.std) <= 0:
        return f"std={spec.std} would divide by zero; give positive numbers"
    if spec.blur_p > 0 and spec.blur_kernel // 2 >= spec.size:
        return (
            f"blur_kernel={spec.blur_kernel} reaches beyond the mirror of a view of {spec.size} px; "
            f"give at most {2 * spec.size - 1}"
        )
    return None


def require(reason: str | None, images: Tensor, name: str) -> None:
    """Raises `InputError` for a spec that is not supported, with the reason, or images that are not bytes."""
    if reason is not None:
        raise InputError(f"the {name} backend cannot make this view: {reason}")
    if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
        raise InputError(f"images={tuple(images.shape)} {images.dtype} are not a batch; give uint8 (b, 3, h, w), 0-255")


def cropped(
    images: UInt8[Tensor, "b 3 h w"], params: ViewParams, spec: ViewSpec
) -> Float32[Tensor, "b 3 {spec.size} {spec.size}"]:
    """Crop, resize, flip: pixels in 0-1 (bicubic overshoot is cut, as it is on uint8 images)."""
    views = crop_resize(images, params.crop, spec.size, spec.interpolation, spec.antialias)
    if spec.interpolation == "bicubic":
        views = views.clamp_(0.0, 1.0)
    return torch.where(colour.spread(params.flip), views.flip(-1), views) if spec.flip_p > 0 else views


def finish(
    views: Float32[Tensor, "b 3 s s"], params: ViewParams, spec: ViewSpec, dtype: torch.dtype
) -> Float[Tensor, "b 3 s s"]:
    """Solarize and normalise."""
    if spec.solarize_p > 0:
        views = colour.solarize(views, params.solarize, spec.solarize_threshold)
    mean, std = (on_device(values, torch.float32, views.device) for values in (spec.mean, spec.std))
    return colour.normalise(views, mean, std, dtype)


Adjust = Callable[[Float32[Tensor, "b 3 s s"], Float32[Tensor, "b"]], Float32[Tensor, "b 3 s s"]]


def adjust_in_order(
    views: Float32[Tensor, "b 3 s s"], params: ViewParams, adjusts: Sequence[Adjust]
) -> Float32[Tensor, "b 3 s s"]:
    """Brightness, contrast, saturation and hue in each sample's own order: four steps, each tries every operation and
    keeps it where it is that sample's turn. Sixteen operations where four count; the price of being clear."""
    factors = (params.brightness, params.contrast, params.saturation, params.hue)
    for step in range(4):
        turn = params.jitter_order[:, step]
        for op, (adjust, factor, neutral) in enumerate(zip(adjusts, factors, (1.0, 1.0, 1.0, 0.0), strict=True)):
            chosen = colour.spread((turn == op) & (factor != neutral))
            views = torch.where(chosen, adjust(views, factor), views)
    return views
