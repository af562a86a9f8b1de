"""WebDataset shards: tar files in which `key.jpg` and `key.cls` (or `key.json`) make one sample."""

import glob
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from fastssl.data.archive import ArchiveLimits, open_archive
from fastssl.data.pixels import IMAGE_SUFFIXES
from fastssl.data.source import Item, SourceInfo, check_labels
from fastssl.data.sources import archive_stem
from fastssl.data.tar import TarArchive, iter_tar
from fastssl.errors import InputError

_JSON_LABELS = ("label", "cls", "class")
_MAX_LABEL_BYTES = 1 << 20


@dataclass(frozen=True)
class ShardSource:
    """Samples in the order of the shards' names and, within a shard, of their bytes."""

    places: list[tuple[Path, str]]
    """Shard and member of each image."""
    labels: Int64[np.ndarray, "n"]
    info: SourceInfo

    def read(self, positions: Int64[np.ndarray, "m"]) -> Iterator[Item]:
        wanted: dict[Path, dict[str, int]] = {}
        for position in positions.tolist():
            shard, name = self.places[position]
            wanted.setdefault(shard, {})[name] = position
        for shard, names in wanted.items():
            for name, content in TarArchive(shard, ArchiveLimits()).read(names):
                yield Item(names[name], content, f"{shard}: member {name!r}")


def shard_source(pattern: str | Path, *, name: str | None = None, split: str = "train") -> ShardSource:
    """A source of one tar file, a folder of them, or a glob such as `shards/train-*.tar`.

    Labels are class numbers: the text of `.cls`, or `label`, `cls` or `class` in `.json`. Without any label in any
    shard all are -1; raises `InputError` when only some have one, naming the first that has none.
    """
    shards = _find_shards(str(pattern))
    places: list[tuple[Path, str]] = []
    labels: list[int | None] = []
    for shard in shards:
        for member, label in _index_shard(shard):
            places.append((shard, member))
            labels.append(label)
    if not places:
        raise InputError(f"archive={pattern} holds no key.jpg, key.png or key.webp; give WebDataset shards")
    if None in labels and set(labels) != {None}:
        shard, member = places[labels.index(None)]
        raise InputError(f"{shard}: member {member!r} has no .cls and no label in .json, though others have; add it")
    numbers = np.array([-1 if label is None else label for label in labels], dtype=np.int64)
    name = name or archive_stem(shards[0])
    check_labels(numbers, (), name)
    class_names = tuple(str(number) for number in range(int(numbers.max()) + 1))
    return ShardSource(places, numbers, SourceInfo(name=name, split=split, class_names=class_names))


def _find_shards(pattern: str) -> list[Path]:
    path = Path(pattern)
    found = sorted(path.glob("*.tar*")) if path.is_dir() else sorted(Path(name) for name in glob.glob(pattern))
    if not found:
        raise InputError(f"archive={pattern} matches no file; give a shard, a folder of them or a quoted glob")
    for shard in found:
        if not isinstance(open_archive(shard), TarArchive):
            raise InputError(f"archive={shard} is no tar file; WebDataset shards are")
    return found


def _index_shard(shard: Path) -> Iterator[tuple[str, int | None]]:
    """Image member and label of each sample of one shard."""
    images: dict[str, str] = {}
    labels: dict[str, int] = {}
    for member, content in iter_tar(shard, ArchiveLimits(), _holds_label):
        key, suffix = _split_key(member.name)
        if f".{suffix}" in IMAGE_SUFFIXES:
            if key in images:
                raise InputError(f"{shard}: member {member.name!r} is a second image of its key; give one per key")
            images[key] = member.name
        elif content is not None:
            label = _parse_label(content, suffix, shard, member.name)
            if label is not None:
                labels[key] = label
    for key, member_name in images.items():
        yield member_name, labels.get(key)


def _holds_label(name: str) -> bool:
    return _split_key(name)[1] in ("cls", "json")


def _split_key(name: str) -> tuple[str, str]:
    """Key and suffix: the file name is cut at its first dot, as WebDataset does."""
    folder, _, file = name.rpartition("/")
    stem, _, suffix = file.partition(".")
    return f"{folder}/{stem}", suffix.lower()


def _parse_label(content: bytes, suffix: str, shard: Path, name: str) -> int | None:
    try:
        if len(content) > _MAX_LABEL_BYTES:
            raise ValueError("too long")
        if suffix == "cls":
            label = int(content.decode("ascii"))
            return label if abs(label) < 2**62 else 2**62  # refused with the other impossible labels
        fields = json.loads(content)
        found = [fields[field] for field in _JSON_LABELS if field in fields] if isinstance(fields, dict) else []
        if not found:
            return None
        if type(found[0]) is not int or abs(found[0]) >= 2**62:
            raise ValueError("not a class number")
        return found[0]
    except (ValueError, RecursionError) as error:
        raise InputError(f"{shard}: member {name!r} is no label ({error}); write the class number into it") from error
