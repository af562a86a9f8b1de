"""This library's losses as contestants: one line each."""

from collections.abc import Callable

from torch import Tensor

from benchmarks.losses.cases import Case
from benchmarks.losses.contestant import Batch, Contestant, head_of, stack_of
from fastssl.methods.barlow_twins import barlow_twins_loss
from fastssl.methods.diet import diet_loss
from fastssl.methods.simclr import simclr_loss
from fastssl.methods.vicreg import vicreg_loss

TEMPERATURE = 0.5
REDUNDANCY_WEIGHT = 5e-3
LABEL_SMOOTHING = 0.8

OURS: dict[str, dict[str, Callable[[Batch], Tensor]]] = {
    "simclr": {"ours": lambda b: simclr_loss(b.stack, TEMPERATURE)},
    "barlow_twins": {
        "ours": lambda b: barlow_twins_loss(b.stack, REDUNDANCY_WEIGHT),
        "ours, pairwise": lambda b: barlow_twins_loss(b.stack, REDUNDANCY_WEIGHT, "pairwise"),
    },
    "vicreg": {
        "ours": lambda b: vicreg_loss(b.stack),
        "ours, pairwise": lambda b: vicreg_loss(b.stack, form="pairwise"),
    },
    "diet": {"ours": lambda b: diet_loss(b.stack[0], b.rows, b.target, LABEL_SMOOTHING)},
}
"""Loss -> form -> function; the form "ours" is the default of the method's config."""


def build(loss: str, form: str) -> Contestant:
    """A form of a loss, on the (views, batch, dim) stack that `encode_views` gives."""
    regime = "the pure function of the method, on the stack of all views"
    return Contestant(OURS[loss][form], head_of if loss == "diet" else stack_of, regime)


def timed_forms(case: Case) -> list[str]:
    """The forms that are timed: beside the default, those that differ from it in cost (at two views none does)."""
    return [form for form in OURS[case.loss] if form == "ours" or (case.views > 2 and case.loss == "barlow_twins")]
