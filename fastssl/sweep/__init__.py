"""Many runs of recipes: the grid (`axes`), a fresh process per run (`worker`, `pool`), Slurm arrays (`slurm`)."""

from fastssl.sweep.axes import Axis, parse_axis, recipes_over
from fastssl.sweep.pool import Outcome, Slots, run_pool

__all__ = ["Axis", "Outcome", "Slots", "parse_axis", "recipes_over", "run_pool"]
