"""Health of a representation: how its variance is spread over directions, and how its views lie. No labels.

    alpha         exponent of the eigenvalues of the feature covariance, lambda_n ~ n^-alpha, by least squares of log
                  lambda_n on log n with weights 1/n (every octave of ranks counts alike). 1 is the decay under which a
                  code is both expressive and smooth. Agrawal et al. 2022, arXiv 2202.05808 (alpha-ReQ); Stringer et
                  al. 2019.
    rankme        exp of the entropy of the singular values of the features (not centred), 1 to K. Garrido et al. 2023,
                  arXiv 2210.02885.
    effective_rank  exp of the entropy of the eigenvalues of the features' correlation matrix, 1 to K; as rankme, but
                  centred and standardised, and of variances.
    lidar         exp of the entropy of the eigenvalues of the linear discriminant matrix whose classes are images and
                  whose samples are their views. Thilak et al. 2023, arXiv 2312.04000.
    alignment     mean squared distance of two views of an image on the unit sphere, 0 to 4; uniformity is the log of
                  the mean of exp(-2 d^2) over pairs of images, down to -4. Wang, Isola 2020, arXiv 2005.10242.

An untrained network can have the highest rank of all: these numbers compare runs, and stand beside the random encoder.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Float64
from torch import Tensor
from torch.nn import functional as F

from fastssl.evals.features import CHUNK_ROWS, centred
from fastssl.evals.spectrum import effective_rank

RANKS = (3, 50)
"""The ranks that alpha is fitted on: the first directions are few and their own, the last ones are noise."""
MIN_RANKS = 5
RANKME_EPS = 1e-7
LIDAR_DELTA = 1e-4
"""Added to the diagonal of the scatter within images, as in the paper."""
UNIFORMITY_ROWS = 2048
"""Of so many rows all pairs are taken: two million."""
COLLAPSED_SPREAD = 1e-4
COLLAPSED_DIRECTIONS = 1.1
"""Two classes told apart perfectly lie along one direction, too, but with some spread around it."""


@dataclass(frozen=True, slots=True)
class PowerLaw:
    """lambda_n = scale * n^-alpha."""

    alpha: float
    r2: float
    """Weighted share of the variance of log lambda that the line explains, at most 1."""
    scale: float
    ranks: tuple[int, int]
    """First and last rank of the fit, counted from 1."""


@dataclass(frozen=True, slots=True)
class SecondMoments:
    """Mean and covariance of features, in float64."""

    mean: Float64[Tensor, "k"]
    covariance: Float64[Tensor, "k k"]
    num_rows: int

    @classmethod
    def of(cls, x: Float32[Tensor, "n k"]) -> "SecondMoments":
        mean, chunks = centred(x)
        gram = mean.new_zeros(len(mean), len(mean))
        for rows in chunks:
            gram += rows.T @ rows
        return cls(mean, gram / len(x), len(x))

    @property
    def spectrum(self) -> Float64[Tensor, "k"]:
        """Eigenvalues of the covariance, descending, none below 0."""
        return torch.linalg.eigvalsh(self.covariance).flip(0).clamp_min(0)

    @property
    def rankme(self) -> float:
        second = (self.covariance + torch.outer(self.mean, self.mean)) * self.num_rows
        return smooth_rank(torch.linalg.eigvalsh(second).clamp_min(0).sqrt())

    @property
    def effective_rank(self) -> float:
        """Of the features that vary at all; 0 when none does."""
        std = self.covariance.diagonal().sqrt()
        scale = torch.where(std > 1e-6 * self.mean.abs().clamp_min(1e-30), 1 / std, 0.0)
        return float(effective_rank(torch.linalg.eigvalsh(self.covariance * scale * scale[:, None]).clamp_min(0)))


def smooth_rank(values: Float[Tensor, "k"]) -> float:
    """exp of the entropy of shares + eps, as RankMe and LiDAR define it; the eps is in the shares."""
    total = values.sum()
    shares = values / torch.where(total > 0, total, 1.0) + RANKME_EPS
    return float((-(shares * shares.log()).sum()).exp())


def power_law(spectrum: Float64[Tensor, "k"], ranks: tuple[int, int] = RANKS) -> PowerLaw | None:
    """The line through log eigenvalues at these ranks; None when fewer than five of them are above rounding."""
    positive = int((spectrum > spectrum[0] * 1e-12).sum())
    first, last = ranks[0], min(ranks[1], positive)
    if last - first + 1 < MIN_RANKS:
        return None
    n = torch.arange(first, last + 1, dtype=torch.float64)
    x, y, weight = n.log(), spectrum[first - 1 : last].log().cpu(), 1 / n
    weight = weight / weight.sum()
    mid_x, mid_y = (weight * x).sum(), (weight * y).sum()
    slope = (weight * (x - mid_x) * (y - mid_y)).sum() / (weight * (x - mid_x).square()).sum()
    left = (weight * (y - mid_y - slope * (x - mid_x)).square()).sum()
    total = (weight * (y - mid_y).square()).sum()
    r2 = float(1 - left / total) if total > 0 else 1.0
    return PowerLaw(-float(slope), r2, float((mid_y - slope * mid_x).exp()), (first, last))


def health(x: Float32[Tensor, "n k"], ranks: tuple[int, int] = RANKS) -> dict[str, float]:
    """`alpha`, `alpha_r2` (both only where a line can be fitted), `rankme`, `effective_rank`, and `collapsed` (0 or 1).

    Collapsed: on the unit sphere all features lie within 1e-4 of their mean (squared, mean), or their variance lies
    along fewer than 1.1 directions (exp of the entropy of its eigenvalues).
    """
    moments = SecondMoments.of(x)
    spectrum = moments.spectrum
    fit = power_law(spectrum, ranks)
    found = {} if fit is None else {"alpha": fit.alpha, "alpha_r2": fit.r2}
    unit_mean = F.normalize(x.double(), dim=1).mean(0)
    spread = 1 - float(unit_mean.square().sum())
    directions = float(effective_rank(spectrum))
    collapsed = spread < COLLAPSED_SPREAD or directions < COLLAPSED_DIRECTIONS
    return {**found, "rankme": moments.rankme, "effective_rank": moments.effective_rank, "collapsed": float(collapsed)}


def view_health(views: Float32[Tensor, "n v k"]) -> dict[str, float]:
    """`lidar`, `alignment`, `uniformity` of n images in v views, v at least 2."""
    unit = F.normalize(views.double(), dim=2)
    return {"lidar": lidar(views), "alignment": alignment(unit), "uniformity": uniformity(unit[:, 0])}


def lidar(views: Float32[Tensor, "n v k"], delta: float = LIDAR_DELTA) -> float:
    """1 to K; how many directions tell images apart by more than their views differ."""
    x = views.double()
    centres = x.mean(1)
    between = torch.cov(centres.T, correction=0).reshape(x.shape[2], x.shape[2])
    within = torch.zeros_like(between)
    for rows in (x - centres[:, None]).flatten(0, 1).split(CHUNK_ROWS):
        within += rows.T @ rows
    values, vectors = torch.linalg.eigh(within / (len(x) * x.shape[1]))
    whiten = vectors / (values.clamp_min(0) + delta).sqrt()
    return smooth_rank(torch.linalg.eigvalsh(whiten.T @ between @ whiten).clamp_min(0))


def alignment(unit: Float[Tensor, "n v k"]) -> float:
    """Mean over images and pairs of different views; by the sum of a unit vector's views, without a loop over pairs."""
    count = unit.shape[1]
    if count < 2:
        raise ValueError(f"views={count} makes no pair; give 2 or more")
    product = (unit.sum(1).square().sum(1) - count) / (count * (count - 1))
    return float((2 - 2 * product).mean())


def uniformity(unit: Float[Tensor, "n k"]) -> float:
    """Over all pairs of at most 2,048 rows, evenly spaced: a split may be stored class by class."""
    rows = unit[:: -(-len(unit) // UNIFORMITY_ROWS)]
    return float(torch.pdist(rows).square().mul(-2).exp().mean().log())
