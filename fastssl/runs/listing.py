"""Runs as a table: one row each, damaged ones too."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from fastssl.runs.find import find_runs
from fastssl.runs.locks import held_inodes
from fastssl.runs.read import Run, State, read_run

Sort = Literal["recipe", "accuracy", "time", "name"]
HEADER = ("run", "recipe", "method", "dataset", "seed", "state", "steps", "epochs", "compute s", "ridge", "kNN",
          "checkpoint MB", "changed (UTC)")  # fmt: skip
NOTE = (
    "Runs of one recipe hash differ in their seed alone; compute: training and waiting for data up to the last probe, "
    "times the devices; ridge and kNN: the last probe of training."
)


def list_runs(
    roots: Sequence[Path], *, sort: Sort = "recipe", method: str = "", dataset: str = "", state: State | None = None
) -> list[Run]:
    """The runs below the roots that fit the filters, sorted. Errors: `InputError` for a root that is no folder."""
    held = held_inodes()
    runs = [read_run(path, held) for path in find_runs(roots)]
    runs = [
        run
        for run in runs
        if (not method or _of(run, "method", "kind") == method.replace("-", "_"))
        and (not dataset or _of(run, "data", "dataset") == dataset)
        and (state is None or run.state == state)
    ]
    if sort == "accuracy":
        return sorted(runs, key=lambda run: -(run.metric("ridge") or -1.0))
    if sort == "time":
        return sorted(runs, key=lambda run: run.changed_utc, reverse=True)
    if sort == "name":
        return sorted(runs, key=lambda run: run.run_id)
    return sorted(runs, key=lambda run: (not run.recipe, run.recipe.get("name", ""), run.arm, _seed(run), run.run_id))


def row_of(run: Run) -> dict[str, Any]:
    """The numbers of one row; None where there is none."""
    return {
        "run": run.run_id,
        "path": str(run.path),
        "recipe": run.arm or None,
        "name": run.recipe.get("name"),
        "method": _of(run, "method", "kind"),
        "dataset": _of(run, "data", "dataset"),
        "seed": run.recipe.get("seed"),
        "state": run.state,
        "damage": run.damage or None,
        "resumable_at_step": run.position.get("step") if run.state in ("unfinished", "running") else None,
        "steps": run.step,
        "epochs": run.last["case"]["epoch"] if run.last else None,
        "compute_s": run.compute_s,
        "ridge": run.metric("ridge"),
        "knn": run.metric("knn"),
        "checkpoint_bytes": run.checkpoint_bytes,
        "changed_utc": run.changed_utc,
    }


def cells_of(run: Run) -> tuple[str, ...]:
    """The texts of one row, below `HEADER`."""
    row = row_of(run)
    size = row["checkpoint_bytes"]
    return (
        *(run.run_id, run.arm or "—", row["method"] or "—", row["dataset"] or "—", _text(row["seed"], "d"), run.said),
        *(_text(row["steps"], ",d"), _text(row["epochs"], ".2f"), _text(row["compute_s"], ",.1f")),
        *(_text(row["ridge"], ".2%"), _text(row["knn"], ".2%"), _text(None if size is None else size / 1e6, ",.1f")),
        run.changed_utc[:16].replace("T", " "),
    )


def aligned(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """One line per row, columns padded and never cut: ids stay whole where the terminal is narrow."""
    table = [tuple(header), *map(tuple, rows)]
    widths = [max(len(row[i]) for row in table) for i in range(len(header))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in table]


def _text(value: Any, form: str) -> str:
    return "—" if value is None else format(value, form)


def _of(run: Run, block: str, field: str) -> str | None:
    return run.recipe.get(block, {}).get(field)


def _seed(run: Run) -> int:
    seed = run.recipe.get("seed")
    return seed if isinstance(seed, int) else -1
