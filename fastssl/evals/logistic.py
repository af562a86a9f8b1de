"""Logistic probe: multinomial logistic regression with an L2 penalty, many penalties at once.

Features are standardised; per penalty p the weights minimise mean cross-entropy + p / 2 |W|^2, the intercept free.
(scikit-learn's `C` is 1 / (p n).) All penalties share every pass over the features: their weights stand side by side
in one matrix product. They are fitted by L-BFGS (Liu, Nocedal 1989), whose first metric is the bound 1/2 X'X + p on
the Hessian (Böhning 1992), diagonal in the eigenvectors of X'X; nothing is random and no rate is to be chosen.
The penalty is chosen as ridge's is: on a class-balanced tenth of train that the candidates were not fitted on.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Int64
from torch import Tensor

from fastssl.evals.features import Features, standard_error
from fastssl.evals.lbfgs import minimise
from fastssl.evals.ridge import LinearClassifier, Moments, held_out

PENALTIES = tuple(10.0 ** (-6 + 7 * k / 11) for k in range(12))
"""Candidates, 1e-6 to 10."""
ALONE = 1e-2
"""The penalty when there is nothing to choose on."""
CHUNK_ROWS = 8192
"""Rows whose scores are held at once: 80 MB for 12 penalties and 200 classes."""
TOLERANCE = 3e-4
"""Fitted when the gradient has shrunk so far, in the metric of the bound: accuracies then move no more than by a sample
or two of ten thousand."""
MAX_STEPS = 200
PROTOCOL = (
    "logistic probe on frozen features, single undistorted view, L2 penalty chosen of 12 on 10 % of train, "
    "refitted on train"
)


def logistic(features: Features) -> Iterator[tuple[str, float]]:
    """Yields `logistic` (test accuracy, 0-1), its `_se`, `_penalty`, and `_converged` (1, or 0 when steps ran out)."""
    x, y, num_classes = features.train_x, features.train_y, features.num_classes
    penalty = choose_penalty(features)
    fit = fit_logistic(x, y, num_classes, [penalty])
    accuracy = fit.classifiers[0].accuracy(features.test_x, features.test_y)
    yield "logistic", accuracy
    yield "logistic_se", standard_error(accuracy, len(features.test_y))
    yield "logistic_penalty", penalty
    yield "logistic_converged", float(fit.converged[0])


def choose_penalty(features: Features, penalties: Sequence[float] = PENALTIES) -> float:
    """The candidate most accurate on the held-out tenth of train; the strongest among equals."""
    held = held_out(features.train_y)
    if not held.any():
        return ALONE
    x, y = features.train_x, features.train_y
    fits = fit_logistic(x[~held], y[~held], features.num_classes, penalties).classifiers
    return max(zip([fit.accuracy(x[held], y[held]) for fit in fits], penalties))[1]


@dataclass(frozen=True, slots=True)
class Logistic:
    """One fit per penalty."""

    classifiers: list[LinearClassifier]
    losses: list[float]
    """Mean cross-entropy plus penalty, in nats."""
    converged: list[bool]
    num_steps: int
    """Passes over the features, forward and backward."""


def fit_logistic(
    x: Float32[Tensor, "n k"],
    y: Int64[Tensor, "n"],
    num_classes: int,
    penalties: Sequence[float],
    tolerance: float = TOLERANCE,
) -> Logistic:
    """Fits every penalty on the device of `x`; no copy of the features is made."""
    moments = Moments.of(x, y, num_classes)
    values, vectors, _ = moments.spectrum()
    values = (values / len(x)).clamp_min(0)
    strength = torch.tensor(penalties, dtype=torch.float64, device=x.device)
    towards = moments.scale[:, None] * vectors
    """Takes weights on principal directions, where the metric is diagonal, to weights on raw features."""

    def raw(theta: Tensor) -> tuple[Tensor, Tensor]:
        weight = torch.einsum("jk,pkc->pjc", towards, theta[:, :-1])
        return weight, theta[:, -1] - torch.einsum("j,pjc->pc", moments.mean, weight)

    def evaluate(theta: Tensor, which: Tensor) -> tuple[Tensor, Tensor]:
        """Loss (p,) and gradient (p, k + 1, c), the intercept in the last row, of the penalties `which`."""
        weight, bias = raw(theta)
        stacked = weight.transpose(0, 1).flatten(1).float()
        loss = torch.zeros(len(theta), dtype=torch.float64, device=x.device)
        cross = torch.zeros_like(stacked, dtype=torch.float64)
        residual_sum = torch.zeros_like(bias)
        for rows, labels in zip(x.split(CHUNK_ROWS), y.split(CHUNK_ROWS)):
            scores = torch.addmm(bias.flatten().float(), rows, stacked).unflatten(1, bias.shape)
            log_p = scores.log_softmax(2)
            at = labels[:, None, None].expand(-1, len(theta), 1)
            loss -= log_p.gather(2, at).squeeze(2).sum(0).double()
            residual = log_p.exp_().scatter_add_(2, at, torch.full_like(at, -1, dtype=log_p.dtype))
            cross += rows.T @ residual.flatten(1)
            residual_sum += residual.sum(0)
        centred = cross.unflatten(1, bias.shape).transpose(0, 1) - moments.mean[:, None] * residual_sum[:, None]
        slope = torch.einsum("jk,pjc->pkc", towards, centred)
        gradient = torch.cat([slope, residual_sum[:, None]], 1) / len(x)
        gradient[:, :-1] += strength[which, None, None] * theta[:, :-1]
        return loss / len(x) + strength[which] / 2 * theta[:, :-1].square().sum((1, 2)), gradient

    curvature = values[None] / 2 + strength[:, None]
    metric = 1 / torch.cat([curvature, torch.full_like(curvature[:, :1], 0.5)], 1)[..., None]
    start = torch.zeros(len(strength), len(values) + 1, num_classes, dtype=torch.float64, device=x.device)
    found = minimise(evaluate, start, metric, tolerance=tolerance, max_steps=MAX_STEPS)
    weight, bias = raw(found.at)
    classifiers = [LinearClassifier(w, b) for w, b in zip(weight, bias)]
    return Logistic(classifiers, found.values.tolist(), found.converged.tolist(), found.num_steps)
