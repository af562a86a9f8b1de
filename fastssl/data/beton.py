"""An open .beton file: labels, sizes, payloads and pixels by index."""

import json
import logging
import mmap
import os
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64, UInt8

from fastssl.data.fingerprint import combine_digests, sample_digest
from fastssl.data.format import MODE_JPG, MODE_RAW, hash_tables, read_layout
from fastssl.data.jpeg import JpegError, decode_jpeg
from fastssl.data.paths import sidecar_path
from fastssl.errors import InputError

_log = logging.getLogger(__name__)


class BetonFile:
    """A .beton file written by this library or by FFCV, mapped read-only; safe to share between threads.

    Truncated, unfinished and foreign files raise `InputError` in one line. Payloads are checked to lie inside the
    file, so a damaged file cannot make a reader reach outside it. Tables (labels, sizes, places) that are not those its
    own sidecar was written for are refused, too. Without a sidecar, or beside the sidecar of another file, `sidecar` is
    None and names and counts are derived.
    """

    labels: Int64[np.ndarray, "n"]
    """-1 where the file has no integer field."""
    sizes: Int64[np.ndarray, "n 2"]
    """Height and width in pixels."""
    modes: UInt8[np.ndarray, "n"]
    """`format.MODE_JPG` or `format.MODE_RAW`."""
    offsets: Int64[np.ndarray, "n"]
    """Where each payload begins, in bytes from the start of the file."""
    payload_sizes: Int64[np.ndarray, "n"]
    content: UInt8[np.ndarray, "bytes"]
    """The whole file, read-only."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.mapped, self._identity = _map(self.path)
        self.content = np.frombuffer(self.mapped, dtype=np.uint8)
        layout = read_layout(self.content, self.path)
        self.layout = layout
        self.fields = layout.fields
        self.num_samples = len(layout.metadata)
        image = _pick(layout.fields, "image", "RGBImageField")
        if image is None:
            raise InputError(f"{self.path} holds no image field; give a beton with an RGBImageField")
        label = _pick(layout.fields, "label", "IntField")
        columns = layout.metadata
        images = columns[f"f{image}"]
        self.labels = (
            np.full(self.num_samples, -1, dtype=np.int64) if label is None else columns[f"f{label}"].astype(np.int64)
        )
        self.sizes = np.stack([images["height"], images["width"]], axis=1).astype(np.int64)
        self.modes = np.ascontiguousarray(images["mode"])
        self.offsets = images["data_ptr"].astype(np.int64)
        self.payload_sizes = self._find_payload_sizes()
        self._check_samples()
        self.sidecar: dict[str, Any] | None = self._load_sidecar()

    def __len__(self) -> int:
        return self.num_samples

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """From the sidecar; without one, the numbers 0 to the largest label."""
        if self.sidecar is not None:
            return tuple(self.sidecar["class_names"])
        return tuple(str(label) for label in range(int(self.labels.max(initial=-1)) + 1))

    def payload(self, index: int) -> memoryview:
        """The stored bytes of one image: a JPEG file, or h*w*3 uint8 RGB values; a view into the file."""
        offset = int(self.offsets[index])
        return self.content[offset : offset + int(self.payload_sizes[index])].data

    def decode(self, index: int) -> UInt8[np.ndarray, "h w 3"]:
        """RGB pixels of one image, uint8, owned by the caller; raises `InputError` when its bytes are damaged.

        JPEGs are decoded with the accurate inverse DCT, bit-equal to PIL and OpenCV; FFCV's decoders take the fast one
        (up to 4 levels apart on noise).
        """
        height, width = (int(side) for side in self.sizes[index])
        payload = self.payload(index)
        if self.modes[index] == MODE_RAW:
            values = height * width * 3
            if len(payload) != values:
                raise self.damage(index, f"{len(payload)} bytes, but {height} x {width} pixels take {values}")
            return np.frombuffer(payload, dtype=np.uint8).reshape(height, width, 3).copy()
        try:
            return decode_jpeg(payload, height, width)
        except JpegError as error:
            raise self.damage(index, str(error)) from error

    def damage(self, index: int, reason: str) -> InputError:
        """The error to raise for a sample that cannot be used."""
        return InputError(
            f"{self.path} sample {index} at byte {self.offsets[index]} is damaged: {reason}; write the file again, or "
            "give on_error=skip"
        )

    def check_unchanged(self) -> None:
        """Raises `InputError` when the file has vanished from its path, or another one has taken its place."""
        try:
            now = _identify(os.stat(self.path))
        except OSError as error:
            raise InputError(
                f"{self.path} vanished while it was read ({error.strerror}); put it back, or write it again"
            ) from error
        if now != self._identity:
            raise InputError(f"{self.path} was changed while it was read; start again with the file as it is now")

    def fingerprint(self) -> str:
        """Recomputed from every sample's content; see `data.fingerprint`."""
        return combine_digests(self.digest(index) for index in range(self.num_samples))

    def digest(self, index: int) -> bytes:
        """SHA-256 of one sample as stored."""
        height, width = (int(side) for side in self.sizes[index])
        return sample_digest(int(self.labels[index]), int(self.modes[index]), height, width, self.payload(index))

    def _find_payload_sizes(self) -> Int64[np.ndarray, "n"]:
        table = self.layout.allocations
        order = np.argsort(table["ptr"], kind="stable")
        pointers, sizes = table["ptr"][order].astype(np.int64), table["size"][order].astype(np.int64)
        found = np.searchsorted(pointers, self.offsets)
        if self.num_samples and not (found < len(pointers)).all():
            raise self._refuse("its allocation table is incomplete")
        if (pointers[found] != self.offsets).any():
            raise self._refuse("its allocation table is incomplete")
        return sizes[found]

    def _check_samples(self) -> None:
        offsets, sizes, layout = self.offsets, self.payload_sizes, self.layout
        if (offsets < layout.data_begin).any() or (sizes < 0).any() or (sizes > layout.data_end - offsets).any():
            raise self._refuse("a sample lies outside its data")
        if not np.isin(self.modes, (MODE_JPG, MODE_RAW)).all() or (self.sizes < 1).any():
            raise self._refuse("a sample's mode or size is impossible")

    def _refuse(self, reason: str) -> InputError:
        return InputError(f"{self.path} is not a whole .beton file: {reason}; write or copy it again")

    def _load_sidecar(self) -> dict[str, Any] | None:
        path = sidecar_path(self.path)
        try:
            sidecar = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _log.warning("%s cannot be read (%s): names and statistics are unknown", path, error)
            return None
        if not isinstance(sidecar, dict) or sidecar.get("format") != 1 or not self._is_mine(sidecar):
            _log.warning("%s belongs to another file: ignored; write the beton again", path)
            return None
        if sidecar.get("tables_sha256") not in (None, self._tables_sha256()):  # None: of a version that kept none
            raise InputError(
                f"{self.path} is not the file that {path.name} describes: its tables were changed after it was "
                "written; write it again or copy it again"
            )
        return sidecar

    def _tables_sha256(self) -> str:
        return hash_tables(self.content[: self.layout.data_begin], self.content[self.layout.data_end :])

    def _is_mine(self, sidecar: dict[str, Any]) -> bool:
        if sidecar.get("num_samples") != self.num_samples or not isinstance(sidecar.get("class_names"), list):
            return False
        if self.layout.fingerprint is None:  # by FFCV; who hashes tables leaves a fingerprint in the file
            return "tables_sha256" not in sidecar
        return self.layout.fingerprint == sidecar.get("fingerprint")


Identity = tuple[int, int, int, int]


def _map(path: Path) -> tuple[mmap.mmap, Identity]:
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if status.st_size == 0:
                raise InputError(f"{path} is not a whole .beton file: it is empty; write it again")
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), _identify(status)
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}; write it with `fastssl beton write`") from error


def _identify(status: os.stat_result) -> Identity:
    """What tells a file from the one that takes its place, or from itself with other content."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _pick(fields: dict[str, str], name: str, kind: str) -> int | None:
    """Position of the field of that kind: the one so named, else the first."""
    kinds = list(fields.values())
    if fields.get(name) == kind:
        return list(fields).index(name)
    return kinds.index(kind) if kind in kinds else None
