"""The decoder of the loaders: `fastssl.native`, in C where it was compiled."""

from fastssl import native


def open_pool(num_threads: int) -> tuple[native.Pool, str]:
    """A pool, and what it is: for the start card and the record. The caller closes it."""
    return native.Pool(num_threads), "native"
