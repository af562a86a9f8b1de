"""What a claim is: arms to run, a number of seeds, effects with the bands they should lie in, and a picture."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from fastssl.recipe import Recipe
from fastssl.report.verdict import Effect
from fastssl.toy import ToyConfig

Machine: TypeAlias = Literal["cpu", "gpu"]
Work: TypeAlias = Recipe | ToyConfig


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One setting that is compared with others."""

    name: str
    work: Work
    """With seed 0; the others are run with the next seeds."""
    x: float | None = None
    """Where it stands along the horizontal axis of a picture of lines."""
    series: str = ""
    """Which line of such a picture it belongs to."""


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One picture: `arms` (a dot per run, a row per arm), `lines` (y of the end over the arms' x, a line per series) or
    `curves` (y along a run over x: `views`, `train_s` or `step`, a curve per arm)."""

    kind: Literal["arms", "lines", "curves"] = "arms"
    y: str = "ridge"
    """A metric, or `train_s`."""
    y_label: str = "ridge accuracy, %"
    percent: bool = True
    """Shown times 100."""
    x: str = ""
    x_label: str = ""
    log_x: bool = False
    log_y: bool = False


@dataclass(frozen=True, kw_only=True)
class Form:
    """A claim made to fit a machine."""

    arms: tuple[Arm, ...]
    effects: tuple[Effect, ...]
    """The verdict's rule, fixed before the first run."""
    setting: str
    """Network, data, views, length, in a line."""
    panels: tuple[Panel, ...] = (Panel(),)
    seeds: int = 3
    alone: bool = False
    """One run at a time: its effects are times."""
    few_labels: tuple[float, ...] = ()
    """Shares of the labels for further ridge probes of the finished runs: metrics `ridge_labels_SHARE`."""
    mlp: bool = False
    """A further probe of the finished runs by a perceptron: metric `mlp`."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    number: int
    name: str
    paper: str
    says: str
    """The claim, in a sentence."""
    reading: str
    """What a verdict means, and what it does not."""
    cpu: Callable[[], Form]
    gpu: Callable[[], Form]

    @property
    def label(self) -> str:
        return f"C{self.number}"

    def form(self, machine: Machine) -> Form:
        return self.cpu() if machine == "cpu" else self.gpu()
