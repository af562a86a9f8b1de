"""The fused backend: all operations of all views of a batch in one Triton launch (`kernels/augment_views.py`)."""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from fastssl.augment.chain import ViewBackend, require
from fastssl.errors import InputError
from fastssl.kernels.augment_views import INTERPRETED, Constants, augment_views
from fastssl.types import Images
from fastssl.views import ViewParams, ViewSpec

Made: TypeAlias = tuple[Float[Tensor, "samples 3 _ _"], ...]
"""`Views` of as many samples as were asked for, which need not be the number of images."""


def refuses_device(kind: str) -> str | None:
    """None, or why the kernel cannot run on that kind of device."""
    if kind == "cuda" or (kind == "cpu" and INTERPRETED):
        return None
    return f"needs a CUDA device, not {kind}; give backend 'cpu' or 'auto' (or set TRITON_INTERPRET=1, to test it)"


class FusedBackend(ViewBackend):
    """Views that share size, filter, thresholds and normalisation are made by one launch. No host sync.

    On the CPU it runs through Triton's interpreter, thousands of times slower, where TRITON_INTERPRET=1 was set before
    the first import: so that tests need no GPU.
    """

    name = "fused"

    def supports(self, spec: ViewSpec, device: torch.device) -> str | None:
        reason = refuses_device(device.type)
        return f"it {reason}" if reason else super().supports(spec, device)

    def apply_views(
        self,
        images: Images,
        params: Sequence[ViewParams],
        specs: Sequence[ViewSpec],
        dtype: torch.dtype,
        rows: Int64[Tensor, "samples"] | None = None,
    ) -> Made:
        """Every view of the same images; with `rows`, sample i is images[rows[i]] of a whole set on the device.

        Values of `rows` are not checked, as that would wait for the device. Raises `InputError` for a spec that is not
        supported, images that are none, rows that are no index of them, or params of another number of samples.
        """
        for spec in specs:
            require(self.supports(spec, images.device), images, self.name)
        if rows is not None and (rows.dtype != torch.int64 or rows.device != images.device):
            raise InputError(f"rows={rows.dtype} on {rows.device} do not index images; give int64 on {images.device}")
        num_samples = len(images) if rows is None else len(rows)
        for one in params:
            if one.table.shape[0] != num_samples or one.table.device != images.device:
                raise InputError(
                    f"params of {one.table.shape[0]} samples on {one.table.device} do not fit {num_samples} on "
                    f"{images.device}; give one row per sample, on its device"
                )
        return self._apply_views(images, params, specs, dtype, rows)

    def _apply_views(
        self,
        images: Images,
        params: Sequence[ViewParams],
        specs: Sequence[ViewSpec],
        dtype: torch.dtype,
        rows: Int64[Tensor, "samples"] | None = None,
    ) -> Made:
        groups: dict[Constants, list[int]] = {}
        for v, spec in enumerate(specs):
            groups.setdefault(_shared(spec), []).append(v)
        made: dict[int, Tensor] = {}
        for shared, members in groups.items():
            table = torch.stack([params[v].table for v in members])
            constants = _with_flags(shared, [specs[v] for v in members])
            together = augment_views(images, rows, table, constants, dtype)
            made.update(zip(members, together.permute(0, 1, 4, 2, 3), strict=True))
        return tuple(made[v] for v in range(len(specs)))


def _shared(spec: ViewSpec) -> Constants:
    """What must be equal for views to share a launch."""
    assert spec.mean is not None
    assert spec.std is not None
    return Constants(
        size=spec.size,
        cubic=spec.interpolation == "bicubic",
        antialias=spec.antialias,
        blur_taps=spec.blur_kernel,
        threshold=float(spec.solarize_threshold),
        mean=(float(spec.mean[0]), float(spec.mean[1]), float(spec.mean[2])),
        std=(float(spec.std[0]), float(spec.std[1]), float(spec.std[2])),
        erase_value=float(spec.erase_value),
    )


def _with_flags(shared: Constants, specs: Sequence[ViewSpec]) -> Constants:
    """`shared`, with what happens to none of the views switched off."""
    return shared._replace(
        moves=any(spec.pad > 0 for spec in specs),
        affine=any(spec.warps for spec in specs),
        jitter=any(spec.jitters for spec in specs),
        blur=any(spec.blur_p > 0 for spec in specs),
        noise=any(spec.noise_p > 0 for spec in specs),
        erase=any(spec.erase_p > 0 for spec in specs),
    )
