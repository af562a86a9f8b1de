import io
import json
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
import zstandard
from PIL import Image
from torchvision.datasets import ImageFolder

from fastssl.data import zoo
from fastssl.data.arrays import array_source, numpy_source
from fastssl.data.dataset import write_dataset
from fastssl.data.options import WriteOptions
from fastssl.data.pack import write_beton
from fastssl.data.paths import beton_path
from fastssl.data.shards import shard_source
from fastssl.data.source import SourceInfo
from fastssl.data.sources import archive_source, folder_source
from fastssl.errors import InputError


def png(value):
    buffer = io.BytesIO()
    Image.new("RGB", (6, 4), (value, 2 * value % 256, 7)).save(buffer, "PNG")
    return buffer.getvalue()


def tree(splits=("train", "test"), classes=("bee", "ant", "cat")):
    names = [f"{split}/{name}/{i}.png" for split in splits for name in classes for i in range(3)]
    return {name: png(position + 1) for position, name in enumerate(names)}


def write_folder(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def write_tar(path, files, mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def write_archive(path, files):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    elif path.suffix == ".zst":
        plain = write_tar(path.with_suffix(".plain"), files)
        path.write_bytes(zstandard.compress(plain.read_bytes()))
    else:
        write_tar(path, files, "w:gz" if path.suffix == ".gz" else "w")
    return path


def contents(source):
    items = {item.position: item.image for item in source.read(np.arange(len(source.labels)))}
    return [items[position] for position in range(len(source.labels))]


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.zst", ".zip"])
def test_archive_gives_the_same_samples_as_its_folder_whatever_its_order(tmp_path, suffix):
    files = {**tree(), "README.md": b"hello", ".DS_Store": b"x", "test/bee/._0.png": b"x"}
    folder = folder_source(write_folder(tmp_path / "set", files), "test")
    backwards = dict(reversed(list(files.items())))
    archive = archive_source(write_archive(tmp_path / f"set{suffix}", backwards), "test")
    assert archive.info == folder.info
    assert archive.info.class_names == ("ant", "bee", "cat")
    assert archive.names == folder.names
    np.testing.assert_array_equal(archive.labels, folder.labels)
    assert contents(archive) == contents(folder)


def test_long_names_of_every_tar_format_are_read(tmp_path):
    name = "train/ant/" + "x" * 150 + ".png"
    for number, form in enumerate((tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)):
        with tarfile.open(tmp_path / f"{number}.tar", "w", format=form) as archive:
            info = tarfile.TarInfo(name)
            info.size = len(png(1))
            archive.addfile(info, io.BytesIO(png(1)))
        assert archive_source(tmp_path / f"{number}.tar").names == [name]
    with tarfile.open(tmp_path / "u.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        info = tarfile.TarInfo("train/ant/" + "d" * 80 + "/" + "x" * 60 + ".png")
        archive.addfile(info, io.BytesIO(b""))
    assert archive_source(tmp_path / "u.tar").names == [info.name]


def test_one_folder_around_everything_is_looked_through(tmp_path):
    files = {f"imagenette/{name}": content for name, content in tree().items()}
    assert len(folder_source(write_folder(tmp_path, files), "train").labels) == 9


def test_class_numbers_agree_between_splits_when_one_lacks_a_class(tmp_path):
    files = {name: content for name, content in tree().items() if not name.startswith("test/ant")}
    root = write_folder(tmp_path, files)
    test = folder_source(root, "test")
    assert test.info.class_names == ("ant", "bee", "cat")
    assert sorted(set(test.labels.tolist())) == [1, 2]


def test_split_is_asked_for_when_there_are_several(tmp_path):
    root = write_folder(tmp_path, tree())
    with pytest.raises(InputError, match="holds the splits test, train; give split"):
        folder_source(root)
    with pytest.raises(InputError, match=r"split=val is not in .* which holds test, train"):
        folder_source(root, "val")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("train/ant/notes.pdf", "is not an image by its name"), ("train/x.png", "is in no class folder")],
)
def test_stray_file_is_refused_by_name(tmp_path, name, reason):
    root = write_folder(tmp_path, {**tree(("train",)), name: png(1)})
    with pytest.raises(InputError, match=f"{name!r} {reason}"):
        folder_source(root)


def test_image_name_without_an_image_is_refused_by_name(tmp_path):
    root = write_folder(tmp_path / "set", {**tree(("train",)), "train/ant/bad.png": b"#!/bin/sh"})
    with pytest.raises(InputError, match=r"ant/bad\.png is not an image \(9 bytes beginning"):
        write_beton(folder_source(root), tmp_path / "x.beton")
    assert not list(tmp_path.glob("*beton*"))


def test_unlabelled_split_needs_no_class_folders(tmp_path):
    root = write_folder(tmp_path / "s", {**tree(("train",)), "unlabeled/a.png": png(1), "unlabeled/b.png": png(2)})
    source = folder_source(root, "unlabeled")
    assert source.labels.tolist() == [-1, -1]
    written = write_beton(source, tmp_path / "u.beton")
    assert written["num_unlabelled"] == 2
    assert written["class_counts"] == [0, 0, 0]


def test_shards_pair_images_with_labels(tmp_path):
    write_tar(tmp_path / "a-0.tar", {"k1.jpg": png(1), "k1.cls": b"2\n", "k2.cls": b"0", "k2.jpg": png(2)})
    write_tar(tmp_path / "a-1.tar", {"dir/k1.png": png(3), "dir/k1.json": json.dumps({"label": 1}).encode()})
    for pattern in (tmp_path, tmp_path / "a-*.tar"):
        source = shard_source(pattern)
        assert source.labels.tolist() == [2, 0, 1]
        assert contents(source) == [png(1), png(2), png(3)]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({"a.jpg": b"", "a.cls": b"cat"}, "is no label"),
        ({"a.jpg": b"", "a.cls": b"3", "b.jpg": b""}, "'b.jpg' has no .cls"),
        ({"a.jpg": b"", "a.png": b""}, "second image"),
        ({"a.jpg": b"", "a.cls": b"9" * 30}, "give class numbers"),
        ({"a.jpg": b"", "a.json": b'{"label": "cat"}'}, "is no label"),
        ({"a.txt": b""}, "holds no key.jpg"),
    ],
)
def test_odd_shard_is_refused(tmp_path, files, reason):
    with pytest.raises(InputError, match=reason):
        shard_source(write_tar(tmp_path / "a.tar", files))


def test_arrays_on_disk_are_read_from_both_layouts(tmp_path):
    images, labels = np.arange(2 * 3 * 4 * 3, dtype=np.uint8).reshape(2, 3, 4, 3), np.array([1, 0])
    np.savez_compressed(tmp_path / "x.npz", images=images, labels=labels)
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "labels.npy", labels)
    for path in ("x.npz", "images.npy"):
        source = numpy_source(tmp_path / path, name="x")
        np.testing.assert_array_equal(source.images, images)
        assert source.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("images", "labels", "reason"),
    [
        (np.zeros((2, 4, 4, 3)), [0, 1], "dtype float64"),
        (np.zeros((2, 3, 4, 5), np.uint8), [0, 1], r"shape \(2, 3, 4, 5\)"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0], "give 2 integers"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0.0, 1.0], "dtype float64"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0, -2], "label -2"),
        (np.zeros((2, 4, 4, 3), np.uint8), [0, 2**40], "give class numbers from 0"),
        (np.zeros((0, 4, 4, 3), np.uint8), np.zeros(0, int), "holds no image"),
    ],
)
def test_odd_arrays_are_refused(images, labels, reason):
    with pytest.raises(InputError, match=reason):
        array_source(images, labels)


def test_npz_of_objects_is_refused_and_never_unpickled(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.array([{}], dtype=object), labels=np.array([0]))
    with pytest.raises(InputError, match=r"is not a plain \.npz"):
        numpy_source(tmp_path / "x.npz", name="x")


def test_named_dataset_is_written_from_a_local_copy(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTSSL_BETONS", str(tmp_path / "betons"))
    classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    archive = write_archive(tmp_path / "c.tar.zst", tree(classes=classes))
    train, test = write_dataset("cifar10", archive=archive)
    root = write_folder(tmp_path / "copy", tree(classes=classes))
    assert [train["fingerprint"], test["fingerprint"]] == [
        r["fingerprint"] for r in write_dataset("cifar10", root=root)
    ]
    assert train["path"] == str(beton_path("cifar10", "train"))
    assert train["class_names"] == classes
    assert train["licence"]
    assert "are these the same images" in train["warnings"][0]
    assert test["warnings"] == []


def test_copy_with_another_number_of_classes_is_refused(tmp_path):
    with pytest.raises(InputError, match="cifar10 has 10 classes and the copy has 3"):
        write_dataset("cifar10", root=write_folder(tmp_path, tree()))


def test_fraction_of_a_whole_dataset_spares_its_test_split(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTSSL_BETONS", str(tmp_path / "betons"))
    classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    root = write_folder(tmp_path / "copy", tree(classes=classes))
    results = write_dataset("cifar10", WriteOptions(fraction=0.34, val=10), root=root)
    assert [(r["split"], r["samples"]) for r in results] == [("train", 10), ("val", 10), ("test", 30)]
    only_test = write_dataset("cifar10", WriteOptions(fraction=0.34), root=root, split="test")
    assert only_test[0]["samples"] == 10


def test_demo_is_drawn_and_written(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTSSL_BETONS", str(tmp_path))
    (result,) = write_dataset("demo", split="test")
    assert result["samples"] == 1000
    assert result["class_counts"] == [100] * 10
    assert result["duplicates"]["num_groups"] == 0


def test_failed_download_is_one_line_with_a_way_out(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("<urlopen error [Errno -3] Temporary failure in name resolution>\nmore")

    monkeypatch.setitem(zoo._BUILDERS, "CIFAR10", fail)
    with pytest.raises(InputError, match=r"could not be fetched .*name resolution.*give root or archive") as caught:
        write_dataset("cifar10", root=tmp_path)
    assert "\n" not in str(caught.value)


def test_torchvision_copy_on_disk_is_read_without_the_network(tmp_path):
    images = np.arange(10 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(10, 28, 28)
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, data in (("images-idx3", images), ("labels-idx1", np.arange(10, dtype=np.uint8))):
        head = bytes([0, 0, 8, data.ndim]) + np.array(data.shape, dtype=">i4").tobytes()
        for split in ("train", "t10k"):
            (raw / f"{split}-{name}-ubyte").write_bytes(head + data.tobytes())
    (result,) = write_dataset("fashion_mnist", root=tmp_path, split="test", out=tmp_path / "f.beton")
    assert (result["samples"], result["height"], result["class_names"][1]) == (10, 28, "Trouser")


@pytest.mark.parametrize("absolute", [True, False])
def test_torchvision_files_are_read_as_they_are(tmp_path, monkeypatch, absolute):
    files = tree(splits=("images",))
    write_folder(tmp_path, files)
    monkeypatch.chdir(tmp_path)

    def kind(root, split, download, loader):
        return ImageFolder(root, loader=loader)

    source = zoo._files(kind, str(tmp_path / "images") if absolute else "images", "train", SourceInfo(name="x"))
    assert source.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3
    for item in source.read(np.array([0, 4])):
        name = {0: "images/ant/0.png", 4: "images/bee/1.png"}[item.position]
        assert item.image == files[name]
        assert Path(item.name) == (tmp_path / name if absolute else Path(name))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"name_or_kind": "folder"}, "needs a place"),
        ({"name_or_kind": "cifar11"}, "did you mean cifar10.*kind: folder"),
        ({"name_or_kind": "cifar10", "root": "a", "archive": "b"}, "give one of them"),
        ({"name_or_kind": "cifar10", "split": "dev"}, "split='dev' is unknown"),
        ({"name_or_kind": "cifar10", "split": "val"}, "split=val is not in cifar10"),
        ({"name_or_kind": "demo", "out": "x.beton"}, "give split as well"),
        ({"name_or_kind": "demo", "split": "test", "options": WriteOptions(val=0.1)}, "val=0.1 holds out"),
        ({"name_or_kind": "folder", "root": "/nonexistent"}, "is not a folder"),
        ({"name_or_kind": "folder", "archive": "/nonexistent.tar"}, "cannot be opened"),
    ],
)
def test_impossible_request_is_one_line(arguments, reason):
    with pytest.raises(InputError, match=reason) as caught:
        write_dataset(**arguments)
    assert "\n" not in str(caught.value)


def test_train_is_not_written_whole_beside_what_an_earlier_one_held_out(tmp_path):
    np.savez(tmp_path / "x.npz", images=np.zeros((40, 8, 8, 3), np.uint8), labels=np.arange(40) % 2)
    place = {"root": tmp_path / "x.npz", "out": tmp_path / "x-train.beton"}
    write_dataset("numpy", WriteOptions(val=0.1), **place)
    with pytest.raises(InputError, match=r"x-val.beton holds out samples .* val=0.1"):
        write_dataset("numpy", WriteOptions(), **place)
    (tmp_path / "x-val.beton").unlink()
    write_dataset("numpy", WriteOptions(), **place)
