"""What is installed here, what falls back to what and why, and how fast the basic stages run.

With --dataset instead: which stage limits training on it (read, decode, resize, augment, host-to-device, step), by how
much, and what a change would gain, all measured here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from fastssl.cli import unknown
from fastssl.cli.console import Console
from fastssl.cli.parse import WrongUse
from fastssl.errors import InputError

EXAMPLE = "fastssl doctor    or: fastssl doctor --dataset cifar10 --recipe cifar10-simclr --out doctor.png"
_OF_A_DATASET = ("recipe", "loader", "workers", "precision", "seconds", "out")


@dataclass(frozen=True)
class Command:
    measure: bool = True
    """Without a dataset: also measure decoding, copying and matrix products for about a second each."""
    dataset: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE")] = None
    """Name of a written dataset, or a .beton file: find the stage that limits training on it."""
    recipe: Annotated[str | None, tyro.conf.arg(metavar="RECIPE")] = None
    """Whose views, model, method, batch, precision, backend and device; by default plain SimCLR at a size that fits."""
    loader: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Instead of the recipe's: crops, images, resident, ffcv or (on a GPU) nvjpeg."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="INT")] = None
    """Loader threads, instead of the recipe's."""
    precision: Literal["bf16", "fp16", "fp32"] | None = None
    """Number format of the step, instead of the recipe's."""
    seconds: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """For each of about twenty measurements; by default 1."""
    out: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Also draw a bar chart here (.png or .svg)."""

    def __post_init__(self) -> None:
        given = [name for name in _OF_A_DATASET if getattr(self, name) is not None]
        if self.dataset is None and given:
            value = getattr(self, given[0])
            raise InputError(f"{given[0]}={value} has no effect without a dataset; give --dataset, or leave it out")
        if self.dataset is not None and not self.measure:
            raise InputError("measure=False leaves nothing to say about a dataset; leave out --no-measure")
        if self.seconds is not None and not self.seconds > 0:
            raise InputError(f"seconds={self.seconds} is no time to measure in; give a number above 0")

    def run(self, console: Console) -> dict[str, Any]:
        if self.dataset is not None:
            return self._examine(self.dataset, console)
        from fastssl.doctor import diagnose

        diagnosis = diagnose(measure=self.measure)
        console.table(("what", "state", "note"), diagnosis.as_rows())
        return diagnosis.to_json()

    def _examine(self, dataset: str, console: Console) -> dict[str, Any]:
        from fastssl.bottleneck import examine  # not above: these need torch, and looking at what is installed must not
        from fastssl.bottleneck.figure import check_out, draw
        from fastssl.bottleneck.report import HEADER
        from fastssl.recipes import RECIPES

        if self.recipe is not None and self.recipe not in RECIPES:
            raise WrongUse(unknown("recipe", self.recipe, list(RECIPES)))
        if self.out is not None:
            check_out(self.out)
        recipe = RECIPES[self.recipe]() if self.recipe else None
        with console.progress(f"examining {dataset}", "measurements") as update:
            report = examine(
                dataset,
                recipe,
                loader=self.loader,
                workers=self.workers,
                precision=self.precision,
                seconds=1.0 if self.seconds is None else self.seconds,
                progress=update,
            )
        for line in report.facts():
            console.say(line)
        console.table(HEADER, report.rows())
        for line in report.lines():
            console.say(line)
        if self.out is not None:
            console.say(f"wrote {draw(report, self.out)}")
        return report.to_json()
