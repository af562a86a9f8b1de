"""`triton.jit` as this room uses it, and whether it compiles or interprets."""

import inspect
from collections.abc import Callable
from typing import Any

import triton


def jit(function: Callable[..., Any]) -> Any:
    """Decorator: a Triton function. What is compiled is the plain function, without the shape checks of the tests."""
    return triton.jit(inspect.unwrap(function))


def jit_for_any(*names: str) -> Callable[[Callable[..., Any]], Any]:
    """Decorator: a kernel that is not compiled anew when an argument of these names becomes 1 or a multiple of 16."""

    def wrap(function: Callable[..., Any]) -> Any:
        return triton.jit(do_not_specialize=list(names))(inspect.unwrap(function))

    return wrap


def is_interpreted(kernel: Any) -> bool:
    """Whether a kernel runs step by step on the CPU: TRITON_INTERPRET=1 was set before its module was imported."""
    return not isinstance(kernel, triton.JITFunction)
