"""Train every method on the built-in dataset for the same few seconds, probe them, draw accuracy against compute."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastssl.cli.compare import show
from fastssl.cli.console import Console
from fastssl.demo import run_demo

EXAMPLE = "fastssl demo --seconds 20"


@dataclass(frozen=True)
class Command:
    seconds: float = 20.0
    """Training clock per method; probes and set-up come on top."""
    out: Path = Path("runs/demo")
    """Receives the runs, the table and the figure."""
    seed: int = 0

    def run(self, console: Console) -> dict[str, Any]:
        with console.progress("demo", "‰") as update:
            result = run_demo(
                self.seconds, self.out, seed=self.seed, say=console.say,
                progress=lambda share: update(round(1000 * share), 1000),
            )  # fmt: skip
        return show(console, result)
