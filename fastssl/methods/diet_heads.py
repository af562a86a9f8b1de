"""DIET's heads: what stands for "the class of this sample". N samples, representations of width K.

| head       | classes                     | numbers to train | loss, and its floor at smoothing eps                |
|------------|-----------------------------|------------------|-----------------------------------------------------|
| dense      | the N samples               | N K              | `diet_loss`; floor(N, eps)                          |
| low_rank   | the N samples               | K r + N r        | the same, of U z with U (r, K); floor(N, eps)       |
| kmeans     | C clusters given by a file  | C K              | `diet_loss` of the clusters; floor(C, eps)          |
| index_code | m digits of a code, base c  | m c K            | sum of m losses over c classes each; m floor(c, eps)|

`low_rank` is a dense head whose matrix has rank r at most. `kmeans` does not cluster: features come from a trained
encoder, which is the caller's business. In `index_code`, c is the least base in which m digits tell N samples apart;
the sum of the digits' losses is the cross-entropy of the whole code, and starts at m log c, about log N. Embeddings
that share a digit are pulled together, so which do must not follow the order of the dataset (often sorted by class):
the code is that of the sample's place in a fixed pseudo-random permutation, and two samples share a given digit with
probability 1 / c.

Each head says what it takes in training, before it starts: ImageNet (N = 1,281,167), K = 512, AdamW, batch 256, in GB:
dense 10.5, low_rank r = 64 1.3, kmeans C = 10,000 0.10, index_code m = 2 (c = 1,132) 0.03.
"""

import hashlib
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from fastssl.errors import InputError
from fastssl.kernels.philox import philox4x32
from fastssl.methods.diet_loss import diet_loss, floor, rows_memory_bytes
from fastssl.methods.diet_sharded import shard_bounds, sharded_diet_loss

CODE_KEY = (0x44494554, 0)  # of the permutation behind index codes, so that it is one and the same in every run


@dataclass(frozen=True, kw_only=True)
class LossOptions:
    """What every head's loss needs to know; see `DIETConfig`."""

    label_smoothing: float
    block_rows: int | Literal["auto"] = "auto"
    sharded: bool = False


class RowsHead(nn.Module):
    """One row of weights per class, no bias; with `sharded`, this process's rows alone."""

    def __init__(self, dim: int, num_rows: int, options: LossOptions) -> None:
        super().__init__()
        self.options, self.num_rows = options, num_rows
        self.bounds = shard_bounds(num_rows) if options.sharded else (0, num_rows)
        self.weight = nn.Parameter(_initial_rows(num_rows, dim, *self.bounds))
        self.floor = floor(num_rows, options.label_smoothing)
        self.facts = {"rows": f"{self.bounds[0]} to {self.bounds[1]} of {num_rows}"} if options.sharded else {}

    def forward(self, z: Float[Tensor, "b k"], target: Int64[Tensor, "b"]) -> Float[Tensor, ""]:
        """Mean loss in nats. `target` must be in 0..num_rows-1."""
        eps, block = self.options.label_smoothing, self.options.block_rows
        if self.options.sharded:
            return sharded_diet_loss(z, self.weight, target, self.num_rows, eps, block)
        return diet_loss(z, self.weight, target, eps, block)

    def memory_bytes(self, num_embeddings: int, optimiser_states: int = 2) -> int:
        """Estimate of what training takes: rows, gradient, optimiser's states, and the logits alive at a time."""
        rows, dim = self.weight.shape
        return rows_memory_bytes(rows, dim, num_embeddings, self.options.block_rows, optimiser_states)


class LowRankHead(nn.Module):
    """A linear map to `rank` dimensions, then one row per sample: a dense head whose matrix has that rank at most."""

    def __init__(self, dim: int, num_samples: int, rank: int, options: LossOptions) -> None:
        super().__init__()
        self.down = nn.Linear(dim, rank, bias=False)
        self.rows = RowsHead(rank, num_samples, options)
        self.floor, self.facts = self.rows.floor, self.rows.facts

    def forward(self, z: Float[Tensor, "b k"], index: Int64[Tensor, "b"]) -> Float[Tensor, ""]:
        return self.rows(self.down(z), index)

    def memory_bytes(self, num_embeddings: int, optimiser_states: int = 2) -> int:
        down = 4 * self.down.weight.numel() * (2 + optimiser_states)
        return down + self.rows.memory_bytes(num_embeddings, optimiser_states)


class ClusterHead(nn.Module):
    """One row per cluster; the class of a sample is looked up. Another list of clusters is another run."""

    clusters: Tensor

    def __init__(self, dim: int, clusters: Int64[np.ndarray, "n"], options: LossOptions) -> None:
        super().__init__()
        self.register_buffer("clusters", torch.from_numpy(clusters), persistent=False)
        self.rows = RowsHead(dim, int(clusters.max()) + 1, options)
        self.floor = self.rows.floor
        self.facts = self.rows.facts | {"targets": hashlib.sha256(clusters.astype("<i8").tobytes()).hexdigest()}

    def forward(self, z: Float[Tensor, "b k"], index: Int64[Tensor, "b"]) -> Float[Tensor, ""]:
        return self.rows(z, self.clusters[index])

    def memory_bytes(self, num_embeddings: int, optimiser_states: int = 2) -> int:
        return 8 * len(self.clusters) + self.rows.memory_bytes(num_embeddings, optimiser_states)


class CodeHead(nn.Module):
    """m softmaxes over the digits of each sample's code; row d c + j of the weights is digit j at place d."""

    places: Tensor

    def __init__(self, dim: int, num_samples: int, num_digits: int, options: LossOptions) -> None:
        super().__init__()
        self.options, self.num_digits = options, num_digits
        self.base = code_base(num_samples, num_digits)
        self.register_buffer("places", code_places(num_samples), persistent=False)
        rows = num_digits * self.base
        self.weight = nn.Parameter(_initial_rows(rows, dim, 0, rows))
        self.floor = num_digits * floor(self.base, options.label_smoothing)
        self.facts = {"code": f"{num_digits} digits in base {self.base}"}  # 3 in base 4 are as many rows as 2 in base 6

    def forward(self, z: Float[Tensor, "b k"], index: Int64[Tensor, "b"]) -> Float[Tensor, ""]:
        eps, block = self.options.label_smoothing, self.options.block_rows
        digits = code_digits(self.places[index], self.base, self.num_digits)
        losses = [diet_loss(z, rows, digit, eps, block) for rows, digit in zip(self.weight.split(self.base), digits)]
        return torch.stack(losses).sum()

    def memory_bytes(self, num_embeddings: int, optimiser_states: int = 2) -> int:
        dim, block = self.weight.shape[1], self.options.block_rows
        one = rows_memory_bytes(self.base, dim, num_embeddings, block, optimiser_states)
        return 8 * len(self.places) + self.num_digits * one


Head = RowsHead | LowRankHead | ClusterHead | CodeHead


def load_clusters(path: str, num_samples: int) -> Int64[np.ndarray, "n"]:
    """The cluster of each sample, from a .npy file of `num_samples` integers in the order in which the samples are
    served (`Batch.index`: of a subset, those of the subset; `Loader.source` says which they are).

    Errors: `InputError` for a file that is missing or holds anything else, for ids that leave out one of 0..C-1 (it
    would be a class without samples), and for fewer than two clusters (no loss).
    """
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"targets={path} cannot be read ({reason}); give a .npy file of integers") from error
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer):
        raise InputError(f"targets={path} holds {found.dtype} of shape {found.shape}; give one row of integers")
    if len(found) != num_samples:
        raise InputError(f"targets={path} lists {len(found)} clusters for {num_samples} samples; give one for each")
    ids = np.unique(found)
    if len(ids) < 2 or ids[0] != 0 or ids[-1] != len(ids) - 1:
        raise InputError(
            f"targets={path} has {len(ids)} different ids from {ids[0]} to {ids[-1]}; give two or more, counted from 0 "
            "without gaps (numpy.unique(ids, return_inverse=True)[1] renumbers)"
        )
    return found.astype(np.int64)


def code_base(num_samples: int, num_digits: int) -> int:
    """The least base, 2 or more, in which codes of that many digits tell the samples apart.

    Errors: `InputError` when even in base 2 some digit would be 0 in every code, and so teach nothing.
    """
    most = max((num_samples - 1).bit_length(), 1)
    if num_digits > most:
        raise InputError(
            f"code_digits={num_digits} has digits to spare for {num_samples} samples; give {most} or fewer"
        )
    base = max(int(num_samples ** (1 / num_digits)) - 1, 2)  # a float's root may be off by one
    while base**num_digits < num_samples:
        base += 1
    return base


def code_places(num_samples: int) -> Int64[Tensor, "n"]:
    """Each sample's place in a pseudo-random permutation that depends on the number of samples alone."""
    zero = torch.zeros(1, dtype=torch.int64)
    high, low, _, _ = philox4x32((torch.arange(num_samples), zero, zero, zero), CODE_KEY)
    order = torch.argsort((high << 31) | (low >> 1), stable=True)
    return torch.empty_like(order).scatter_(0, order, torch.arange(num_samples))


def code_digits(places: Int64[Tensor, "b"], base: int, num_digits: int) -> Int64[Tensor, "m b"]:
    """Digits 0..base-1 of each number, the lowest first."""
    return torch.stack([places // base**digit % base for digit in range(num_digits)])


def _initial_rows(num_rows: int, dim: int, start: int, stop: int) -> Tensor:
    """Rows start to stop of what `nn.Linear` gives all rows: uniform within 1 / sqrt(dim).

    All are drawn, a block at a time, from torch's global generator: processes with one seed then hold parts of one
    matrix, whose rows differ, and what is initialised next is the same on all of them.
    """
    kept = torch.empty(stop - start, dim)
    block = max((4 << 20) // dim, 1)
    for first in range(0, num_rows, block):
        last = min(first + block, num_rows)
        rows = torch.empty(last - first, dim).uniform_(-1 / math.sqrt(dim), 1 / math.sqrt(dim))
        low, high = max(first, start), min(last, stop)
        if low < high:
            kept[low - start : high - start] = rows[low - first : high - first]
    return kept
