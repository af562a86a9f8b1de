"""What is measured: from which stored set, into which views, by whom."""

from dataclasses import dataclass, replace

from fastssl.data.options import WriteOptions
from fastssl.views import OFF, ViewSpec

STORED = {
    "jpeg-500": WriteOptions(mode="jpg", quality=90, max_side=500),
    "raw-500": WriteOptions(mode="raw", max_side=500),
    "raw-256": WriteOptions(mode="raw", max_side=256),
    "raw-32": WriteOptions(mode="raw"),
}
"""How each set is stored: photographs of at most so many pixels a side; `raw-32` is CIFAR, or photographs shrunk to
its size."""
THREADS = 2
"""Asked of every contestant: threads, or worker processes."""
OWN = ("crops", "crops, plain")
"""This library's loader that cuts the views, and the same without its compiled code."""
JPEG_PEERS = ("threads", "opencv workers", "ffcv", "torchvision PIL", "torchvision v2")
MORE_PEERS = ("ffcv, shared decode", "turbojpeg", "spdl", "grain", "dali", "tf.data", "webdataset", "litdata",
              "mosaicml", "hf datasets", "lightly", "stable-pretraining", "solo-learn style")  # fmt: skip
"""Measured where most people are: two views of 224 px from JPEGs."""
CURVE = ("crops", "images", "threads", "ffcv", "decode")
"""Who is measured at other numbers of views, too (FFCV not at eight, where it takes minutes to compile)."""
COLD = ("crops", "threads", "ffcv")
"""Who is measured with the files out of the page cache: those who read the very beton, and one who reads files."""
DECODE_ONLY = ("images",)
"""Decodes, and leaves the views to a GPU: another scope, which shares no table with the others."""
CEILINGS = ("decode", "huffman", "copy")
SLOW = ("crops, plain", "opencv workers", "torchvision PIL", "torchvision v2", *MORE_PEERS)


def epochs_per_block(contestant: str, quick: bool) -> int:
    """Epochs that are one block: as many as give a second or so. FFCV, slow as it is, gets two as well, because it
    allocates its buffers anew in each epoch, which of a long epoch would be a small part."""
    return 1 if quick or contestant in SLOW else 2


@dataclass(frozen=True)
class Case:
    name: str
    stored: str
    specs: tuple[ViewSpec, ...]
    batch: int
    contestants: tuple[str, ...]
    threads: int = THREADS
    cold: bool = False
    """Before each block the files leave the page cache, as if they were far larger than memory: nothing that an epoch
    has read is still there in the next."""


def view(size: int, scale: tuple[float, float] = (0.08, 1.0)) -> ViewSpec:
    """A random resized crop and a flip of half of the views; nothing else."""
    return replace(ViewSpec(size=size, crop_scale=scale), **{**OFF, "flip_p": 0.5})


MULTI_CROP = (*[view(224, (0.14, 1.0))] * 2, *[view(96, (0.05, 0.14))] * 6)
"""SwAV's (Caron et al. 2020): two large views and six small ones."""


def with_threads(case: Case, count: int) -> Case:
    """The case with so many threads or processes; its name says so where they are not the usual two."""
    return case if count == THREADS else replace(case, name=f"{case.name}-t{count}", threads=count)


def cases() -> dict[str, Case]:
    """Every case, in the order of a campaign."""
    photographs, bounds = (*OWN, *JPEG_PEERS), ("decode", "huffman")
    found = [
        Case("jpeg-2x224", "jpeg-500", (view(224),) * 2, 256, (*photographs, *MORE_PEERS, "images", *bounds)),
        Case("jpeg-2x224-6x96", "jpeg-500", MULTI_CROP, 256, (*photographs, *bounds)),
        Case("raw-256-2x224", "raw-256", (view(224),) * 2, 256, (*OWN, "threads", "ffcv", "copy")),
        Case("raw-500-2x224", "raw-500", (view(224),) * 2, 256, (*OWN, "threads", "ffcv", "copy")),
        Case("cifar-2x32", "raw-32", (view(32),) * 2, 512, (*OWN, "threads", "ffcv", "torchvision PIL", "copy")),
        Case("jpeg-2x224-cold", "jpeg-500", (view(224),) * 2, 256, (*COLD, "torchvision PIL", "decode"), cold=True),
        Case("raw-500-2x224-cold", "raw-500", (view(224),) * 2, 256, (*COLD, "copy"), cold=True),
        *(Case(f"jpeg-{views}x224", "jpeg-500", (view(224),) * views, 256, CURVE) for views in (1, 4)),
        *(Case(f"jpeg-2x{size}", "jpeg-500", (view(size),) * 2, 256, CURVE) for size in (96, 160)),
        Case("jpeg-8x224", "jpeg-500", (view(224),) * 8, 256, tuple(name for name in CURVE if name != "ffcv")),
    ]
    return {case.name: case for case in found}
