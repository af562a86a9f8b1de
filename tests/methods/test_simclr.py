import math

import pytest
import torch
import torch.nn.functional as F

from fastssl.errors import InputError
from fastssl.methods.simclr import SimCLRConfig, simclr_loss


def slow_simclr(z, temperature, num_negatives=None):
    """The equation of the paper, anchor by anchor; negatives in the order the module's docstring states."""
    num_views, num_images, _ = z.shape
    losses = []
    for a in range(num_views):
        for i in range(num_images):
            sim = lambda c, j, a=a, i=i: F.cosine_similarity(z[a, i], z[c, j], dim=0) / temperature
            positives = [sim(c, i) for c in range(num_views) if c != a]
            negatives = [
                sim((a + 1 + turn) % num_views, (i + offset) % num_images)
                for turn in range(num_views)
                for offset in range(1, num_images)
            ][:num_negatives]
            denominator = torch.stack(positives + negatives).exp().sum()
            losses.append(torch.stack([-(p.exp() / denominator).log() for p in positives]).mean())
    return torch.stack(losses).mean()


def simplex(num_images, num_views=2):
    eye = torch.eye(num_images, dtype=torch.float64)
    return (eye - 1 / num_images).expand(num_views, -1, -1)


@pytest.mark.parametrize("num_views", [2, 3, 4])
@pytest.mark.parametrize("num_images", [2, 5])
@pytest.mark.parametrize("num_negatives", [None, 1, 3])
def test_simclr_equals_the_equation_in_value_and_gradient(num_views, num_images, num_negatives):
    if num_negatives == 3 and num_views * (num_images - 1) < 3:
        num_negatives = 2
    torch.manual_seed(0)
    z = torch.randn(num_views, num_images, 6, dtype=torch.float64, requires_grad=True)
    fast, slow = simclr_loss(z, 0.3, num_negatives), slow_simclr(z, 0.3, num_negatives)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(torch.autograd.grad(fast, z)[0], torch.autograd.grad(slow, z)[0], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("num_images", [2, 7, 32])
def test_simclr_collapse_is_log_of_the_candidates(num_images):
    z = torch.ones(2, num_images, 4, dtype=torch.float64)
    assert simclr_loss(z, 0.2).item() == pytest.approx(math.log(2 * num_images - 1), rel=1e-12)
    assert simclr_loss(z, 0.2, 1).item() == pytest.approx(math.log(2), rel=1e-12)


@pytest.mark.parametrize(("num_images", "temperature"), [(2, 0.1), (5, 0.5), (16, 0.07)])
def test_simclr_at_the_simplex(num_images, temperature):
    gap = num_images / (num_images - 1)
    expected = math.log(1 + (2 * num_images - 2) * math.exp(-gap / temperature))
    # A difference of two numbers of size 1 / temperature: 1e-14 of those is lost.
    loss = simclr_loss(simplex(num_images), temperature).item()
    assert loss == pytest.approx(expected, rel=1e-9, abs=1e-14 / temperature)


def test_simclr_infimum_is_zero_for_two_views_and_log_of_positives_for_more():
    assert simclr_loss(simplex(2), 0.01).item() == pytest.approx(0.0, abs=1e-12)
    assert simclr_loss(simplex(2, num_views=4), 0.01).item() == pytest.approx(math.log(3), abs=1e-12)


def test_simclr_with_every_negative_counted_is_the_full_loss():
    z = torch.randn(3, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(simclr_loss(z, 0.5, 9), simclr_loss(z, 0.5), rtol=1e-14, atol=0)
    assert simclr_loss(z, 0.5, 8) < simclr_loss(z, 0.5)


def test_simclr_one_negative_is_the_next_image_in_the_other_view():
    torch.manual_seed(2)
    z = torch.randn(2, 4, 5, dtype=torch.float64, requires_grad=True)
    unit = F.normalize(z, dim=-1)
    pairs = []
    for a in range(2):
        pos = (unit[a] * unit[1 - a]).sum(-1)
        neg = (unit[a] * unit[1 - a].roll(-1, 0)).sum(-1)
        pairs.append(F.softplus((neg - pos) / 0.5))
    torch.testing.assert_close(simclr_loss(z, 0.5, 1), torch.cat(pairs).mean(), rtol=1e-12, atol=0)


def test_simclr_does_not_care_for_order_of_images_or_views():
    torch.manual_seed(3)
    z = torch.randn(3, 7, 5, dtype=torch.float64)
    loss = simclr_loss(z, 0.5)
    torch.testing.assert_close(simclr_loss(z[:, torch.randperm(7)], 0.5), loss, rtol=1e-12, atol=0)
    torch.testing.assert_close(simclr_loss(z.flip(0), 0.5), loss, rtol=1e-12, atol=0)
    torch.testing.assert_close(simclr_loss(z * torch.rand(3, 7, 1).double().add(0.1), 0.5), loss, rtol=1e-9, atol=0)


def test_simclr_refuses_more_negatives_than_the_batch_holds():
    with pytest.raises(InputError, match="num_negatives=7 is more than the 6"):
        simclr_loss(torch.ones(2, 4, 3), 0.5, 7)


@pytest.mark.parametrize("bad", [{"temperature": 0.0}, {"temperature": math.nan}, {"num_negatives": 0}])
def test_simclr_config_refuses(bad):
    with pytest.raises(InputError, match=next(iter(bad))):
        SimCLRConfig(**bad)


@pytest.mark.parametrize("num_negatives", [None, 1, 4, 13])
def test_simclr_mean_over_parts_of_the_anchors_is_the_whole(num_negatives):
    z = torch.randn(3, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(4)).requires_grad_()
    whole = simclr_loss(z, 0.3, num_negatives)
    parts = sum(simclr_loss(z[:, i : i + 2], 0.3, num_negatives, z, i) for i in (0, 2, 4)) / 3
    torch.testing.assert_close(parts, whole, rtol=1e-12, atol=0)
    torch.testing.assert_close(torch.autograd.grad(parts, z)[0], torch.autograd.grad(whole, z)[0], rtol=1e-10, atol=0)


def test_simclr_compares_an_embedding_of_zeros_as_the_equation_does():
    z = torch.randn(2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    z[0, 1] = 0
    torch.testing.assert_close(simclr_loss(z, 0.3), slow_simclr(z, 0.3), rtol=1e-12, atol=0)
