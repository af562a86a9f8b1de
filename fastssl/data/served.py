"""What a loader serves: which samples of a beton, their labels, and the facts the rest of the library needs."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Int64

from fastssl.data.beton import BetonFile
from fastssl.data.damage import OnError
from fastssl.data.subset import Subset
from fastssl.errors import InputError
from fastssl.types import DatasetInfo

PerChannel: TypeAlias = tuple[float, float, float]

_MAX_MEASURED = 10_000
"""Images read for mean and standard deviation when no sidecar tells them: a standard error below 1 % of the std."""


@dataclass(frozen=True)
class Served:
    beton: BetonFile
    source: Int64[np.ndarray, "n"]
    """Position in the beton of each sample served; increasing."""
    labels: Int64[np.ndarray, "n"]
    """As served: the noise that a subset asked for is in them."""
    info: DatasetInfo

    @property
    def path(self) -> Path:
        return self.beton.path

    @property
    def true_labels(self) -> Int64[np.ndarray, "n"]:
        """Labels as the file has them."""
        return np.asarray(self.beton.labels, dtype=np.int64)[self.source]

    @property
    def offsets(self) -> Int64[np.ndarray, "n"]:
        """Where each sample served begins in the file, in bytes."""
        return self.beton.offsets[self.source]

    @property
    def decoded_bytes(self) -> int:
        """All samples as uint8 pixels, each in the room of the largest."""
        return self.info.num_samples * self.info.height * self.info.width * 3

    @property
    def one_size(self) -> bool:
        """Whether all images served have the same size."""
        sizes = self.beton.sizes[self.source]
        return bool((sizes == (self.info.height, self.info.width)).all())

    def require_one_size(self, user: str) -> None:
        """Raises `InputError` on behalf of one who can use images of one size only."""
        if self.one_size:
            return
        sizes = self.beton.sizes[self.source]
        low, high = ("x".join(map(str, edge.tolist())) for edge in (sizes.min(axis=0), sizes.max(axis=0)))
        raise InputError(
            f"{self.path.name}: its images measure {low} to {high} pixels and {user} takes images of one size; "
            "give loader=crops, or write it again with `fastssl beton write --square N`"
        )


_WHOLE = Subset()


def serve(path: Path, subset: Subset = _WHOLE, on_error: OnError = "raise") -> Served:
    """Open a beton and choose the samples. `on_error` is for damaged ones, where mean and std must be measured."""
    beton = BetonFile(path)
    labels = np.asarray(beton.labels, dtype=np.int64)
    source = subset.positions(labels)
    info = _loader_info(beton, source, on_error)
    served = subset.served_labels(labels, info.num_classes)[source]
    if subset.label_noise:
        info = replace(info, fingerprint=_derived_fingerprint(info.fingerprint, served))
    return Served(beton, source, served, replace(info, split="val") if subset.held_out else info)


def _loader_info(beton: BetonFile, source: Int64[np.ndarray, "n"], on_error: OnError) -> DatasetInfo:
    """Facts of the samples at positions `source`, from the sidecar or, without one, the content.

    `mean` and `std` are those of the whole beton: a subset is normalised like its parent, as published runs do.
    """
    sidecar = beton.sidecar or {}
    fingerprint = sidecar.get("fingerprint") or beton.fingerprint()
    if len(source) < beton.num_samples:
        fingerprint = _derived_fingerprint(fingerprint, source)
    if sidecar.get("std"):
        mean, std = tuple(sidecar["mean"]), tuple(sidecar["std"])
    else:
        mean, std = _measure_pixels(beton, on_error)
    height, width = beton.sizes[source].max(axis=0).tolist()
    return DatasetInfo(
        name=sidecar.get("name") or beton.path.stem,
        split=sidecar.get("split") or "",
        fingerprint=fingerprint,
        num_samples=len(source),
        num_classes=int(sidecar.get("num_classes") or np.max(beton.labels, initial=-1) + 1),
        height=height,
        width=width,
        mean=mean,
        std=std,
        class_names=tuple(beton.class_names or ()),
    )


def _derived_fingerprint(fingerprint: str, choice: Int64[np.ndarray, "n"]) -> str:
    """Of a subset, from its positions; of noisy labels, from the labels."""
    digest = hashlib.sha256(fingerprint.encode())
    digest.update(choice.astype("<i8").tobytes())
    return digest.hexdigest()


def _measure_pixels(beton: BetonFile, on_error: OnError) -> tuple[PerChannel, PerChannel]:
    """Mean and standard deviation per channel, pixels 0-1, of at most `_MAX_MEASURED` evenly spaced images.

    Damaged ones among them are left out where they are to be skipped.
    """
    count = min(beton.num_samples, _MAX_MEASURED)
    totals, num_pixels = np.zeros((2, 3)), 0
    for index in np.linspace(0, beton.num_samples - 1, count).astype(np.int64):
        try:
            pixels = beton.decode(int(index)).reshape(-1, 3) / 255.0
        except InputError:
            if on_error == "raise":
                raise
            continue
        totals += [pixels.sum(axis=0), np.square(pixels).sum(axis=0)]
        num_pixels += len(pixels)
    if num_pixels == 0:
        raise InputError(f"{beton.path}: all {count} samples looked at are damaged; write the file again")
    mean, mean_square = totals / num_pixels
    std = np.sqrt(np.maximum(mean_square - mean**2, 0.0))
    return (float(mean[0]), float(mean[1]), float(mean[2])), (float(std[0]), float(std[1]), float(std[2]))
