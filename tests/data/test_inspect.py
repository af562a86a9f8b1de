import numpy as np
import pytest
from ffcv.types import ALLOC_TABLE_TYPE
from PIL import Image

from fastssl.data.arrays import array_source
from fastssl.data.beton import BetonFile
from fastssl.data.inspect import contact_sheet, inspect_beton, verify_beton
from fastssl.data.options import WriteOptions
from fastssl.data.pack import write_beton
from fastssl.data.paths import sidecar_path
from fastssl.errors import InputError

COLOURS = np.array([[250, 10, 10], [10, 250, 10], [10, 10, 250]], dtype=np.uint8)


@pytest.fixture
def beton(tmp_path):
    labels = np.arange(150) % 3
    images = np.tile(COLOURS[labels][:, None, None, :], (1, 8, 12, 1))
    images[:, 0, 0, 0] = np.arange(150)  # no two are equal
    source = array_source(images, labels, ["red", "green", "blue"], name="colours")
    write_beton(source, tmp_path / "c.beton", WriteOptions(mode="proportion"))
    return tmp_path / "c.beton"


def test_inspect_tells_what_is_inside(beton):
    found = inspect_beton(beton)
    assert found["fields"] == {"image": "RGBImageField", "label": "IntField"}
    assert found["num_jpg"] + found["num_raw"] == found["num_samples"] == 150
    assert (found["height_range"], found["width_range"]) == ([8, 8], [12, 12])
    assert found["class_counts"] == [50, 50, 50]
    assert found["class_names"] == ["red", "green", "blue"]
    assert found["file_bytes"] == beton.stat().st_size
    assert found["sidecar"]["fingerprint"] == found["fingerprint"]


def test_verify_reads_everything_and_compares(beton):
    calls = []
    result = verify_beton(beton, lambda done, total: calls.append((done, total)), num_threads=2)
    assert calls == [(64, 150), (128, 150), (150, 150)]
    assert result["fingerprint"] == BetonFile(beton).fingerprint() == inspect_beton(beton)["fingerprint"]
    assert result["compared"] == "file and sidecar"
    sidecar_path(beton).unlink()
    assert verify_beton(beton)["compared"] == "file"


@pytest.mark.parametrize("mode", [0, 1])
def test_verify_finds_one_changed_byte(beton, mode):
    opened = BetonFile(beton)
    index = int(np.flatnonzero(opened.modes == mode)[5])
    offset = int(opened.offsets[index] + opened.payload_sizes[index] - 3)
    content = bytearray(beton.read_bytes())
    content[offset] ^= 0x55
    beton.write_bytes(content)
    with pytest.raises(InputError, match=f"sample {index} at byte|has another content than its file says"):
        verify_beton(beton)


def test_verify_finds_overlapping_samples(beton):
    opened = BetonFile(beton)
    content = bytearray(beton.read_bytes())
    table = np.frombuffer(content, dtype=ALLOC_TABLE_TYPE, offset=opened.layout.data_end)
    row = int(np.flatnonzero(opened.modes[table["sample_id"]] == 0)[0])
    table["size"][row] += 5
    samples = (int(table["sample_id"][row]), int(table["sample_id"][row + 1]))
    del table
    beton.write_bytes(content)
    sidecar_path(beton).unlink()  # its hash of the tables would be the first to complain
    with pytest.raises(InputError, match=f"samples {samples[0]} and {samples[1]} overlap"):
        verify_beton(beton)


def test_contact_sheet_has_a_row_per_class(beton, tmp_path):
    out = contact_sheet(beton, tmp_path / "sheet.png", columns=4, cell_px=24)
    sheet = np.asarray(Image.open(out))
    assert sheet.shape[0] == 3 * 30 + 6
    for row, colour in enumerate(COLOURS.astype(int)):
        centres = sheet[6 + row * 30 + 12, -(4 * 30) + 12 - 6 :: 30][:4].astype(int)
        assert np.abs(centres - colour).max() < 40
    names = sheet[:, : -(4 * 30 + 6)]
    assert [int(names[6 + row * 30 : 30 + row * 30].min()) < 128 for row in range(3)] == [True] * 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.beton", "c.beton.json", "sheet.png"]


def test_contact_sheet_refuses_an_empty_grid(beton, tmp_path):
    with pytest.raises(InputError, match="columns=0"):
        contact_sheet(beton, tmp_path / "sheet.png", columns=0)
