"""Which parameters share a learning rate and a weight decay."""

from typing import Any

from torch import nn

from fastssl.errors import InputError

OVERRIDES = frozenset({"lr_scale", "weight_decay_scale", "schedule"})
"""What a method may set for some of its parameters."""


def param_groups(
    method: nn.Module, lr: float, weight_decay: float, exclude_norm_and_bias: bool
) -> list[dict[str, Any]]:
    """Groups for an optimiser, over the parameters of `method` that require gradients.

    Each group has `params`, `lr`, `base_lr` and `schedule` (which `set_lr` reads), `weight_decay`, and `adapt` for
    LARS. Biases and normalisation parameters are those of at most one dimension. A method may treat some of its
    parameters otherwise through `param_group_overrides() -> [(params, override), ...]`, each override a dictionary with
    any of the keys of `OVERRIDES`: multiples `lr_scale` and `weight_decay_scale`, and `schedule`, which may be
    "constant": the base rate from the first step to the last.

    Errors: `InputError` when nothing is left to train.
    """
    overrides: dict[int, dict[str, Any]] = {}
    for params, override in getattr(method, "param_group_overrides", list)():
        assert override.keys() <= OVERRIDES, f"{override.keys() - OVERRIDES} would have no effect"
        assert override.get("schedule") in (None, "constant")
        overrides |= {id(p): override for p in params}
    groups: dict[tuple[float, float, bool, str | None], dict[str, Any]] = {}
    for p in method.parameters():
        if p.requires_grad:
            excluded = exclude_norm_and_bias and p.ndim <= 1
            own = overrides.get(id(p), {})
            own_lr, schedule = lr * own.get("lr_scale", 1.0), own.get("schedule")
            decay = 0.0 if excluded else weight_decay * own.get("weight_decay_scale", 1.0)
            group = {"params": [], "lr": own_lr, "base_lr": own_lr, "schedule": schedule, "weight_decay": decay,
                     "adapt": not excluded}  # fmt: skip
            groups.setdefault((own_lr, decay, excluded, schedule), group)["params"].append(p)
    if not groups:
        raise InputError(f"method={type(method).__name__} has no parameter to train; take one that requires gradients")
    return list(groups.values())
