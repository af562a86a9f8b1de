"""A beton as class folders of images, so that folder loaders and peers read the same pixels."""

import os
import shutil
import tempfile
from pathlib import Path

from PIL import Image

from fastssl.data.beton import BetonFile
from fastssl.data.format import MODE_JPG
from fastssl.data.source import Progress
from fastssl.errors import InputError


def export_folder(beton: BetonFile | str | Path, out_dir: str | Path, progress: Progress | None = None) -> Path:
    """Write `out_dir/<class>/<index>.jpg` (the stored bytes, untouched) or `.png` (of raw pixels) and give `out_dir`.

    The names of the class folders sort in the order of the labels, as torchvision's `ImageFolder` numbers them; a class
    without samples has an empty folder, and samples without a label are in `unlabelled`. The folder appears complete or
    not at all; one that exists must be empty. Raises `InputError` when a sample is damaged.
    """
    beton = beton if isinstance(beton, BetonFile) else BetonFile(beton)
    out = Path(out_dir)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"out_dir={out} exists already; give a new folder or remove it")
    out.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".tmp", dir=out.parent))
    try:
        folders = class_folders(beton)
        for folder in folders.values():
            (work / folder).mkdir()
        for index in range(beton.num_samples):
            _export_one(beton, index, work / folders[int(beton.labels[index])])
            if progress is not None and (index % 256 == 255 or index + 1 == beton.num_samples):
                progress(index + 1, beton.num_samples)
        work.chmod(0o755)  # mkdtemp's folders are private
        os.replace(work, out)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return out


def class_folders(beton: BetonFile) -> dict[int, str]:
    """Label -> folder name: the class names where they sort in label order and can name folders, else numbered."""
    names = list(beton.class_names)
    names += [str(label) for label in range(len(names), int(beton.labels.max(initial=-1)) + 1)]
    if names != sorted(names) or len(set(names)) != len(names) or not all(_can_name_folder(name) for name in names):
        digits = len(str(len(names)))
        names = [f"{label:0{digits}d}_{_clean(name)}" for label, name in enumerate(names)]
    unlabelled = {-1: "unlabelled"} if (beton.labels < 0).any() else {}
    return {**unlabelled, **dict(enumerate(names))}


def _can_name_folder(name: str) -> bool:
    return 0 < len(name) <= 100 and name == _clean(name) and not name.startswith(".") and name != "unlabelled"


def _clean(name: str) -> str:
    """Letters, digits and a few signs: a name out of a sidecar must not lead elsewhere."""
    return "".join(sign if sign.isalnum() or sign in "_-+., " else "_" for sign in name[:100])


def _export_one(beton: BetonFile, index: int, folder: Path) -> None:
    pixels = beton.decode(index)
    if beton.modes[index] == MODE_JPG:
        (folder / f"{index:08d}.jpg").write_bytes(beton.payload(index))
    else:
        Image.fromarray(pixels).save(folder / f"{index:08d}.png", compress_level=1)
