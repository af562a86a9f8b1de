"""Ridge probe: a linear classifier on frozen features in closed form. No learning rate, no epochs, no seed.

Features are standardised, the targets are one-hot, centred; W = (X'X + p t I)^-1 X'Y, where t = trace(X'X) / K makes
the penalty p free of the features' scale and of the number of rows. p is chosen on a class-balanced tenth of train
that the candidates were not fitted on, then W is refitted on all of train. The test split is only ever scored.
(Ridge as a classifier: Hastie, Tibshirani, Friedman, The Elements of Statistical Learning, 2nd ed., sections 3.4, 4.2.)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float32, Float64, Int64
from torch import Tensor

from fastssl.evals.features import CHUNK_ROWS, Features, centred, standard_error

PENALTIES = tuple(10.0**k for k in range(-6, 4))
"""Candidates, relative to the mean eigenvalue of X'X: from none to all but the mean."""
HELD_OUT_EVERY = 10
PROTOCOL = "ridge probe on frozen features, single undistorted view, penalty chosen on 10 % of train, refitted on train"


def ridge(features: Features) -> Iterator[tuple[str, float]]:
    """Yields `ridge` (test accuracy, 0-1), `ridge_se` (its binomial standard error) and `ridge_penalty` (relative)."""
    penalty = choose_penalty(features)
    moments = Moments.of(features.train_x, features.train_y, features.num_classes)
    accuracy = moments.fit([penalty])[0].accuracy(features.test_x, features.test_y)
    yield "ridge", accuracy
    yield "ridge_se", standard_error(accuracy, len(features.test_y))
    yield "ridge_penalty", penalty


def choose_penalty(features: Features) -> float:
    """The candidate most accurate on the held-out tenth of train; the strongest among equals.

    With nothing to hold out (at most one sample per class) it is 1, the mean eigenvalue.
    """
    held = held_out(features.train_y)
    if not held.any():
        return 1.0
    x, y = features.train_x, features.train_y
    fits = Moments.of(x[~held], y[~held], features.num_classes).fit(PENALTIES)
    scores = [fit.accuracy(x[held], y[held]) for fit in fits]
    return max(zip(scores, PENALTIES))[1]


def held_out(labels: Int64[Tensor, "n"]) -> Bool[Tensor, "n"]:
    """Every tenth sample of each class in dataset order, beginning with its second: balanced, nothing random."""
    order = torch.argsort(labels, stable=True)
    in_order = labels[order]
    rank = torch.empty_like(labels)
    rank[order] = torch.arange(len(labels), device=labels.device) - torch.searchsorted(in_order, in_order)
    return rank % HELD_OUT_EVERY == 1


@dataclass(frozen=True, slots=True)
class LinearClassifier:
    """Scores x W + b on raw (not standardised) features."""

    weight: Float64[Tensor, "k c"]
    bias: Float64[Tensor, "c"]

    def predict(self, x: Tensor) -> Int64[Tensor, "n"]:
        scores = [chunk.double() @ self.weight + self.bias for chunk in x.split(CHUNK_ROWS)]
        return torch.cat(scores).argmax(dim=1)

    def accuracy(self, x: Tensor, y: Tensor) -> float:
        return float((self.predict(x) == y).double().mean())


@dataclass(frozen=True, slots=True)
class Moments:
    """All that ridge regression needs of the data, in float64."""

    mean: Float64[Tensor, "k"]
    scale: Float64[Tensor, "k"]
    """1 / standard deviation; 0 for a feature that never varies, which thereby drops out."""
    gram: Float64[Tensor, "k k"]
    cross: Float64[Tensor, "k c"]
    prior: Float64[Tensor, "c"]

    @classmethod
    def of(cls, x: Tensor, y: Tensor, num_classes: int) -> "Moments":
        mean, chunks = centred(x)
        counts = torch.bincount(y, minlength=num_classes).double()
        gram = mean.new_zeros(len(mean), len(mean))
        cross = mean.new_zeros(len(mean), num_classes)
        for rows, labels in zip(chunks, y.split(CHUNK_ROWS)):
            gram += rows.T @ rows
            cross.T.index_add_(0, labels, rows)
        std = (gram.diagonal() / len(x)).sqrt()
        # below float32's resolution of the feature's own size the spread is rounding, not signal
        varies = std > 1e-6 * mean.abs().clamp_min(1e-30)
        scale = torch.where(varies, 1 / std, 0.0)
        prior = counts / len(x)
        return cls(mean, scale, gram * scale * scale[:, None], cross * scale[:, None], prior)

    def fit(self, penalties: Sequence[float]) -> list[LinearClassifier]:
        """One eigendecomposition serves every penalty."""
        values, vectors, mean_value = self.spectrum()
        rotated = vectors.T @ self.cross
        fits = []
        for penalty in penalties:
            weight = vectors @ (rotated / (values.clamp_min(0) + penalty * mean_value)[:, None])
            weight = weight * self.scale[:, None]
            fits.append(LinearClassifier(weight, self.prior - self.mean @ weight))
        return fits

    def spectrum(self) -> tuple[Float64[Tensor, "k"], Float64[Tensor, "k k"], float]:
        """Eigenvalues (ascending), eigenvectors and the mean eigenvalue of the Gram matrix."""
        values, vectors = torch.linalg.eigh(self.gram)
        return values, vectors, float(values.mean()) or 1.0  # every feature constant: any penalty gives W = 0


def leave_one_out(
    x: Float32[Tensor, "n k"], y: Int64[Tensor, "n"], num_classes: int, penalties: Sequence[float] = PENALTIES
) -> list[float]:
    """Accuracy (0-1) per penalty on each sample by the ridge classifier of all the others, exactly, from one fit.

    With H the matrix that takes targets to fitted values (the intercept, which is free, adds 1 / n to it), the fit
    without sample i is (f_i - H_ii y_i) / (1 - H_ii) at it (Hastie et al., eq. 7.64). Standardisation is of all n.
    """
    moments = Moments.of(x, y, num_classes)
    values, vectors, mean_value = moments.spectrum()
    rotated = (x.double() - moments.mean) * moments.scale @ vectors
    cross = vectors.T @ moments.cross
    targets = torch.nn.functional.one_hot(y, num_classes).double()
    accuracies = []
    for penalty in penalties:
        inverse = 1 / (values.clamp_min(0) + penalty * mean_value)
        leverage = (rotated.square() @ inverse + 1 / len(x)).clamp_max(1 - 1e-9)[:, None]
        fitted = rotated @ (inverse[:, None] * cross) + moments.prior
        left_out = (fitted - leverage * targets) / (1 - leverage)
        accuracies.append(float((left_out.argmax(1) == y).double().mean()))
    return accuracies
