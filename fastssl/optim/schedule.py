"""The learning rate as a function of progress, so that it needs no state: a resumed run asks it where it stands.

Progress is the share of the run done, 0 to 1, whatever the run is counted in (steps, or seconds of a time budget).
"""

import math
from typing import Literal, TypeAlias

import torch

Schedule: TypeAlias = Literal["cosine", "constant"]


def lr_scale(
    progress: float, warmup_fraction: float = 0.0, kind: Schedule = "cosine", final_fraction: float = 0.0
) -> float:
    """Multiple of the base learning rate, 0 to 1: a linear rise from 0, then constant 1 or half a cosine.

    Args:
        progress: share of the run done; clipped to 0..1.
        warmup_fraction: share of the whole run the rise takes; the scale is 1 at its end.
        kind: `cosine` falls from 1 to `final_fraction` at progress 1 (Loshchilov, Hutter 2016, arXiv 1608.03983).
    """
    progress = min(max(progress, 0.0), 1.0)
    if progress < warmup_fraction:
        return progress / warmup_fraction
    if kind == "constant" or warmup_fraction >= 1:
        return 1.0
    done = (progress - warmup_fraction) / (1 - warmup_fraction)
    return final_fraction + (1 - final_fraction) * (1 + math.cos(math.pi * done)) / 2


def set_lr(optimizer: torch.optim.Optimizer, scale: float) -> None:
    """Sets every group's learning rate to `scale` times its own base rate. Does not touch the device.

    Groups whose `schedule` is "constant" keep their base rate, during the warm-up too.
    """
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * (1.0 if group.get("schedule") == "constant" else scale)
