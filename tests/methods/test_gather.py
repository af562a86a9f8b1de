"""Two processes give what one gives: primitives, and every method on the same global batch."""

import pytest
import torch
from two_ranks import VARIANTS, methods, randn

from fastssl.methods import METHODS
from fastssl.methods.gather import gather, mean_over_ranks, rank, sum_over_ranks, world_size

CLOSE = {"rtol": 1e-9, "atol": 1e-11}


def in_one_process(name, x):
    """What a primitive gives, on every rank: of the tensors of both."""
    if name.startswith("gather"):
        return torch.cat([part.T for part in x], 1) if name.endswith("1") else torch.cat(x)
    return sum(x) / (2 if name == "mean" else 1)


@pytest.mark.parametrize("name", ["gather 0", "gather 1", "mean", "sum"])
def test_primitive_gives_value_and_gradient_of_one_process_although_ranks_use_it_differently(name, two_ranks):
    ranks = [found[name] for found in two_ranks["gathers"]]
    x = [given.clone().requires_grad_() for given, _, _ in ranks]
    expected = in_one_process(name, x)
    for slope, (_, value, found) in zip(torch.autograd.grad(summed_loss(name, x), x), ranks):
        torch.testing.assert_close(value, expected.detach(), **CLOSE)
        torch.testing.assert_close(found, slope, **CLOSE)


def summed_loss(name, x):
    value = in_one_process(name, x)
    return sum((value.square() * randn(*value.shape, seed=10 + number)).sum() for number in range(2))


def test_gradient_of_the_primitives_is_that_of_differences(two_ranks):
    """The same, by a quotient of differences of the sum of both ranks' losses: no autograd on this side."""
    for name in ("gather 0", "sum"):
        found = [job[name] for job in two_ranks["gathers"]]
        x = torch.stack([given for given, _, _ in found])
        for place, slope in enumerate(torch.stack([slope for _, _, slope in found]).flatten()):
            step = torch.zeros(x.numel(), dtype=torch.float64)
            step[place] = 1e-6
            ends = [summed_loss(name, list(x + sign * step.view_as(x))) for sign in (1, -1)]
            assert slope.item() == pytest.approx((ends[0] - ends[1]).item() / 2e-6, rel=1e-6)


def test_primitives_of_one_process_are_their_input():
    x = torch.randn(2, 3)
    assert (rank(), world_size()) == (0, 1)
    assert all(call(x) is x for call in (gather, mean_over_ranks, sum_over_ranks))


@pytest.fixture(scope="module")
def one_process():
    return methods(None)


def whole(ranks, part, name):
    """A tensor of the run of two: the same on both, or (a rank's own rows) the parts one after the other."""
    first, second = (found[part][name] for found in ranks)
    if name in ranks[0]["own"]:
        return torch.cat([first, second])
    torch.testing.assert_close(first, second, rtol=0, atol=0)
    return first


@pytest.mark.parametrize("name", [*sorted(METHODS), *VARIANTS])
def test_method_over_two_processes_is_the_method_over_the_global_batch(name, one_process, two_ranks):
    expected, ranks = one_process[name], [found[name] for found in two_ranks["methods"]]
    for found in ranks:
        torch.testing.assert_close(found["losses"], expected["losses"], **CLOSE)
    for part in ("gradients", "state"):
        assert all(found[part].keys() == expected[part].keys() for found in ranks)
        for key, value in expected[part].items():
            torch.testing.assert_close(whole(ranks, part, key), value, **CLOSE, msg=lambda m, k=key: f"{k}: {m}")
