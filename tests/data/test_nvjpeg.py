"""The loader of resident bytes. On a CPU torchvision's libjpeg stands in for nvJPEG; the GPU runs the same tests."""

import shutil

import numpy as np
import pytest
import torch

from fastssl.augment import Drawer, get_backend, make_views
from fastssl.data import gpu_decode, payloads
from fastssl.data.beton import BetonFile
from fastssl.data.nvjpeg import NvjpegLoader
from fastssl.data.open import open_loader
from fastssl.data.order import Schedule, epoch_order
from fastssl.data.paths import sidecar_path
from fastssl.data.served import serve
from fastssl.data.subset import Subset
from fastssl.errors import InputError
from fastssl.views import ViewSpec

NUM_IMAGES = 22
JPEG_LEVELS = 4.0
"""Mean difference per image between two JPEG decoders, in levels: nvJPEG repeats chroma where libjpeg interpolates it,
up to 3.2 on these small pictures (H200, torchvision 0.26)."""
SPECS = (ViewSpec(size=24, blur_p=0.0), ViewSpec(size=16))
DRAWER, ALL = Drawer(SPECS, 0), Subset()


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def opened(request, mixed_beton):
    """Opens loaders of the beton of mixed sizes and codings, and closes them."""
    loaders = []

    def open_one(path=None, *, seed=0, batch_size=8, drop_last=False, subset=ALL, views=DRAWER, **options):
        served = serve(path or mixed_beton(NUM_IMAGES), subset)
        schedule = Schedule(num_samples=served.info.num_samples, batch_size=batch_size, seed=seed, drop_last=drop_last)
        loaders.append(NvjpegLoader(served, schedule, views=views, device=request.param, **options))
        return loaders[-1]

    yield open_one
    for loader in loaders:
        loader.close()


def distances(batch, beton, source) -> list[float]:
    """Mean distance of each image of a batch from the one in the file, in levels."""
    found = []
    for image, index in zip(batch.images.cpu(), batch.index.tolist(), strict=True):
        stored = beton.decode(int(source[index])).astype(int)
        height, width = stored.shape[:2]
        found.append(float(np.abs(image[:, :height, :width].permute(1, 2, 0).numpy() - stored).mean()))
    return found


def test_batches_hold_pixels_labels_and_draws_of_their_index(opened, mixed_beton):
    beton, loader = BetonFile(mixed_beton(NUM_IMAGES)), opened(seed=3)
    assert set(beton.modes.tolist()) == {0, 1}
    batches = list(loader.epoch(5))
    assert [len(batch.index) for batch in batches] == [8, 8, 6]
    assert [int(i) for batch in batches for i in batch.index] == epoch_order(3, 5, NUM_IMAGES).tolist()
    for batch in batches:
        index = batch.index.cpu().numpy()
        assert batch.images.shape == (len(index), 3, 60, 70)
        assert batch.images.dtype == torch.uint8
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert batch.labels.tolist() == beton.labels[index].tolist()
        levels = np.array(distances(batch, beton, np.arange(NUM_IMAGES)))
        assert np.all(levels <= np.where(beton.modes[index] == 1, 0, JPEG_LEVELS))
        drawn = Drawer(SPECS, 0)(5, index, beton.sizes[index])
        assert torch.equal(batch.draw.tables.cpu(), drawn.tables)


def test_views_are_those_of_the_resident_loader(opened, mixed_beton):
    """Of raw samples, whose pixels no decoder has a part in."""
    path, full = mixed_beton(NUM_IMAGES, "raw"), [spec.with_statistics((0.5,) * 3, (0.25,) * 3) for spec in SPECS]
    other = open_loader("resident", path, batch_size=8, drop_last=False, views=Drawer(SPECS, 0))
    reference = get_backend("reference")
    for batch, expected in zip(opened(path).epoch(1), other.epoch(1), strict=True):
        made = make_views(batch, full, get_backend("reference", batch.images.device), seed=0, epoch=1)
        for view, truth in zip(made, make_views(expected, full, reference, seed=0, epoch=1), strict=True):
            assert torch.allclose(view.cpu(), truth, atol=1e-4)


def test_images_of_one_size_need_no_views(opened, tiny_beton, mixed_beton):
    beton = BetonFile(tiny_beton(20, 31, 47, "jpg"))
    for batch in opened(beton.path, views=None).epoch(0):
        assert batch.draw is None
        assert batch.images.shape[1:] == (3, 31, 47)
        assert batch.images.is_contiguous(memory_format=torch.channels_last)
        assert max(distances(batch, beton, np.arange(20))) <= JPEG_LEVELS
    with pytest.raises(InputError, match="its images measure 26x40 to 60x70 pixels"):
        opened(views=None)


def test_start_step_is_the_tail_of_the_epoch(opened):
    loader = opened()
    whole, tail = list(loader.epoch(2)), list(loader.epoch(2, start_step=1))
    assert [batch.index.tolist() for batch in tail] == [batch.index.tolist() for batch in whole[1:]]
    for batch, same in zip(tail, whole[1:], strict=True):
        assert torch.equal(batch.draw.tables, same.draw.tables)
        assert distances(batch, BetonFile(loader._served.path), loader.source) == distances(
            same, BetonFile(loader._served.path), loader.source
        )


def test_only_the_subset_is_held_and_the_file_not_read_again(opened, mixed_beton, tmp_path):
    path = shutil.copy(mixed_beton(NUM_IMAGES), tmp_path / "mixed-train.beton")
    counts = []
    loader = opened(path, subset=Subset(fraction=0.5), progress=lambda *seen: counts.append(seen))
    beton = BetonFile(mixed_beton(NUM_IMAGES))
    kept = int(beton.payload_sizes[loader.source].sum())
    assert kept <= loader.describe()["resident_bytes"] < 2 * kept
    assert counts == [(len(loader.source), len(loader.source))]
    path.unlink()
    for batch in loader.epoch(0):
        assert max(distances(batch, beton, loader.source)) <= JPEG_LEVELS
    loader.close()
    assert loader.describe()["resident_bytes"] == 0


def test_closing_twice_ends_the_loader(opened):
    loader = opened()
    running = loader.epoch(0)
    next(running)
    loader.close()
    loader.close()
    for batches in (lambda: loader.epoch(0), lambda: next(running)):
        with pytest.raises(InputError, match="closed"):
            batches()


def damaged_beton(path, target):
    """A copy in which two JPEGs are zeros, and a third says that it has another size."""
    shutil.copy(path, target)
    shutil.copy(sidecar_path(path), sidecar_path(target))  # without it opening would measure the pixels
    beton, content = BetonFile(path), bytearray(target.read_bytes())
    first, second, third = np.flatnonzero(beton.modes == 0)[[0, 1, 4]].tolist()
    for index in (first, second):
        begin, end = int(beton.offsets[index]), int(beton.offsets[index] + beton.payload_sizes[index])
        content[begin:end] = bytes(end - begin)
    frame = content.index(b"\xff\xc0", int(beton.offsets[third]))
    content[frame + 6] += 8  # the height
    target.write_bytes(content)
    return sorted([first, second, third])


def test_damaged_samples_are_named_or_left_out(opened, mixed_beton, tmp_path):
    target = tmp_path / "damaged-train.beton"
    damaged, whole = damaged_beton(mixed_beton(NUM_IMAGES), target), BetonFile(mixed_beton(NUM_IMAGES))
    order = epoch_order(0, 0, NUM_IMAGES).tolist()
    with pytest.raises(InputError, match=rf"sample {next(i for i in order if i in damaged)} at byte \d+ is damaged"):
        list(opened(target).epoch(0))
    loader = opened(target, on_error="skip")
    batches = list(loader.epoch(0))
    assert [int(i) for batch in batches for i in batch.index] == [i for i in order if i not in damaged]
    assert sum(batch.skipped for batch in batches) == 3
    for batch in batches:
        assert batch.draw.tables.shape[1] == len(batch.index) == len(batch.images)
        assert max(distances(batch, whole, np.arange(NUM_IMAGES))) <= JPEG_LEVELS
    with pytest.raises(InputError, match="all 1 samples of a batch are damaged"):
        list(opened(target, on_error="skip", batch_size=1).epoch(0))


def test_what_the_binding_refuses_is_decoded_on_the_cpu(opened, mixed_beton, monkeypatch):
    def find_none(device):
        def refuse(jpegs):
            raise RuntimeError("this coding is unknown")

        return refuse

    monkeypatch.setattr(gpu_decode, "find_decoder", find_none)
    beton, loader = BetonFile(mixed_beton(NUM_IMAGES)), opened()
    for batch in loader.epoch(0):
        assert max(distances(batch, beton, loader.source)) == 0
    assert loader.describe()["decoded_on_cpu"] == np.count_nonzero(beton.modes == 0)


def test_bytes_that_do_not_fit_are_refused(opened, monkeypatch):
    monkeypatch.setattr(payloads, "free_bytes", lambda: 10_000)
    with pytest.raises(InputError, match=r"^loader=nvjpeg needs .* GB of host memory for the bytes of 22 images"):
        opened()


def test_file_that_ends_early_is_named(mixed_beton, tmp_path):
    path = shutil.copy(mixed_beton(NUM_IMAGES), tmp_path / "short-train.beton")
    served = serve(path)
    with open(path, "r+b") as file:
        file.truncate(int(served.beton.offsets[3]) + 1)
    with pytest.raises(InputError, match="was changed while it was read"):
        payloads.Payloads(served, pinned=False)


def test_torch_pins_powers_of_two():
    assert [payloads._room(count, True) for count in (1, 1000, 1024, 1025)] == [1, 1024, 1024, 2048]
    assert payloads._room(1000, False) == 1000


def test_without_a_gpu_it_is_refused(mixed_beton):
    with pytest.raises(
        InputError, match=r"^loader=nvjpeg needs a CUDA device to decode on and device=cpu is none; give"
    ):
        open_loader("nvjpeg", mixed_beton(NUM_IMAGES), batch_size=8)


def test_torchvision_without_a_decoder_is_named(monkeypatch):
    monkeypatch.delattr("torchvision.io.decode_jpeg")
    with pytest.raises(InputError, match=r"^loader=nvjpeg decodes by torchvision\.io: cannot import name"):
        gpu_decode.find_decoder(torch.device("cpu"))
