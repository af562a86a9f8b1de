"""Many views of each image from one decode: libjpeg-turbo, an antialiased resize and a thread pool in C.

A sample is read and decoded once, only where its crops lie; every view is then cut from those pixels. The result is a
function of the bytes and the crops alone: any number of threads, any processor and any batch give the same pixels, and
so does the plain pool that stands in where the C library is not compiled.

Against `torchvision.transforms.v2.functional.resized_crop` on float pixels with antialias, a view is at most one level
of 255 off. Without `scaled` the pixels under the resize equal those of a whole decode by libjpeg-turbo (accurate
integer transform, smooth upsampling of chroma).
"""

from typing import TYPE_CHECKING

from fastssl.native.batch import Failure, View, describe_samples
from fastssl.native.library import load
from fastssl.native.pool import Pool

if TYPE_CHECKING:
    from fastssl.native.plain import PlainPool
    from fastssl.native.plain_sample import Decode

__all__ = ["Failure", "Pool", "View", "available", "describe_samples", "open_pool"]


def available() -> str | None:
    """None where the native decoder can be used, else one line: why not, and the remedy."""
    library = load()
    return library if isinstance(library, str) else None


def open_pool(num_threads: int, decode: "Decode") -> "Pool | PlainPool":
    """The C pool or, where `available` says why not, the plain one over `decode`; `kind` tells which."""
    if available() is None:
        return Pool(num_threads)
    from fastssl.native.plain import PlainPool  # here: it brings numba along

    return PlainPool(num_threads, decode)
