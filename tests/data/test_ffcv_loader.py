import numba
import numpy as np
import pytest
import torch

from fastssl.data.beton import BetonFile
from fastssl.data.ffcv_loader import FfcvLoader, SeededOrder
from fastssl.data.open import open_loader
from fastssl.data.order import Schedule, epoch_order
from fastssl.data.served import serve
from fastssl.errors import InputError

NUM_IMAGES = 40


def test_seeded_order_gives_positions_in_the_beton():
    source = np.array([3, 5, 8, 13, 21])
    order = SeededOrder(Schedule(num_samples=5, batch_size=2, seed=4), source)
    assert np.array_equal(order.sample_order(6), source[epoch_order(4, 6, 5)][:4])
    assert np.array_equal(order.sample_order(6, start_step=1), order.sample_order(6)[2:])


def test_threads_are_read_back_and_capped_at_what_numba_has(tiny_beton):
    loader = open_loader("ffcv", tiny_beton(NUM_IMAGES), batch_size=8, num_workers=999)
    assert loader.describe()["threads_read_back"] is None
    list(loader.epoch(0))
    assert loader.describe()["num_workers"] == 999
    assert loader.describe()["threads_read_back"] == numba.config.NUMBA_NUM_THREADS
    loader.close()


def test_callers_numba_threads_are_left_alone(tiny_beton):
    before = numba.get_num_threads()
    loader = open_loader("ffcv", tiny_beton(NUM_IMAGES), batch_size=8, num_workers=1)
    list(loader.epoch(0))
    assert numba.get_num_threads() == before
    loader.close()


@pytest.mark.parametrize("batches_ahead", [1, 2, 9])
def test_batches_ahead_changes_nothing_but_memory(tiny_beton, batches_ahead):
    served = serve(tiny_beton(NUM_IMAGES))
    loader = FfcvLoader(served, Schedule(num_samples=NUM_IMAGES, batch_size=3), batches_ahead=batches_ahead)
    for batch in loader.epoch(0):
        stored = np.stack([served.beton.decode(int(i)) for i in batch.index])
        assert np.array_equal(batch.images.permute(0, 2, 3, 1).numpy(), stored)
    assert loader.describe()["batches_ahead"] == batches_ahead
    loader.close()


def test_batches_ahead_must_be_positive(tiny_beton):
    served = serve(tiny_beton(NUM_IMAGES))
    with pytest.raises(InputError, match=r"^batches_ahead=0"):
        FfcvLoader(served, Schedule(num_samples=NUM_IMAGES, batch_size=3), batches_ahead=0)


def test_betons_of_ffcvs_own_writer_are_served(tmp_path):
    """Other field names, no sidecar, page padding: what users already have on disk."""
    from ffcv.fields import FloatField, IntField, RGBImageField
    from ffcv.writer import DatasetWriter

    generator = np.random.default_rng(0)
    samples = [(0.5, generator.integers(0, 256, (8, 10, 3), dtype=np.uint8), label) for label in (2, 0, 1, 2, 0, 1)]
    path = tmp_path / "stock.beton"
    fields = {"weight": FloatField(), "img": RGBImageField(write_mode="raw"), "target": IntField()}
    DatasetWriter(str(path), fields, num_workers=1).from_indexed_dataset(samples)
    loader = open_loader("ffcv", path, batch_size=6, order="sequential")
    [batch] = loader.epoch(0)
    assert batch.labels.tolist() == [2, 0, 1, 2, 0, 1]
    pixels = np.stack([pixels for _, pixels, _ in samples])
    assert np.array_equal(batch.images.permute(0, 2, 3, 1).numpy(), pixels)
    assert loader.info.num_classes == 3
    assert loader.info.mean == pytest.approx((pixels / 255).mean(axis=(0, 1, 2)))
    assert loader.info.std == pytest.approx((pixels / 255).std(axis=(0, 1, 2)))
    assert loader.info.fingerprint == BetonFile(path).fingerprint()
    loader.close()


@pytest.mark.gpu
def test_batches_reach_the_gpu_whole(tiny_beton):
    path = tiny_beton(NUM_IMAGES, 31, 47, "jpg")
    on_gpu, on_cpu = (open_loader("ffcv", path, batch_size=8, device=device) for device in ("cuda", "cpu"))
    for number in range(3):
        for gpu, cpu in zip(list(on_gpu.epoch(number)), list(on_cpu.epoch(number)), strict=True):
            assert gpu.images.is_contiguous(memory_format=torch.channels_last)
            assert torch.equal(gpu.images.cpu(), cpu.images)
            assert torch.equal(gpu.labels.cpu(), cpu.labels)
            assert torch.equal(gpu.index.cpu(), cpu.index)
    on_gpu.close()
    on_cpu.close()
