"""`njit` as this room uses it: no lock on the interpreter, and machine code kept on disk where that is possible.

numba drops kept code when the function's own file changes, and does not see that a function or constant of another
file went into it. So the name under which code is kept ends in a digest of every file that any compiled function is
made of, `_SOURCES`: a change in one of them gives new names, and old code is never loaded.
"""

import inspect
from collections.abc import Callable
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from types import FunctionType
from typing import Any

import numba

_ROOM = Path(__file__).parent
_SOURCES = (
    *sorted(_ROOM.glob("*cpu*.py")),
    *(_ROOM / f"{name}.py" for name in ("colour", "compiled", "plan", "resize")),
    *(_ROOM.parent / name for name in ("views.py", "kernels/philox.py")),
)
FAST = {"contract", "reassoc", "nsz"}
"""`fastmath` of loops over pixels: fused multiply-adds change the last bit only; sums may be split over vector lanes,
always the same way."""


@lru_cache(maxsize=1)
def _digest() -> str:
    return sha256(b"".join(path.read_bytes() for path in _SOURCES)).hexdigest()[:12]


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator. numba keeps the code beside the source file or, where that is read-only, in the user's cache folder.

    numba raises when it may write to neither; then the code is compiled anew in each process. What is compiled is a
    copy of the plain function, without the shape checks that tests wrap around everything.
    """

    def wrap(function: Callable[..., Any]) -> Any:
        plain = inspect.unwrap(function)
        assert isinstance(plain, FunctionType)
        copy = FunctionType(plain.__code__, plain.__globals__, plain.__name__, plain.__defaults__, plain.__closure__)
        copy.__module__, copy.__doc__ = plain.__module__, plain.__doc__
        copy.__qualname__ = f"{plain.__qualname__}_{_digest()}"
        try:
            return numba.njit(nogil=True, error_model="numpy", cache=True, **options)(copy)
        except RuntimeError:
            return numba.njit(nogil=True, error_model="numpy", **options)(copy)

    return wrap
