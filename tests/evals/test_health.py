"""Measures of health against slow versions written from the papers, and against answers known beforehand."""

import math

import numpy as np
import pytest
import torch

from fastssl.errors import InputError
from fastssl.evals.health import alignment, measures, power_law, rankme, spectra, uniformity
from fastssl.evals.lidar import lidar


def drawn(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def rotation(k, seed=1):
    return torch.from_numpy(np.linalg.qr(np.random.default_rng(seed).normal(size=(k, k)))[0])


@pytest.mark.parametrize("shape", [(300, 20), (15, 40), (20, 20)])
def test_spectra_are_those_of_numpy(shape):
    x = 3.0 + drawn(*shape)
    found = spectra(x)
    n = min(shape)
    covariance = np.linalg.svd(x.numpy() - x.numpy().mean(0), compute_uv=False) ** 2 / shape[0]
    np.testing.assert_allclose(found.covariance, covariance[:n], atol=1e-10)
    np.testing.assert_allclose(found.singular, np.linalg.svd(x.numpy(), compute_uv=False), rtol=1e-6)
    assert found.spread == pytest.approx(float(x.var(0, correction=0).sum() / x.square().sum(1).mean()))


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.7])
def test_alpha_of_a_power_law_is_its_exponent(alpha):
    exact = torch.arange(1, 65, dtype=torch.float64) ** -alpha
    found = power_law(exact)
    assert found == (pytest.approx(alpha, abs=1e-9), pytest.approx(1), (3, 50))
    orthogonal = np.linalg.qr(np.random.default_rng(0).normal(size=(2000, 65)) - 0.0)[0]
    orthogonal -= orthogonal.mean(0)
    orthogonal = np.linalg.qr(orthogonal)[0][:, :64]  # centred columns of unit length
    x = torch.from_numpy(orthogonal * np.sqrt(2000 * exact.numpy())) @ rotation(64)
    assert measures(spectra(x.float()))["alpha"] == pytest.approx(alpha, abs=0.01)
    sampled = drawn(60_000, 64) * exact.sqrt()
    assert measures(spectra(sampled))["alpha"] == pytest.approx(alpha, abs=0.01)


def test_alpha_of_too_few_directions_is_left_out_and_never_nan():
    low = drawn(100, 5) @ drawn(5, 64, seed=2)
    assert set(measures(spectra(low))) == {"rankme", "effective_rank"}
    assert measures(spectra(torch.zeros(10, 20))) == {"rankme": 0.0, "effective_rank": 0.0}
    with pytest.raises(InputError, match="ranks=5 6"):
        power_law(torch.ones(100, dtype=torch.float64), (5, 6))
    with pytest.raises(InputError, match="NaN"):
        spectra(torch.full((4, 4), torch.nan))


def slow_rankme(z, eps=1e-7):
    sigma = np.linalg.svd(z, compute_uv=False)
    p = sigma / np.abs(sigma).sum() + eps
    return math.exp(-sum(value * math.log(value) for value in p))


@pytest.mark.parametrize("shape", [(200, 30), (20, 50)])
def test_rankme_is_that_of_the_paper(shape):
    z = 1.0 + drawn(*shape) * torch.arange(1, shape[1] + 1) ** -0.7
    assert rankme(spectra(z).singular) == pytest.approx(slow_rankme(z.numpy()), rel=1e-6)


def test_ranks_of_known_representations():
    isotropic = torch.cat((torch.eye(12), -torch.eye(12)))
    known = measures(spectra(isotropic))
    assert known["rankme"] == pytest.approx(12, rel=1e-4)
    assert known["effective_rank"] == pytest.approx(12)
    line = drawn(50, 1) @ drawn(1, 12, seed=3)
    assert measures(spectra(line))["rankme"] == pytest.approx(1, abs=1e-3)
    assert measures(spectra(line))["effective_rank"] == pytest.approx(1, abs=1e-6)


def test_rotation_and_scale_change_nothing():
    x = 0.3 + drawn(300, 40) * torch.arange(1, 41) ** -0.6
    first, turned = measures(spectra(x)), measures(spectra(7 * x @ rotation(40)))
    assert turned == pytest.approx(first, rel=1e-6)
    views = drawn(30, 4, 6)
    assert lidar(views @ rotation(6)) == pytest.approx(lidar(views), rel=1e-6)
    assert uniformity(5 * views[:, 0] @ rotation(6)) == pytest.approx(uniformity(views[:, 0]), rel=1e-6)
    assert alignment(5 * views @ rotation(6)) == pytest.approx(alignment(views), rel=1e-6)


def slow_lidar(e, delta=1e-4, eps=1e-7):
    n, q, p = e.shape
    mu = e.reshape(-1, p).mean(0)
    between, within = np.zeros((p, p)), np.zeros((p, p))
    for i in range(n):
        own = e[i].mean(0)
        between += np.outer(own - mu, own - mu) / n
        for j in range(q):
            within += np.outer(e[i, j] - own, e[i, j] - own) / (n * q)
    within += delta * np.eye(p)
    values, vectors = np.linalg.eigh(within)
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    found = np.linalg.eigvalsh(root @ between @ root)
    share = np.abs(found) / np.abs(found).sum() + eps
    return math.exp(-(share * np.log(share)).sum())


@pytest.mark.parametrize("shape", [(40, 5, 12), (6, 3, 20)])
def test_lidar_is_that_of_the_paper(shape):
    e = drawn(shape[0], 1, shape[2], seed=4) * torch.arange(1, shape[2] + 1) ** -0.5 + 0.3 * drawn(*shape)
    assert lidar(e) == pytest.approx(slow_lidar(e.numpy()), rel=1e-6)


def test_lidar_counts_directions_that_tell_images_apart():
    corners = torch.cat((torch.eye(5), -torch.eye(5)))
    images = torch.nn.functional.pad(corners, (0, 3))[:, None]
    noise = torch.eye(8)[None].repeat(10, 1, 1) * 0.1
    assert lidar(torch.cat((images + noise, images - noise), 1)) == pytest.approx(5, rel=1e-4)
    assert lidar(torch.ones(10, 3, 8)) == 0
    with pytest.raises(InputError, match="views"):
        lidar(torch.ones(10, 1, 8))


def test_uniformity_and_alignment_are_naive_double_loops():
    x = drawn(12, 3, 5)
    unit = (x / x.norm(dim=2, keepdim=True)).numpy()
    pairs = [math.exp(-2 * ((unit[i, 0] - unit[j, 0]) ** 2).sum()) for i in range(12) for j in range(i)]
    assert uniformity(x[:, 0]) == pytest.approx(math.log(sum(pairs) / len(pairs)))
    apart = [((unit[i, a] - unit[i, b]) ** 2).sum() for i in range(12) for a in range(3) for b in range(a)]
    assert alignment(x) == pytest.approx(sum(apart) / len(apart))
    assert alignment(x[:, :1].repeat(1, 4, 1)) == pytest.approx(0, abs=1e-12)
    assert uniformity(torch.ones(6, 4)) == pytest.approx(0, abs=1e-9)
    assert uniformity(x[:, 0], most=4) == pytest.approx(uniformity(x[::3, 0]))
