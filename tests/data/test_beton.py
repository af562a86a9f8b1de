import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from ffcv import types
from ffcv.fields import IntField, RGBImageField
from ffcv.types import FieldDescType, HeaderType
from ffcv.writer import DatasetWriter

from fastssl.data import format
from fastssl.data.arrays import array_source
from fastssl.data.beton import BetonFile
from fastssl.data.options import WriteOptions
from fastssl.data.pack import write_beton
from fastssl.data.paths import beton_path, sidecar_path
from fastssl.errors import InputError


class _Indexed:
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], int(index) % 3


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (40, 9, 8, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def by_ffcv(tmp_path_factory, images):
    path = tmp_path_factory.mktemp("ffcv") / "f.beton"
    fields = {"image": RGBImageField(write_mode="raw"), "label": IntField()}
    DatasetWriter(str(path), fields, num_workers=1).from_indexed_dataset(_Indexed(images))
    return path


@pytest.fixture
def ours(tmp_path, images):
    write_beton(array_source(images, np.arange(40) % 3), tmp_path / "o.beton", WriteOptions(mode="proportion"))
    return tmp_path / "o.beton"


def test_file_by_ffcv_opens_without_a_sidecar(by_ffcv, images):
    beton = BetonFile(by_ffcv)
    assert beton.sidecar is None
    assert beton.class_names == ("0", "1", "2")
    assert (beton.sizes == [9, 8]).all()
    np.testing.assert_array_equal(beton.labels, np.arange(40) % 3)
    np.testing.assert_array_equal(np.stack([beton.decode(i) for i in range(40)]), images)


def test_fingerprint_knows_content_not_layout(by_ffcv, tmp_path, images):
    result = write_beton(array_source(images, np.arange(40) % 3), tmp_path / "x.beton")
    assert BetonFile(by_ffcv).fingerprint() == result["fingerprint"] == BetonFile(tmp_path / "x.beton").fingerprint()
    assert by_ffcv.read_bytes() != (tmp_path / "x.beton").read_bytes()


@pytest.mark.parametrize("changed", ["label", "pixel", "order"])
def test_fingerprint_changes_with_content(tmp_path, images, changed):
    labels, pixels = np.arange(40) % 3, images.copy()
    if changed == "label":
        labels[7] = 2
    elif changed == "pixel":
        pixels[7, 0, 0, 0] ^= 1
    else:
        pixels[[0, 3]] = pixels[[3, 0]]  # of one class
    prints = [
        write_beton(array_source(pixels, labels), tmp_path / "a.beton")["fingerprint"],
        write_beton(array_source(images, np.arange(40) % 3), tmp_path / "b.beton")["fingerprint"],
    ]
    assert prints[0] != prints[1]


def test_payload_is_a_view_of_the_stored_bytes(ours):
    beton = BetonFile(ours)
    jpg = int(np.flatnonzero(beton.modes == 0)[0])
    raw = int(np.flatnonzero(beton.modes == 1)[0])
    assert bytes(beton.payload(jpg)[:3]) == b"\xff\xd8\xff"
    assert beton.payload(raw) == beton.decode(raw).tobytes()
    assert beton.payload(raw).readonly


@pytest.mark.parametrize("point", range(20))
def test_file_cut_anywhere_is_refused_in_one_line(ours, by_ffcv, tmp_path, point):
    for whole in (ours, by_ffcv):
        content = whole.read_bytes()
        cut = tmp_path / "cut.beton"
        cut.write_bytes(content[: len(content) * point // 20])
        with pytest.raises(InputError, match=r"cut\.beton is not a whole") as caught:
            BetonFile(cut)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing_bytes", [1, 23, 24, 240])
def test_file_that_lost_the_end_of_its_table_is_refused(ours, by_ffcv, tmp_path, missing_bytes):
    for whole in (ours, by_ffcv):
        (tmp_path / "cut.beton").write_bytes(whole.read_bytes()[:-missing_bytes])
        with pytest.raises(InputError, match=r"cut off|allocation table is incomplete"):
            BetonFile(tmp_path / "cut.beton")


def edited(path, field, value):
    content = bytearray(path.read_bytes())
    header = np.frombuffer(bytes(content[: HeaderType.itemsize]), dtype=HeaderType).copy()
    header[field] = value
    content[: HeaderType.itemsize] = header.tobytes()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("alloc_table_ptr", 0, "never finished"),
        ("version", 1, "version 1"),
        ("num_samples", 10**15, "no room for"),
        ("alloc_table_ptr", 2**63, "cut off"),
        ("num_fields", 60, "field descriptors run past|damaged|repeated"),
        ("page_size", 3, "header is not FFCV's"),
    ],
)
def test_impossible_header_is_refused(ours, field, value, reason):
    with pytest.raises(InputError, match=reason):
        BetonFile(edited(ours, field, value))


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, b"PK\x03\x04" * 500])
def test_foreign_file_is_refused(tmp_path, content):
    (tmp_path / "x.beton").write_bytes(content)
    with pytest.raises(InputError, match=r"is not a whole \.beton file"):
        BetonFile(tmp_path / "x.beton")


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be opened: No such file"):
        BetonFile(tmp_path / "x.beton")


def with_raw_field(path, field, value):
    """Changes the metadata of the first raw sample, and gives its index."""
    beton = BetonFile(path)
    raw = int(np.flatnonzero(beton.modes == 1)[0])
    record = beton.layout.metadata.dtype
    content = bytearray(path.read_bytes())
    begin = HeaderType.itemsize + 2 * FieldDescType.itemsize
    rows = np.frombuffer(content, dtype=record, count=40, offset=begin)
    rows["f0"][field][raw] = value
    del rows
    path.write_bytes(content)
    return raw


@pytest.mark.parametrize(("field", "value"), [("data_ptr", 10), ("data_ptr", 2**62), ("height", 0), ("mode", 7)])
def test_metadata_that_points_elsewhere_is_refused(ours, field, value):
    with_raw_field(ours, field, value)
    with pytest.raises(InputError, match=r"is not a whole \.beton file"):
        BetonFile(ours)


def test_size_that_was_changed_is_refused_by_the_sidecar_and_else_is_a_damaged_sample(ours):
    raw = with_raw_field(ours, "width", 9)
    with pytest.raises(InputError, match="tables were changed after it was written"):
        BetonFile(ours)
    sidecar_path(ours).unlink()
    beton = BetonFile(ours)
    with pytest.raises(InputError, match=rf"sample {raw} at byte .* is damaged: 216 bytes, but 9 x 9 pixels take 243"):
        beton.decode(raw)
    assert all(beton.decode(other).shape == (9, 8, 3) for other in range(40) if other != raw)


def test_damaged_jpeg_is_named_with_its_place(ours):
    beton = BetonFile(ours)
    index = int(np.flatnonzero(beton.modes == 0)[3])
    offset, size = int(beton.offsets[index]), int(beton.payload_sizes[index])
    content = bytearray(ours.read_bytes())
    content[offset + size - 40 : offset + size] = bytes(40)
    ours.write_bytes(content)
    with pytest.raises(InputError, match=f"sample {index} at byte {offset} is damaged"):
        BetonFile(ours).decode(index)


def test_sidecar_of_another_file_is_not_believed(ours, tmp_path, images, caplog):
    other = tmp_path / "other.beton"
    write_beton(array_source(images[::-1].copy(), np.arange(40) % 3, ["a", "b", "c"]), other)
    assert BetonFile(other).class_names == ("a", "b", "c")
    shutil.copy(sidecar_path(other), sidecar_path(ours))
    beton = BetonFile(ours)
    assert beton.sidecar is None
    assert beton.class_names == ("0", "1", "2")
    assert "belongs to another file" in caplog.text


def test_sidecar_that_is_no_json_does_not_hide_the_images(ours, caplog):
    sidecar_path(ours).write_text("{")
    assert BetonFile(ours).sidecar is None
    assert "cannot be read" in caplog.text


def test_betons_live_where_the_variable_says(monkeypatch, tmp_path):
    monkeypatch.setenv("FASTSSL_BETONS", str(tmp_path))
    assert beton_path("cifar10", "train") == tmp_path / "cifar10-train.beton"
    for name, split in (("../x", "train"), ("x", "dev"), ("", "train")):
        with pytest.raises(InputError):
            beton_path(name, split)


def test_tables_are_laid_out_as_ffcv_has_them():
    assert (
        types.HeaderType,
        types.FieldDescType,
        types.ALLOC_TABLE_TYPE,
    ) == (format.HEADER_TYPE, format.FIELD_TYPE, format.ALLOCATION_TYPE)
    assert types.get_metadata_type([RGBImageField(), IntField()]) == format.METADATA_TYPE
    assert format.FIELDS.keys() == types.TYPE_ID_HANDLER.keys() - {255}
    blank = np.zeros(1, types.FieldDescType)[0]["arguments"]
    for type_id, (name, record) in format.FIELDS.items():
        handler = types.TYPE_ID_HANDLER[type_id]
        assert handler.__name__ == name
        field = handler(np.dtype("u1"), ()) if name == "NDArrayField" else (
            handler(torch.uint8, ()) if name == "TorchTensorField" else handler.from_binary(blank))  # fmt: skip
        assert field.metadata_type == record


def test_loaders_other_than_ffcvs_do_not_wait_for_it_to_be_imported():
    asked = "import sys, fastssl.data.open; print(*{'ffcv', 'torchvision', 'kornia'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
