"""The main job in three minutes: data, six arms with one time budget, probes, records, and the curve."""

from collections.abc import Callable
from pathlib import Path

from fastssl.compare import Comparison, budgeted, compare
from fastssl.data.dataset import write_dataset
from fastssl.recipes import demo as recipes

MARGIN = 0.10
"""What every self-supervised arm must gain over the random encoder (ridge accuracy) for the demo to count."""


def run_demo(
    seconds: float,
    out: Path,
    *,
    seed: int = 0,
    say: Callable[[str], None] = print,
    progress: Callable[[float], None] = lambda share: None,
) -> Comparison:
    """Trains every demo recipe for `seconds` of training clock and compares what came out; see `compare`.

    Writes the dataset first. `out` receives one run directory per arm and the figure.
    """
    arms = [budgeted(make(), seconds, seed) for make in recipes.ALL]
    prepare_data(say)
    return compare(arms, out, margin=MARGIN, fresh=True, say=say, progress=progress)


def prepare_data(say: Callable[[str], None]) -> None:
    """Draws the embedded dataset into betons. Always: it takes two seconds, and what lies there may be a part of it."""
    for written in write_dataset("demo"):
        say(f"drew {written['samples']} images into {written['path']} in {written['seconds']:.1f} s")
