"""Small constant tensors, made once per device: copying one there anew for each batch would wait for the device."""

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor


@lru_cache(maxsize=512)
def on_device(values: Any, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The tensor of (nested tuples of) numbers, shared by all callers: read it, never write to it."""
    return torch.tensor(values, dtype=dtype, device=device)
