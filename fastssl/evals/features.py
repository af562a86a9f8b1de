"""One pass of a frozen encoder over a split: the features every probe reads."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt

import torch
from jaxtyping import Float32, Float64, Int64
from torch import Tensor, nn

from fastssl.errors import InputError
from fastssl.types import Batch, Loader

CHUNK_ROWS = 16384
"""Rows turned to float64 at a time: 256 MB at K = 2048."""


@dataclass(frozen=True, slots=True)
class Features:
    """Frozen features of two disjoint splits. `train_*` fits and tunes a probe; `test_*` is only ever scored."""

    train_x: Float32[Tensor, "n k"]
    train_y: Int64[Tensor, "n"]
    test_x: Float32[Tensor, "m k"]
    test_y: Int64[Tensor, "m"]
    num_classes: int

    def __post_init__(self) -> None:
        for split in ("train", "test"):
            x, y = getattr(self, f"{split}_x"), getattr(self, f"{split}_y")
            if x.ndim != 2 or len(x) == 0 or len(x) != len(y):
                raise InputError(f"{split}_x has shape {tuple(x.shape)} for {len(y)} labels; give one row per label")
            if not torch.isfinite(x).all():
                raise InputError(
                    f"{split}_x holds NaN or infinity; the encoder has diverged, so lower the learning rate"
                )
            if int(y.min()) < 0 or int(y.max()) >= self.num_classes:
                raise InputError(
                    f"{split}_y spans {int(y.min())}..{int(y.max())}; give labels from 0 to {self.num_classes - 1}"
                )
        if self.train_x.shape[1] != self.test_x.shape[1]:
            raise InputError(f"test_x has {self.test_x.shape[1]} columns; give {self.train_x.shape[1]}, as in train_x")


def centred(x: Float32[Tensor, "n k"]) -> tuple[Float64[Tensor, "k"], Iterator[Float64[Tensor, "m k"]]]:
    """Means of the columns, and the rows less these, in float64, a chunk at a time: for sums of squares."""
    mean = torch.stack([rows.double().sum(0) for rows in x.split(CHUNK_ROWS)]).sum(0) / len(x)
    return mean, (rows.double() - mean for rows in x.split(CHUNK_ROWS))


def standard_error(accuracy: float, num_samples: int) -> float:
    """Binomial standard error of an accuracy (0-1) on so many test samples: what drawing other ones would change."""
    return sqrt(accuracy * (1 - accuracy) / num_samples)


def extract(
    encoder: nn.Module, loader: Loader, prepare: Callable[[Batch], Tensor], dtype: torch.dtype = torch.bfloat16
) -> tuple[Float32[Tensor, "n k"], Int64[Tensor, "n"]]:
    """Features of every sample `loader` serves in its epoch 0, on the CPU, ordered by position in the dataset.

    `prepare` turns a batch into the encoder's input on its device: a single, undistorted, normalised view. The encoder
    runs in eval mode under autocast to `dtype` (`torch.float32` switches autocast off); each module's train or eval
    mode is put back, whatever happens. Waits for the device once, at the end.
    Errors: `InputError` when the loader serves nothing.
    """
    features, labels, index = [], [], []
    modes = [(module, module.training) for module in encoder.modules()]
    encoder.eval()
    try:
        with torch.inference_mode():
            for batch in loader.epoch(0):
                x = prepare(batch)
                with torch.autocast(x.device.type, dtype=dtype, enabled=dtype is not torch.float32):
                    features.append(encoder(x).float())
                labels.append(batch.labels)
                index.append(batch.index)
    finally:
        for module, training in modes:
            module.training = training
    if not features:
        raise InputError(f"batch_size={loader.batch_size} leaves the loader no batch to serve; give it drop_last=False")
    order = torch.cat(index).cpu().argsort()
    # clone: tensors made under inference_mode cannot take part in autograd, and a probe may want to
    return torch.cat(features).cpu()[order].clone(), torch.cat(labels).cpu()[order].clone()
