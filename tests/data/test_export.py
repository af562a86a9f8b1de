import json

import numpy as np
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from fastssl.data.arrays import array_source
from fastssl.data.beton import BetonFile
from fastssl.data.export import export_folder
from fastssl.data.options import WriteOptions
from fastssl.data.pack import write_beton
from fastssl.data.paths import sidecar_path
from fastssl.data.sources import folder_source
from fastssl.errors import InputError


def make(path, names, mode="proportion"):
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 9, 3), dtype=np.uint8)
    write_beton(array_source(images, np.arange(30) % len(names), names), path, WriteOptions(mode=mode))
    return BetonFile(path)


@pytest.mark.parametrize("names", [["ant", "bee", "cat"], ["zebra", "ape", "T-shirt/top"], [str(i) for i in range(12)]])
def test_image_folder_reads_the_same_pixels_and_labels(tmp_path, names):
    beton = make(tmp_path / "x.beton", names)
    folder = ImageFolder(str(export_folder(beton, tmp_path / "out")))
    assert len(folder.samples) == 30
    for path, label in folder.samples:
        index = int(path.rpartition("/")[2].partition(".")[0])
        assert label == beton.labels[index]
        np.testing.assert_array_equal(np.asarray(Image.open(path)), beton.decode(index))


def test_stored_jpegs_are_copied_untouched(tmp_path):
    beton = make(tmp_path / "x.beton", ["a", "b", "c"], "jpg")
    out = export_folder(tmp_path / "x.beton", tmp_path / "out")
    assert (out / "b" / "00000004.jpg").read_bytes() == bytes(beton.payload(4))


def test_export_and_write_come_round(tmp_path):
    beton = make(tmp_path / "x.beton", ["a", "b", "c"], "raw")
    out = export_folder(beton, tmp_path / "out")
    write_beton(folder_source(out), tmp_path / "y.beton")
    again, order = BetonFile(tmp_path / "y.beton"), np.argsort(beton.labels, kind="stable")
    for position, index in enumerate(order.tolist()):
        assert again.labels[position] == beton.labels[index]
        np.testing.assert_array_equal(again.decode(position), beton.decode(index))


def test_names_of_a_hostile_sidecar_lead_nowhere(tmp_path):
    make(tmp_path / "x.beton", ["a", "b", "c"])
    path = sidecar_path(tmp_path / "x.beton")
    content = json.loads(path.read_text())
    content["class_names"] = ["../../evil", "/etc", ".."]
    path.write_text(json.dumps(content))
    out = export_folder(tmp_path / "x.beton", tmp_path / "deep" / "out")
    assert sorted(folder.name for folder in out.iterdir()) == ["0_.._.._evil", "1__etc", "2_.."]
    assert sorted(item.name for item in tmp_path.iterdir()) == ["deep", "x.beton", "x.beton.json"]


def test_folder_that_is_not_empty_is_left_alone(tmp_path):
    beton = make(tmp_path / "x.beton", ["a", "b", "c"])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(InputError, match="exists already"):
        export_folder(beton, tmp_path / "out")


def test_damaged_sample_leaves_no_folder(tmp_path):
    beton = make(tmp_path / "x.beton", ["a", "b", "c"], "jpg")
    offset = int(beton.offsets[20] + beton.payload_sizes[20] - 30)
    content = bytearray((tmp_path / "x.beton").read_bytes())
    content[offset : offset + 30] = bytes(30)
    (tmp_path / "x.beton").write_bytes(content)
    with pytest.raises(InputError, match="sample 20"):
        export_folder(tmp_path / "x.beton", tmp_path / "out")
    assert sorted(item.name for item in tmp_path.iterdir()) == ["x.beton", "x.beton.json"]
