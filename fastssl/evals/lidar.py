"""LiDAR (Thilak et al. 2023): how many directions tell images apart, beyond what tells views of one image apart.

Every image is a class, its views are its samples. S_b is the covariance of the images' means, S_w the mean covariance
of views about their image's mean, plus delta I; LiDAR is the smooth rank of S_w^-1/2 S_b S_w^-1/2: exp of the entropy
of its eigenvalues' shares, each plus eps. Covariances are divided by counts (n, n q), as in the paper.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from fastssl.errors import InputError

DELTA = 1e-4
"""Added to the diagonal of S_w; of the paper. It makes LiDAR depend on the features' scale."""
EPS = 1e-7
CHUNK_ROWS = 4096


def lidar(x: Float[Tensor, "n v k"], delta: float = DELTA, eps: float = EPS) -> float:
    """LiDAR of n images in v views: about 1 to min(n - 1, k), 0 where all images have one mean.

    Errors: `InputError` for fewer than two images or two views.
    """
    if x.ndim != 3 or len(x) < 2 or x.shape[1] < 2:
        raise InputError(f"features have shape {tuple(x.shape)}; give two or more images in two or more views each")
    n, views, k = x.shape
    means = torch.cat([c.double().mean(1) for c in x.split(max(1, CHUNK_ROWS // views))])
    within = means.new_zeros(k, k)
    for images, own in zip(x.split(256), means.split(256)):
        apart = (images.double() - own[:, None]).flatten(0, 1)
        within.addmm_(apart.T, apart)
    within = within / (n * views) + delta * torch.eye(k, dtype=torch.float64, device=x.device)
    centred = means - means.mean(0)
    values, vectors = torch.linalg.eigh(within)
    # whitened means: the eigenvalues of S_w^-1/2 S_b S_w^-1/2 are their squared singular values / n
    white = (centred @ vectors) / values.clamp_min(delta).sqrt()
    found = torch.linalg.eigvalsh(white.T @ white / n).clamp_min(0)
    total = found.sum()
    if not total > 0:
        return 0.0
    shares = found / total + eps
    return float((-(shares * shares.log()).sum()).exp())
