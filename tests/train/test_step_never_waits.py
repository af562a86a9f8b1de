"""The CPU's stand-in for a device that must not be waited for: a step that reads no tensor back as a number."""

import pytest
import torch
from tiny_runs import tiny

from fastssl.recipes import RECIPES
from fastssl.train.setup import build

NANO = [name for name in RECIPES if name.startswith("cifar10-nano-")]
READS = ("item", "cpu", "tolist", "numpy", "__bool__", "__float__", "__int__", "__index__")


@pytest.mark.parametrize("name", NANO)
def test_step_reads_nothing_back(name, tiny_dataset, monkeypatch):
    recipe = RECIPES[name]()
    parts = build(tiny(name, epochs=1, budget_s=None, views=max(2, recipe.views), backend="cpu"))
    batch = next(parts.loader.epoch(0))
    parts.trainable.on_step_start(0, 0.0)
    parts.step(batch, epoch=0)  # the first makes workspaces
    backend = parts.backend

    def refused(read):
        def refuse(tensor, *arguments, **options):
            raise AssertionError(f"Tensor.{read} in a step: a GPU would be waited for")

        return refuse

    views = _views(parts, batch, backend)
    for read in READS:
        monkeypatch.setattr(torch.Tensor, read, refused(read))
    try:
        parts.trainable.on_step_start(1, 0.5)
        output = parts.learn(views, batch)
        parts.trainable.on_step_end(1, 0.5)
    finally:
        monkeypatch.undo()
    assert output.loss.isfinite()


def _views(parts, batch, backend):
    """Made before: the compiled backend of the CPU hands its pixels to numba as arrays, which on a CPU is no wait."""
    from fastssl.augment import make_views

    return make_views(batch, parts.specs, backend, seed=0, epoch=0, dtype=parts.dtype)
