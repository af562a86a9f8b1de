"""Which optimiser, and how its learning rate moves."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from fastssl.errors import InputError
from fastssl.optim.groups import param_groups
from fastssl.optim.lars import LARS
from fastssl.optim.schedule import Schedule, lr_scale

ADAMW_BETA2 = 0.999  # Kingma, Ba 2014, arXiv 1412.6980, and torch's default
FUSED_DEVICES = ("cpu", "cuda")  # where every torch we support has fused SGD and AdamW


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """Optimiser and schedule of a run."""

    optimiser: Literal["sgd", "adamw", "lars"] = "adamw"
    lr: float = 1e-3
    """Base learning rate, at the end of the warm-up; above 0. It is taken as given, not scaled by the batch size."""
    weight_decay: float = 1e-4
    """L2 penalty (sgd, lars) or decoupled decay (adamw); 0 or more."""
    momentum: float = 0.9
    """Of sgd and lars; the first beta of adamw. From 0 to below 1."""
    schedule: Schedule = "cosine"
    """After the warm-up: half a cosine down, or constant."""
    warmup_fraction: float = 0.0
    """Share of the whole run over which the rate rises linearly from 0; from 0 to 1."""
    final_lr_fraction: float = 0.0
    """Share of the base rate left at the end of the cosine; from 0 to 1."""
    exclude_norm_and_bias: bool = True
    """Keep normalisation and bias parameters out of weight decay, and out of LARS's layer-wise rates."""

    def __post_init__(self) -> None:
        if not 0 < self.lr < float("inf"):
            raise InputError(f"lr={self.lr} is no learning rate; give a number above 0")
        if not self.weight_decay >= 0:
            raise InputError(f"weight_decay={self.weight_decay} would grow the weights; give 0 or more")
        if not 0 <= self.momentum < 1:
            raise InputError(f"momentum={self.momentum} is no share of the past; give a number from 0 to below 1")
        for name in ("warmup_fraction", "final_lr_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name}={getattr(self, name)} is not a share; give a number from 0 to 1")
        if self.schedule == "constant" and self.final_lr_fraction:
            raise InputError(f"final_lr_fraction={self.final_lr_fraction} has no effect; give --schedule cosine, or 0")

    def lr_scale(self, progress: float) -> float:
        """Multiple of the base rate at a share of the run, 0 to 1; for `set_lr`."""
        return lr_scale(progress, self.warmup_fraction, self.schedule, self.final_lr_fraction)

    def build(self, method: nn.Module) -> torch.optim.Optimizer:
        """An optimiser over the parameters of `method` that require gradients; call it once they are on their device.

        Errors: `InputError` when there are none.
        """
        groups = param_groups(method, self.lr, self.weight_decay, self.exclude_norm_and_bias)
        fused = all(p.device.type in FUSED_DEVICES for group in groups for p in group["params"]) or None
        if self.optimiser == "lars":
            return LARS(groups, lr=self.lr, momentum=self.momentum)
        if self.optimiser == "sgd":
            optimizer = torch.optim.SGD(groups, lr=self.lr, momentum=self.momentum, fused=fused)
            if self.momentum:  # the fused kernel takes in no parameter whose first gradient comes later; 0 is no trace
                for p in (p for group in groups for p in group["params"]):
                    optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)
            return optimizer
        return torch.optim.AdamW(groups, lr=self.lr, betas=(self.momentum, ADAMW_BETA2), fused=fused)
