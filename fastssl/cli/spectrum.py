"""Draw the eigenspectrum of a run's features beside its untrained encoder, and say how healthy they are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from fastssl.cli.console import Console
from fastssl.errors import InputError
from fastssl.probing.plane import MapKind, in_the_plane
from fastssl.probing.spectra import Spectrum, spectra_of
from fastssl.report.map_figure import map_figure
from fastssl.report.spectra import spectrum_table
from fastssl.report.spectrum_figure import spectrum_figure
from fastssl.runs import find_run
from fastssl.telemetry.records import append_record

EXAMPLE = "fastssl spectrum runs/RUN --out spectrum    or: fastssl spectrum runs/RUN --map tsne --images 2000"


@dataclass(frozen=True)
class Command:
    which: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Directories of runs, or the beginnings of their ids; the last checkpoint of each is looked at."""
    out: Path = Path("spectrum")
    """Path of the pictures without their ending."""
    layer: str = "encoder"
    """`encoder`, `projector`, or a module inside the encoder, whose output is averaged over positions."""
    split: str | None = None
    """Of the run's dataset; by default the one it is tested on."""
    images: int | None = None
    """At most about so many images, a class-balanced share; by default all of the split."""
    views: int = 10
    """Views per image for LiDAR, alignment and uniformity, drawn as in training."""
    map: MapKind | None = None
    """Also draw the features in the plane (needs the extra `map`)."""
    device: str = "auto"
    runs_dir: Path = Path("runs")
    """Where ids are looked for."""

    def run(self, console: Console) -> dict[str, Any]:
        if not self.which:
            raise InputError("run=nothing to look at; give the directory of a run, such as runs/RUN")
        if not self.out.name:
            raise InputError(f"out={self.out} is a folder; give the beginning of a file's name, such as spectrum")
        if self.views < 2:
            raise InputError(f"views={self.views} makes no pair of views; give 2 or more")
        found: list[Spectrum] = []
        with console.progress("features", "images") as update:
            for run in [find_run(which, self.runs_dir) for which in self.which]:
                for one in spectra_of(run, layer=self.layer, split=self.split, images=self.images, views=self.views,
                                      device=self.device, progress=update):  # fmt: skip
                    append_record(run / "spectra.jsonl", one.record)
                    found.append(one)
        records = [one.record for one in found]
        table = spectrum_table(records)
        console.table(table.header, table.rows)
        console.say(table.note)
        files = spectrum_figure(records, self.out)
        if self.map is not None:
            files += self._map(found, self.map, console)
        for path in files:
            console.say(f"wrote {path}")
        return {"files": [str(path) for path in files], "rows": table.to_json()}

    def _map(self, found: list[Spectrum], kind: MapKind, console: Console) -> list[Path]:
        console.say(f"map       {kind} of {len(found[0].features):,} images, some seconds per thousand")
        panels = []
        for one in found[:2]:  # the first run and its untrained encoder
            title = "untrained" if one.record["case"]["weights"] == "random" else one.record["case"]["run"]
            panels.append((title, in_the_plane(one.features, kind), one.labels.numpy()))
        return map_figure(panels, found[0].class_names, kind, self.out.with_name(f"{self.out.name}-{kind}"))
