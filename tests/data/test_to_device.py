"""From any loader of images of several sizes to the views on a device: the same views, and no step that waits.

On a CPU the same tests hold that the views agree.
"""

from contextlib import contextmanager
from itertools import chain

import pytest
import torch

from fastssl.augment import Drawer, get_backend, make_views
from fastssl.data.nvjpeg import NvjpegLoader
from fastssl.data.open import open_loader
from fastssl.data.order import Schedule
from fastssl.data.served import serve
from fastssl.views import ViewSpec

NUM_IMAGES = 48
CUT = {"jitter_p": 0.0, "gray_p": 0.0, "blur_p": 0.0, "solarize_p": 0.0}
SPECS = tuple(ViewSpec(size=size, mean=(0.5,) * 3, std=(0.25,) * 3, **CUT) for size in (24, 24, 16))
DRAWER = Drawer(SPECS, 2)
LEVELS = {"crops": 0.66, "images": 0.02, "resident": 0.02, "nvjpeg": 2.0}
"""Mean distance of a batch's views from those of `images` by `reference` on a CPU, in levels of 255: `crops` are
rounded to whole levels, nvJPEG has a decoder of its own, and backends differ in the last bits."""

every_kind = pytest.mark.parametrize("kind", sorted(LEVELS))


@pytest.fixture
def opened(mixed_beton):
    loaders = []

    def open_one(kind, device):
        path = mixed_beton(NUM_IMAGES)
        if kind == "nvjpeg":  # not by `open_loader`, which refuses it on a CPU
            schedule = Schedule(num_samples=NUM_IMAGES, batch_size=8, seed=2)
            loaders.append(NvjpegLoader(serve(path), schedule, views=DRAWER, device=device))
        else:
            loaders.append(open_loader(kind, path, batch_size=8, seed=2, views=DRAWER, device=device))
        return loaders[-1]

    yield open_one
    for loader in loaders:
        loader.close()


@contextmanager
def no_waiting(device):
    """A call that waits for the GPU raises."""
    if device == "cuda":
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        if device == "cuda":
            torch.cuda.set_sync_debug_mode("default")


def views_of(batch, backend, epoch):
    return make_views(batch, SPECS, backend, seed=2, epoch=epoch)


@every_kind
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_views_are_the_cpus_and_no_step_waits(opened, kind, device):
    loader, backend = opened(kind, device), get_backend("auto", device)
    for batch in loader.epoch(0):  # buffers are pinned, constants copied and kernels compiled once
        views_of(batch, backend, 0)
    batches = loader.epoch(1)
    first = next(batches)  # before it an epoch may wait once, to send its order
    with no_waiting(device):
        found = [(batch, views_of(batch, backend, 1)) for batch in chain([first], batches)]
    reference = get_backend("reference")
    for (batch, views), expected in zip(found, opened("images", "cpu").epoch(1), strict=True):
        assert {tensor.device.type for tensor in (batch.images, batch.labels, batch.index, *views)} == {device}
        assert torch.equal(batch.index.cpu(), expected.index)
        assert torch.equal(batch.labels.cpu(), expected.labels)
        assert torch.equal(batch.draw.tables.cpu(), expected.draw.tables)
        for view, truth in zip(views, views_of(expected, reference, 1), strict=True):
            assert (view.cpu() - truth).abs().mean() * 0.25 * 255 <= LEVELS[kind]


@every_kind
@pytest.mark.gpu
def test_slow_step_finds_its_batch_as_it_was(opened, kind):
    """What is decoded next must not take the place of what queued work is still to read."""
    loader, backend = opened(kind, "cuda"), get_backend("auto", "cuda")
    calm = []
    for batch in loader.epoch(3):
        torch.cuda.synchronize()
        calm.append(views_of(batch, backend, 3))
    torch.cuda.synchronize()
    hurried = []
    for batch in loader.epoch(3):
        torch.cuda._sleep(50_000_000)
        hurried.append(views_of(batch, backend, 3))
        del batch
    for views, again in zip(calm, hurried, strict=True):
        assert all(torch.equal(view, other) for view, other in zip(views, again, strict=True))
