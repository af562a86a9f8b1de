"""One hot path: prints CPU seconds per item.

`fastssl bench compare` runs it with the library of either commit.

python benchmarks/hot.py loader FILE.beton      decode and cut two views of 224 px, one thread
python benchmarks/hot.py augment FILE.beton     SimCLR's views at 32 px by the `cpu` backend
python benchmarks/hot.py step FILE.beton        a training step of Barlow Twins with the nano net at 32 px

It holds to what every commit of the library has had, and imports nothing else of this folder: the library under it is
the one that PYTHONPATH names.
"""

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

SECONDS = 1.0
"""Of CPU time that is measured, after one round that is not."""


def loader(beton: Path) -> tuple[Callable[[], object], int]:
    from fastssl.augment.draw import Drawer
    from fastssl.data.open import open_loader
    from fastssl.views import ViewSpec

    opened = open_loader("crops", beton, batch_size=64, num_workers=1, views=Drawer((ViewSpec(size=224),) * 2, 0))
    epochs = iter(range(1 << 30))
    return lambda: [None for _ in opened.epoch(next(epochs))], len(opened) * 64


def augment(beton: Path) -> tuple[Callable[[], object], int]:
    from fastssl.augment import get_backend, make_views
    from fastssl.augment.presets import get_preset
    from fastssl.types import Batch

    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (256, 32, 32, 3), np.uint8)).permute(0, 3, 1, 2)
    batch = Batch(images=pixels, labels=torch.zeros(256, dtype=torch.int64), index=torch.arange(256))
    spec = replace(get_preset("simclr-cifar")[0], mean=(0.5,) * 3, std=(0.25,) * 3)
    backend = get_backend("cpu", "cpu")
    epochs = iter(range(1 << 30))
    make = lambda: make_views(batch, (spec, spec), backend, seed=0, epoch=next(epochs), dtype=torch.float32)
    return make, 512


def step(beton: Path) -> tuple[Callable[[], object], int]:
    from fastssl.methods.barlow_twins import BarlowTwinsConfig
    from fastssl.models import ModelConfig
    from fastssl.recipe import DataConfig, Recipe
    from fastssl.train.setup import build
    from fastssl.views import ViewSpec

    recipe = Recipe(
        name="hot", data=DataConfig(dataset=str(beton)), model=ModelConfig(arch="nano"), method=BarlowTwinsConfig(),
        spec=ViewSpec(size=32), batch_size=64, epochs=1, device="cpu",
    )  # fmt: skip
    parts = build(recipe)
    batch = next(iter(parts.loader.epoch(0)))
    return lambda: parts.step(batch, 0), 64


def main() -> None:
    torch.set_num_threads(1)
    work, items = {"loader": loader, "augment": augment, "step": step}[sys.argv[1]](Path(sys.argv[2]))
    work()
    spent, rounds = 0.0, 0
    while spent < SECONDS:
        spent -= time.process_time()
        work()
        spent += time.process_time()
        rounds += 1
    print(spent / rounds / items)


if __name__ == "__main__":
    main()
