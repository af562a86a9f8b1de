"""Few labels: how good a linear classifier of frozen features is that has seen 1 % of the labels, or ten of a class.

So few labels are a matter of luck, so several draws are made, balanced over the classes, and their mean comes with the
95 % interval that Student's t allows. In one draw a smaller amount is part of a larger one. The penalty is chosen
without a held-out part, which such sets cannot spare: by exact leave-one-out (ridge), or by folds (logistic).
"""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from fastssl.errors import InputError
from fastssl.evals.draws import LABELS, random_order
from fastssl.evals.features import Features
from fastssl.evals.logistic import ALONE, fit_logistic
from fastssl.evals.logistic import PENALTIES as LOGISTIC_PENALTIES
from fastssl.evals.ridge import PENALTIES, LinearClassifier, Moments, leave_one_out
from fastssl.report.student import mean_and_halfwidth, t_975

Classifier = Literal["ridge", "logistic"]
FOLDS = 5
ROUGH = 1e-2
"""Tolerance of the fits that only choose a penalty."""


def few_labels(
    features: Features,
    amounts: Sequence[float | int],
    *,
    draws: int = 5,
    classifier: Classifier = "ridge",
    seed: int = 0,
) -> dict[str, float]:
    """Mean test accuracy (0-1) per amount of labels, its standard error over the draws, and half of its 95 % interval.

    Args:
        amounts: a float is a share of the labels of each class, in (0, 1); a whole number is so many of each class.
        draws: how many; at least 2, of which an interval can be made.

    Gives `ridge_labels_0.01`, `ridge_shots_10`, each with `_se` and `_ci95`.
    Errors: `InputError` for an amount that some class does not have, or that leaves a class without a label.
    """
    if draws < 2:
        raise InputError(f"draws={draws} has no spread to make an interval of; give 2 or more")
    found: dict[str, float] = {}
    sizes = {amount: _per_class(features, amount) for amount in amounts}
    for amount, size in sizes.items():
        scores = [_score(features, draw_labels(features.train_y, size, seed, n), classifier) for n in range(draws)]
        mean, half = mean_and_halfwidth(scores)
        assert half is not None, "two draws or more have one"
        name = f"{classifier}_{'shots' if isinstance(amount, int) else 'labels'}_{amount:g}"
        found |= {name: mean, f"{name}_se": half / t_975(draws - 1), f"{name}_ci95": half}
    return found


def fewshot_protocol(
    amounts: Sequence[float | int], draws: int = 5, classifier: Classifier = "ridge", seed: int = 0
) -> str:
    """In words, how the accuracies of `few_labels` were measured."""
    shown = ", ".join(f"{a} labels per class" if isinstance(a, int) else f"{100 * a:g} % of labels" for a in amounts)
    chosen = "exact leave-one-out" if classifier == "ridge" else f"up to {FOLDS} folds"
    return (
        f"{classifier} probe on frozen features, single undistorted view, {shown}, balanced over classes; "
        f"mean of {draws} draws (seed {seed}), 95 % interval over them (Student's t); penalty by {chosen} within a draw"
    )


def draw_labels(labels: Int64[Tensor, "n"], sizes: Int64[Tensor, "c"], seed: int, number: int) -> Int64[Tensor, "m"]:
    """Increasing positions of `sizes[c]` samples of each class c; those of smaller sizes are among them."""
    order = random_order(len(labels), seed, LABELS, number)
    order = order[labels[order].argsort(stable=True)]
    in_order = labels[order]
    rank = torch.arange(len(labels)) - torch.searchsorted(in_order, in_order)
    return order[rank < sizes[in_order]].sort().values


def _per_class(features: Features, amount: float | int) -> Int64[Tensor, "c"]:
    counts = torch.bincount(features.train_y, minlength=features.num_classes)
    if isinstance(amount, int):
        if not 1 <= amount <= int(counts.min()):
            raise InputError(f"shots={amount} of each class, but a class has {int(counts.min())}; "
                             f"give 1 to {int(counts.min())}")  # fmt: skip
        return torch.full_like(counts, amount)
    if not 0 < amount < 1:
        raise InputError(f"labels={amount:g} is no share of the labels; give a number in (0, 1), such as 0.01")
    sizes = (counts * amount).round().long()
    if int(sizes.min()) < 1:
        raise InputError(f"labels={amount:g} leaves a class of {int(counts.min())} samples without a label; "
                         f"give {1 / int(counts.min().clamp_min(1)):.2g} or more, or shots")  # fmt: skip
    return sizes


def _score(features: Features, chosen: Int64[Tensor, "m"], classifier: Classifier) -> float:
    x, y = features.train_x[chosen], features.train_y[chosen]
    fit = (_ridge if classifier == "ridge" else _logistic)(x, y, features.num_classes)
    return fit.accuracy(features.test_x, features.test_y)


def _ridge(x: Float32[Tensor, "m k"], y: Int64[Tensor, "m"], num_classes: int) -> LinearClassifier:
    scores = leave_one_out(x, y, num_classes)
    return Moments.of(x, y, num_classes).fit([max(zip(scores, PENALTIES))[1]])[0]


def _logistic(x: Float32[Tensor, "m k"], y: Int64[Tensor, "m"], num_classes: int) -> LinearClassifier:
    folds = min(FOLDS, int(torch.bincount(y, minlength=num_classes).min()))
    penalty = ALONE
    if folds > 1:
        order = y.argsort(stable=True)
        fold = torch.empty_like(y)
        fold[order] = torch.arange(len(y)) % folds
        right = torch.zeros(len(LOGISTIC_PENALTIES), dtype=torch.int64)
        for k in range(folds):
            fits = fit_logistic(x[fold != k], y[fold != k], num_classes, LOGISTIC_PENALTIES, ROUGH).classifiers
            right += torch.tensor([int((fit.predict(x[fold == k]) == y[fold == k]).sum()) for fit in fits])
        penalty = max(zip(right.tolist(), LOGISTIC_PENALTIES))[1]
    return fit_logistic(x, y, num_classes, [penalty]).classifiers[0]
