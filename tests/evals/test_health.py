"""Measures of health against slow versions written from the papers, and against answers known beforehand."""

import math

import numpy as np
import pytest
import torch

from fastssl.evals.health import SecondMoments, alignment, health, lidar, power_law, uniformity, view_health


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("alpha", [0.4, 1.0, 1.7])
def test_alpha_of_an_exact_power_law(alpha):
    fit = power_law(2.5 * torch.arange(1, 129).double() ** -alpha)
    assert fit.alpha == pytest.approx(alpha, abs=1e-9)
    assert (fit.r2, fit.scale, fit.ranks) == (pytest.approx(1), pytest.approx(2.5), (3, 50))


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.5])
def test_alpha_of_features_drawn_from_a_power_law(alpha):
    """Orthogonal columns of exactly these variances, in a rotated basis, in float32."""
    basis = torch.linalg.qr(normal(1000, 65).double() - normal(1000, 65).double().mean(0))[0]
    columns = basis - basis.mean(0)
    columns = torch.linalg.qr(columns)[0][:, :64]
    x = columns * torch.arange(1, 65).double() ** (-alpha / 2)
    rotation = torch.linalg.qr(normal(64, 64, seed=1).double())[0]
    found = health((x @ rotation * 30 + 5).float())
    assert found["alpha"] == pytest.approx(alpha, abs=0.01)
    assert found["alpha_r2"] > 0.999


def test_ranks_that_are_too_few_have_no_alpha():
    assert power_law(torch.tensor([1.0, 0.5, 0.2, 0.1, 0.05, 0.02]).double()) is None
    found = health(normal(50, 4))
    assert "alpha" not in found
    assert found["rankme"] > 3


def slow_rankme(x):
    values = np.linalg.svd(x, compute_uv=False)
    shares = values / np.abs(values).sum() + 1e-7
    return math.exp(-np.sum(shares * np.log(shares)))


def test_rankme_against_the_paper():
    x = normal(300, 20) * torch.logspace(0, -3, 20) + 0.3
    assert SecondMoments.of(x).rankme == pytest.approx(slow_rankme(x.double().numpy()), rel=1e-6)


def slow_lidar(views, delta):
    n, v, k = views.shape
    grand = views.mean((0, 1))
    between, within = np.zeros((k, k)), np.zeros((k, k))
    for image in views:
        centre = image.mean(0)
        between += np.outer(centre - grand, centre - grand) / n
        for view in image:
            within += np.outer(view - centre, view - centre) / (n * v)
    within += delta * np.eye(k)
    values, vectors = np.linalg.eigh(within)
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    found = np.linalg.eigvalsh(root @ between @ root).clip(0)
    shares = found / found.sum() + 1e-7
    return math.exp(-np.sum(shares * np.log(shares)))


def test_lidar_against_the_paper():
    views = (normal(40, 1, 12) * torch.logspace(0, -2, 12) + 0.3 * normal(40, 5, 12, seed=1)).double()
    assert lidar(views) == pytest.approx(slow_lidar(views.numpy(), 1e-4), rel=1e-9)


def test_lidar_counts_the_directions_that_tell_images_apart():
    images = torch.zeros(200, 1, 16)
    images[..., :4] = torch.linalg.qr(normal(200, 4) - normal(200, 4).mean(0))[0][:, None] * 10
    views = images + 0.05 * normal(200, 20, 16, seed=2)
    assert lidar(views) == pytest.approx(4, abs=0.1)
    assert SecondMoments.of(views[:, 0]).rankme > 4.5  # which also counts what the noise adds


def test_known_ranks():
    eye = torch.cat([torch.eye(8), -torch.eye(8)])
    moments = SecondMoments.of(eye)
    assert moments.rankme == pytest.approx(8, rel=1e-4)
    assert moments.effective_rank == pytest.approx(8)
    line = normal(100, 1) * torch.ones(1, 8)
    assert SecondMoments.of(line).rankme == pytest.approx(1, abs=1e-4)


def test_ranks_do_not_change_with_rotation_or_scale():
    x = normal(200, 10) * torch.logspace(0, -1, 10)
    turned = 7 * x @ torch.linalg.qr(normal(10, 10, seed=1))[0]
    for name in ("rankme", "alpha"):
        assert health(turned)[name] == pytest.approx(health(x)[name], rel=1e-4)


def test_alignment_and_uniformity_against_loops():
    unit = torch.nn.functional.normalize(normal(20, 3, 5).double(), dim=2)
    pairs = [(i, a, b) for i in range(20) for a in range(3) for b in range(3) if a != b]
    slow = sum(float((unit[i, a] - unit[i, b]).square().sum()) for i, a, b in pairs) / len(pairs)
    assert alignment(unit) == pytest.approx(slow)
    others = [(i, j) for i in range(20) for j in range(i)]
    slow = math.log(sum(math.exp(-2 * float((unit[i, 0] - unit[j, 0]).square().sum())) for i, j in others) / 190)
    assert uniformity(unit[:, 0]) == pytest.approx(slow)
    assert view_health(unit.float())["alignment"] == pytest.approx(alignment(unit), rel=1e-5)


@pytest.mark.parametrize(
    ("x", "collapsed"),
    [
        (normal(200, 16), 0.0),
        (normal(200, 16).relu(), 0.0),
        (torch.ones(200, 16) + 1e-3 * normal(200, 16), 1.0),  # all images alike
        (normal(200, 1) * torch.ones(1, 16), 1.0),  # along one direction
        (torch.zeros(200, 16), 0.0 + 1.0),
    ],
)
def test_collapse_is_seen(x, collapsed):
    assert health(x)["collapsed"] == collapsed
