"""Do the loaders give the same distribution of views as torchvision's own pipeline? Exit status 1 when one does not."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import tyro

from fastssl.cli.console import Console
from fastssl.cli.parse import view_flags
from fastssl.parity import run_parity
from fastssl.train.setup import resolve_device
from fastssl.views import ViewSpec

EXAMPLE = "fastssl parity cifar10 --loaders crops,resident,folder"


@dataclass(frozen=True)
class Command:
    dataset: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATASET")]
    """Name of a written dataset, or a .beton file."""
    loaders: str = "crops,images,resident,ffcv,folder"
    """Comma-separated: ffcv, resident, folder."""
    images: int = 2000
    """Images compared per loader."""
    backend: str = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where the views are made; `auto` as in training."""
    seed: int = 0
    spec: Annotated[ViewSpec, view_flags()] = field(default_factory=ViewSpec)

    def run(self, console: Console) -> dict[str, Any]:
        loaders = tuple(name.strip() for name in self.loaders.split(","))
        report = run_parity(
            self.dataset,
            loaders,
            self.spec,
            num_images=self.images,
            seed=self.seed,
            backend=self.backend,
            device=resolve_device(self.device),
            progress=console.say,
        )
        for line in report.lines():
            console.say(line)
        return report.to_json()
