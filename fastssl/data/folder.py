"""The baseline everyone knows: a folder of class folders, torchvision's `ImageFolder`, PIL, torch's `DataLoader`.

The folder is exported from the beton, so every loader reads the same images, and file names carry the index.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from fastssl.data.beton import BetonFile
from fastssl.data.damage import OnError
from fastssl.data.export import class_folders, export_folder
from fastssl.data.order import Schedule
from fastssl.data.served import Served
from fastssl.errors import InputError
from fastssl.types import Batch

_MARKER = ".fingerprint"


def ensure_folder(beton: BetonFile) -> Path:
    """The folder beside the beton that holds its images, exported when it is missing or of an older beton.

    It appears under its name only when it is whole. A folder that was not exported by us is never touched.
    """
    folder, fingerprint = beton.path.with_suffix(""), (beton.sidecar or {}).get("fingerprint") or beton.fingerprint()
    if _exported_fingerprint(folder) == fingerprint:
        return folder
    if folder.exists() and _exported_fingerprint(folder) is None:
        raise InputError(f"{folder} exists and is not an export of {beton.path.name}; move it away")
    work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        export_folder(beton, work / "images")
        (work / "images" / _MARKER).write_text(fingerprint)
        if _exported_fingerprint(folder) not in (None, fingerprint):
            os.rename(folder, work / "old")
        _rename_unless_there(work / "images", folder)
    finally:
        shutil.rmtree(work)
    return folder


def _rename_unless_there(made: Path, folder: Path) -> None:
    try:
        os.rename(made, folder)
    except OSError as error:  # another process was faster, with the same images
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise


def _exported_fingerprint(folder: Path) -> str | None:
    marker = folder / _MARKER
    return marker.read_text() if marker.is_file() else None


def _to_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image))


class _IndexedFolder(ImageFolder):
    """`ImageFolder` in the order of the beton, giving `(pixels (h, w, 3), label, position)`."""

    def __init__(self, root: Path, served: Served) -> None:
        self._labels = {folder: label for label, folder in class_folders(served.beton).items()}
        super().__init__(str(root), transform=_to_tensor, allow_empty=True)
        by_index = {int(Path(name).stem): name for name, _ in self.samples}
        source = served.source.tolist()
        missing = [index for index in source if index not in by_index]
        if missing:
            raise InputError(f"{root} lacks image {missing[0]} of its beton; delete the folder, it is exported again")
        self.samples = [(by_index[index], label) for index, label in zip(source, served.labels.tolist())]

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """Folder -> label as exported, so that a split that lacks a class, or has no labels, keeps its numbers."""
        return list(self._labels), self._labels

    def __getitem__(self, position: int) -> Any:
        try:
            pixels, label = super().__getitem__(position)
        except OSError as error:  # PIL's errors of unreadable images are OSErrors
            name = self.samples[position][0]
            raise InputError(f"{name} cannot be read ({error}); delete its folder, it is exported again") from error
        return pixels, label, position


class FolderLoader:
    """Serves a folder of images of one size with worker processes; batches are on `device`."""

    def __init__(
        self,
        served: Served,
        schedule: Schedule,
        *,
        num_workers: int = 2,
        device: torch.device | str = "cpu",
        reason: str = "asked for",
        on_error: OnError = "raise",
    ) -> None:
        if num_workers < 0:
            raise InputError(f"num_workers={num_workers} is not a number of processes; give 0 (none) or more")
        if on_error == "skip":
            raise InputError("on_error=skip has no effect with loader=folder, whose files are whole; give loader=crops")
        served.require_one_size("loader=folder")
        self.info, self.batch_size, self.source = served.info, schedule.rank_batch_size, served.source
        self.device, self.reason = torch.device(device), reason
        self._schedule, self._num_workers = schedule, num_workers
        folder = ensure_folder(served.beton)
        self._images: _IndexedFolder | None = _IndexedFolder(folder, served)

    def __len__(self) -> int:
        return len(self._schedule)

    def epoch(self, number: int, start_step: int = 0) -> Iterator[Batch]:
        """Batches of one epoch; its worker processes start with the first batch and end with the epoch."""
        if self._images is None:
            raise InputError("the loader is closed; open another one")
        steps = [positions.tolist() for positions in self._schedule.batches(number, start_step)]
        return self._read(self._images, steps)

    def _read(self, images: _IndexedFolder, steps: list[list[int]]) -> Iterator[Batch]:
        pinned = self.device.type == "cuda"
        batches = iter(DataLoader(images, batch_sampler=steps, num_workers=self._num_workers, pin_memory=pinned))
        try:
            for pixels, labels, index in batches:
                yield Batch(
                    images=pixels.to(self.device, non_blocking=pinned).permute(0, 3, 1, 2),
                    labels=labels.to(self.device, non_blocking=pinned),
                    index=index.to(self.device, non_blocking=pinned),
                )
        except InputError as error:  # DataLoader wraps a worker's error in its traceback; its last line is ours
            raise InputError(str(error).splitlines()[-1].removeprefix("fastssl.errors.InputError: ")) from error
        finally:
            del batches  # the last reference: torch ends the workers here

    def close(self) -> None:
        """Safe to call twice. Workers belong to an epoch and end with it."""
        self._images = None

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "folder",
            "reason": self.reason,
            "num_workers": self._num_workers,
            "threads_read_back": self._num_workers,  # DataLoader starts exactly as many processes, of one thread each
            "device": str(self.device),
            **self._schedule.describe(),
        }
