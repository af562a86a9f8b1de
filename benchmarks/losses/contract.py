"""What a peer must be before a clock runs: the same number as ours, and the same gradient."""

from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.losses.cases import Case
from benchmarks.losses.contestant import Contestant, batches
from benchmarks.losses.ours import build

SMALL = {"batch": 24, "dim": 16}
"""Sides of the check; a head has as many rows as its batch has images times three."""
RELATIVE = 1e-3
"""Of a value, and of the length of a gradient: float32 in two orders of summing."""
LEAST_COSINE = 1 - 1e-4
"""Between two gradients."""


def probe_of(case: Case) -> Case:
    """The same case, small."""
    return replace(case, **SMALL, rows=3 * SMALL["batch"] if case.rows else 0)


def breaches(peer: Contestant, probe: Case) -> list[str]:
    """Where a peer built for the probe differs from the form of ours that it is to equal; empty where nowhere.

    At two views (DIET: one) all forms of a loss are one, so there every peer is held against it.
    """
    form = "ours" if probe.views <= 2 else peer.like
    if form is None:
        return []
    ours_value, ours_grad = _evaluated(build(probe.loss, form), probe)
    value, grad = _evaluated(peer, probe)
    scaled = peer.offset + peer.factor * ours_value
    wrong = []
    if not abs(value - scaled) <= RELATIVE * max(abs(scaled), 1e-6):
        wrong.append(f"its value is {value:.6g}, where {form} gives {scaled:.6g}")
    cosine = float(ours_grad @ grad / (ours_grad.norm() * grad.norm()))
    if not cosine >= LEAST_COSINE:
        wrong.append(f"its gradient points elsewhere than that of {form} (cosine {cosine:.5f})")
    length = float(grad.norm() / (peer.factor * ours_grad.norm()))
    if not abs(length - 1) <= RELATIVE:
        wrong.append(f"its gradient is {length:.5f} times as long as that of {form}")
    return wrong


def _evaluated(contestant: Contestant, probe: Case) -> tuple[float, Tensor]:
    """Value, and the gradient of all leaves in one row, in the order of the views, float64; on a batch of its own, as
    some leave a state in it."""
    (batch,) = batches(probe, 1)
    loss, grads = contestant.step(batch)
    return loss.item(), torch.cat([grad.double().flatten() for grad in grads])
