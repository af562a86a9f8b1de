"""Race to a fixed accuracy: the recipe tuned for the least seconds of training clock to a target, several seeds.

Linear probe (closed form), final weights, one plain view. A seed that misses the target is a miss of the race. The
leaderboard is docs/speedrun.md.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

from fastssl.cli.console import Console
from fastssl.cli.parse import WrongUse
from fastssl.errors import InputError
from fastssl.recipes.speedrun import LADDERS
from fastssl.speedrun import race, rung

EXAMPLE = "fastssl speedrun cifar10 --target 50"


@dataclass(frozen=True)
class Command:
    dataset: Annotated[str, tyro.conf.Positional]
    """Which ladder: cifar10."""
    target: float = 50.0
    """Accuracy to reach, in per cent; the lowest rung that is not below it is run."""
    seeds: int = 3
    """Runs, with seeds 0, 1, ..."""
    on: Literal["auto", "cpu", "gpu"] = "auto"
    """Which ladder's recipes; auto takes the GPU's when there is one."""
    out: Path = Path("runs/speedrun")
    """Receives a directory per run. Runs that are finished there are not repeated."""
    fresh: bool = False
    """Train them all anew."""

    def run(self, console: Console) -> dict[str, Any]:
        if self.seeds < 1:
            raise WrongUse(f"seeds={self.seeds} races nobody; give 1 or more")
        machine = self.on if self.on != "auto" else "gpu" if torch.cuda.is_available() else "cpu"
        try:
            target, recipe = rung(LADDERS, self.dataset, machine, self.target)
        except InputError as error:
            raise WrongUse(str(error)) from None
        with console.progress("speedrun", "‰") as update:
            result = race(recipe, target, range(self.seeds), self.out, fresh=self.fresh, say=console.say,
                          progress=lambda share: update(round(1000 * share), 1000))  # fmt: skip
        console.say("")
        console.table(("run", "seconds", "linear probe %", f"of {target:g} %"), result.rows)
        for line in result.failures:
            console.error(line)
        console.say(f"target {target:g} %: {'reached' if result.reached else 'missed'}")
        return result.to_json()
