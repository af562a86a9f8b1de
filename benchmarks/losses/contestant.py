"""What takes part: a step from made-up embeddings to a loss and its gradient."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.losses.cases import Case

SPREAD = {"swav": 0.1}
"""Deviation of the made-up numbers, 1 by default; SwAV's are cosines, whose exponentials would overflow."""
GIVEN = ("byol", "simsiam", "dino")
"""Losses that also read what a network without a gradient gave."""
TWO_HEADS = ("cissl", "dissl")
"""Losses of two heads, both with a gradient: the second one's outputs are in the place of what is given."""


class Missing(Exception):
    """What the contestant needs is not installed here."""


@dataclass(frozen=True)
class Batch:
    """What the network gave; `stack` and `views` are the same memory, and each contestant reads the one it likes."""

    stack: Tensor
    """(views, batch, dim), with a gradient."""
    views: list[Tensor]
    """Of each view (batch, dim), with a gradient."""
    given: Tensor
    """(views, batch, dim) of a target network, without a gradient, or of a second head; empty where nobody reads it."""
    centre: Tensor
    """(dim,): DINO's running mean of the teacher's outputs, which its users move in each step."""
    rows: Tensor
    """(rows, dim), with a gradient: DIET's head."""
    target: Tensor
    """int64 (batch,): DIET's row of each image."""


@dataclass(frozen=True)
class Contestant:
    loss: Callable[[Batch], Tensor]
    leaves: Callable[[Batch], Sequence[Tensor]]
    """What the gradient is taken of."""
    regime: str
    like: str | None = "ours"
    """Which of this library's forms it must equal at more than two views; None where it means something else there."""
    factor: float = 1.0
    offset: float = 0.0
    """Its value is offset + factor times ours: the constants of its definition."""
    needs_bytes: int = 0
    """Memory without which it is not tried: a machine that swaps or ends processes measures nothing."""

    def step(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The loss, and its gradient with respect to the leaves."""
        loss = self.loss(batch)
        return loss, torch.autograd.grad(loss, self.leaves(batch))


@dataclass(frozen=True)
class Copy:
    """The ceiling: reads what a loss must read at least, writes what its gradient must have at least."""

    leaves: Callable[[Batch], Sequence[Tensor]]
    regime: str = "reads the embeddings once and writes as many bytes: no loss with a gradient moves fewer"
    needs_bytes: int = 0

    def step(self, batch: Batch) -> object:
        return [torch.empty_like(leaf).copy_(leaf) for leaf in self.leaves(batch)]


def stack_of(batch: Batch) -> list[Tensor]:
    return [batch.stack]


def views_of(batch: Batch) -> list[Tensor]:
    return batch.views


def both_of(batch: Batch) -> list[Tensor]:
    return [batch.stack, batch.given]


def head_of(batch: Batch) -> list[Tensor]:
    return [batch.stack, batch.rows]


def batches(case: Case, count: int) -> list[Batch]:
    """Embeddings whose views have an image in common; a head, if any, is one for all batches."""
    generator = torch.Generator(case.device).manual_seed(case.views * case.dim)
    given = case.views if case.loss in (*GIVEN, *TWO_HEADS) else 0

    def draw(*size: int) -> Tensor:
        return torch.randn(size, generator=generator, device=case.device) * SPREAD.get(case.loss, 1.0)

    rows = (draw(case.rows, case.dim) / case.dim**0.5).requires_grad_()
    found = []
    for _ in range(count):
        image = draw(1, case.batch, case.dim)
        stack, other = (image + 0.5 * draw(views, case.batch, case.dim) for views in (case.views, given))
        target = torch.randint(max(1, case.rows), (case.batch,), generator=generator, device=case.device)
        views = [view.detach().requires_grad_() for view in stack]
        other.requires_grad_(case.loss in TWO_HEADS)
        centre = torch.zeros(case.dim, device=case.device)
        found.append(Batch(stack.requires_grad_(), views, other, centre, rows, target))
    return found
