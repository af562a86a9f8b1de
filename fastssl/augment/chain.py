"""What the backends share: checks, the order of the operations, the random order within the colour jitter."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Float32
from torch import Tensor

from fastssl.augment import colour, geometry
from fastssl.augment.constant import on_device
from fastssl.augment.resize import crop_resize, full_precision
from fastssl.errors import InputError
from fastssl.types import Images, Views
from fastssl.views import ViewParams, ViewSpec


class ViewBackend(ABC):
    """What every backend has: a name, the reason it was taken, checks before any pixel is touched."""

    name: str

    def __init__(self, reason: str = "asked for") -> None:
        self.reason = reason

    def supports(self, spec: ViewSpec, device: torch.device) -> str | None:
        """None, or the reason why this spec cannot be applied on that device."""
        return check_spec(spec)

    def apply(
        self, images: Images, params: ViewParams, spec: ViewSpec, dtype: torch.dtype = torch.float32
    ) -> Float[Tensor, "b 3 {spec.size} {spec.size}"]:
        """Views (pixel - mean) / std in channels-last memory. Computes in float32, rounds once to `dtype`.

        Deterministic. Raises `InputError` for a spec that is not supported or images that are none.
        """
        return self.apply_views(images, [params], [spec], dtype)[0]

    def apply_views(
        self, images: Images, params: Sequence[ViewParams], specs: Sequence[ViewSpec], dtype: torch.dtype
    ) -> Views:
        """`apply` for every view of the same images."""
        for spec in specs:
            require(self.supports(spec, images.device), images, self.name)
        with full_precision(images.device):
            return self._apply_views(images, params, specs, dtype)

    @abstractmethod
    def _apply_views(
        self, images: Images, params: Sequence[ViewParams], specs: Sequence[ViewSpec], dtype: torch.dtype
    ) -> Views: ...


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
    """Raises `InputError` for a spec that is not supported, with the reason, or a batch that holds no RGB images."""
    if reason is not None:
        raise InputError(f"the {name} backend cannot make this view: {reason}")
    known = images.dtype == torch.uint8 or images.is_floating_point()
    if not known or images.ndim != 4 or images.shape[1] != 3:
        raise InputError(
            f"images={tuple(images.shape)} {images.dtype} are not a batch; give (b, 3, h, w), uint8 0-255 or float 0-1"
        )


def placed(images: Images, params: ViewParams, spec: ViewSpec) -> Float32[Tensor, "b 3 {spec.size} {spec.size}"]:
    """Crop, resize, pad-and-crop, flips: pixels in 0-1 (bicubic overshoot is cut, as it is on uint8 images)."""
    views = crop_resize(images, params.crop, spec.size, spec.interpolation, spec.antialias)
    if spec.interpolation == "bicubic":
        views = views.clamp_(0.0, 1.0)
    if spec.pad > 0:
        views = geometry.shift(views, params.shift)
    if spec.flip_p > 0:
        views = geometry.flip_horizontally(views, params.flip)
    if spec.vertical_flip_p > 0:
        views = geometry.flip_vertically(views, params.vertical_flip)
    return views


def finish(
    views: Float32[Tensor, "b 3 s s"], params: ViewParams, spec: ViewSpec, dtype: torch.dtype
) -> Float[Tensor, "b 3 s s"]:
    """Normalise, erase, and the one rounding to `dtype`, in channels-last memory."""
    mean, std = (on_device(values, torch.float32, views.device) for values in (spec.mean, spec.std))
    views = colour.normalise(views, mean, std)
    if spec.erase_p > 0:
        views = geometry.erase(views, params.erase, spec.erase_value)
    return views.to(dtype, memory_format=torch.channels_last)


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
