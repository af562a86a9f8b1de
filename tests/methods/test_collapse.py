"""Methods without negatives have a trivial solution: what keeps training away from it is taken out, part by part."""

import pytest
from torch import nn

from fastssl.methods import byol, simsiam
from fastssl.methods.cosine import cosine_to_others, dimensions
from fastssl.methods.ema import follow
from fastssl.optim import OptimConfig
from tests.contracts.test_methods import batch, build, train

SMALL = {"projector_dim": 32, "projector_hidden": 32, "predictor_hidden": 16}


def dimensions_after_training(method):
    """Of the embeddings of new noise on the toy's 32 images."""
    train(method, OptimConfig(lr=1e-2), 60)
    (view, _), _, _ = batch(1000, 32)
    return dimensions(method.projector(method.encoder(view))[None]).item()


def small(kind, **options):
    return build(kind, **SMALL, **options)


@pytest.mark.parametrize("kind", ["byol", "simsiam", "moco_v3"])
def test_embeddings_do_not_collapse(kind):
    assert dimensions_after_training(small(kind)) > 3.5


def test_byol_collapses_to_a_point_without_predictor_and_slow_target(monkeypatch):
    method = small("byol")
    method.predictor = nn.Identity()
    monkeypatch.setattr(byol, "follow", lambda slow, network, momentum: follow(slow, network, 0.0))
    assert dimensions_after_training(method) < 1.2


def test_byol_collapses_with_a_target_that_learns_to_be_predicted(monkeypatch):
    method = small("byol")
    method.target = nn.Sequential(method.encoder, method.projector)
    monkeypatch.setattr(byol.torch, "no_grad", byol.torch.enable_grad)
    monkeypatch.setattr(byol, "byol_loss", lambda p, t: 2 - 2 * cosine_to_others(p, t))
    monkeypatch.setattr(byol, "follow", lambda slow, network, momentum: None)
    assert dimensions_after_training(method) < 1.7


def test_simsiam_loses_dimensions_without_its_stop_gradient(monkeypatch):
    # Not to a point: the BatchNorm behind the projector keeps every output's deviation at 1.
    monkeypatch.setattr(simsiam, "simsiam_loss", lambda p, z, multiview: -cosine_to_others(p, z))
    assert dimensions_after_training(small("simsiam")) < 3.0
