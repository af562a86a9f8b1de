"""The decoder of the loaders: `fastssl.native` in C or, where that is not compiled, the plain pool over FFCV's library.

Both give the same pixels, bit for bit, so a run may change from one to the other.
"""

import os
from typing import TypeAlias

from fastssl import native
from fastssl.data.jpeg import decode_jpeg
from fastssl.errors import InputError
from fastssl.native.plain import PlainPool

AnyPool: TypeAlias = native.Pool | PlainPool
VARIABLE = "FASTSSL_DECODER"
"""An environment variable: `plain` asks for the plain pool, to compare or to test it."""


def open_pool(num_threads: int) -> tuple[AnyPool, str]:
    """A pool, and in words what it is and why: for the start card and the record. The caller closes it.

    Raises `InputError` for an unknown value of `FASTSSL_DECODER`, and where threads cannot be started.
    """
    asked = os.environ.get(VARIABLE, "native")
    if asked not in ("native", "plain"):
        raise InputError(f"{VARIABLE}={asked!r} is unknown; set it to native or plain, or unset it")
    if asked == "plain":
        return PlainPool(num_threads, decode_jpeg), f"plain ({VARIABLE} asks for it)"
    pool = native.open_pool(num_threads, decode_jpeg)
    return pool, pool.kind if pool.kind == "native" else f"plain, the slow path ({native.available()})"
