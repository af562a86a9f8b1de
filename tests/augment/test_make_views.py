"""Choosing a backend, and making all views of a batch."""

from importlib.util import find_spec

import pytest
import torch

import fastssl.augment as augment
from fastssl.augment import get_backend, make_views
from fastssl.errors import InputError
from fastssl.types import Batch
from fastssl.views import ViewSpec

NORM = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}


def batch_of(index):
    everything = torch.randint(0, 256, (10, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    index = torch.tensor(index)
    return Batch(images=everything[index], labels=torch.zeros_like(index), index=index)


@pytest.mark.parametrize("name", ["reference", "kornia", "cpu"])
def test_view_of_a_sample_is_the_same_in_any_batch(name):
    specs, backend = [ViewSpec(size=8, **NORM), ViewSpec(size=6, blur_p=1.0, **NORM)], get_backend(name)
    together = make_views(batch_of([3, 9, 0, 5]), specs, backend, seed=1, epoch=2, dtype=torch.float32)
    alone = make_views(batch_of([0]), specs, backend, seed=1, epoch=2, dtype=torch.float32)
    for one, many in zip(alone, together, strict=True):
        torch.testing.assert_close(one[0], many[2], atol=1e-6, rtol=0)


def test_views_epochs_and_seeds_differ_and_repeat():
    spec, backend, batch = ViewSpec(size=12, **NORM), get_backend("auto"), batch_of(range(10))

    def made(seed, epoch):
        return make_views(batch, [spec, spec], backend, seed=seed, epoch=epoch, dtype=torch.float32)

    first, second = made(0, 0)
    again, _ = made(0, 0)
    assert torch.equal(first, again)
    for other in (second, made(0, 1)[0], made(1, 0)[0]):
        assert not torch.equal(first, other)


def test_automatic_choice_says_why(monkeypatch):
    assert (get_backend("auto", "cpu").name, get_backend("auto", "cuda").name) == ("cpu", "fused")
    assert "automatic" in get_backend("auto", torch.device("cpu")).reason
    assert "asked for" in get_backend("reference").reason
    monkeypatch.setattr(augment, "find_spec", lambda name: None if name == "triton" else find_spec(name))
    assert get_backend("auto", "cuda").name == "kornia"
    monkeypatch.setattr(augment, "find_spec", lambda name: None)
    for device in ("cpu", "cuda"):
        slow = get_backend("auto", device)
        assert slow.name == "reference"
        assert "not installed" in slow.reason


@pytest.mark.parametrize("name", ["kornia", "cpu"])
def test_backend_asked_for_and_missing_is_refused(monkeypatch, name):
    monkeypatch.setattr(augment, "find_spec", lambda package: None)
    with pytest.raises(InputError, match=f"backend='{name}' needs"):
        get_backend(name, "cpu")


def test_unknown_or_impossible_backend_is_refused():
    with pytest.raises(InputError, match="backend='cudnn' is unknown"):
        get_backend("cudnn")
    with pytest.raises(InputError, match="backend='cpu' cannot read images on cuda"):
        get_backend("cpu", "cuda")
    with pytest.raises(InputError, match="specs="):
        make_views(batch_of([0]), [], get_backend("reference"), seed=0, epoch=0, dtype=torch.float32)
