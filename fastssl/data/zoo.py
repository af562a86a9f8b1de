"""The datasets that torchvision knows, as sources; it downloads them where their owners allow it."""

import contextlib
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastssl.data.arrays import ArraySource
from fastssl.data.source import Source, SourceInfo
from fastssl.data.sources import FileSource
from fastssl.errors import InputError


def zoo_source(torchvision_name: str, split: str, root: Path, info: SourceInfo) -> Source:
    """A split of a torchvision dataset, downloaded to `root` when it is not there and may be.

    Raises `InputError`, in one line, when it is not there and cannot be fetched.
    """
    from torchvision import datasets

    build = _BUILDERS[torchvision_name]
    try:
        root.mkdir(parents=True, exist_ok=True)
        with contextlib.redirect_stdout(sys.stderr):  # torchvision prints; standard output is the caller's
            return build(getattr(datasets, torchvision_name), str(root), split, info)
    except ImportError as error:
        raise InputError(f"{info.name} needs another package ({error}); install it and try again") from error
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"{info.name} is not in root={root} and could not be fetched ({reason}); "
            "give root or archive with a copy laid out as <split>/<class>/<image>"
        ) from error


def _of_arrays(images: Any, labels: Any, info: SourceInfo) -> Source:
    labels = np.asarray(labels, dtype=np.int64)
    return ArraySource(np.asarray(images, dtype=np.uint8), labels, info)


def _cifar(kind: Callable[..., Any], root: str, split: str, info: SourceInfo) -> Source:
    dataset = kind(root, train=split == "train", download=True)
    return _of_arrays(dataset.data, dataset.targets, info)


def _stl10(kind: Callable[..., Any], root: str, split: str, info: SourceInfo) -> Source:
    dataset = kind(root, split=split, download=True)
    return _of_arrays(dataset.data.transpose(0, 2, 3, 1), dataset.labels, info)


def _svhn(kind: Callable[..., Any], root: str, split: str, info: SourceInfo) -> Source:
    dataset = kind(root, split=split, download=True)
    return _of_arrays(dataset.data.transpose(0, 2, 3, 1), dataset.labels, info)


def _files(kind: Callable[..., Any], root: str, split: str, info: SourceInfo) -> Source:
    return _of_files(kind(root, split=split, download=True, loader=str), info)


def _imagenet(kind: Callable[..., Any], root: str, split: str, info: SourceInfo) -> Source:
    if not any(Path(root).iterdir()):
        raise RuntimeError("its owners ask for an account: put ILSVRC2012_*.tar there")
    return _of_files(kind(root, split=split, loader=str), info)


def _of_files(dataset: Sequence[tuple[str, int]], info: SourceInfo) -> Source:
    """With `loader=str`, a sample of torchvision's image folders is its path."""
    samples = [dataset[index] for index in range(len(dataset))]
    labels = np.array([label for _, label in samples], dtype=np.int64)
    return FileSource(Path(), [path for path, _ in samples], labels, info)


_BUILDERS: dict[str, Callable[[Callable[..., Any], str, str, SourceInfo], Source]] = {
    "CIFAR10": _cifar,
    "CIFAR100": _cifar,
    "FashionMNIST": _cifar,
    "STL10": _stl10,
    "SVHN": _svhn,
    "Flowers102": _files,
    "Food101": _files,
    "ImageNet": _imagenet,
}
