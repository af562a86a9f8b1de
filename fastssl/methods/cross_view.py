"""Distributions over outputs, compared between views: what self-distillation and swapped prediction share."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor


def cross_view_entropy(
    targets: Float[Tensor, "g b c"], log_probs: Float[Tensor, "a b c"], own: Sequence[int]
) -> Float[Tensor, ""]:
    """Mean over g, b and the views v other than own[g] of -<targets[g, b], log_probs[v, b]>, in nats.

    Being linear in the targets, the sum over pairs is that of each view with the sum of all targets, less that of the
    views with themselves: a + g products and not g (a - 1), and no temporary is larger than (b, c).

    Args:
        targets: distributions over c.
        log_probs: finite, so that a target of 0 counts as 0.
        own: for each of the g targets, which of the a views it was made of.
    """
    views, (num_targets, num_images, _) = log_probs.unbind(), targets.shape
    together = targets.sum(0)
    pairs = sum((together * view).sum() for view in views)
    itself = sum((target * views[v]).sum() for target, v in zip(targets.unbind(), own, strict=True))
    return (itself - pairs) / (num_targets * (len(views) - 1) * num_images)  # pyright: ignore
