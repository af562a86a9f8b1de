"""The peers' losses as contestants: their own functions, with constants set so that the value is that of ours.

lightly is imported as it is. Of solo-learn only the modules of losses are: its packages import a trainer and four more
libraries that no loss needs, and its wheel pins a torch of 2021, so it is installed without its dependencies.

What a peer that knows two views alone is given at more: every unordered pair (`_pairs`), as its users write it.
"""

import importlib
import sys
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from itertools import combinations, permutations
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.losses.cases import Case
from benchmarks.losses.contestant import Batch, Contestant, Missing, head_of, stack_of, views_of
from benchmarks.losses.ours import (
    CENTRE_MOMENTUM,
    LABEL_SMOOTHING,
    REDUNDANCY_WEIGHT,
    TEACHER_TEMPERATURE,
    TEMPERATURE,
)

TwoViews = Callable[[Tensor, Tensor], Tensor]


def _lightly(name: str, **options: Any) -> Any:
    """A loss module of lightly. Errors: `Missing`."""
    try:
        return getattr(importlib.import_module("lightly.loss"), name)(**options)
    except ImportError as error:
        raise Missing(f"lightly is not installed: {error}") from error


@cache
def _solo(name: str) -> Any:
    """A module of solo-learn by its name below `solo`. Errors: `Missing`."""
    try:
        for package in ("solo", "solo.losses", "solo.utils"):
            _without_its_init(package)
        return importlib.import_module(f"solo.{name}")
    except ImportError as error:
        raise Missing(f"solo-learn is not installed: {error}") from error


def _without_its_init(package: str) -> None:
    """Makes a package's modules importable without running its `__init__`."""
    if package in sys.modules:
        return
    spec = find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        raise ModuleNotFoundError(f"No module named {package!r}")
    module = ModuleType(package)
    module.__path__ = list(spec.submodule_search_locations)
    sys.modules[package] = module


def _pairs(two_views: TwoViews) -> Callable[[Batch], Tensor]:
    """The mean over unordered pairs of views."""

    def loss(batch: Batch) -> Tensor:
        found = [two_views(a, b) for a, b in combinations(batch.views, 2)]
        return found[0] if len(found) == 1 else torch.stack(found).mean()

    return loss


def _of_pairs(two_views: TwoViews, regime: str, like: str | None) -> Contestant:
    return Contestant(_pairs(two_views), views_of, f"{regime}; beyond two views, the mean over all pairs", like)


def _lightly_simclr(case: Case) -> Contestant:
    loss = _lightly("NTXentLoss", temperature=TEMPERATURE)
    return _of_pairs(loss, "NTXentLoss, no memory bank", like=None)  # each pair has a denominator of its own


def _solo_simclr(case: Case) -> Contestant:
    """Its mask of extra positives makes it the multi-view loss: the views are given as two halves."""
    function, half = _solo("losses.simclr").simclr_loss_func, case.views // 2
    image = torch.arange(case.views * case.batch, device=case.device) % case.batch
    same = (image[:, None] == image).fill_diagonal_(False) if case.views > 2 else None

    def loss(batch: Batch) -> Tensor:
        first, second = torch.cat(batch.views[:half]), torch.cat(batch.views[half:])
        return function(first, second, temperature=TEMPERATURE, extra_pos_mask=same)

    regime = "simclr_loss_func; beyond two views, the views in two halves and its extra_pos_mask, which is not timed"
    return Contestant(loss, views_of, regime)


def _lightly_barlow(case: Case) -> Contestant:
    loss = _lightly("BarlowTwinsLoss", lambda_param=REDUNDANCY_WEIGHT)
    return _of_pairs(loss, "BarlowTwinsLoss", "ours, pairwise")


def _solo_barlow(case: Case) -> Contestant:
    function = _solo("losses.barlow").barlow_loss_func
    two_views: TwoViews = lambda a, b: function(a, b, lamb=REDUNDANCY_WEIGHT, scale_loss=1.0)
    return _of_pairs(two_views, "barlow_loss_func, scale_loss 1", "ours, pairwise")


def _lightly_vicreg(case: Case) -> Contestant:
    return _of_pairs(_lightly("VICRegLoss"), "VICRegLoss", "ours, pairwise")


def _solo_vicreg(case: Case) -> Contestant:
    """Its variance term is the sum over the two views, not their mean: half of the weight."""
    function = _solo("losses.vicreg").vicreg_loss_func
    two_views: TwoViews = lambda a, b: function(a, b, var_loss_weight=12.5)
    return _of_pairs(two_views, "vicreg_loss_func, var_loss_weight 12.5, as it adds the two views", "ours, pairwise")


def _predicting(two_views: TwoViews, name: str, factor: float = 1.0, offset: float = 0.0) -> Contestant:
    """Each view's prediction against each other view's target: the mean over ordered pairs, as both peers' users do."""

    def loss(batch: Batch) -> Tensor:
        pairs = list(permutations(range(len(batch.views)), 2))
        return sum((two_views(batch.views[a], batch.given[c]) for a, c in pairs), start=0) / len(pairs)  # type: ignore

    return Contestant(loss, views_of, f"{name}, the mean over ordered pairs of views", factor=factor, offset=offset)


def _lightly_byol(case: Case) -> Contestant:
    """-cos, where BYOL's is 2 - 2 cos."""
    return _predicting(_lightly("NegativeCosineSimilarity"), "NegativeCosineSimilarity", factor=0.5, offset=-1.0)


def _solo_byol(case: Case) -> Contestant:
    return _predicting(_solo("losses.byol").byol_loss_func, "byol_loss_func")


def _lightly_simsiam(case: Case) -> Contestant:
    return _predicting(_lightly("NegativeCosineSimilarity"), "NegativeCosineSimilarity")


def _solo_simsiam(case: Case) -> Contestant:
    return _predicting(_solo("losses.simsiam").simsiam_loss_func, "simsiam_loss_func")


def _lightly_dino(case: Case) -> Contestant:
    loss = _lightly("DINOLoss", output_dim=case.dim, teacher_temp=TEACHER_TEMPERATURE, center_momentum=CENTRE_MOMENTUM)
    loss = loss.to(case.device)
    regime = "DINOLoss; its teacher sees two views, its student all"
    return Contestant(lambda batch: loss([batch.given[0], batch.given[1]], batch.views), views_of, regime)


def _solo_dino(case: Case) -> Contestant:
    temperature = {"warmup_teacher_temp": TEACHER_TEMPERATURE, "teacher_temp": TEACHER_TEMPERATURE}
    loss = _solo("losses.dino").DINOLoss(case.dim, **temperature, warmup_teacher_temp_epochs=0, num_epochs=1,
                                         num_large_crops=case.views, center_momentum=CENTRE_MOMENTUM)  # fmt: skip
    loss = loss.to(case.device)
    regime = "DINOLoss, on one tensor of all views, as it takes it; its teacher sees two of them"
    return Contestant(lambda batch: loss(batch.stack.flatten(0, 1), batch.given[:2].flatten(0, 1)), stack_of, regime)


def _lightly_swav(case: Case) -> Contestant:
    loss = _lightly("SwaVLoss")
    regime = "SwaVLoss; two views have codes, the others are small ones"
    return Contestant(lambda batch: loss(batch.views[:2], batch.views[2:]).sum(), views_of, regime)


def _solo_swav(case: Case) -> Contestant:
    """It compares every view with every other one, so every view needs codes."""
    function, codes = _solo("losses.swav").swav_loss_func, _solo("utils.sinkhorn_knopp").SinkhornKnopp()

    def loss(batch: Batch) -> Tensor:
        return function(batch.views, [codes(view.detach()) for view in batch.views])

    return Contestant(loss, views_of, "SinkhornKnopp and swav_loss_func; every view has codes", like=None)


def _dense_diet(case: Case) -> Contestant:
    def loss(batch: Batch) -> Tensor:
        return F.cross_entropy(batch.stack[0] @ batch.rows.T, batch.target, label_smoothing=LABEL_SMOOTHING)

    needs = 4 * (3 * case.batch * case.rows + 2 * case.rows * case.dim)
    return Contestant(loss, head_of, "torch's cross_entropy of all logits at once", needs_bytes=needs)


PEERS: dict[str, dict[str, Callable[[Case], Contestant]]] = {
    "simclr": {"lightly": _lightly_simclr, "solo-learn": _solo_simclr},
    "barlow_twins": {"lightly": _lightly_barlow, "solo-learn": _solo_barlow},
    "vicreg": {"lightly": _lightly_vicreg, "solo-learn": _solo_vicreg},
    "byol": {"lightly": _lightly_byol, "solo-learn": _solo_byol},
    "simsiam": {"lightly": _lightly_simsiam, "solo-learn": _solo_simsiam},
    "dino": {"lightly": _lightly_dino, "solo-learn": _solo_dino},
    "swav": {"lightly": _lightly_swav, "solo-learn": _solo_swav},
    "diet": {"torch, dense": _dense_diet},
}
"""Loss -> peer -> what builds it. Errors of building: `Missing`."""
