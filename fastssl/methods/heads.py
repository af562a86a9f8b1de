"""The projector: the small network between the representation that is kept and the embedding the loss looks at."""

import itertools

from torch import nn

from fastssl.errors import InputError


def projector(dim_in: int, hidden: int, dim_out: int, depth: int = 2, bn: bool = True) -> nn.Sequential:
    """A perceptron (n, dim_in) -> (n, dim_out) of `depth` linear layers: Linear-BN-ReLU, ..., Linear.

    Args:
        hidden: width of the layers between; without effect at depth 1, the linear projector.
        bn: BatchNorm after every linear layer but the last; those layers then have no bias, BatchNorm has its own.

    Errors: `InputError` for a width or depth below 1.
    """
    for name, value in (("projector_dim", dim_out), ("projector_hidden", hidden), ("projector_depth", depth)):
        if value < 1:
            raise InputError(f"{name}={value} makes no projector; give 1 or more")
    layers: list[nn.Module] = []
    widths = [dim_in] + [hidden] * (depth - 1)
    for width_in, width_out in itertools.pairwise(widths):
        layers += [nn.Linear(width_in, width_out, bias=not bn), *([nn.BatchNorm1d(width_out)] if bn else []), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], dim_out))
