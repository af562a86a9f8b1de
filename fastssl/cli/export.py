"""Write a run's encoder to a file that loads without this library, checked against it, with a model card beside it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from fastssl.cli.console import Console
from fastssl.export import FormatName, export_run
from fastssl.runs import find_run

EXAMPLE = "fastssl export runs/RUN --format onnx --out encoder.onnx"


@dataclass(frozen=True)
class Command:
    which: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """A directory, or the beginning of a run's id, or of the hash in it."""
    out: Annotated[Path, tyro.conf.arg(metavar="FILE")]
    """FILE.json and FILE.md, the model card, are written beside it."""
    format: FormatName = "state_dict"
    """`state_dict` and `safetensors` hold weights (the card has the code that takes them); the others the network."""
    runs_dir: Path = Path("runs")
    """Where ids are looked for."""

    def run(self, console: Console) -> dict[str, Any]:
        done = export_run(find_run(self.which, self.runs_dir), self.format, self.out, say=console.say)
        console.say(f"checked   {done.card['checked_images']} images, off by {done.card['max_abs_error']:.2g} at most")
        for path in done.files:
            console.say(f"wrote     {path}")
        return {"files": [str(path) for path in done.files], "card": done.card}
