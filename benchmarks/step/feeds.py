"""Who feeds the step: a loader of this library's, torchvision's way, or nobody (the ceilings)."""

import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks.load.stored import StoredSet, is_jpeg
from benchmarks.load.workers import PixelSet
from benchmarks.peers import v2_steps
from benchmarks.step.cases import CACHED, MODEL_ONLY
from fastssl.augment import make_views
from fastssl.data.beton import BetonFile
from fastssl.recipe import Recipe
from fastssl.train.setup import Parts, learn, open_train_loader
from fastssl.types import Batch, Loader, Views


class Feed(Protocol):
    regime: str
    threads: int
    scope: tuple[str, ...]
    waited_s: float
    """Seconds spent waiting for batches since it was opened."""

    def step(self) -> None:
        """One training step on what comes next."""
        ...

    def close(self) -> None: ...


class LoaderFeed:
    """A loader under the run's own augmentation: what `fastssl train` does, step by step."""

    scope = ("decode", "augment", "h2d", "train_step")

    def __init__(self, kind: str, parts: Parts) -> None:
        gather = not parts.backend.reads_rows
        self.parts, self.waited_s = parts, 0.0
        self.loader: Loader = open_train_loader(parts.recipe, kind, parts.device, gather)
        facts = self.loader.describe()
        self.regime = ", ".join(f"{name} {value}" for name, value in facts.items())
        self.threads = int(facts.get("threads_read_back") or 0)
        self.batches = self._endless()

    def step(self) -> None:
        started = time.perf_counter()
        epoch, batch = next(self.batches)
        self.waited_s += time.perf_counter() - started
        self.parts.step(batch, epoch)

    def close(self) -> None:
        self.batches.close()
        self.loader.close()

    def _endless(self) -> Generator[tuple[int, Batch], None, None]:
        epoch = 0
        while True:
            for batch in self.loader.epoch(epoch):
                yield epoch, batch
            epoch += 1


class TorchvisionFeed:
    """PIL images in torch's DataLoader, normalised on the device: the pipeline of most published code."""

    scope = LoaderFeed.scope
    regime = (
        "transforms.v2 on PIL images (ImageFolder; arrays in memory where the set is raw), uint8 views, DataLoader "
        "with persistent workers, four batches ahead, pinned for a GPU; scaled and normalised on the device"
    )

    def __init__(self, parts: Parts) -> None:
        self.parts, self.threads, self.waited_s = parts, parts.recipe.data.workers, 0.0
        beton = BetonFile(Path(parts.recipe.data.dataset))
        chains = _Each([v2.Compose([*v2_steps(spec, pil=True), v2.PILToTensor()]) for spec in parts.specs])
        folder = str(StoredSet(beton.path).folder)
        self.loader = DataLoader(
            ImageFolder(folder, transform=chains) if is_jpeg(beton) else PixelSet(beton, chains),
            batch_size=parts.recipe.batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=self.threads,
            persistent_workers=True,
            prefetch_factor=2,
            pin_memory=parts.device.type == "cuda",
        )
        as_column = lambda values: torch.tensor(values, device=parts.device).view(1, 3, 1, 1) * 255
        self.mean, self.std = as_column(parts.specs[0].mean), as_column(parts.specs[0].std)
        self.index = torch.arange(parts.recipe.batch_size, device=parts.device)
        self.batches = self._endless()

    def step(self) -> None:
        started = time.perf_counter()
        views, labels = next(self.batches)
        self.waited_s += time.perf_counter() - started
        device, dtype = self.parts.device, self.parts.dtype
        made = tuple(self._normalised(view.to(device, non_blocking=True)).to(dtype) for view in views)
        learn(self.parts.trainable, dtype, made, self.index, labels.to(device, non_blocking=True))

    def close(self) -> None:
        """Its workers end when nothing refers to them."""
        self.batches.close()
        del self.loader

    def _normalised(self, view: torch.Tensor) -> torch.Tensor:
        return ((view - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def _endless(self) -> Generator[Any, None, None]:
        while True:
            yield from self.loader


class _Each:
    """Several changes of one image."""

    def __init__(self, changes: list[Callable[[Any], Any]]) -> None:
        self.changes = changes

    def __call__(self, image: Any) -> list[Any]:
        return [change(image) for change in self.changes]


class KeptFeed:
    """Nothing is fed: `make` gives the views of one batch that is kept."""

    threads = 0
    waited_s = 0.0

    def __init__(self, regime: str, scope: tuple[str, ...], parts: Parts, batch: Batch, make: Callable[[], Views]):
        self.regime, self.scope, self.parts, self.batch, self.make = regime, scope, parts, batch, make

    def step(self) -> None:
        self.parts.learn(self.make(), self.batch)

    def close(self) -> None:
        """It holds nothing open."""


def open_feed(name: str, parts: Parts, batch: Batch) -> Feed:
    """`batch` is a real one of the run's own loader. Errors: `InputError` where a loader cannot serve the set."""
    recipe: Recipe = parts.recipe
    if name == "torchvision":
        return TorchvisionFeed(parts)
    if name not in (MODEL_ONLY, CACHED):
        return LoaderFeed(name, parts)

    def views() -> Views:
        return make_views(batch, parts.specs, parts.backend, seed=recipe.seed, epoch=0, dtype=parts.dtype)

    if name == CACHED:
        return KeptFeed("one batch kept on the device, views made anew in each step", ("augment", "train_step"),
                        parts, batch, views)  # fmt: skip
    kept = views()
    return KeptFeed("views kept on the device", ("train_step",), parts, batch, lambda: kept)
