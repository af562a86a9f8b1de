"""List the methods: what each one does, in which paper, and what a step of it costs."""

from dataclasses import dataclass
from typing import Any

from fastssl.cli.console import Console
from fastssl.cli.parse import WrongUse
from fastssl.methods.cards import method_cards
from fastssl.models import Arch

EXAMPLE = "fastssl methods    or: fastssl methods --cost --arch micro --batch-size 256"


@dataclass(frozen=True)
class Command:
    cost: bool = False
    """Also time a training step of each here, as a multiple of the supervised step; some seconds per method."""
    arch: Arch = "nano"
    """Encoder to time them with, on views of 32 px."""
    batch_size: int = 128
    """Images per timed step."""

    def run(self, console: Console) -> dict[str, Any]:
        if self.batch_size < 2:
            raise WrongUse(f"batch_size={self.batch_size} has no batch statistics; give 2 or more")
        rows = [{"kind": c.kind, "name": c.name, "idea": c.idea, "paper": c.paper} for c in method_cards()]
        header = ["method", "idea", "paper"]
        if self.cost:
            from fastssl.step_costs import step_costs  # not above: the list alone need not wait for training's parts

            with console.progress("timing", " methods") as update:
                costs = step_costs(self.arch, self.batch_size, progress=update)
            header += ["views", "step"]
            for row in rows:
                row |= costs[row["kind"]]
        console.table(header, [self._cells(row) for row in rows])
        return {"methods": rows}

    def _cells(self, row: dict[str, Any]) -> list[str]:
        cells = [row["kind"], row["idea"], row["paper"]]
        if not self.cost:
            return cells
        return [*cells, row["views"], "none" if row["relative"] is None else f"{row['relative']:.2f}"]
