"""This library's losses as contestants: one line each."""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.losses.cases import Case
from benchmarks.losses.contestant import TWO_HEADS, Batch, Contestant, both_of, head_of, stack_of
from fastssl.methods.barlow_twins import barlow_twins_loss
from fastssl.methods.byol import byol_loss
from fastssl.methods.cissl import cissl_loss
from fastssl.methods.diet_loss import diet_loss
from fastssl.methods.dino import dino_loss, dino_targets
from fastssl.methods.dissl import dissl_loss
from fastssl.methods.simclr import simclr_loss
from fastssl.methods.simsiam import simsiam_loss
from fastssl.methods.spectral import spectral_loss
from fastssl.methods.swav import sinkhorn, swav_loss
from fastssl.methods.vicreg import vicreg_loss

TEMPERATURE = 0.5
REDUNDANCY_WEIGHT = 5e-3
LABEL_SMOOTHING = 0.8
TEACHER_TEMPERATURE = 0.04
CENTRE_MOMENTUM = 0.9
GLOBAL = [0, 1]
"""The views that DINO's teacher sees and that SwAV makes codes of; the others are small ones."""


def _dino(batch: Batch) -> Tensor:
    """With the centre's move, which is a part of the peers' losses too."""
    with torch.no_grad():
        teacher = batch.given[:2]
        targets = dino_targets(teacher, batch.centre, TEACHER_TEMPERATURE)
        batch.centre.lerp_(teacher.mean((0, 1)), 1 - CENTRE_MOMENTUM)
    return dino_loss(batch.stack, targets, GLOBAL)


def _swav(batch: Batch) -> Tensor:
    return swav_loss(batch.stack, sinkhorn(batch.stack[:2].detach()), GLOBAL)


OURS: dict[str, dict[str, Callable[[Batch], Tensor]]] = {
    "simclr": {"ours": lambda b: simclr_loss(b.stack, TEMPERATURE)},
    "spectral": {"ours": lambda b: spectral_loss(b.stack)},
    "barlow_twins": {
        "ours": lambda b: barlow_twins_loss(b.stack, REDUNDANCY_WEIGHT),
        "ours, pairwise": lambda b: barlow_twins_loss(b.stack, REDUNDANCY_WEIGHT, "pairwise"),
    },
    "vicreg": {
        "ours": lambda b: vicreg_loss(b.stack),
        "ours, pairwise": lambda b: vicreg_loss(b.stack, form="pairwise"),
    },
    "byol": {"ours": lambda b: byol_loss(b.stack, b.given)},
    "simsiam": {"ours": lambda b: simsiam_loss(b.stack, b.given)},
    "dino": {"ours": _dino},
    "swav": {"ours": _swav},
    "cissl": {"ours": lambda b: cissl_loss(b.stack, b.given, TEMPERATURE)},
    "dissl": {"ours": lambda b: dissl_loss(b.given, b.stack)},
    "diet": {"ours": lambda b: diet_loss(b.stack[0], b.rows, b.target, LABEL_SMOOTHING)},
}
"""Loss -> form -> function; the form "ours" is the default of the method's config."""


def build(loss: str, form: str) -> Contestant:
    """A form of a loss, on the (views, batch, dim) stack that `encode_views` gives."""
    leaves = head_of if loss == "diet" else both_of if loss in TWO_HEADS else stack_of
    return Contestant(OURS[loss][form], leaves, "the pure function of the method, on the stack of all views")


def timed_forms(case: Case) -> list[str]:
    """The forms that are timed: beside the default, those that differ from it in cost (at two views none does)."""
    return [form for form in OURS[case.loss] if form == "ours" or (case.views > 2 and case.loss == "barlow_twins")]
