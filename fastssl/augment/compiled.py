"""`njit` as this room uses it: no lock on the interpreter, and machine code kept on disk where that is possible."""

import inspect
from collections.abc import Callable
from typing import Any

import numba


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator. numba keeps the code beside the source file or, where that is read-only, in the user's cache folder.

    numba raises when it may write to neither; then the code is compiled anew in each process. It notices a change in
    the function's own file only: functions that call each other belong in one file. What is compiled is the plain
    function, without the shape checks that tests wrap around everything.
    """

    def wrap(function: Callable[..., Any]) -> Any:
        function = inspect.unwrap(function)
        try:
            return numba.njit(nogil=True, error_model="numpy", cache=True, **options)(function)
        except RuntimeError:
            return numba.njit(nogil=True, error_model="numpy", **options)(function)

    return wrap
