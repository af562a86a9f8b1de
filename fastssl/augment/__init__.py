"""Views of a batch: what happens is drawn once (`sample`), then applied by a backend. See docs/augment.md."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Literal, get_args

import torch

from fastssl.augment.appended import append
from fastssl.augment.draw import Drawer, remaining_params, require_same
from fastssl.augment.sample import sample_views
from fastssl.errors import InputError
from fastssl.types import AugmentBackend, Batch, Views
from fastssl.views import ViewKey, ViewParams, ViewSpec

__all__ = ["BACKENDS", "BackendName", "Drawer", "append", "get_backend", "make_views", "sample_params"]

BackendName = Literal["auto", "reference", "kornia", "cpu", "fused"]
BACKENDS: tuple[str, ...] = get_args(BackendName)


def get_backend(name: str = "auto", device: torch.device | str = "cpu") -> AugmentBackend:
    """The backend of that name, or with "auto" the fastest one there is for the device; its `reason` says why.

    Raises `InputError` for an unknown name, and for one asked for that cannot run here.
    """
    kind = torch.device(device).type
    if name == "auto":
        return _automatic(kind)
    return _build(name, kind, f"asked for, on {kind}")


def _automatic(kind: str) -> AugmentBackend:
    if kind == "cpu" and find_spec("numba"):
        return _build("cpu", kind, "automatic: the compiled backend serves images on the CPU")
    if kind == "cuda" and find_spec("triton"):
        return _build("fused", kind, "automatic: one launch for all views of a size, the fastest on a GPU")
    if kind != "cpu" and find_spec("kornia"):
        return _build("kornia", kind, f"automatic: the fastest backend for images on {kind} without triton")
    missing = "numba" if kind == "cpu" else "kornia"
    return _build("reference", kind, f"automatic: {missing} is not installed, so this is the slow path")


def _build(name: str, kind: str, reason: str) -> AugmentBackend:
    if name == "reference":
        from fastssl.augment.reference import ReferenceBackend

        return ReferenceBackend(reason)
    if name == "kornia":
        _require_package("kornia", name)
        from fastssl.augment.kornia import KorniaBackend

        return KorniaBackend(reason)
    if name == "cpu":
        _require_package("numba", name)
        if kind != "cpu":
            raise InputError(f"backend='cpu' cannot read images on {kind}; give 'auto' or 'kornia'")
        from fastssl.augment.cpu import CpuBackend

        return CpuBackend(reason)
    if name == "fused":
        _require_package("triton", name)
        from fastssl.augment.fused import FusedBackend, refuses_device

        if reason_not := refuses_device(kind):
            raise InputError(f"backend='fused' {reason_not}")
        return FusedBackend(reason)
    raise InputError(f"backend={name!r} is unknown; give one of {', '.join(BACKENDS)}")


def _require_package(package: str, name: str) -> None:
    if find_spec(package) is None:
        raise InputError(f"backend={name!r} needs {package}, which is not installed; install it or give 'auto'")


def make_views(
    batch: Batch,
    specs: Sequence[ViewSpec],
    backend: AugmentBackend,
    *,
    seed: int,
    epoch: int,
    dtype: torch.dtype = torch.float32,
) -> Views:
    """One view per spec of every image: view v is drawn by the key (seed, epoch, v, index) and follows specs[v].

    The specs' mean and std must be filled in. Deterministic in its arguments; the images are not changed; no host sync
    when `batch.index` lies on the images' device. Raises `InputError` for a spec the backend cannot make, and for a
    batch that was drawn for other views.
    """
    params = sample_params(batch, specs, seed=seed, epoch=epoch)
    if batch.crops:
        left = zip(batch.crops, remaining_params(batch), specs, strict=True)
        return tuple(backend.apply(crops, one, spec, dtype) for crops, one, spec in left)
    rows = None if batch.gathered else batch.index.to(batch.images.device, torch.int64, non_blocking=True)
    return backend.apply_views(batch.images, params, specs, dtype, rows)


def sample_params(batch: Batch, specs: Sequence[ViewSpec], *, seed: int, epoch: int) -> list[ViewParams]:
    """What happens to every image in each view: `make_views` is these parameters and `backend.apply_views`.

    For a loss that predicts what was drawn (`augment.labels.view_labels`). On the images' device.
    """
    if not specs:
        raise InputError("specs=() makes no view; give one ViewSpec per view")
    if batch.draw is not None:
        require_same(batch.draw, specs, seed=seed, epoch=epoch)
        return batch.draw.params
    images = batch.images
    key = ViewKey(seed, epoch, 0, batch.index.to(images.device, torch.int64, non_blocking=True))
    return sample_views(specs, key, images.shape[2], images.shape[3])
