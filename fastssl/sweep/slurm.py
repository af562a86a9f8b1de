"""A sweep as one Slurm array: a job per run, each the same worker as on one's own machine; through submitit (extra).

`folder` receives submitit's scripts, logs and pickles, `<job>_<task>_log.out` among them. A run that is cut off at its
time limit goes on from its checkpoint when the same sweep is submitted again.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastssl.errors import InputError
from fastssl.recipe import Recipe
from fastssl.sweep.worker import run_job

INSTALL = "slurm=True needs submitit; install fastssl-vision[slurm]"


def submit(
    recipes: Sequence[Recipe],
    runs_dir: Path,
    folder: Path,
    *,
    minutes: int,
    at_once: int,
    gpus: int = 1,
    cores: int = 8,
    partition: str = "",
    cluster: str = "slurm",
    fresh: bool = False,
) -> list[Any]:
    """Submits every recipe as a task of one array and returns submitit's jobs, in order; does not wait for them.

    Args:
        minutes: time limit of a run.
        at_once: tasks of the array that may run at a time.
        cluster: `slurm`; of submitit's other executors `local` starts them here, `debug` runs them in this process.

    Errors: `InputError` without submitit, or without Slurm's `sbatch` where it is asked for.
    """
    if importlib.util.find_spec("submitit") is None:
        raise InputError(INSTALL)
    import submitit

    try:
        executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
    except RuntimeError as error:
        raise InputError(f"cluster={cluster} cannot be used here: {error}") from error
    executor.update_parameters(
        name="fastssl", timeout_min=minutes, cpus_per_task=cores, gpus_per_node=gpus, slurm_array_parallelism=at_once,
        **({"slurm_partition": partition} if partition else {}),
    )  # fmt: skip
    jobs = [{"recipe": recipe.to_json(), "runs_dir": str(runs_dir.resolve()), "fresh": fresh} for recipe in recipes]
    return executor.map_array(run_job, jobs)
