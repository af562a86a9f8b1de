"""What the names of files say: which belong to a split, and which class each is of."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from fastssl.data.pixels import IMAGE_SUFFIXES
from fastssl.errors import InputError

SPLIT_FOLDERS = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation"),
    "test": ("test", "testing"),
    "unlabeled": ("unlabeled", "unlabelled"),
}
_ALL_SPLIT_FOLDERS = {folder: split for split, folders in SPLIT_FOLDERS.items() for folder in folders}


@dataclass(frozen=True)
class Arrangement:
    """The images of one split, sorted by class and name, so that positions do not depend on an archive's order."""

    names: list[str]
    labels: Int64[np.ndarray, "n"]
    class_names: tuple[str, ...]


def arrange(
    names: Iterable[str], split: str | None, where: str, class_order: tuple[str, ...] = ()
) -> tuple[Arrangement, str]:
    """Arrange `<class>/.../image`, `<split>/<class>/.../image`, or either inside one more folder; gives also the split.

    Classes are numbered in the order of their names over all labelled splits, or in `class_order` when it names the
    same. Hidden files are passed over, and so are files beside the class folders that are no images (a README). Images
    outside class folders (except in `unlabeled`) and other files inside them raise `InputError`.
    """
    paths = [path for path in (tuple(name.split("/")) for name in names) if not _is_hidden(path)]
    inner = _strip_common_folder(paths)
    splits = {_ALL_SPLIT_FOLDERS[path[0]] for path in inner.values() if len(path) > 1 and path[0] in _ALL_SPLIT_FOLDERS}
    if splits and split is None and len(splits) > 1:
        raise InputError(f"{where} holds the splits {', '.join(sorted(splits))}; give split as one of them")
    if splits and split is not None and split not in splits:
        raise InputError(f"split={split} is not in {where}, which holds {', '.join(sorted(splits))}; give one of them")
    chosen = split or (min(splits) if splits else "train")
    wanted: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    classes: set[str] = set()
    for path, parts in inner.items():
        own_split = _ALL_SPLIT_FOLDERS.get(parts[0], "") if splits else chosen
        parts = parts[1:] if splits else parts
        if own_split and own_split != "unlabeled" and len(parts) > 1 and _is_image(parts):
            classes.add(parts[0])
        if own_split == chosen and _keep(parts, "/".join(path), where, chosen):
            wanted.append((parts, path))
    if not wanted:
        raise InputError(f"{where} holds no images of split={chosen}; give class folders of images")
    return _number(wanted, classes, chosen, class_order), chosen


def _number(
    wanted: list[tuple[tuple[str, ...], tuple[str, ...]]], classes: set[str], split: str, class_order: tuple[str, ...]
) -> Arrangement:
    class_names = class_order if set(class_order) == classes else tuple(sorted(classes))
    ids = {name: number for number, name in enumerate(class_names)}
    labels = [ids[parts[0]] if len(parts) > 1 and split != "unlabeled" else -1 for parts, _ in wanted]
    order = sorted(range(len(wanted)), key=lambda index: (labels[index], wanted[index][0]))
    names = ["/".join(wanted[index][1]) for index in order]
    return Arrangement(names, np.array([labels[index] for index in order], dtype=np.int64), class_names)


def _strip_common_folder(paths: list[tuple[str, ...]]) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Whole path -> path without the one folder that everything lies in, if that is neither a split nor a class."""
    images = [path for path in paths if _is_image(path)]
    tops = {path[0] for path in images}
    deep = all(len(path) > 2 for path in images)
    if len(tops) == 1 and deep and not tops & set(_ALL_SPLIT_FOLDERS) and len({path[1] for path in images}) > 1:
        return {path: path[1:] for path in paths if path[0] in tops and len(path) > 1}
    if len(tops) == 1 and deep and {path[1] for path in images} <= set(_ALL_SPLIT_FOLDERS):
        return {path: path[1:] for path in paths if path[0] in tops and len(path) > 1}
    return {path: path for path in paths}


def _keep(parts: tuple[str, ...], name: str, where: str, split: str) -> bool:
    in_class = len(parts) > 1
    if _is_image(parts):
        if not in_class and split != "unlabeled":
            raise InputError(f"{where}: {name!r} is in no class folder; move it into the folder of its class")
        return True
    if in_class:
        raise InputError(f"{where}: {name!r} is not an image by its name; remove it from the class folder")
    return False


def _is_image(path: tuple[str, ...]) -> bool:
    stem, dot, suffix = path[-1].rpartition(".")
    return bool(stem) and (dot + suffix).lower() in IMAGE_SUFFIXES


def _is_hidden(path: tuple[str, ...]) -> bool:
    return path[0] == "__MACOSX" or any(part.startswith(".") for part in path)
