"""Label-free measures of a representation: they compare encoders, and certify nothing (docs/health.md).

All are functions of features, one row per image, computed in float64. Sources: alpha: Agrawal, Mondal, Ghosh, Richards
2022 (alpha-ReQ), after Stringer et al. 2019; RankMe: Garrido et al. 2023; effective rank: Roy, Vetterli 2007 (here on
eigenvalues of the covariance); uniformity and alignment: Wang, Isola 2020. LiDAR has a file of its own.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor
from torch.nn import functional as F

from fastssl.errors import InputError
from fastssl.evals.spectrum import effective_rank

CHUNK_ROWS = 4096
"""Rows turned to float64 at a time: 64 MB at K = 2048."""
RANKS = (3, 50)
"""Ranks of the power-law fit. The first two eigenvalues are left out: they hold what all images differ in (brightness,
colour) and lie off the line. Beyond rank 50 a small network's spectrum bends down, as its dimensions run out."""
MIN_RANKS = 8
"""Fewer points than this make no line."""
ROUNDING = 1e-10
"""Eigenvalues below this share of the largest are rounding of float32 features, and no directions."""
RANKME_EPS = 1e-7
"""Garrido et al. 2023, equation 1."""
UNIFORMITY_T = 2.0
"""Wang, Isola 2020."""
MAX_PAIRED = 4096
"""Rows whose pairs the uniformity averages over."""


@dataclass(frozen=True)
class Spectra:
    """What all measures of a spectrum need of the features, from one pass of sums."""

    covariance: Float64[Tensor, "k"]
    """Eigenvalues of the centred covariance (divided by n), descending, 0 or more; min(n, k) of them."""
    singular: Float64[Tensor, "k"]
    """Singular values of the features as they are, not centred, descending; min(n, k) of them."""
    num_rows: int

    @property
    def spread(self) -> float:
        """Variance as a share of the mean squared length, 0 to 1; 0 when all features are the same, or zero."""
        square = float(self.singular.square().sum())
        return float(self.covariance.sum()) / max(square, 1e-300) * self.num_rows


def spectra(x: Float[Tensor, "n k"]) -> Spectra:
    """Both spectra of the features. Memory: the smaller of n x n and k x k in float64, and a chunk of rows.

    Errors: `InputError` for fewer than two rows, or values that are not finite.
    """
    if x.ndim != 2 or len(x) < 2:
        raise InputError(f"features have shape {tuple(x.shape)}; give at least two rows, one per image")
    if not bool(torch.isfinite(x).all()):
        raise InputError("features hold NaN or infinity; the encoder has diverged, so lower the learning rate")
    n, k = x.shape
    mean = torch.stack([c.double().sum(0) for c in x.split(CHUNK_ROWS)]).sum(0) / n
    if n >= k:
        centred = mean.new_zeros(k, k)
        for rows in x.split(CHUNK_ROWS):
            part = rows.double() - mean
            centred.addmm_(part.T, part)
        whole = centred + n * torch.outer(mean, mean)  # exact where centring by subtraction would cancel
    else:
        part = x.double() - mean
        centred, whole = part @ part.T, x.double() @ x.double().T
    return Spectra(_eigenvalues(centred) / n, _eigenvalues(whole).sqrt(), n)


def _eigenvalues(gram: Tensor) -> Tensor:
    return torch.linalg.eigvalsh(gram).flip(0).clamp_min(0)


def power_law(
    eigenvalues: Float64[Tensor, "k"], ranks: tuple[int, int] = RANKS
) -> tuple[float, float, tuple[int, int]] | None:
    """Exponent alpha of eigenvalue ~ rank^-alpha, R^2 of the fit, and the ranks used (first and last, from 1).

    Least squares of log eigenvalue on log rank, weighted by 1 / rank, as Stringer et al. have it: so each factor of
    rank counts alike and not the crowd at its end. The window ends where eigenvalues are rounding. None when fewer than
    `MIN_RANKS` ranks are left: a line through a handful of points is no law.
    Errors: `InputError` for a window that is none.
    """
    first, last = ranks
    if first < 1 or last < first + MIN_RANKS - 1:
        raise InputError(f"ranks={first} {last} is no window; give two ranks from 1 on, at least {MIN_RANKS - 1} apart")
    largest = float(eigenvalues.max()) if len(eigenvalues) else 0.0
    usable = int((eigenvalues > ROUNDING * largest).sum()) if largest > 0 else 0
    last = min(last, usable)
    if last - first + 1 < MIN_RANKS:
        return None
    rank = torch.arange(first, last + 1, dtype=torch.float64, device=eigenvalues.device)
    x, y, weight = rank.log(), eigenvalues[first - 1 : last].double().log(), 1 / rank
    weight = weight / weight.sum()
    x, y = x - (weight * x).sum(), y - (weight * y).sum()
    slope = float((weight * x * y).sum() / (weight * x * x).sum())
    total = float((weight * y * y).sum())
    left = float((weight * (y - slope * x).square()).sum())
    return -slope, 1 - left / total if total > 1e-20 else 1.0, (first, last)


def rankme(singular: Float64[Tensor, "k"], eps: float = RANKME_EPS) -> float:
    """exp of the entropy of the singular values' shares: 1 to k, 0 of zeros."""
    total = singular.sum()
    if not total > 0:
        return 0.0
    shares = singular / total + eps
    return float((-(shares * shares.log()).sum()).exp())


def measures(found: Spectra, ranks: tuple[int, int] = RANKS) -> dict[str, float]:
    """`alpha` and `alpha_r2` (left out where no law can be fitted), `rankme`, `effective_rank`."""
    law = power_law(found.covariance, ranks)
    line = {} if law is None else {"alpha": law[0], "alpha_r2": law[1]}
    return {**line, "rankme": rankme(found.singular), "effective_rank": float(effective_rank(found.covariance))}


def uniformity(x: Float[Tensor, "n k"], t: float = UNIFORMITY_T, most: int = MAX_PAIRED) -> float:
    """log of the mean of exp(-t |u - v|^2) over pairs of different rows on the unit sphere: -4 t to 0, lower is more
    uniform. Over all pairs of at most `most` rows, evenly spaced; a row of zeros stays where it is."""
    if len(x) < 2:
        raise InputError(f"features have {len(x)} rows; give at least two, for a pair")
    unit = F.normalize(x[_spaced(len(x), most)].double(), dim=1)
    total = unit.new_zeros(())
    for rows in unit.split(512):
        squared = rows.square().sum(1)[:, None] + unit.square().sum(1) - 2 * rows @ unit.T
        total += (-t * squared.clamp_min(0)).exp().sum()
    n = len(unit)
    return float(((total - n) / (n * (n - 1))).clamp_min(1e-300).log())


def alignment(x: Float[Tensor, "n v k"]) -> float:
    """Mean squared distance of two views of one image on the unit sphere, over all pairs: 0 (all alike) to 4."""
    if x.ndim != 3 or x.shape[1] < 2:
        raise InputError(f"features have shape {tuple(x.shape)}; give two or more views of every image")
    views = x.shape[1]
    total = 0.0
    for images in x.split(max(1, CHUNK_ROWS // views)):
        unit = F.normalize(images.double(), dim=2)
        total += float((unit - unit.mean(1, keepdim=True)).square().sum())
    return 2 * total / (len(x) * (views - 1))


def _spaced(n: int, most: int) -> Tensor:
    """At most `most` positions of n, evenly spaced."""
    return torch.arange(n) if n <= most else torch.arange(most) * n // most
