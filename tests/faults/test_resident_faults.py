"""A resident set is refused before memory is exhausted, takes what it said, and leaves damaged images out."""

import numpy as np
import pytest
import torch

from fastssl.augment import Drawer
from fastssl.data.beton import BetonFile
from fastssl.data.open import open_loader
from fastssl.data.options import WriteOptions
from fastssl.data.pack import write_beton
from fastssl.data.served import serve
from fastssl.data.source import Item, SourceInfo
from fastssl.errors import InputError
from fastssl.views import ViewSpec
from tests.faults.betons import NUM_IMAGES, SIDE_PX, open_kind, zero

NEEDED = NUM_IMAGES * SIDE_PX * SIDE_PX * 3


class ManySizes:
    """Nine images of 16 to 24 rows and 40 to 32 columns."""

    info = SourceInfo(name="sizes", class_names=("a", "b", "c"))
    labels = np.arange(9) % 3

    def read(self, positions):
        generator = np.random.default_rng(0)
        for at in positions.tolist():
            yield Item(at, generator.integers(0, 256, (16 + at, 40 - at, 3), dtype=np.uint8), f"image {at}")


@pytest.fixture
def many_sizes(tmp_path):
    write_beton(ManySizes(), tmp_path / "sizes.beton", WriteOptions(mode="jpg"))
    return tmp_path / "sizes.beton"


def test_set_beyond_nine_tenths_of_free_memory_is_refused_before_a_byte_is_taken(beton, monkeypatch):
    monkeypatch.setattr("fastssl.data.resident.free_bytes", lambda device: NEEDED / 0.9 - 1)
    monkeypatch.setattr(torch, "empty", None)  # would be called for the rows
    with pytest.raises(InputError, match=rf"^loader=resident needs 0\.00 GB for {NUM_IMAGES} decoded images") as caught:
        open_kind("resident", beton())
    assert str(caught.value).endswith("take loader=crops or a smaller fraction")
    assert "\n" not in str(caught.value)


def test_set_of_just_nine_tenths_is_taken(beton, monkeypatch):
    monkeypatch.setattr("fastssl.data.resident.free_bytes", lambda device: NEEDED / 0.9 + 1)
    loader = open_kind("resident", beton())
    assert loader.describe()["resident_bytes"] == NEEDED
    loader.close()


@pytest.mark.parametrize("fraction", [1.0, 0.5])
@pytest.mark.parametrize("source", ["one size", "many sizes"])
def test_estimate_is_what_is_allocated(beton, many_sizes, fraction, source):
    path = beton() if source == "one size" else many_sizes
    views = Drawer((ViewSpec(size=8),), 0)
    loader = open_loader("resident", path, batch_size=2, num_workers=1, fraction=fraction, views=views)
    beton_file = BetonFile(path)
    height, width = beton_file.sizes[loader.source].max(axis=0)
    assert loader.describe()["resident_bytes"] == len(loader.source) * height * width * 3
    if fraction == 1.0:
        assert loader.describe()["resident_bytes"] == serve(path).decoded_bytes
    loader.close()


def test_estimate_of_many_sizes_is_held_against_memory(many_sizes, monkeypatch):
    needed = serve(many_sizes).decoded_bytes
    views = Drawer((ViewSpec(size=8),), 0)
    monkeypatch.setattr("fastssl.data.resident.free_bytes", lambda device: needed)
    with pytest.raises(InputError, match=r"^loader=resident needs"):
        open_loader("resident", many_sizes, batch_size=2, views=views)
    monkeypatch.setattr("fastssl.data.open.free_bytes", lambda device: 4 * needed - 1)
    loader = open_loader("auto", many_sizes, batch_size=2, views=views)
    assert loader.describe()["kind"] == "crops"
    loader.close()


@pytest.mark.parametrize("gather", [True, False])
def test_damaged_images_of_many_sizes_are_left_out_and_the_rest_lie_in_their_corner(many_sizes, gather):
    whole = BetonFile(many_sizes)
    expected = [whole.decode(i) for i in range(9)]
    for sample in (2, 5):
        zero(0.0, 0.1)(many_sizes, sample)
    views = Drawer((ViewSpec(size=8), ViewSpec(size=6)), 4)
    options = {"batch_size": 3, "seed": 4, "gather": gather, "on_error": "skip", "drop_last": False}
    loader = open_loader("resident", many_sizes, views=views, **options)
    batches = list(loader.epoch(1))
    assert sum(batch.skipped for batch in batches) == 2
    assert sorted(int(i) for batch in batches for i in batch.index) == [0, 1, 3, 4, 6, 7, 8]
    for batch in batches:
        rows = batch.images if gather else batch.images[batch.index]
        for row, index, label in zip(rows.permute(0, 2, 3, 1).numpy(), batch.index.tolist(), batch.labels.tolist()):
            image = expected[index]
            assert np.array_equal(row[: image.shape[0], : image.shape[1]], image)
            assert label == index % 3
        drawn = views(1, batch.index.numpy(), whole.sizes[batch.index.numpy()])
        assert torch.equal(batch.draw.tables, drawn.tables)
    loader.close()
