"""The .beton format, version 2, as FFCV 1.x lays it out; what of it this library reads, writes and refuses.

    header (24 bytes) | field descriptors (1041 each) | metadata (one record per sample) | payloads | allocation table

All numbers are little-endian and pointers count from the start of the file. The metadata record of an image holds its
mode, width, height and the pointer of its payload; the allocation table, which ends the file, holds each payload's
size. No payload crosses a page boundary. A file whose table pointer is 0 was never finished.

FFCV reads nothing from the 1,024 argument bytes of an integer field. A writer of this library keeps the file's
fingerprint there, so that a sidecar can be told from the sidecar of another file.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fastssl.errors import InputError

VERSION = 2
HEADER_TYPE = np.dtype(
    [
        ("version", "<u2"),
        ("num_fields", "<u2"),
        ("page_size", "<u4"),
        ("num_samples", "<u8"),
        ("alloc_table_ptr", "<u8"),
    ]
)
FIELD_TYPE = np.dtype([("type_id", "u1"), ("name", "u1", 16), ("arguments", "u1", 1024)])
ALLOCATION_TYPE = np.dtype([("sample_id", "<u8"), ("ptr", "<u8"), ("size", "<u8")])
_IMAGE = np.dtype([("mode", "u1"), ("width", "<u2"), ("height", "<u2"), ("data_ptr", "<u8")])
_BYTES = np.dtype([("ptr", "<u8"), ("size", "<u8")])
FIELDS: dict[int, tuple[str, np.dtype]] = {
    0: ("FloatField", np.dtype("<f8")),
    1: ("IntField", np.dtype("<i8")),
    2: ("RGBImageField", _IMAGE),
    3: ("BytesField", _BYTES),
    4: ("NDArrayField", np.dtype("<u8")),
    5: ("JSONField", _BYTES),
    6: ("TorchTensorField", np.dtype("<u8")),
}
"""Type of a field in its descriptor -> FFCV's class for it, and what a sample's metadata record holds of it."""
_INT, _RGB_IMAGE, _CUSTOM = 1, 2, 255
MODE_JPG, MODE_RAW = 0, 1
MAX_PAGE_BYTES = 1 << 31
"""FFCV keeps the page size in 32 bits and wants a power of two."""
MAX_SIDE_PX = 65_535
"""Width and height are 16-bit."""
_FINGERPRINT_TAG = b"fastssl:"
_MAX_FIELDS = 64

METADATA_TYPE = np.dtype([("", _IMAGE), ("", FIELDS[_INT][1])], align=True)
"""Of the files written here: f0 the image (mode, width, height, data_ptr), f1 the label."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The parts of an open file, as views into it."""

    page_bytes: int
    fields: dict[str, str]
    """Field name -> the name of FFCV's class for it, in file order."""
    metadata: np.ndarray
    allocations: np.ndarray
    data_begin: int
    data_end: int
    """Payloads lie in [data_begin, data_end)."""
    fingerprint: str | None
    """As the writer left it in the label's descriptor; None in files written by FFCV."""


def describe_fields(fingerprint: str) -> np.ndarray:
    """Descriptors of the two fields written here, `image` and `label`."""
    descriptors = np.zeros(2, dtype=FIELD_TYPE)
    for row, (name, type_id) in zip(descriptors, (("image", _RGB_IMAGE), ("label", _INT))):
        row["type_id"] = type_id
        row["name"][: len(name)] = np.frombuffer(name.encode("ascii"), dtype=np.uint8)
    note = _FINGERPRINT_TAG + bytes.fromhex(fingerprint)
    descriptors[1]["arguments"][: len(note)] = np.frombuffer(note, dtype=np.uint8)
    return descriptors


def describe_header(num_samples: int, page_bytes: int, table_pointer: int) -> np.ndarray:
    """The header of a finished file."""
    header = np.zeros(1, dtype=HEADER_TYPE)
    header["version"], header["num_fields"], header["page_size"] = VERSION, 2, page_bytes
    header["num_samples"], header["alloc_table_ptr"] = num_samples, table_pointer
    return header


def hash_tables(head: Any, allocations: Any) -> str:
    """SHA-256 of all of a file but its payloads: `head` is what comes before them, both as they lie on the disk."""
    digest = hashlib.sha256(head)
    digest.update(allocations)
    return digest.hexdigest()


def read_layout(content: np.ndarray, path: Path) -> Layout:
    """Take the file's bytes apart; raises `InputError`, in one line, for anything that is not a whole beton."""
    header = _read_header(content, path)
    fields_end = HEADER_TYPE.itemsize + int(header["num_fields"]) * FIELD_TYPE.itemsize
    table_begin, num_samples = int(header["alloc_table_ptr"]), int(header["num_samples"])
    if fields_end > table_begin:
        raise _refuse(path, "its field descriptors run past its data", "write it again")
    descriptors = content[HEADER_TYPE.itemsize : fields_end].view(FIELD_TYPE)
    fields, record = _read_fields(descriptors, path)
    data_begin = fields_end + num_samples * record.itemsize
    if data_begin > table_begin:
        raise _refuse(path, f"it has no room for the {num_samples} samples it claims", "write it again")
    metadata = content[fields_end:data_begin].view(record)
    allocations = content[table_begin:].view(ALLOCATION_TYPE)
    fingerprint = next((_read_fingerprint(row) for row in descriptors if _read_fingerprint(row)), None)
    return Layout(int(header["page_size"]), fields, metadata, allocations, data_begin, table_begin, fingerprint)


def _refuse(path: Path, reason: str, fix: str) -> InputError:
    return InputError(f"{os.fspath(path)} is not a whole .beton file: {reason}; {fix}")


def _read_header(content: np.ndarray, path: Path) -> Any:
    if content.size < HEADER_TYPE.itemsize:
        raise _refuse(path, f"it has only {content.size} bytes", "write it again")
    header = content[: HEADER_TYPE.itemsize].view(HEADER_TYPE)[0]
    page_bytes, table_begin = int(header["page_size"]), int(header["alloc_table_ptr"])
    if not 1 <= header["num_fields"] <= _MAX_FIELDS or page_bytes < 1 or page_bytes & (page_bytes - 1):
        raise _refuse(path, "its header is not FFCV's", "give a file written by `fastssl beton write` or FFCV")
    if header["version"] != VERSION:
        raise _refuse(path, f"it has version {header['version']}, not {VERSION}", "write it again")
    if table_begin == 0:
        raise _refuse(path, "its writer never finished", "write it again")
    if table_begin > content.size or (content.size - table_begin) % ALLOCATION_TYPE.itemsize:
        raise _refuse(path, f"it was cut off at {content.size} bytes", "write or copy it again")
    return header


def _read_fields(descriptors: np.ndarray, path: Path) -> tuple[dict[str, str], np.dtype]:
    names = [bytes(row["name"]).split(b"\0")[0].decode("ascii", "replace") for row in descriptors]
    type_ids = [int(row["type_id"]) for row in descriptors]
    if not set(type_ids) <= {*FIELDS, _CUSTOM}:
        raise _refuse(path, "a field descriptor is damaged", "write it again")
    if _CUSTOM in type_ids or len(set(names)) != len(names):
        raise _refuse(path, "it has a custom or repeated field", "write it with FFCV's own fields")
    record = np.dtype([("", FIELDS[type_id][1]) for type_id in type_ids], align=True)
    return {name: FIELDS[type_id][0] for name, type_id in zip(names, type_ids)}, record


def _read_fingerprint(descriptor: Any) -> str | None:
    note = bytes(descriptor["arguments"][: len(_FINGERPRINT_TAG) + 32])
    return note[len(_FINGERPRINT_TAG) :].hex() if note.startswith(_FINGERPRINT_TAG) else None
