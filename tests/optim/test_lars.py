import copy

import pytest
import torch

from fastssl.optim import LARS


class SlowLARS:
    """Scalar by scalar in float64, from the equation in the module's docstring."""

    def __init__(self, params, lr, momentum, weight_decay, adapt):
        self.params, self.lr, self.momentum, self.decay, self.adapt = params, lr, momentum, weight_decay, adapt
        self.buffers = [[0.0] * p.numel() for p in params]

    def step(self, grads):
        norm = lambda values: sum(v * v for v in values) ** 0.5
        for k, (p, grad) in enumerate(zip(self.params, grads)):
            w = p.flatten().tolist()
            g = [gi + self.decay * wi for gi, wi in zip(grad.flatten().tolist(), w)]
            size, slope = norm(w), norm(g)
            trust = 0.001 * size / slope if self.adapt and size > 0 and slope > 0 else 1.0
            self.buffers[k] = [self.momentum * v + self.lr * trust * gi for v, gi in zip(self.buffers[k], g)]
            moved = [wi - v for wi, v in zip(w, self.buffers[k])]
            self.params[k] = torch.tensor(moved, dtype=p.dtype).reshape(p.shape)


@pytest.mark.parametrize("adapt", [True, False])
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_lars_follows_the_slow_reference_over_changing_rates(adapt, weight_decay):
    torch.manual_seed(0)
    start = [torch.randn(3, 4).double(), torch.randn(5).double(), torch.zeros(2, 2).double()]
    params = [torch.nn.Parameter(p.clone()) for p in start]
    fast = LARS(params, lr=0.5, momentum=0.9, weight_decay=weight_decay, adapt=adapt)
    slow = SlowLARS(start, 0.5, 0.9, weight_decay, adapt)
    for lr in (0.5, 1.0, 0.2, 0.2, 0.7):
        grads = [torch.randn_like(p) for p in params]
        fast.param_groups[0]["lr"] = slow.lr = lr
        for p, g in zip(params, grads):
            p.grad = g
        fast.step()
        slow.step(grads)
        for mine, theirs in zip(params, slow.params):
            torch.testing.assert_close(mine.detach(), theirs, rtol=1e-12, atol=1e-14)


def test_lars_first_step_is_a_fixed_share_of_the_weight_whatever_the_gradient():
    for scale in (1e-6, 1.0, 1e6):
        w = torch.nn.Parameter(torch.tensor([3.0, 4.0]))
        w.grad = scale * torch.tensor([1.0, 0.0])
        LARS([w], lr=2.0).step()
        assert w.tolist() == pytest.approx([3 - 2 * 0.001 * 5, 4])


def test_lars_falls_back_to_plain_steps_at_a_zero_norm():
    w = torch.nn.Parameter(torch.zeros(2))
    w.grad = torch.tensor([1.0, -2.0])
    LARS([w], lr=0.1).step()
    assert w.tolist() == pytest.approx([-0.1, 0.2])
    still = torch.nn.Parameter(torch.ones(2))
    still.grad = torch.zeros(2)
    LARS([still], lr=0.1).step()
    assert still.tolist() == [1, 1]


def test_lars_without_adaptation_is_sgd_with_momentum_at_a_constant_rate():
    torch.manual_seed(1)
    mine, theirs = (torch.nn.Parameter(torch.arange(6.0).reshape(2, 3)) for _ in range(2))
    lars = LARS([mine], lr=0.1, momentum=0.9, weight_decay=0.01, adapt=False)
    sgd = torch.optim.SGD([theirs], lr=0.1, momentum=0.9, weight_decay=0.01)
    for _ in range(5):
        mine.grad = torch.randn(2, 3)
        theirs.grad = mine.grad.clone()
        lars.step()
        sgd.step()
    torch.testing.assert_close(mine, theirs)


def test_lars_skips_parameters_without_gradient():
    seen, unseen = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    seen.grad = torch.ones(2)
    optimizer = LARS([seen, unseen], lr=1.0, weight_decay=0.1)
    optimizer.step()
    assert unseen.tolist() == [1, 1]
    assert unseen not in optimizer.state


def test_lars_state_survives_a_round_trip():
    def run(optimizer, w, seeds):
        for seed in seeds:
            w.grad = torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))
            optimizer.step()

    w = torch.nn.Parameter(torch.ones(4, 3))
    optimizer = LARS([w], lr=0.3, weight_decay=0.01)
    run(optimizer, w, range(3))
    twin = torch.nn.Parameter(w.detach().clone())
    other = LARS([twin], lr=9.0)
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    run(optimizer, w, range(3, 6))
    run(other, twin, range(3, 6))
    assert torch.equal(w, twin)
