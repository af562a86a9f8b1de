"""What loaders do when a file is damaged, a thread dies, memory is short or a folder is not theirs."""

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from fastssl.augment import Drawer
from fastssl.data import ffcv_loader
from fastssl.data.arrays import array_source
from fastssl.data.open import KINDS, find_beton, open_loader
from fastssl.data.options import WriteOptions
from fastssl.data.pack import write_beton
from fastssl.errors import InputError
from fastssl.views import ViewSpec
from tests.faults.betons import NUM_IMAGES


def message_of(kind: str, path: Path, **options) -> str:
    with pytest.raises(InputError) as caught:  # noqa: PT012
        loader = open_loader(kind, path, **{"batch_size": 5, "num_workers": 1, **options})
        list(loader.epoch(0))
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_damaged_file_of_an_exported_folder_is_named(beton):
    path = beton("jpg")
    open_loader("folder", path, batch_size=5).close()
    image = _exported(path, 7)
    image.write_bytes(b"no image")
    assert image.name in message_of("folder", path)


def _exported(path: Path, index: int) -> Path:
    [found] = [f for f in path.with_suffix("").glob("*/*") if f.stem.isdigit() and int(f.stem) == index]
    return found


def test_error_in_the_reading_thread_reaches_the_consumer(beton, monkeypatch):
    stock, calls = ffcv_loader._Epoch.run_pipeline, []

    def fail_later(self, *args):
        calls.append(args)
        if len(calls) == 3:
            raise MemoryError("no room for a batch")
        return stock(self, *args)

    monkeypatch.setattr(ffcv_loader._Epoch, "run_pipeline", fail_later)
    loader = open_loader("ffcv", beton(), batch_size=5, num_workers=1)
    batches = loader.epoch(0)
    next(batches)
    next(batches)
    [epoch] = loader._epochs
    with pytest.raises(MemoryError, match="no room"):
        next(batches)
    assert not epoch.is_alive()
    loader.close()


def test_reading_thread_that_vanishes_does_not_hang_the_consumer(beton, monkeypatch):
    monkeypatch.setattr(ffcv_loader.EpochIterator, "run", lambda self: None)
    loader = open_loader("ffcv", beton(), batch_size=5, num_workers=1)
    with pytest.raises(RuntimeError, match="ended before its epoch"):
        next(loader.epoch(0))
    loader.close()


def test_memory_context_is_closed_once(beton, monkeypatch):
    from ffcv.memory_managers.os_cache import OSCacheContext

    closed = []
    monkeypatch.setattr(OSCacheContext, "__exit__", lambda self, *error: closed.append(self))
    loader = open_loader("ffcv", beton(), batch_size=5, num_workers=1)
    list(loader.epoch(0))
    batches = loader.epoch(1)
    next(batches)
    batches.close()
    loader.close()
    assert len(closed) == 2


@pytest.mark.parametrize("ending", ["queue full", "thread at its last put"])
def test_abandoned_thread_ends_at_once(beton, ending):
    loader = open_loader("ffcv", beton(), batch_size=5 if ending == "queue full" else 10, num_workers=1)
    batches = loader.epoch(0)
    next(batches)
    [epoch] = loader._epochs
    time.sleep(0.3)  # it has filled its queue by now, or waits to say that it is done
    batches.close()
    assert not epoch.is_alive()
    loader.close()


def test_closing_a_loader_ends_the_epoch_being_read(beton):
    loader = open_loader("ffcv", beton(), batch_size=5, num_workers=1)
    batches = loader.epoch(0)
    next(batches)
    loader.close()
    with pytest.raises(InputError, match="closed while an epoch"):
        list(batches)


def test_resident_refuses_what_does_not_fit(beton, monkeypatch):
    monkeypatch.setattr("fastssl.data.resident.free_bytes", lambda device: NUM_IMAGES * 32 * 32 * 3)
    message = message_of("resident", beton())
    assert message.startswith("loader=resident needs")
    assert "loader=crops" in message


ANTIALIASED, PLAIN = ViewSpec(size=16), ViewSpec(size=16, antialias=False)


@pytest.mark.parametrize(
    ("room", "specs", "kind"),
    [
        (5, (), "resident"),
        (3, (), "images"),
        (3, (ANTIALIASED,), "crops"),
        (3, (ANTIALIASED,) * 8, "crops"),  # eight views are cheaper to cut on a GPU, and this is none
        (3, (ANTIALIASED, PLAIN), "images"),
    ],
)
def test_auto_takes_memory_when_a_quarter_of_it_is_enough(beton, monkeypatch, room, specs, kind):
    monkeypatch.setattr("fastssl.data.open.free_bytes", lambda device: room * NUM_IMAGES * 32 * 32 * 3)
    views = Drawer(specs, 0) if specs else None
    loader = open_loader("auto", beton(), batch_size=5, num_workers=1, views=views)
    assert loader.describe()["kind"] == kind
    assert "quarter" in loader.describe()["reason"]
    loader.close()


class Ragged:
    """Images of 5 to 8 rows."""

    info = array_source(np.zeros((4, 8, 8, 3), dtype=np.uint8), np.arange(4)).info
    labels = np.arange(4)

    def read(self, positions):
        whole = array_source(np.arange(768, dtype=np.uint8).reshape(4, 8, 8, 3), self.labels)
        for item in whole.read(positions):
            yield item._replace(image=item.image[: 5 + item.position])


@pytest.fixture
def ragged(tmp_path):
    write_beton(Ragged(), tmp_path / "ragged.beton", WriteOptions())
    return tmp_path / "ragged.beton"


@pytest.mark.parametrize("kind", ["auto", "crops", "images", "resident"])
def test_images_of_several_sizes_are_served_where_views_are_drawn(ragged, kind):
    loader = open_loader(kind, ragged, batch_size=4, num_workers=1, views=Drawer((ViewSpec(size=4),), 0))
    [batch] = loader.epoch(0)
    assert sorted(batch.index.tolist()) == [0, 1, 2, 3]
    assert batch.draw is not None
    loader.close()


@pytest.mark.parametrize(
    ("kind", "drawn"), [("auto", False), ("images", False), ("resident", False), ("ffcv", True), ("folder", True)]
)
def test_images_of_several_sizes_are_refused_with_the_fix(ragged, kind, drawn):
    views = Drawer((ViewSpec(size=4),), 0) if drawn else None
    message = message_of(kind, ragged, batch_size=4, views=views)
    assert "ragged.beton" in message
    assert "beton write --square N" in message
    assert "loader=crops" in message


def test_unknown_kind_and_missing_beton_say_what_to_type(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTSSL_BETONS", str(tmp_path))
    with pytest.raises(InputError, match=rf"^loader='dali' is unknown; give one of {', '.join(KINDS)}$"):
        open_loader("dali", "cifar10")
    with pytest.raises(InputError, match=r"^dataset=cifar10 .*type `fastssl beton write cifar10`$"):
        open_loader("auto", "cifar10")
    with pytest.raises(InputError, match=r"^dataset=.*nowhere.beton is not a file"):
        open_loader("auto", tmp_path / "nowhere.beton")
    with pytest.raises(InputError, match=r"^dataset is empty"):
        open_loader("auto", "")


def test_split_of_a_path_is_never_the_file_trained_on(tmp_path):
    for name in ("x-train.beton", "x-test.beton", "y.beton"):
        (tmp_path / name).touch()
    assert find_beton(tmp_path / "x-train.beton", "test") == tmp_path / "x-test.beton"
    assert find_beton(tmp_path / "x-test.beton", "test") == tmp_path / "x-test.beton"
    assert find_beton(tmp_path / "y.beton", "train") == tmp_path / "y.beton"
    with pytest.raises(InputError, match="one split"):
        find_beton(tmp_path / "y.beton", "test")
    with pytest.raises(InputError, match="not a file"):
        find_beton(tmp_path / "x-train.beton", "val")


def test_folder_of_somebody_else_is_left_alone(beton):
    path = beton()
    path.with_suffix("").mkdir()
    assert "not an export" in message_of("folder", path)
    assert list(path.with_suffix("").iterdir()) == []


def test_export_of_an_older_beton_is_replaced(beton, tmp_path):
    path = beton()
    open_loader("folder", path, batch_size=5).close()
    images = np.full((NUM_IMAGES, 32, 32, 3), 9, dtype=np.uint8)
    write_beton(array_source(images, np.arange(NUM_IMAGES) % 5, name="tiny"), path, WriteOptions())
    loader = open_loader("folder", path, batch_size=NUM_IMAGES, num_workers=0)
    assert torch.all(next(loader.epoch(0)).images == 9)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.stem, path.name, path.name + ".json"])


def test_failed_export_leaves_nothing(beton, tmp_path, monkeypatch):
    def fail(beton, out):
        Path(out).mkdir()
        raise OSError("disk full")

    path = beton()
    monkeypatch.setattr("fastssl.data.folder.export_folder", fail)
    with pytest.raises(OSError, match="disk full"):
        open_loader("folder", path, batch_size=5)
    assert sorted(p.name for p in tmp_path.iterdir()) == [path.name, path.name + ".json"]


def test_folder_that_lost_an_image_is_refused(beton):
    path = beton()
    open_loader("folder", path, batch_size=5).close()
    _exported(path, 4).unlink()
    assert "lacks image 4" in message_of("folder", path)
