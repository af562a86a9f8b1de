"""The loaders' decoder in C and the one that stands in for it: the same batches, and a word on which it is."""

import pytest
import torch

from fastssl import native
from fastssl.augment import Drawer
from fastssl.data.decoder import open_pool
from fastssl.data.open import open_loader
from fastssl.errors import InputError
from fastssl.views import ViewSpec

SPECS = (ViewSpec(size=24), ViewSpec(size=13, interpolation="bicubic"))


def batches_of(path, kind):
    loader = open_loader(kind, path, batch_size=8, views=Drawer(SPECS, 0), drop_last=False)
    batches, words = list(loader.epoch(3)), loader.describe()["decoder"]
    loader.close()
    return batches, words


@pytest.mark.parametrize("kind", ["crops", "images", "resident"])
@pytest.mark.parametrize("mode", ["raw", "jpg"])
def test_both_decoders_give_the_same_batches(tiny_beton, monkeypatch, kind, mode):
    if reason := native.available():
        pytest.skip(reason)
    path = tiny_beton(20, 31, 47, mode)
    by_c, words = batches_of(path, kind)
    assert words == "native"
    monkeypatch.setenv("FASTSSL_DECODER", "plain")
    plain, words = batches_of(path, kind)
    assert words.startswith("plain (")
    for one, other in zip(by_c, plain, strict=True):
        for mine, theirs in zip((one.images, *one.crops), (other.images, *other.crops), strict=True):
            if kind == "images":  # what no crop needs is not promised
                mine, theirs = (inside(batch, pixels) for batch, pixels in ((one, mine), (other, theirs)))
            assert torch.equal(mine, theirs)


def inside(batch, images):
    """The images with all that lies outside of both crops blackened."""
    kept = torch.zeros(images.shape[0], 1, *images.shape[2:], dtype=torch.uint8)
    for params in batch.draw.params:
        for sample, (top, left, height, width) in zip(kept, params.crop.tolist(), strict=True):
            sample[:, top : top + height, left : left + width] = 1
    return images * kept


def test_the_plain_decoder_takes_over_and_says_so(monkeypatch):
    monkeypatch.setattr(native, "available", lambda: "not compiled here")
    pool, words = open_pool(1)
    pool.close()
    assert (pool.kind, words) == ("plain", "plain, the slow path (not compiled here)")


def test_an_unknown_decoder_is_named(monkeypatch):
    monkeypatch.setenv("FASTSSL_DECODER", "fast")
    with pytest.raises(InputError, match=r"^FASTSSL_DECODER='fast' is unknown"):
        open_pool(1)
