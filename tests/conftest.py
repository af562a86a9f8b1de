"""Fixtures shared by rooms: betons small enough to be written by a test."""

import atexit
import gc
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"  # kernels run on the CPU; read when triton is first imported

from fastssl.data.arrays import array_source
from fastssl.data.options import WriteOptions
from fastssl.data.pack import write_beton
from fastssl.data.sources import folder_source


def pytest_collection_finish():
    """What is imported stays: tests that collect garbage need not go through its million objects each time."""
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # extension modules look for what is left of them at the end


TINTS = np.array([[200, 60, 40], [180, 120, 60], [150, 70, 110], [220, 150, 70], [120, 90, 20]])


def picture(index: int, height: int, width: int) -> np.ndarray:
    """Smooth blotches tinted by class, reddish on average as photographs are, uint8 (h, w, 3)."""
    generator = np.random.default_rng(index)
    blotches = generator.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(blotches).resize((width, height), Image.Resampling.BICUBIC), dtype=float)
    noise = generator.normal(0, 4, (height, width, 3))
    return np.clip(0.5 * smooth + 0.5 * TINTS[index % 5] + noise, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def tiny_beton(tmp_path_factory):
    """`tiny_beton(num_images, height, width, mode)`: path of a beton of five classes, written once per session."""
    folder, written = tmp_path_factory.mktemp("betons"), {}

    def get(num_images, height=32, width=32, mode="raw"):
        key = (num_images, height, width, mode)
        if key not in written:
            images = np.stack([picture(index, height, width) for index in range(num_images)])
            labels = np.arange(num_images) % 5
            written[key] = folder / f"tiny{num_images}-{height}x{width}-{mode}.beton"
            write_beton(array_source(images, labels, name="tiny"), written[key], WriteOptions(mode=mode))
        return written[key]

    return get


SIZES = ((40, 60), (60, 40), (33, 47), (26, 70))


@pytest.fixture(scope="session")
def mixed_beton(tmp_path_factory):
    """`mixed_beton(num_images, mode)`: path of a beton of two classes and images of four sizes, up to 60 x 70."""
    folder, written = tmp_path_factory.mktemp("mixed"), {}

    def get(num_images, mode="proportion"):
        key = (num_images, mode)
        if key not in written:
            root = folder / f"images{num_images}-{mode}"
            for index in range(num_images):
                name = root / "train" / f"class{index % 2}" / f"{index:03d}.png"
                name.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(picture(index, *SIZES[index % 4])).save(name)
            written[key] = folder / f"mixed{num_images}-{mode}-train.beton"
            write_beton(folder_source(root, "train"), written[key], WriteOptions(mode=mode))
        return written[key]

    return get


def name_tiny(tiny_beton, folder: Path) -> Path:
    """Puts `tiny-train.beton` and `tiny-test.beton` in a folder (64 and 30 images of five classes)."""
    for split, num_images in (("train", 64), ("test", 30)):
        for suffix in (".beton", ".beton.json"):
            shutil.copy(tiny_beton(num_images).with_suffix(suffix), folder / f"tiny-{split}{suffix}")
    return folder / "tiny-train.beton"


@pytest.fixture
def tiny_dataset(tiny_beton, tmp_path_factory, monkeypatch):
    """Path of `tiny-train.beton`; the name `tiny` finds it and `tiny-test`."""
    folder = tmp_path_factory.mktemp("named")
    monkeypatch.setenv("FASTSSL_BETONS", str(folder))
    return name_tiny(tiny_beton, folder)


@pytest.fixture(scope="session")
def two_ranks(tiny_beton, tmp_path_factory):
    """All jobs that a CPU can do, in one start: torch is what takes the time."""
    folder = tmp_path_factory.mktemp("two_ranks")
    name_tiny(tiny_beton, folder)
    from two_ranks import on_two_ranks  # not above: it imports the methods

    return on_two_ranks(folder, "gathers", "sync_bn", "averages", "methods", "checkpoints", "training")
