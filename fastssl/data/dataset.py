"""From a dataset's name, or a kind of storage and a path, to its betons."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fastssl.data.archive import Archive, open_archive
from fastssl.data.arrays import numpy_source
from fastssl.data.beton import BetonFile
from fastssl.data.cards import Card, load_card
from fastssl.data.drawn import DrawnSource
from fastssl.data.layout import SPLIT_FOLDERS
from fastssl.data.options import WriteOptions
from fastssl.data.pack import write_selected
from fastssl.data.paths import SPLITS, beton_path, downloads_dir
from fastssl.data.shapes import CLASS_NAMES
from fastssl.data.shards import shard_source
from fastssl.data.source import Progress, Source, SourceInfo, check_labels, take
from fastssl.data.sources import archive_source, archive_stem, folder_source
from fastssl.data.subset import held_out_indices, subset_indices
from fastssl.data.zoo import zoo_source
from fastssl.errors import InputError

KINDS = ("folder", "webdataset", "numpy")
STATISTICS_TOLERANCE = 0.005
"""Mean and std may differ from the card's by this much (a JPEG copy of CIFAR-10 differs by .002)."""


def default_options(name_or_kind: str) -> WriteOptions:
    """How a dataset is stored unless told otherwise: its card's options, or raw pixels for a kind of storage."""
    return WriteOptions() if name_or_kind in KINDS else _load_card(name_or_kind).options()


def write_dataset(
    name_or_kind: str,
    options: WriteOptions | None = None,
    *,
    root: str | Path | None = None,
    archive: str | Path | None = None,
    split: str | None = None,
    out: str | Path | None = None,
    progress: Progress | None = None,
) -> list[dict[str, Any]]:
    """Write the betons of a dataset and give back one result per file (see `write_beton`).

    `name_or_kind` is a card's name, whose splits (or the one `split`) go to `betons_dir()/NAME-SPLIT.beton` or, one of
    them, to `out`; its images come from `archive` or `root` laid out as `<split>/<class>/<image>`, else through
    torchvision (which looks in `root` and downloads). Or it is a kind, whose one split goes to `out`: `folder` with
    `root` or `archive`; `webdataset` with `archive` (a shard, a folder of shards, a glob); `numpy` with `root` (an
    .npz, or images.npy beside labels.npy). `options.val` adds a beton of held-out samples of `train`;
    `options.fraction` of a whole dataset spares its val and test. Without options the card's are taken. Raises
    `InputError` for whatever a user can mend.
    """
    options = options or default_options(name_or_kind)
    if root is not None and archive is not None:
        raise InputError(f"root={root} has no effect with archive={archive}; give one of them")
    if split is not None and split not in SPLITS:
        raise InputError(f"split={split!r} is unknown; give one of {', '.join(SPLITS)}")
    root, archive, out = (None if path is None else Path(path) for path in (root, archive, out))
    if name_or_kind in KINDS:
        source = _open_kind(name_or_kind, root, archive, split, out)
        _check_val(options, [source.info.split], {})
        return _write_split(source, options, out or beton_path(source.info.name, source.info.split), progress, None)
    card = _load_card(name_or_kind)
    sources = list(_open_card(card, root, archive, split))
    if out is not None and len(sources) > 1:
        raise InputError(f"out={out} is one file and {card.name} has {len(sources)} splits; give split as well")
    _check_val(options, [source.info.split for source in sources], card.splits)
    results = []
    for source in sources:
        chosen = _options_for(source.info.split, options, alone=split is not None)
        path = out or beton_path(card.name, source.info.split)
        results += _write_split(source, chosen, path, progress, card)
    return results


def _write_split(
    source: Source, options: WriteOptions, out: Path, progress: Progress | None, card: Card | None
) -> list[dict[str, Any]]:
    """One split, and its held-out part."""
    check_labels(source.labels, source.info.class_names, source.info.name)
    parts = [(source, out, options)]
    if source.info.split == "train" and options.val is None:
        _refuse_beside_held_out(_val_path(out))
    if options.val is not None:
        held_out = held_out_indices(source.labels, options.val, options.subset_seed)
        rest = np.setdiff1d(np.arange(len(source.labels)), held_out)
        whole = replace(options, fraction=1.0)
        parts = [(take(source, rest), out, options), (take(source, held_out, "val"), _val_path(out), whole)]
    results = []
    for part, path, chosen in parts:
        if chosen.fraction < 1:
            part = take(part, subset_indices(part.labels, chosen.fraction, chosen.subset_seed))
        result = write_selected(part, path, chosen, progress)
        result["warnings"] += _compare_with_card(result, card)
        results.append(result)
    return results


def _options_for(split: str, options: WriteOptions, alone: bool) -> WriteOptions:
    """Only train gives held-out samples; a fraction spares the evaluation splits unless one is asked for by name."""
    chosen = options if split == "train" else replace(options, val=None)
    return chosen if alone or split in ("train", "unlabeled") else replace(chosen, fraction=1.0)


def _check_val(options: WriteOptions, splits: list[str], known: dict[str, int]) -> None:
    if options.val is not None and "train" not in splits:
        raise InputError(f"val={options.val} holds out samples of train, which is not written; give split=train")
    if options.val is not None and "val" in known:
        raise InputError(
            f"val={options.val} would replace the dataset's own val ({known['val']} samples); leave it out"
        )


def _refuse_beside_held_out(val: Path) -> None:
    """A train beton with all samples, beside a val beton held out of an earlier one, would be validated on itself."""
    held_out = (BetonFile(val).sidecar or {}).get("options", {}).get("val") if val.is_file() else None
    if held_out is not None:
        raise InputError(
            f"{val} holds out samples that this train would contain; give val={held_out}, or remove that file"
        )


def _val_path(out: Path) -> Path:
    """`x-train.beton` -> `x-val.beton`; any other `x.beton` -> `x-val.beton`."""
    return out.with_name(f"{out.stem.removesuffix('-train')}-val.beton")


def _compare_with_card(result: dict[str, Any], card: Card | None) -> list[str]:
    if card is None or card.mean is None or card.std is None or result["split"] not in ("train", "unlabeled"):
        return []
    measured, known = result["mean"] + result["std"], card.mean + card.std
    worst = max(abs(a - b) for a, b in zip(measured, known))
    if worst <= STATISTICS_TOLERANCE:
        return []
    return [f"{card.name} {result['split']}: mean or std is {worst:.3f} from the card's; are these the same images?"]


def _load_card(name: str) -> Card:
    try:
        return load_card(name)
    except InputError as error:
        raise InputError(f"{error} (or a kind: {', '.join(KINDS)})") from error


def _open_kind(kind: str, root: Path | None, archive: Path | None, split: str | None, out: Path | None) -> Source:
    path = archive or root
    if path is None:
        raise InputError(f"{kind} needs a place to read; give root (a folder) or archive (a file)")
    name = None if out is None else out.stem
    if kind == "webdataset":
        return shard_source(path, name=name, split=split or "train")
    if kind == "numpy":
        file = path / "images.npy" if path.is_dir() else path
        return numpy_source(file, name=name or archive_stem(path).removesuffix(path.suffix), split=split or "train")
    return archive_source(path, split, name=name) if archive is not None else folder_source(path, split, name=name)


def _open_card(card: Card, root: Path | None, archive: Path | None, split: str | None) -> Iterator[Source]:
    if split is not None and split not in card.splits:
        raise InputError(f"split={split} is not in {card.name}; give one of {', '.join(card.splits)}")
    opened = None if archive is None else open_archive(archive)
    for name in [split] if split is not None else card.splits:
        yield _open_split(card, name, root, opened)


def _open_split(card: Card, split: str, root: Path | None, archive: Archive | None) -> Source:
    names = card.class_names
    info = SourceInfo(name=card.name, split=split, class_names=names, origin=card.source, licence=card.licence)
    if archive is not None:
        copy = archive_source(archive, split, name=card.name, class_order=names)
        return replace(copy, info=_info_of_copy(info, copy.info.class_names, card))
    if root is not None and _has_split_folders(root):
        copy = folder_source(root, split, name=card.name, class_order=names)
        return replace(copy, info=_info_of_copy(info, copy.info.class_names, card))
    if card.torchvision is None and (card.image_px is None or root is not None):
        raise InputError(
            f"{card.name} needs images laid out as <split>/<class>/<image>; give root or archive with them"
        )
    if card.torchvision is None:
        return DrawnSource(card.splits[split], card.image_px or 32, replace(info, class_names=tuple(CLASS_NAMES)))
    return zoo_source(card.torchvision, split, root or downloads_dir(), info)


def _info_of_copy(info: SourceInfo, class_names: tuple[str, ...], card: Card) -> SourceInfo:
    """A user's copy brings its own class names, but must have as many classes as the dataset."""
    if info.split != "unlabeled" and len(class_names) != card.num_classes:
        raise InputError(
            f"{card.name} has {card.num_classes} classes and the copy has {len(class_names)}; "
            "give a whole copy, or write it as kind folder"
        )
    return replace(info, class_names=class_names)


def _has_split_folders(root: Path) -> bool:
    """Whether `root` is a copy laid out in folders: it has a split folder, and a folder in that."""
    candidates = (root / folder for folders in SPLIT_FOLDERS.values() for folder in folders)
    return any(path.is_dir() and any(child.is_dir() for child in path.iterdir()) for path in candidates)
