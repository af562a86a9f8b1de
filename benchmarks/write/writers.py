"""Who writes: a folder of JPEGs into a training file, each in its own format."""

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.load.contestant import ENVIRONMENTS
from benchmarks.load.iterated import Samples

CEILING = "copy"
Write = Callable[[Path, Samples], None]
Read = Callable[[Path], Iterator[tuple[Any, int]]]


@dataclass(frozen=True)
class Writer:
    module: str
    regime: str
    keeps: bool = True
    """The files' own bytes; otherwise it decodes and encodes again, and pixels are compared, not bytes."""
    write: str = "write"
    """`write(home, samples)` of the module: `samples` are (path, label), `home` a folder or file that is not there yet.
    `read_back` is its counterpart: (bytes, or pixels (h, w, 3) where it does not keep them; label), in any order where
    bytes are kept."""
    environment: str | None = None

    def functions(self) -> tuple[Write, Read]:
        """Errors: `ImportError` where something that it needs is not installed."""
        module = importlib.import_module(self.module)
        return getattr(module, self.write), getattr(module, "read_back" if self.keeps else "read_pixels")


def _peer(module: str, contestant: str, regime: str) -> Writer:
    return Writer(f"benchmarks.load.{module}", regime, environment=ENVIRONMENTS[contestant])


_OWN = "benchmarks.write.betons"
WRITERS = {
    "beton": Writer(_OWN, "write_beton of a folder, mode jpg: bytes kept, each JPEG checked whole; two threads", True),
    "beton, re-encoded": Writer(_OWN, "write_beton, keep_jpeg=False: decoded, encoded again at quality 90; two threads",
                                False, "write_again"),
    "ffcv": Writer(_OWN, "FFCV's DatasetWriter of torchvision's ImageFolder, write_mode jpg, quality 90: it always "
                   "encodes again; two workers", False, "write_with_ffcv"),
    "webdataset": _peer("peer_webdataset", "webdataset", "TarWriter, eight shards"),
    "litdata": _peer("peer_litdata", "litdata", "litdata.optimize, chunks of 16 MB, two workers"),
    "mosaicml": _peer("peer_mosaicml", "mosaicml", "MDSWriter, its default shards of 64 MB, no compression"),
    "hf datasets": _peer("peer_datasets", "hf datasets", "Dataset.from_dict of the bytes, save_to_disk"),
    "tfrecord": _peer("peer_tfdata", "tf.data", "TFRecordWriter, eight shards"),
    CEILING: Writer(_OWN, "reads each file and appends it to one file; nothing is looked at", True, "append"),
}  # fmt: skip
