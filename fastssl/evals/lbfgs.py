"""L-BFGS for several smooth convex problems side by side (Liu, Nocedal 1989; Nocedal, Wright, algorithm 7.4).

Each problem has its own step length and its own end; all that are left share every evaluation, which is what costs.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64
from torch import Tensor

MEMORY = 10
"""Pairs of steps kept."""
ENOUGH = 1e-4
"""Share of the promised decrease that a step must bring (Armijo)."""
NOISE = 1e-6
"""Relative rounding of a value that is summed up from float32: a step is not refused for less."""
MAX_HALVINGS = 25

Evaluate = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Points (q, ...) and which problems (q,) they belong to -> values (q,) and gradients (q, ...)."""


@dataclass(frozen=True, slots=True)
class Minimum:
    at: Float64[Tensor, "p ..."]
    values: Float64[Tensor, "p"]
    converged: Bool[Tensor, "p"]
    num_steps: int


def minimise(evaluate: Evaluate, start: Tensor, metric: Tensor, *, tolerance: float, max_steps: int) -> Minimum:
    """Minimises each of the problems along the first axis of `start`.

    Args:
        evaluate: values and gradients of some of the problems.
        start: points (p, ...), float64.
        metric: first guess of the inverse Hessian's diagonal, broadcasts with `start`.
        tolerance: a problem has converged when its gradient, in the norm of the metric, is so many times that at
            `start`.
        max_steps: evaluations of all; those that have not converged by then say so.
    """
    everyone = torch.arange(len(start), device=start.device)
    at, step = start.clone(), torch.ones(len(start), dtype=start.dtype, device=start.device)
    value, gradient = evaluate(at, everyone)
    metric = metric.expand_as(start)
    first = norm = _norm(gradient, metric)
    steps, changes = [], []
    direction = _direction(gradient, metric, steps, changes)
    active, halvings, num_steps = norm > 0, torch.zeros_like(everyone), 1
    while bool(active.any()) and num_steps < max_steps:
        which = everyone[active]
        scale = _as(step[which], at)
        tried = at[which] + scale * direction[which]
        new_value, new_gradient = evaluate(tried, which)
        num_steps += 1
        promised = step[which] * _dot(gradient[which], direction[which])
        accepted = new_value <= value[which] + ENOUGH * promised + NOISE * value[which].abs()
        good = which[accepted]
        moved, changed = torch.zeros_like(at), torch.zeros_like(at)
        moved[good], changed[good] = tried[accepted] - at[good], new_gradient[accepted] - gradient[good]
        at[good], value[good], gradient[good] = tried[accepted], new_value[accepted], new_gradient[accepted]
        step[good], halvings[good] = 1.0, 0
        rejected = which[~accepted]
        step[rejected] /= 2
        halvings[rejected] += 1
        if len(good):
            steps, changes = [*steps, moved][-MEMORY:], [*changes, changed][-MEMORY:]
            fresh = _direction(gradient, metric, steps, changes)
            direction[good] = fresh[good]  # a problem that halves its step keeps its direction
        norm = _norm(gradient, metric)
        active = (norm > tolerance * first) & (halvings < MAX_HALVINGS)
    return Minimum(at, value, norm <= tolerance * first, num_steps)


def _direction(gradient: Tensor, metric: Tensor, steps: list[Tensor], changes: list[Tensor]) -> Tensor:
    """- (inverse Hessian, as the kept steps show it) x gradient; a pair of no step says nothing."""
    towards, weights = gradient.clone(), []
    for moved, changed in zip(reversed(steps), reversed(changes)):
        curvature = _dot(moved, changed)
        share = torch.where(curvature > 1e-14, 1 / curvature.clamp_min(1e-14), 0.0)
        weight = share * _dot(moved, towards)
        towards -= _as(weight, towards) * changed
        weights.append((weight, share))
    scale = torch.ones_like(gradient[(slice(None), *[0] * (gradient.ndim - 1))])
    for moved, changed in zip(steps, changes):  # the newest pair that says something decides
        size = _dot(changed, metric * changed)
        scale = torch.where(size > 0, _dot(moved, changed) / size.clamp_min(1e-300), scale)
    towards *= metric * _as(scale, towards)
    for (moved, changed), (weight, share) in zip(zip(steps, changes), reversed(weights)):
        towards += _as(weight - share * _dot(changed, towards), towards) * moved
    return -towards


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1)


def _norm(gradient: Tensor, metric: Tensor) -> Tensor:
    return _dot(gradient, metric * gradient).sqrt()


def _as(values: Tensor, like: Tensor) -> Tensor:
    return values.reshape(-1, *[1] * (like.ndim - 1))
