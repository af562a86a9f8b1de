"""One pass of a network over all views of a size: the batch statistics of BatchNorm are then shared by those views."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from fastssl.errors import InputError
from fastssl.types import Views


def encode_views(
    network: Callable[[Tensor], Tensor], views: Views, per_view_bn: bool = False
) -> Float[Tensor, "a b k"]:
    """Outputs of `network` (an encoder, or an encoder with its projector) for a views of b images.

    Args:
        network: maps (n, 3, s, s) to (n, k).
        views: one tensor per view; concatenation keeps their channels-last memory.
        per_view_bn: one pass per view, so that BatchNorm normalises each view by its own statistics (as the authors'
            code of Barlow Twins and VICReg does) instead of one pass over the stack. Views of different sizes do not
            stack: each size is one pass, as in the authors' code of SwAV and DINO, whatever the order of the views.
    """
    if per_view_bn:
        return torch.stack([network(view) for view in views])
    outputs: dict[int, Tensor] = {}
    for shape in dict.fromkeys(view.shape for view in views):
        alike = [i for i, view in enumerate(views) if view.shape == shape]
        z = network(torch.cat([views[i] for i in alike])).unflatten(0, (len(alike), -1))
        if len(alike) == len(views):
            return z
        outputs |= dict(zip(alike, z))
    return torch.stack([outputs[i] for i in range(len(views))])


def project_views(
    head: Callable[[Tensor], Tensor], z: Float[Tensor, "a b k"], per_view_bn: bool = False
) -> Float[Tensor, "a b d"]:
    """One pass of a head (n, k) -> (n, d) over the representations of all views, whatever the size of their images.

    Args:
        per_view_bn: one pass per view instead.
    """
    if per_view_bn:
        return torch.stack([head(view) for view in z])
    return head(z.flatten(0, 1)).unflatten(0, z.shape[:2])


def global_views(views: Views, count: int | None = None) -> list[int]:
    """Positions of the views that make targets: the first `count`, or, for None, all those of the largest size.

    With two large crops and some small ones (multi-crop) these are the two large ones; without small ones, all.
    Errors: `InputError` when there are fewer than `count` views.
    """
    if count is None:
        largest = max(view.shape[-1] for view in views)
        return [i for i, view in enumerate(views) if view.shape[-1] == largest]
    if count > len(views):
        raise InputError(f"global_views={count} of {len(views)} views cannot be; lower it or raise --views")
    return list(range(count))


def require_views(views: Views, least: int, method: str) -> None:
    """Errors: `InputError` when there are fewer views than the method compares."""
    if len(views) < least:
        raise InputError(f"views={len(views)} leaves {method} nothing to compare; give --views {least} or more")
