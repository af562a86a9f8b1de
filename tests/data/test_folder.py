import numpy as np
import pytest
import torch
from torchvision.datasets import ImageFolder

from fastssl.data import folder as folder_module
from fastssl.data.arrays import array_source
from fastssl.data.beton import BetonFile
from fastssl.data.folder import ensure_folder
from fastssl.data.open import open_loader
from fastssl.data.options import WriteOptions
from fastssl.data.pack import write_beton

NUM_IMAGES = 40


@pytest.fixture
def path(tiny_beton):
    return tiny_beton(NUM_IMAGES, 31, 47)


def test_export_is_a_plain_image_folder(path):
    folder = ensure_folder(BetonFile(path))
    plain = ImageFolder(str(folder))
    assert len(plain) == NUM_IMAGES
    assert sorted(label for _, label in plain.samples) == sorted(BetonFile(path).labels.tolist())


def test_export_happens_once(path, monkeypatch):
    ensure_folder(BetonFile(path))
    monkeypatch.setattr("fastssl.data.folder.export_folder", None)
    assert ensure_folder(BetonFile(path)) == path.with_suffix("")


def test_named_dataset_is_exported_among_the_betons(tiny_beton, tmp_path, monkeypatch):
    monkeypatch.setenv("FASTSSL_BETONS", str(tmp_path))
    (tmp_path / "tiny-test.beton").symlink_to(tiny_beton(NUM_IMAGES))
    loader = open_loader("folder", "tiny", "test", batch_size=8, num_workers=0)
    assert (tmp_path / "tiny-test").is_dir()
    assert len(list(loader.epoch(0))) == 5
    loader.close()


def test_exporter_that_comes_second_keeps_the_first_ones_folder(path, tmp_path, monkeypatch):
    beton, export = tmp_path / "again.beton", folder_module.export_folder
    beton.symlink_to(path)

    def export_while_a_rival_does(source, out):
        monkeypatch.setattr(folder_module, "export_folder", export)
        (ensure_folder(source) / "rival").touch()
        return export(source, out)

    monkeypatch.setattr(folder_module, "export_folder", export_while_a_rival_does)
    assert (ensure_folder(BetonFile(beton)) / "rival").exists()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again", "again.beton"]


def test_workers_and_the_calling_process_read_the_same(path):
    read = [list(open_loader("folder", path, batch_size=8, num_workers=n).epoch(0)) for n in (0, 2)]
    assert all(torch.equal(a.images, b.images) for a, b in zip(*read, strict=True))


@pytest.mark.parametrize(
    "labels", [[0, 2, 2, 0], [-1, -1, -1, -1], [-1, 11, 2, 0]], ids=["a class lacks", "none", "few"]
)
def test_labels_survive_the_folder(tmp_path, labels):
    images = np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3)
    names = [f"class {letter}" for letter in "lkjihgfedcba"]
    write_beton(array_source(images, labels, names, name="odd"), tmp_path / "odd.beton", WriteOptions())
    [batch] = open_loader("folder", tmp_path / "odd.beton", batch_size=4, num_workers=0, order="sequential").epoch(0)
    assert batch.labels.tolist() == labels
    assert np.array_equal(batch.images.permute(0, 2, 3, 1).numpy(), images)
