"""LARS: every layer moves by a fixed share of its own size, so that large batches can take large steps.

For a weight w with gradient g, learning rate lr, decay wd and momentum m

    g <- g + wd w,     trust = .001 |w| / |g|  (1 where either norm is 0),     v <- m v + lr trust g,     w <- w - v

Paper: You, Gitman, Ginsburg 2017, arXiv 1708.03888. Reference code: google-research/simclr, tf2/lars_optimizer.py at
commit 67b562524223, whose conventions these are: |g| is the norm with the decay already in it (the paper's equation
adds the two norms), and the learning rate is inside the momentum buffer, so an earlier gradient keeps the rate of its
own step. Norm and bias parameters are meant to be excluded (`adapt=False`, `weight_decay=0`); `OptimConfig` does so.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

TRUST_COEFFICIENT = 0.001  # eta of the SimCLR reference code


class LARS(torch.optim.Optimizer):
    """SGD with momentum and a layer-wise rate. Groups may set `lr`, `momentum`, `weight_decay` and `adapt` (bool).

    A step reads no value from the device.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        adapt: bool = True,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "adapt": adapt})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore
        """Moves every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self._move(params, [p.grad for p in params], group)
        return loss

    def _move(self, params: list[Tensor], slopes: list[Tensor], group: dict[str, Any]) -> None:
        for p in params:
            if "momentum_buffer" not in self.state[p]:
                self.state[p]["momentum_buffer"] = torch.zeros_like(p)
        buffers = [self.state[p]["momentum_buffer"] for p in params]
        grads = list(torch._foreach_add(slopes, params, alpha=group["weight_decay"]))
        if group["adapt"]:
            torch._foreach_mul_(grads, _trust_ratios(params, grads))
        torch._foreach_mul_(buffers, group["momentum"])
        torch._foreach_add_(buffers, grads, alpha=group["lr"])
        torch._foreach_sub_(params, buffers)


def _trust_ratios(params: list[Tensor], grads: list[Tensor]) -> list[Tensor]:
    sizes, slopes = torch.stack(torch._foreach_norm(params)), torch.stack(torch._foreach_norm(grads))
    ratios = torch.where((sizes > 0) & (slopes > 0), TRUST_COEFFICIENT * sizes / slopes, 1.0)
    return list(ratios.unbind())
