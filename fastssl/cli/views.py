"""Draw original images beside their augmented views, with what was drawn for each written under it (PNG)."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from fastssl.augment.sheet import view_sheet
from fastssl.cli.console import Console
from fastssl.data.open import open_loader
from fastssl.errors import InputError
from fastssl.views import ViewSpec

EXAMPLE = "fastssl views cifar10 --views 4 --crop-scale 0.2 1 --out views.png"


@dataclass(frozen=True)
class Command:
    dataset: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATASET")]
    """Name of a written dataset, or a .beton file."""
    out: Path = Path("views.png")
    images: int = 6
    """Rows: images of the training split, in the order of the run's first epoch."""
    views: int = 4
    seed: int = 0
    spec: ViewSpec = field(default_factory=ViewSpec)

    def run(self, console: Console) -> dict[str, Any]:
        if self.views < 1 or self.images < 1:
            raise InputError(f"views={self.views}, images={self.images} leave nothing to draw; give 1 or more")
        loader = open_loader("auto", self.dataset, batch_size=self.images, seed=self.seed)
        try:
            batch = next(loader.epoch(0))
        finally:
            loader.close()
        view_sheet(batch.images, [self.spec] * self.views, self.out, seed=self.seed, index=batch.index)
        console.say(f"wrote {self.out}")
        return {"out": str(self.out), "index": batch.index.tolist()}
