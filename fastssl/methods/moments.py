"""Second moments over the images of all processes: what the losses that decorrelate dimensions are made of.

For x, y of B images in d dimensions, with C = x'y / B, the sum of all squares of C can be had without C:

    sum_ij C_ij^2 = |x'y|^2 / B^2 = <xx', yy'> / B^2

so either one d x d matrix or two B x B ones are made, whichever is the smaller work: at B = 512 and d = 8192 the second
takes an eighth of the operations and a hundredth of the memory. The off-diagonal squares are all squares less those of
the diagonal, mean_b x_bi y_bi, and need no mask and no copy of C.

Over W processes the choice is also that of the lesser traffic. d x d matrices are averaged over ranks (d^2 numbers,
each rank multiplying its own images only); for B x B ones each rank gathers the others' images (B W d numbers) and
takes its own rows against everyone's columns.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from fastssl.methods.gather import gather, mean_over_ranks, world_size


def square_sum(x: Tensor) -> Float[Tensor, ""]:
    """Sum of squares, without a copy of x; its gradient is 2 x, at 0 too."""
    return torch.linalg.vector_norm(x).square()


def mean_and_variance(z: Tensor, over: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and biased variance over dimensions that hold images, of all processes; those dimensions are kept as 1."""
    variance, mean = torch.var_mean(z, over, correction=0, keepdim=True)
    if world_size() == 1:
        return mean, variance
    everyone = mean_over_ranks(mean)
    return everyone, mean_over_ranks(variance + (mean - everyone).square())


def product_squares(x: Float[Tensor, "a b d"], y: Float[Tensor, "a b d"]) -> Float[Tensor, ""]:
    """sum_a sum_ij C_a[i,j]^2 with C_a = mean_b x_ab y_ab' over the images of all processes.

    The mean over ranks of what is returned is that sum (see `gather`); on one process it is the sum itself.
    """
    _, num_images, dim = x.shape
    everyone = num_images * world_size()
    if 2 * everyone > dim:  # three d x d x B products there and back, against six B x B x d
        return square_sum(mean_over_ranks(x.mT @ y)) / num_images**2
    x_gram = x @ gather(x, 1).mT
    y_gram = x_gram if y is x else y @ gather(y, 1).mT
    return (x_gram * y_gram).sum() / (num_images * everyone)
