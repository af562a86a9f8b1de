"""What the backends share: checks, and the first and last operations of the eager ones."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float, Float32, Int64, Shaped
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
    reads_rows = False

    def __init__(self, reason: str = "asked for") -> None:
        self.reason = reason

    def supports(self, spec: ViewSpec, device: torch.device) -> str | None:
        """None, or the reason why this spec cannot be applied on that device."""
        return check_spec(spec)

    def apply(
        self, images: Images, params: ViewParams, spec: ViewSpec, dtype: torch.dtype = torch.float32
    ) -> Float[Tensor, "b 3 {spec.size} {spec.size}"]:
        """Views (pixel - mean) / std in channels-last memory. Computes in float32, rounds once to `dtype`.

        Deterministic. Raises `InputError` for a spec that is not supported, or images that are none.
        """
        return self.apply_views(images, [params], [spec], dtype)[0]

    def apply_views(
        self,
        images: Images,
        params: Sequence[ViewParams],
        specs: Sequence[ViewSpec],
        dtype: torch.dtype = torch.float32,
        rows: Int64[Tensor, "b"] | None = None,
    ) -> Views:
        """`apply` for every view of the same images; with `rows`, sample i is images[rows[i]] of a whole set.

        Values of `rows` and of the crop boxes are not looked at on a GPU, as that would wait for it. Raises
        `InputError` as `apply`, and for params or rows that do not fit the images.
        """
        for spec in specs:
            if reason := self.supports(spec, images.device):
                raise InputError(f"the {self.name} backend cannot make this view: {reason}")
        _check_images(images)
        _check_params(images, params, specs, rows)
        with full_precision(images.device):
            if rows is None:
                return self._apply_views(images, params, specs, dtype)
            return self._apply_rows(images, rows, params, specs, dtype)

    @abstractmethod
    def _apply_views(
        self, images: Images, params: Sequence[ViewParams], specs: Sequence[ViewSpec], dtype: torch.dtype
    ) -> Views: ...

    def _apply_rows(
        self,
        images: Images,
        rows: Int64[Tensor, "b"],
        params: Sequence[ViewParams],
        specs: Sequence[ViewSpec],
        dtype: torch.dtype,
    ) -> Views:
        """A backend that `reads_rows` does so here."""
        return self._apply_views(gather(images, rows), params, specs, dtype)


def gather(images: Images, rows: Int64[Tensor, "b"]) -> Shaped[Tensor, "b 3 h w"]:
    """images[rows], in channels-last memory."""
    return images.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)


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


def _check_images(images: Tensor) -> None:
    known = images.dtype == torch.uint8 or images.is_floating_point()
    if not known or images.ndim != 4 or images.shape[1] != 3:
        raise InputError(
            f"images={tuple(images.shape)} {images.dtype} are not a batch; give (b, 3, h, w), uint8 0-255 or float 0-1"
        )


def _check_params(images: Images, params: Sequence[ViewParams], specs: Sequence[ViewSpec], rows: Tensor | None) -> None:
    if len(params) != len(specs) or not specs:
        raise InputError(f"params={len(params)}, specs={len(specs)}: give one of each per view, and a view")
    if rows is not None and (rows.dtype != torch.int64 or rows.device != images.device):
        raise InputError(f"rows={rows.dtype} on {rows.device} do not index images; give int64 on {images.device}")
    if rows is not None and rows.device.type == "cpu" and len(rows) and not 0 <= rows.min() <= rows.max() < len(images):
        raise InputError(f"rows={int(rows.min())}..{int(rows.max())} are not all among the {len(images)} images")
    num_samples = len(images) if rows is None else len(rows)
    for one in params:
        if one.table.shape[0] != num_samples or one.table.device != images.device:
            raise InputError(
                f"params of {one.table.shape[0]} samples on {one.table.device} do not fit {num_samples} on "
                f"{images.device}; give one row per sample, on its device"
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
