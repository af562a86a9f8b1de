"""Draw images beside their augmented views, with what was drawn for each written under it (PNG).

`fastssl views --list` names the presets that --spec takes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
import tyro
from torch import Tensor

from fastssl.augment import get_backend
from fastssl.augment.presets import PRESETS
from fastssl.cli.console import Console
from fastssl.cli.parse import view_flags
from fastssl.cli.preset import preset_specs
from fastssl.errors import InputError
from fastssl.types import DatasetInfo
from fastssl.views import ViewSpec, specs_in_turn

EXAMPLE = "fastssl views cifar10 --spec byol --size 96 --out views.png    or: fastssl views --list"
_VIEWS = 4


@dataclass(frozen=True)
class Command:
    dataset: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATASET")]
    """Name of a written dataset, or a .beton file."""
    preset: Annotated[str | None, tyro.conf.arg(name="spec", metavar="NAME")] = None
    """A named augmentation (`fastssl views --list`); flags of a view apply on top of it, to its first view."""
    strength: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """Of a preset that has a dial, as in --spec simclr --strength 0.5."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE.png")] = Path("views.png")
    images: int = 6
    """Rows: images of the training split, in the order of the run's first epoch."""
    views: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Columns; by default 4, or more where the preset has more."""
    seed: int = 0
    backend: str = "auto"
    first: Annotated[ViewSpec, view_flags()] = ViewSpec()  # noqa: RUF009  (frozen)
    more: ClassVar[tuple[ViewSpec, ...]] = ()
    """Specs of the other views of the preset: no flags, whose names would be those of the first."""

    def run(self, console: Console) -> dict[str, Any]:
        from fastssl.augment.sheet import check_out, view_sheet  # not above: --list and --help need not wait for it

        specs = (self.first, *self.more)
        views = max(_VIEWS, len(specs)) if self.views is None else self.views
        if views < 1 or self.images < 1:
            raise InputError(f"views={views}, images={self.images} leave nothing to draw; give 1 or more")
        check_out(self.out)
        backend = get_backend(self.backend)
        info, index, images = self._first_images()
        shown = specs_in_turn([spec.with_statistics(info.mean, info.std) for spec in specs], views)
        view_sheet(images, shown, self.out, seed=self.seed, index=index, backend=backend, name=self._name())
        console.say(f"wrote {self.out}")
        return {"out": str(self.out), "index": index.tolist()}

    def _first_images(self) -> tuple[DatasetInfo, Tensor, list[Tensor]]:
        """Of the run's first epoch: their positions, and uint8 RGB pixels (3, h, w)."""
        from fastssl.data.open import find_beton  # not above: --list and --help need not wait for the loaders
        from fastssl.data.order import epoch_order
        from fastssl.data.served import serve

        served = serve(find_beton(self.dataset))
        there = served.info.num_samples
        if self.images > there:
            raise InputError(f"images={self.images} is more than the {there} of {self.dataset}; give {there} or less")
        index = epoch_order(self.seed, 0, there)[: self.images]
        pixels = [served.beton.decode(int(served.source[at])) for at in index]
        return served.info, torch.from_numpy(index), [torch.from_numpy(image).permute(2, 0, 1) for image in pixels]

    def _name(self) -> str:
        dial = "" if self.strength is None else f" at strength {self.strength:g}"
        return f"{self.preset or 'views'}{dial} on {self.dataset}"


@dataclass(frozen=True)
class List:
    list: bool = False
    """Name the presets and leave."""

    def run(self, console: Console) -> dict[str, Any]:
        width = max(map(len, PRESETS))
        for name, preset in PRESETS.items():
            dial = f" Strength {preset.dial}." if preset.dial else ""
            console.say(f"{name:{width}}  {preset.layout:15}  {preset.about}{dial}")
        return {"presets": {name: preset.about for name, preset in PRESETS.items()}}


def command_for(arguments: Sequence[str]) -> type:
    if "--list" in arguments:
        return List
    specs = preset_specs(arguments) or (ViewSpec(),)

    @dataclass(frozen=True)
    class Drawn(Command):
        first: Annotated[ViewSpec, view_flags()] = specs[0]
        more = specs[1:]

    return Drawn
