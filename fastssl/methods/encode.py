"""One pass of a network over all views: the batch statistics of BatchNorm are then shared by the views."""

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
            code of Barlow Twins and VICReg does) instead of one pass over the stack. Views of different sizes are
            passed one by one in either case, since they do not stack.
    """
    if per_view_bn or len({view.shape for view in views}) > 1:
        return torch.stack([network(view) for view in views])
    return network(torch.cat(views)).unflatten(0, (len(views), -1))


def require_views(views: Views, least: int, method: str) -> None:
    """Errors: `InputError` when there are fewer views than the method compares."""
    if len(views) < least:
        raise InputError(f"views={len(views)} leaves {method} nothing to compare; give --views {least} or more")
