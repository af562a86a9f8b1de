"""Distributions over outputs, compared between views: what self-distillation and swapped prediction share.

    loss = mean over g, b and the views v other than own[g] of  -<T_g, log P_v>

It is linear in the targets, so the pairs of a view are one product with the sum of the targets that it is compared
with; and, where the targets are fixed and P = softmax(x / tau), each pair's gradient is (P_v - T_g) / tau.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from fastssl.methods.precision import at_least_float32


def cross_view_entropy(
    targets: Float[Tensor, "g b c"], log_probs: Float[Tensor, "a b c"], own: Sequence[int]
) -> Float[Tensor, ""]:
    """The loss above, in nats; the gradient reaches targets and predictions.

    Takes as many products as there are pairs, g (a - 1), or a + g where these are fewer: each view with the sum of all
    targets, less the views with their own. No temporary is larger than (b, c).

    Args:
        targets: distributions over c.
        log_probs: finite, so that a target of 0 counts as 0.
        own: for each of the g targets, which of the a views it was made of.
    """
    views, (num_targets, num_images, _) = log_probs.unbind(), targets.shape
    with_own, num_pairs = list(zip(targets.unbind(), own, strict=True)), num_targets * (len(views) - 1)
    if num_pairs < len(views) + num_targets:
        compared = sum((t * view).sum() for t, o in with_own for v, view in enumerate(views) if v != o)
    else:
        together = targets.sum(0)
        compared = sum((together * view).sum() for view in views) - sum((t * views[o]).sum() for t, o in with_own)
    return -compared / (num_pairs * num_images)  # pyright: ignore


def prediction_entropy(
    targets: Float[Tensor, "g b c"], logits: Float[Tensor, "a b c"], own: Sequence[int], temperature: float
) -> Float[Tensor, ""]:
    """The loss above of the predictions softmax(logits / temperature), in nats; in float32 also under autocast. Targets
    get no gradient. Keeps nothing but its arguments for the backward pass.

    Args:
        targets: distributions over c.
        own: for each of the g targets, which of the a views it was made of.
    """
    return _PredictionEntropy.apply(at_least_float32(targets), logits, tuple(own), temperature)  # pyright: ignore


class _PredictionEntropy(torch.autograd.Function):
    """Works on one view at a time: temporaries are (b, c)."""

    @staticmethod
    def forward(ctx: Any, targets: Tensor, logits: Tensor, own: tuple[int, ...], temperature: float) -> Tensor:
        entropies = []
        for view, (wanted, _) in zip(logits, _compared(targets, own, len(logits))):
            log_probs = F.log_softmax(at_least_float32(view) / temperature, dim=-1)
            entropies.append(-log_probs.mul_(wanted).sum())
            del log_probs  # before the next one comes
        ctx.save_for_backward(targets, logits)
        ctx.own, ctx.temperature = own, temperature
        return torch.stack(entropies).sum() / _num_terms(targets, logits)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None, None]:  # pyright: ignore
        (targets, logits), dlogits = ctx.saved_tensors, torch.empty_like(ctx.saved_tensors[1])
        scale = grad / (_num_terms(targets, logits) * ctx.temperature)
        for view, slope, (wanted, count) in zip(logits, dlogits, _compared(targets, ctx.own, len(logits))):
            scaled = slope if slope.dtype == targets.dtype else torch.empty_like(wanted)  # its place is free so far
            probs = F.softmax(torch.div(at_least_float32(view), ctx.temperature, out=scaled), dim=-1)
            torch.mul((probs if count == 1 else probs.mul_(count)).sub_(wanted), scale, out=slope)
            del probs
        return None, dlogits, None, None


def _compared(targets: Tensor, own: tuple[int, ...], num_views: int) -> Iterator[tuple[Tensor, int]]:
    """For each view the sum of the targets it is compared with (b, c), and how many these are."""
    with_own = list(zip(targets.unbind(), own, strict=True))
    together = targets.sum(0) if num_views > 2 else None
    for v in range(num_views):
        others, itself = ([t for t, o in with_own if (o == v) is same] for same in (False, True))
        if together is not None and len(others) != 1:
            yield together - sum(itself) if itself else together, len(others)
        else:
            yield others[0] if others else torch.zeros_like(targets[0]), len(others)


def _num_terms(targets: Tensor, logits: Tensor) -> int:
    return len(targets) * (len(logits) - 1) * targets.shape[1]
