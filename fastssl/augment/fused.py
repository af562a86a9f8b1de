"""The fused backend: all operations of all views of a batch in one Triton launch (`kernels/augment_views.py`)."""

from collections.abc import Sequence

import torch
from jaxtyping import Int32, Int64
from torch import Tensor

from fastssl.augment.chain import ViewBackend
from fastssl.kernels.augment_views import INTERPRETED, Constants, augment_views
from fastssl.types import Images, Views
from fastssl.views import ViewParams, ViewSpec


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
    reads_rows = True

    def supports(self, spec: ViewSpec, device: torch.device) -> str | None:
        reason = refuses_device(device.type)
        return f"it {reason}" if reason else super().supports(spec, device)

    def _apply_views(
        self, images: Images, params: Sequence[ViewParams], specs: Sequence[ViewSpec], dtype: torch.dtype
    ) -> Views:
        return _launch(images, None, params, specs, dtype)

    def _apply_rows(
        self,
        images: Images,
        rows: Int64[Tensor, "b"],
        params: Sequence[ViewParams],
        specs: Sequence[ViewSpec],
        dtype: torch.dtype,
    ) -> Views:
        return _launch(images, rows, params, specs, dtype)


def _launch(
    images: Images,
    rows: Int64[Tensor, "b"] | None,
    params: Sequence[ViewParams],
    specs: Sequence[ViewSpec],
    dtype: torch.dtype,
) -> Views:
    groups: dict[Constants, list[int]] = {}
    for v, spec in enumerate(specs):
        groups.setdefault(_shared(spec), []).append(v)
    made: dict[int, Tensor] = {}
    for shared, members in groups.items():
        constants = _with_flags(shared, [specs[v] for v in members])
        table = _stacked([params[v].table for v in members])
        together = augment_views(images, rows, table, constants, dtype)
        made.update(zip(members, together.permute(0, 1, 4, 2, 3), strict=True))
    return tuple(made[v] for v in range(len(specs)))


def _stacked(tables: Sequence[Int32[Tensor, "b 32"]]) -> Int32[Tensor, "v b 32"]:
    """One tensor of them; without a copy where they follow each other in memory, as `sample_fused` makes them."""
    first, step = tables[0], tables[0].numel()
    whole = first._base
    if whole is not None and all(
        table._base is whole and table.is_contiguous() and table.storage_offset() == first.storage_offset() + i * step
        for i, table in enumerate(tables)
    ):
        return first.as_strided((len(tables), *first.shape), (step, *first.stride()))
    return torch.stack(list(tables))


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
