import torch
from torch import nn

from fastssl.train.checkpoint import Trainable


class Listener(nn.Linear):
    def __init__(self):
        super().__init__(2, 2)
        self.heard = []

    def on_step_start(self, step, progress):
        self.heard.append(("start", step, progress))

    def on_step_end(self, step, progress):
        self.heard.append(("end", step, progress))


def trainable(method):
    optimizer = torch.optim.SGD(method.parameters(), lr=0.1)
    return Trainable(method, optimizer, torch.amp.GradScaler("cpu", enabled=False))


def test_hooks_reach_the_method_that_has_them():
    method = Listener()
    trainable(method).on_step_start(3, 0.25)
    trainable(method).on_step_end(3, 0.25)
    assert method.heard == [("start", 3, 0.25), ("end", 3, 0.25)]


def test_method_without_hooks_is_left_alone():
    trainable(nn.Linear(2, 2)).on_step_start(0, 0.0)
    trainable(nn.Linear(2, 2)).on_step_end(0, 0.0)
