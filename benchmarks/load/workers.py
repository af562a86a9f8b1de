"""Peers in torch's DataLoader with worker processes: PIL and tensors by torchvision, OpenCV by hand."""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms
from torchvision.datasets import ImageFolder
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2

from benchmarks.load.contestant import Delivered, Task
from benchmarks.load.iterated import cut
from benchmarks.load.processes import descendants
from benchmarks.load.stored import is_jpeg
from fastssl.data.beton import BetonFile
from fastssl.views import ViewSpec

WORKERS = "DataLoader with persistent workers, four batches ahead"
REGIMES = {
    "torchvision PIL": "RandomResizedCrop, RandomHorizontalFlip and PILToTensor on PIL images",
    "torchvision v2": "decode_image, then RandomResizedCrop(antialias=True) and RandomHorizontalFlip of transforms.v2",
    "opencv workers": "cv2.imdecode, crops by cv2.resize (INTER_LINEAR, not antialiased), cv2.flip",
}


class PixelSet(Dataset):
    """Raw pixels in memory, as torchvision's CIFAR10 keeps them; each is made a PIL image when it is asked for."""

    def __init__(self, beton: BetonFile, change: Callable[[Any], Any]) -> None:
        self.pixels = np.stack([beton.decode(position) for position in range(len(beton))])
        self.labels, self.change = beton.labels, change

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, position: int) -> tuple[Any, int]:
        return self.change(Image.fromarray(self.pixels[position])), int(self.labels[position])


class WorkersLoader:
    def __init__(self, name: str, task: Task) -> None:
        self.regime = f"{REGIMES[name]}, each image decoded once; {WORKERS}"
        self.antialiased = name != "opencv workers"
        self.task = task
        torch.manual_seed(task.seed)
        self.loader = DataLoader(
            _dataset(name, task),
            batch_size=task.batch,
            shuffle=True,
            drop_last=True,
            num_workers=task.threads,
            persistent_workers=True,
            prefetch_factor=2,
        )

    def block(self, number: int) -> Iterator[Delivered]:
        for _ in range(self.task.epochs):
            for views, labels in self.loader:
                yield Delivered(tuple(views), labels)

    def threads(self) -> int:
        return len(descendants())

    def close(self) -> None:
        """Persistent workers end with the process that has them."""


def _dataset(name: str, task: Task) -> Dataset:
    if name == "opencv workers":
        return _folder(task, _OpencvViews(task.specs), _read_opencv)
    if name == "torchvision v2":
        return _folder(task, _Each([_v2_view(spec) for spec in task.specs]), _read_tensor)
    change = _Each([pil_view(spec) for spec in task.specs])
    beton = BetonFile(task.stored.beton)
    return _folder(task, change, None) if is_jpeg(beton) else PixelSet(beton, change)


def _folder(task: Task, change: Callable[[Any], Any], read: Callable[[str], Any] | None) -> ImageFolder:
    return ImageFolder(str(task.stored.folder), transform=change, **({} if read is None else {"loader": read}))


class _Each:
    """Several changes of one image."""

    def __init__(self, changes: list[Callable[[Any], Any]]) -> None:
        self.changes = changes

    def __call__(self, image: Any) -> list[Any]:
        return [change(image) for change in self.changes]


def pil_view(spec: ViewSpec) -> Callable[[Any], Any]:
    crop = transforms.RandomResizedCrop(spec.size, spec.crop_scale, spec.crop_ratio)
    return transforms.Compose([crop, transforms.RandomHorizontalFlip(spec.flip_p), transforms.PILToTensor()])


def _v2_view(spec: ViewSpec) -> Callable[[Any], Any]:
    crop = v2.RandomResizedCrop(spec.size, spec.crop_scale, spec.crop_ratio, antialias=True)
    return v2.Compose([crop, v2.RandomHorizontalFlip(spec.flip_p)])


def _read_tensor(path: str) -> torch.Tensor:
    return decode_image(path, ImageReadMode.RGB)


def _read_opencv(path: str) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(Path(path).read_bytes(), np.uint8), cv2.IMREAD_COLOR_RGB)


class _OpencvViews:
    def __init__(self, specs: tuple[ViewSpec, ...]) -> None:
        self.specs, self.random = specs, None

    def __call__(self, pixels: np.ndarray) -> list[np.ndarray]:
        if self.random is None:  # the first call in this worker, whose seed torch has set
            cv2.setNumThreads(1)
            self.random = Random(torch.initial_seed())
        return cut(pixels, self.specs, self.random)


def open_contestant(name: str, task: Task) -> WorkersLoader:
    return WorkersLoader(name, task)
