"""Betons whose header or tables are not whole, or not those that were written: refused before an image is served."""

import json

import numpy as np
import pytest
from ffcv.types import ALLOC_TABLE_TYPE, FieldDescType, HeaderType

from fastssl.data.beton import BetonFile
from fastssl.data.format import METADATA_TYPE
from fastssl.data.paths import sidecar_path
from fastssl.errors import InputError
from tests.faults.betons import NUM_IMAGES, open_kind, overwrite

KINDS = ("crops", "images", "resident", "ffcv", "folder")
METADATA_AT = HeaderType.itemsize + 2 * FieldDescType.itemsize
FINGERPRINT_AT = METADATA_AT - FieldDescType.fields["arguments"][0].itemsize
FINGERPRINT_END = FINGERPRINT_AT + len(b"fastssl:") + 32


def header(path):
    return np.fromfile(path, HeaderType, 1)


def set_header(field, value):
    def change(path):
        changed = header(path)
        changed[field] = value
        overwrite(path, 0, changed.tobytes())

    return change


def set_metadata(field, change_row):
    """Changes one field of sample 3's record."""

    def change(path):
        rows = np.fromfile(path, METADATA_TYPE, NUM_IMAGES, offset=METADATA_AT)
        column = rows["f1"] if field == "label" else rows["f0"][field]
        column[3] = change_row(column[3])
        overwrite(path, METADATA_AT, rows.tobytes())

    return change


def shorten_table(path):
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size - 2 * ALLOC_TABLE_TYPE.itemsize)


def shorten_file(path):
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)


def shorten_payload(path):
    begin = int(header(path)["alloc_table_ptr"][0])
    table = np.fromfile(path, ALLOC_TABLE_TYPE, offset=begin)
    table["size"][3] -= 1
    overwrite(path, begin, table.tobytes())


def swap_pointers(path):
    """Sample 3 gets the pixels of sample 4: every pointer is possible, and nothing but the hash can tell."""
    rows = np.fromfile(path, METADATA_TYPE, NUM_IMAGES, offset=METADATA_AT)
    rows["f0"]["data_ptr"][[3, 4]] = rows["f0"]["data_ptr"][[4, 3]]
    overwrite(path, METADATA_AT, rows.tobytes())


BROKEN = {
    "unfinished": set_header("alloc_table_ptr", 0),
    "cut off": shorten_file,
    "short table": shorten_table,
    "pointer before data": set_metadata("data_ptr", lambda _: 10),
    "pointer beyond data": set_metadata("data_ptr", lambda _: 2**40),
    "no such mode": set_metadata("mode", lambda _: 9),
}
TAMPERED = {
    "label": set_metadata("label", lambda label: label + 1),
    "height": set_metadata("height", lambda height: height - 1),
    "mode": set_metadata("mode", lambda mode: 1 - mode),
    "length": shorten_payload,
    "pointers": swap_pointers,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", BROKEN)
def test_file_that_is_not_whole_is_refused(beton, kind, name):
    path = beton()
    BROKEN[name](path)
    with pytest.raises(InputError, match=r"is not a whole \.beton file: .*; (write|copy|write or copy) it again$") as e:
        open_kind(kind, path)
    assert "\n" not in str(e.value)
    assert path.name in str(e.value)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", TAMPERED)
def test_tables_that_were_changed_are_refused(beton, kind, name):
    path = beton()
    TAMPERED[name](path)
    with pytest.raises(InputError, match="its tables were changed after it was written; write it again or copy it"):
        open_kind(kind, path)


def test_no_byte_of_the_tables_can_change_unnoticed(beton):
    """Any bit of header and tables; the fingerprint within them is noticed as that of another sidecar."""
    path = beton()
    whole = path.read_bytes()
    table_begin = int(header(path)["alloc_table_ptr"][0])
    draw = np.random.default_rng(0)
    places = [*range(HeaderType.itemsize), *draw.integers(HeaderType.itemsize, FINGERPRINT_AT, 100).tolist(),
              *draw.integers(FINGERPRINT_END, METADATA_AT, 20).tolist(),
              *range(METADATA_AT, METADATA_AT + METADATA_TYPE.itemsize * NUM_IMAGES),
              *range(table_begin, len(whole))]  # fmt: skip
    for at in places:
        overwrite(path, at, bytes([whole[at] ^ 1 << int(draw.integers(8))]))
        with pytest.raises(InputError):
            BetonFile(path)
        overwrite(path, at, whole[at : at + 1])
    assert BetonFile(path).sidecar is not None


def test_changed_fingerprint_is_that_of_another_file(beton, caplog):
    path = beton()
    for at in range(FINGERPRINT_AT, FINGERPRINT_END, 7):
        whole = path.read_bytes()
        overwrite(path, at, bytes([whole[at] ^ 1]))
        caplog.clear()
        assert BetonFile(path).sidecar is None
        assert "belongs to another file" in caplog.text
        path.write_bytes(whole)


def test_sidecar_of_a_version_without_the_hash_is_believed(beton):
    path = beton()
    sidecar = json.loads(sidecar_path(path).read_text())
    del sidecar["tables_sha256"]
    sidecar_path(path).write_text(json.dumps(sidecar))
    assert BetonFile(path).sidecar == sidecar
    open_kind("crops", path).close()
