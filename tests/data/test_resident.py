import numpy as np
import pytest
import torch

from fastssl.data import memory
from fastssl.data.open import open_loader
from fastssl.data.resident import ResidentLoader
from fastssl.telemetry import environment

NUM_IMAGES = 40


def test_progress_counts_up_to_all_images(tiny_beton, monkeypatch):
    monkeypatch.setattr("fastssl.data.resident._CHUNK_BYTES", 16 * 32 * 32 * 3)
    seen = []
    path = tiny_beton(NUM_IMAGES)
    loader = open_loader("resident", path, batch_size=8, progress=lambda *counts: seen.append(counts))
    assert seen == [(16, 40), (32, 40), (40, 40)]
    [whole] = open_loader("resident", path, batch_size=NUM_IMAGES, order="sequential").epoch(0)
    parts = list(open_loader("resident", path, batch_size=8, order="sequential").epoch(0))
    assert torch.equal(torch.cat([part.images for part in parts]), whole.images)
    loader.close()


def test_describe_counts_the_bytes_held_and_close_gives_them_back(tiny_beton):
    loader = open_loader("resident", tiny_beton(NUM_IMAGES), batch_size=8)
    assert loader.describe()["resident_bytes"] == NUM_IMAGES * 32 * 32 * 3
    loader.close()
    assert loader.describe()["resident_bytes"] == 0


def test_file_is_not_read_again_after_opening(tiny_beton, monkeypatch):
    loader = open_loader("resident", tiny_beton(NUM_IMAGES), batch_size=8)
    monkeypatch.setattr("fastssl.data.beton.BetonFile.decode", None)
    assert len(list(loader.epoch(0))) == 5


def test_only_the_subset_is_held(tiny_beton):
    loader = open_loader("resident", tiny_beton(NUM_IMAGES), batch_size=4, fraction=0.5)
    assert isinstance(loader, ResidentLoader)
    assert loader.describe()["resident_bytes"] == NUM_IMAGES // 2 * 32 * 32 * 3


def test_whole_set_is_served_where_the_backend_gathers(tiny_beton):
    path = tiny_beton(NUM_IMAGES)
    loaders = [open_loader("resident", path, batch_size=8, gather=gather) for gather in (True, False)]
    for gathered, whole in zip(*(loader.epoch(3, start_step=2) for loader in loaders), strict=True):
        assert not whole.gathered
        assert len(whole.images) == NUM_IMAGES
        assert whole.images.is_contiguous(memory_format=torch.channels_last)
        assert torch.equal(whole.images[whole.index], gathered.images)
        assert torch.equal(whole.labels, gathered.labels)


def test_free_memory_obeys_the_container_limit(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "_CGROUP", tmp_path)
    unlimited = memory.free_bytes()
    (tmp_path / "memory.max").write_text("1000\n")
    (tmp_path / "memory.current").write_text("400\n")
    assert memory.free_bytes("cpu") == 600
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.free_bytes() == pytest.approx(unlimited, rel=0.5)


@pytest.mark.gpu
def test_batches_stay_on_the_gpu(tiny_beton):
    path = tiny_beton(NUM_IMAGES, 31, 47, "jpg")
    on_gpu, on_cpu = (open_loader("resident", path, batch_size=8, device=device) for device in ("cuda", "cpu"))
    for gpu, cpu in zip(on_gpu.epoch(0), on_cpu.epoch(0), strict=True):
        assert gpu.images.is_cuda
        assert gpu.labels.is_cuda
        assert gpu.index.is_cuda
        assert gpu.images.is_contiguous(memory_format=torch.channels_last)
        assert np.array_equal(gpu.images.cpu(), cpu.images)
        assert torch.equal(gpu.labels.cpu(), cpu.labels)
