"""A dataset that a run gets through in a second: 64 training images, 30 test images, five classes, 32 px."""

import shutil

import pytest


@pytest.fixture
def tiny_dataset(tiny_beton, tmp_path_factory, monkeypatch):
    """Path of `tiny-train.beton`, in a folder where the name `tiny` finds both splits."""
    folder = tmp_path_factory.mktemp("named")
    for split, num_images in (("train", 64), ("test", 30)):
        for suffix in (".beton", ".beton.json"):
            source = tiny_beton(num_images).with_suffix(suffix)
            shutil.copy(source, folder / f"tiny-{split}{suffix}")
    monkeypatch.setenv("FASTSSL_BETONS", str(folder))
    return folder / "tiny-train.beton"
