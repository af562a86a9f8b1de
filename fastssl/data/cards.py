"""Dataset cards: one TOML per dataset the library knows by name."""

import difflib
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from fastssl.data.options import WriteOptions
from fastssl.data.paths import SPLITS
from fastssl.errors import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]  # installed on Python 3.10 only

_PACKAGED = Path(__file__).parent / "_cards"
_IN_REPOSITORY = Path(__file__).parent.parent.parent / "datasets"


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is known of a dataset before it is written."""

    name: str
    title: str
    source: str
    """Paper, and where it is kept."""
    licence: str
    splits: dict[str, int]
    """Split -> number of samples."""
    num_classes: int
    size: str
    """Native size of the images, in words."""
    class_names: tuple[str, ...] = ()
    """In the order of the labels; empty where the dataset itself brings them."""
    mean: tuple[float, float, float] | None = None
    """Per channel, pixels scaled to 0-1, of the split `train` at native size; None where not published."""
    std: tuple[float, float, float] | None = None
    torchvision: str | None = None
    """Name of torchvision's class."""
    beton: dict[str, Any] = field(default_factory=dict)
    """Fields of `WriteOptions` that differ from its defaults."""
    image_px: int | None = None
    """Side of images that are drawn, not stored."""

    def options(self) -> WriteOptions:
        """How this dataset is stored unless told otherwise."""
        return WriteOptions(**self.beton)


def cards_dir() -> Path:
    """The folder of the cards: inside the installed package, or `datasets/` of the repository."""
    return _PACKAGED if _PACKAGED.is_dir() else _IN_REPOSITORY


def card_names() -> list[str]:
    """Names of all datasets with a card, sorted."""
    return sorted(path.stem for path in cards_dir().glob("*.toml"))


@cache
def load_card(name: str) -> Card:
    """The card of a dataset; raises `InputError` with the nearest known names."""
    if name not in card_names():
        near = difflib.get_close_matches(name.lower(), card_names(), n=3, cutoff=0.4) or card_names()
        raise InputError(f"dataset={name!r} is unknown; did you mean {', '.join(near)}?")
    path = cards_dir() / f"{name}.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        content.update({key: tuple(content[key]) for key in ("class_names", "mean", "std") if key in content})
        card = Card(name=name, **content)
        card.options()
    except (tomllib.TOMLDecodeError, TypeError) as error:
        raise InputError(f"{path} is not a dataset card ({error}); mend it") from error
    if not set(card.splits) <= set(SPLITS):
        raise InputError(f"{path} has splits {list(card.splits)}; give some of {', '.join(SPLITS)}")
    return card


def cards_table() -> str:
    """Markdown table of all cards, for datasets/README.md."""
    lines = [
        "| Name | Dataset | Splits | Classes | Size | Stored as | Licence |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in card_names():
        card = load_card(name)
        splits = ", ".join(f"{split} {count:,}" for split, count in card.splits.items())
        stored = ", ".join(f"{key} {value}" for key, value in card.beton.items()) or "mode raw"
        cells = (f"`{name}`", card.title, splits, f"{card.num_classes:,}", card.size, stored, card.licence)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
