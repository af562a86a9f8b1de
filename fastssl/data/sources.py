"""Sources of labelled images on disk: class folders, archives of class folders. Others: `arrays`, `shards`, `zoo`."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from fastssl.data.archive import Archive, open_archive
from fastssl.data.layout import Arrangement, arrange
from fastssl.data.source import Item, SourceInfo
from fastssl.errors import InputError

MAX_FILE_BYTES = 256 << 20


@dataclass(frozen=True)
class FileSource:
    """Images as files, their names relative to `root`."""

    root: Path
    names: list[str]
    labels: Int64[np.ndarray, "n"]
    info: SourceInfo

    def read(self, positions: Int64[np.ndarray, "m"]) -> Iterator[Item]:
        for position in positions.tolist():
            path = self.root / self.names[position]
            yield Item(position, read_image_file(path), str(path))


@dataclass(frozen=True)
class ArchiveSource:
    """Images as members of one archive, read in the archive's order, numbered in the order of classes and names."""

    archive: Archive
    names: list[str]
    labels: Int64[np.ndarray, "n"]
    info: SourceInfo

    def read(self, positions: Int64[np.ndarray, "m"]) -> Iterator[Item]:
        wanted = {self.names[position]: position for position in positions.tolist()}
        for name, content in self.archive.read(wanted):
            yield Item(wanted[name], content, f"{self.archive.path}: member {name!r}")


def read_image_file(path: Path) -> bytes:
    """The file's bytes; raises `InputError` when it cannot be read or is too large for an image."""
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"{path} has {path.stat().st_size} bytes, more than {MAX_FILE_BYTES}; remove it")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}; mend its permissions or remove it") from error


def folder_source(
    root: str | Path, split: str | None = None, *, name: str | None = None, class_order: tuple[str, ...] = ()
) -> FileSource:
    """Images in class folders below `root`, or below its folder of that split; see `layout.arrange`."""
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"root={root} is not a folder; give the folder that holds the class folders")
    arrangement, split = arrange(_walk(root), split, str(root), class_order)
    return FileSource(root, *_split(arrangement, name or root.resolve().name, split))


def archive_source(
    archive: str | Path | Archive,
    split: str | None = None,
    *,
    name: str | None = None,
    class_order: tuple[str, ...] = (),
) -> ArchiveSource:
    """The same from a .tar, .tar.gz, .tar.zst or .zip of such a folder; nothing is unpacked."""
    opened = open_archive(archive) if isinstance(archive, (str, Path)) else archive
    names = (member.name for member in opened.members())
    arrangement, split = arrange(names, split, str(opened.path), class_order)
    return ArchiveSource(opened, *_split(arrangement, name or archive_stem(opened.path), split))


def archive_stem(path: Path) -> str:
    """File name without .tar, .zip and their compression."""
    name = path.name
    for suffix in (".zst", ".gz", ".tar", ".tgz", ".zip"):
        name = name.removesuffix(suffix)
    return name


def _split(arrangement: Arrangement, name: str, split: str) -> tuple[list[str], np.ndarray, SourceInfo]:
    info = SourceInfo(name=name, split=split, class_names=arrangement.class_names)
    return arrangement.names, arrangement.labels, info


def _walk(root: Path) -> Iterator[str]:
    """Paths of all files below `root`, relative, with `/`. Links are followed, once to each folder."""
    seen: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        relative = os.path.relpath(folder, root)
        yield from (file if relative == "." else f"{relative}/{file}" for file in files)
