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


def require_views(views: Views, least: int, method: str) -> None:
    """Errors: `InputError` when there are fewer views than the method compares."""
    if len(views) < least:
        raise InputError(f"views={len(views)} leaves {method} nothing to compare; give --views {least} or more")
