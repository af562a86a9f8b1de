"""One run of a sweep in a process of its own: `python -m fastssl.sweep.worker < JOB`, a JSON document.

It answers in lines of JSON on standard output: {"share": .25} as the run goes on, then {"result": ...} or
{"error": "one line"}. The process that starts it decides cores and GPU by affinity and environment (`pool`).
"""

import dataclasses
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

SHARE_EVERY_S = 1.0


def run_job(job: dict[str, Any], progress=None) -> dict[str, Any]:
    """Trains `job["recipe"]` in `job["runs_dir"]`: finished runs are looked up, unfinished ones go on from their
    checkpoint. `progress(share)` is called every step."""
    import torch

    from fastssl.recipe import Recipe
    from fastssl.telemetry.environment import usable_cores
    from fastssl.train import resume, train
    from fastssl.train.loop import quiet

    torch.set_num_threads(min(torch.get_num_threads(), usable_cores()))
    recipe, runs_dir = Recipe.from_json(job["recipe"]), Path(job["runs_dir"])
    options = {"say": lambda line: print(line, file=sys.stderr, flush=True), "progress": progress or quiet}
    unfinished = None if job.get("fresh") else _unfinished(runs_dir, recipe)
    if unfinished is not None:
        return dataclasses.asdict(resume(unfinished, **options))
    return dataclasses.asdict(train(recipe, runs_dir=runs_dir, fresh=bool(job.get("fresh")), **options))


def _unfinished(runs_dir: Path, recipe) -> Path | None:
    """A run of this very recipe that was cut off after its first checkpoint."""
    for path in sorted(runs_dir.glob(f"{_escaped(recipe.name)}-*/checkpoint.pt")):
        if (path.parent / "finished").exists():
            continue
        stored = json.loads((path.parent / "recipe.json").read_text())["recipe"]
        if _comparable(stored) == _comparable(json.loads(json.dumps(recipe.to_json()))):
            return path.parent
    return None


def _comparable(recipe: dict[str, Any]) -> dict[str, Any]:
    """Without what a run settles itself."""
    return {name: value for name, value in recipe.items() if name not in ("precision", "checkpoint_s")}


def _escaped(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def main() -> int:
    job = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w")  # what libraries print to standard output must not mix with the answers
    os.dup2(2, 1)
    said = 0.0

    def progress(share: float) -> None:
        nonlocal said
        if time.monotonic() - said >= SHARE_EVERY_S:
            said = time.monotonic()
            print(json.dumps({"share": round(share, 4)}), file=answers, flush=True)

    try:
        print(json.dumps({"result": run_job(job, progress)}), file=answers, flush=True)
    except BaseException as error:  # of any kind: the sweep goes on, and says why this run did not
        traceback.print_exc()
        line = " ".join(str(error).split()) or type(error).__name__
        print(json.dumps({"error": line}), file=answers, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
