"""Datasets that are NumPy arrays, in memory or on disk."""

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from fastssl.data.source import Item, SourceInfo, check_labels
from fastssl.errors import InputError


@dataclass(frozen=True)
class ArraySource:
    """Images as one uint8 array; make it with `array_source`, which checks."""

    images: np.ndarray
    labels: Int64[np.ndarray, "n"]
    info: SourceInfo

    def read(self, positions: Int64[np.ndarray, "m"]) -> Iterator[Item]:
        for position in positions.tolist():
            yield Item(position, self.images[position], f"{self.info.name}[{position}]")


def array_source(
    images: np.ndarray,
    labels: np.ndarray | Sequence[int],
    class_names: Sequence[str] = (),
    *,
    name: str = "arrays",
    split: str = "train",
) -> ArraySource:
    """A source of uint8 images `(n, h, w, 3)`, `(n, h, w, 1)` or `(n, h, w)` with integer labels `(n,)`.

    Without names the classes are called by their numbers. Raises `InputError` for any other dtype or shape.
    """
    labels = np.asarray(labels)
    if images.dtype != np.uint8:
        raise InputError(f"{name}: images have dtype {images.dtype}; give uint8 pixels, 0-255")
    if not (images.ndim == 3 or (images.ndim == 4 and images.shape[3] in (1, 3))):
        raise InputError(f"{name}: images have shape {images.shape}; give (n, h, w, 3), (n, h, w, 1) or (n, h, w)")
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise InputError(
            f"{name}: labels have dtype {labels.dtype} and shape {labels.shape}; give {len(images)} integers"
        )
    if labels.size and labels.max() > np.iinfo(np.int64).max:
        raise InputError(f"{name}: label {labels.max()} does not fit in 64 bits; give class numbers from 0")
    labels = labels.astype(np.int64)
    check_labels(labels, tuple(class_names), name)
    names = tuple(class_names) or tuple(str(number) for number in range(int(labels.max()) + 1))
    return ArraySource(images, labels, SourceInfo(name=name, split=split, class_names=names))


def numpy_source(path: Path, labels_path: Path | None = None, *, name: str, split: str = "train") -> ArraySource:
    """A source of an .npz with `images` and `labels`, or of two .npy files (the images are then mapped, not read).

    For a single .npy `X-images.npy` or `images.npy`, the labels are looked for in `X-labels.npy` or `labels.npy`.
    """
    if path.suffix == ".npz":
        images, labels = _load_npz(path)
    else:
        images = _load_npy(path, mmap_mode="r")
        labels = _load_npy(labels_path or path.with_name(path.name.replace("images", "labels")), mmap_mode=None)
    return array_source(images, labels, name=name, split=split)


def _load_npy(path: Path, mmap_mode: str | None) -> np.ndarray:
    try:
        return np.load(path, mmap_mode=mmap_mode, allow_pickle=False)  # pyright: ignore[reportArgumentType]
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; give images.npy and labels.npy, or one .npz") from error
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path} is not a plain NumPy array ({error}); save it with numpy.save") from error


def _load_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        _check_npz(path)
        with np.load(path, allow_pickle=False) as arrays:
            missing = {"images", "labels"} - set(arrays.files)
            if missing:
                raise InputError(
                    f"{path} lacks {' and '.join(sorted(missing))}; save numpy.savez(images=..., labels=...)"
                )
            return arrays["images"], arrays["labels"]
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist; give an .npz with images and labels") from error
    except InputError:
        raise
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a plain .npz ({error}); save it with numpy.savez") from error


def _check_npz(path: Path) -> None:
    """Refuse an array that claims more than the archive holds before NumPy reserves memory for the claim."""
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read_header = getattr(np.lib.format, f"read_array_header_{version[0]}_0")
                shape, _, dtype = read_header(file)
                claimed = int(np.prod([int(side) for side in shape], dtype=object)) * dtype.itemsize
            if claimed > member.file_size:
                raise InputError(
                    f"{path}: {member.filename} claims {claimed} bytes and holds {member.file_size}; save it again"
                )
