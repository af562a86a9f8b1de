"""List the methods: what each one does, in which paper, and what a step of it costs."""

from dataclasses import dataclass
from typing import Any

from fastssl.cli.console import Console
from fastssl.cli.parse import WrongUse
from fastssl.methods.cards import method_cards
from fastssl.models import Arch
from fastssl.step_costs import counted_costs, step_costs

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
        counted = counted_costs()
        rows = [{"kind": c.kind, "passes": counted[c.kind], "idea": c.idea, "paper": c.paper} for c in method_cards()]
        header = ["method", "passes"]
        if self.cost:
            with console.progress("timing", " steps") as update:
                costs = step_costs(self.arch, self.batch_size, progress=update)
            header += ["views", "step"]
            for row in rows:
                row |= costs[row["kind"]]
        console.table([*header, "idea", "paper"], [self._cells(row) for row in rows])
        console.say(
            "\npasses: of the network in a step per image, counted, supervised = 1; heads and losses come on top"
        )
        if self.cost:
            console.say(f"step: time of one here, {self.arch}, {self.batch_size} images of 32 px, supervised = 1")
        return {"methods": rows}

    def _cells(self, row: dict[str, Any]) -> list[str]:
        cost = [str(row["views"]), _times(row["relative"])] if self.cost else []
        return [row["kind"], _times(row["passes"]), *cost, row["idea"], row["paper"]]


def _times(multiple: float | None) -> str:
    return "none" if multiple is None else f"{multiple:.2f}"
