"""Optimisers, parameter groups and the learning-rate schedule."""

from fastssl.optim.config import OptimConfig
from fastssl.optim.lars import LARS
from fastssl.optim.schedule import lr_scale, set_lr

__all__ = ["LARS", "OptimConfig", "lr_scale", "set_lr"]
