import copy

import pytest
import torch
from torch import nn

from fastssl.errors import InputError
from fastssl.methods.random_encoder import RandomEncoderConfig
from fastssl.methods.supervised import SupervisedConfig, supervised_loss
from fastssl.optim import OptimConfig
from fastssl.types import DatasetInfo


def info(num_classes=3):
    return DatasetInfo("toy", "train", "a", 12, num_classes, 8, 8, (0.5,) * 3, (0.2,) * 3)


def encoder():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def test_supervised_equals_the_equation_in_value_and_gradient():
    torch.manual_seed(0)
    logits = torch.randn(2, 5, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 2, 1, 1, 0])
    slow = (
        -sum((logits[a, b].exp() / logits[a, b].exp().sum())[labels[b]].log() for a in range(2) for b in range(5)) / 10
    )
    fast = supervised_loss(logits, labels)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=0)
    torch.testing.assert_close(torch.autograd.grad(fast, logits)[0], torch.autograd.grad(slow, logits)[0])


def test_supervised_logs_the_share_of_right_answers():
    method = SupervisedConfig().build(nn.Flatten(), 12, info())
    nn.init.zeros_(method.head.weight)
    method.head.bias.data = torch.tensor([0.0, 1.0, 0.0])  # says class 1 to everything
    labels = torch.tensor([1, 1, 0, 2])
    output = method((torch.randn(4, 3, 2, 2),) * 2, labels, labels)
    assert output.logs["train_accuracy"].item() == 0.5


def test_supervised_refuses_unlabelled_data():
    with pytest.raises(InputError, match="num_classes=0"):
        SupervisedConfig().build(encoder(), 4, info(0))


@pytest.mark.parametrize("optimiser", ["sgd", "adamw", "lars"])
def test_random_encoder_never_moves_while_its_statistics_do(optimiser):
    torch.manual_seed(0)
    method = RandomEncoderConfig().build(encoder(), 4, info())
    before = copy.deepcopy(dict(method.named_parameters()))
    mean = method.encoder[1].running_mean.clone()
    optimizer = OptimConfig(optimiser=optimiser, lr=1.0, weight_decay=0.5).build(method)
    assert [p for group in optimizer.param_groups for p in group["params"]] == [method.nothing]
    index = torch.arange(4)
    for _ in range(3):
        output = method((torch.randn(4, 3, 6, 6) + 1,), index, index)
        assert output.loss.item() == 0
        output.loss.backward()
        optimizer.step()
    for name, p in method.named_parameters():
        assert torch.equal(p, before[name]), name
    assert (method.encoder[1].running_mean - mean).abs().max() > 0.01


def test_random_encoder_bears_a_gradient_scaler():
    method = RandomEncoderConfig().build(encoder(), 4, info())
    optimizer = OptimConfig().build(method)
    scaler = torch.amp.GradScaler("cpu")
    index = torch.arange(4)
    scaler.scale(method((torch.randn(4, 3, 6, 6),), index, index).loss).backward()
    scaler.step(optimizer)
    scaler.update()
    assert method.nothing.item() == 0
