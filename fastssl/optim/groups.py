"""Which parameters share a learning rate and a weight decay."""

from typing import Any

from torch import nn

from fastssl.errors import InputError


def param_groups(
    method: nn.Module, lr: float, weight_decay: float, exclude_norm_and_bias: bool
) -> list[dict[str, Any]]:
    """Groups for an optimiser, over the parameters of `method` that require gradients.

    Each group has `params`, `lr`, `base_lr` (which `set_lr` scales), `weight_decay`, and `adapt` for LARS. Biases and
    normalisation parameters are those of at most one dimension. A method may give some of its parameters their own
    multiples through `param_group_overrides() -> [(params, {"lr_scale": ..., "weight_decay_scale": ...})]`.

    Errors: `InputError` when nothing is left to train.
    """
    scales: dict[int, dict[str, float]] = {}
    for params, scale in getattr(method, "param_group_overrides", list)():
        scales |= {id(p): scale for p in params}
    groups: dict[tuple[float, float, bool], dict[str, Any]] = {}
    for p in method.parameters():
        if p.requires_grad:
            excluded = exclude_norm_and_bias and p.ndim <= 1
            scale = scales.get(id(p), {})
            own_lr = lr * scale.get("lr_scale", 1.0)
            decay = 0.0 if excluded else weight_decay * scale.get("weight_decay_scale", 1.0)
            group = {"params": [], "lr": own_lr, "base_lr": own_lr, "weight_decay": decay, "adapt": not excluded}
            groups.setdefault((own_lr, decay, excluded), group)["params"].append(p)
    if not groups:
        raise InputError(f"method={type(method).__name__} has no parameter to train; take one that requires gradients")
    return list(groups.values())
