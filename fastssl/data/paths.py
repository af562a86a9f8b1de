"""Where betons live: `$FASTSSL_BETONS`, or `./datasets/betons`."""

import os
import re
from pathlib import Path

from fastssl.errors import InputError

SPLITS = ("train", "val", "test", "unlabeled")
BETONS_VARIABLE = "FASTSSL_BETONS"
DOWNLOADS_VARIABLE = "FASTSSL_DOWNLOADS"


def betons_dir() -> Path:
    """Folder of the betons written and opened by name; it need not exist yet."""
    return Path(os.environ.get(BETONS_VARIABLE) or Path("datasets") / "betons")


def downloads_dir() -> Path:
    """Folder where torchvision keeps what it downloads: `$FASTSSL_DOWNLOADS`, or `downloads` among the betons."""
    return Path(os.environ.get(DOWNLOADS_VARIABLE) or betons_dir() / "downloads")


def beton_path(name: str, split: str) -> Path:
    """`betons_dir()/NAME-SPLIT.beton`; raises `InputError` for an unknown split or a name that is no file name."""
    if split not in SPLITS:
        raise InputError(f"split={split!r} is unknown; give one of {', '.join(SPLITS)}")
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*", name):
        raise InputError(f"name={name!r} cannot name a file; use letters, digits and _ . + -")
    return betons_dir() / f"{name}-{split}.beton"


def sidecar_path(beton: Path) -> Path:
    """The JSON beside a beton: `x.beton` -> `x.beton.json`."""
    return beton.with_name(beton.name + ".json")
