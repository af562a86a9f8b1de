"""Many views of each image from one decode: libjpeg-turbo, an antialiased resize and a thread pool in C.

A sample is read and decoded once, only where its crops lie; every view is then cut from those pixels. The result is a
function of the bytes and the crops alone: any number of threads, any processor and any batch give the same pixels.

Against `torchvision.transforms.v2.functional.resized_crop` on float pixels with antialias, a view is at most one level
of 255 off. Without `scaled` the pixels under the resize equal those of a whole decode by libjpeg-turbo (accurate
integer transform, smooth upsampling of chroma).
"""

from fastssl.native.batch import Failure, View, describe_samples
from fastssl.native.library import load
from fastssl.native.pool import Pool

__all__ = ["Failure", "Pool", "View", "available", "describe_samples"]


def available() -> str | None:
    """None where the native decoder can be used, else one line: why not, and the remedy."""
    library = load()
    return library if isinstance(library, str) else None
