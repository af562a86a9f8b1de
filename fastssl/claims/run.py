"""Runs a form of a claim: every arm with every seed, in processes of their own; the records of all in one file."""

import dataclasses
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fastssl.claims.claim import Arm, Claim, Form, Machine
from fastssl.errors import InputError
from fastssl.probing.probe import Asked, probe_run
from fastssl.recipe import Recipe
from fastssl.report.verdict import Found, Run, judge, overall, runs_of
from fastssl.sweep import Outcome, Slots, run_pool
from fastssl.telemetry.clock import Clock
from fastssl.telemetry.files import write_atomically
from fastssl.telemetry.reading import read_records
from fastssl.telemetry.records import new_record, record_id
from fastssl.toy import ToyConfig, ToyResult, run_toy

SUITE = "claim"
Tell = Callable[[Sequence[tuple[str, int, str]]], None]
"""Takes (arm, seed, state) of every run whenever one changes."""


@dataclass(frozen=True)
class Judged:
    claim: Claim
    form: Form
    runs: list[Run]
    found: list[Found]

    @property
    def verdict(self) -> str:
        return overall(self.found)

    @property
    def num_seeds(self) -> int:
        return len(self.found[0].values)

    @property
    def title(self) -> str:
        return f"{self.claim.label} {self.claim.name}: {self.verdict}"

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """Per effect: what it says, its band, mean and interval, seeds, verdict."""
        return [
            (one.effect.says, one.effect.band.words(one.effect.write), one.words, str(len(one.values)), one.verdict)
            for one in self.found
        ]

    def to_json(self) -> dict[str, Any]:
        effects = [
            {"says": one.effect.says, "unit": one.effect.unit, "band": one.effect.band.words(one.effect.write),
             "values": list(one.values), "interval": one.interval, "verdict": one.verdict}
            for one in self.found
        ]  # fmt: skip
        return {"claim": self.claim.name, "verdict": self.verdict, "effects": effects}


def run_claim(
    claim: Claim,
    machine: Machine,
    out: Path,
    *,
    seeds: int | None = None,
    parallel: int | None = None,
    fresh: bool = False,
    tell: Tell = lambda states: None,
) -> Path:
    """Runs the claim's form for a machine and writes its records to OUT/<name>.jsonl, all at the end; the path.

    Runs that were finished in `out` are not repeated. `parallel` runs at a time: by default one per core, or one per
    GPU; a form that measures time has one.

    Errors: `InputError` when runs failed: a claim is not judged on what is left of it.
    """
    form = claim.form(machine)
    if machine == "gpu" and not torch.cuda.is_available():
        raise InputError("on=gpu but torch sees no CUDA device; give --on cpu, or see `fastssl doctor`")
    jobs = [(arm, seed) for seed in range(seeds or form.seeds) for arm in form.arms]
    at_once = 1 if form.alone else parallel or (len(os.sched_getaffinity(0)) if machine == "cpu" else 1)
    toys = [job for job in jobs if isinstance(job[0].work, ToyConfig)]
    recipes = [job for job in jobs if isinstance(job[0].work, Recipe)]
    records = [
        *_toy_records(claim, machine, toys, at_once, tell),
        *_train_records(claim, machine, form, recipes, out / "runs", at_once, fresh, tell),
    ]
    path = out / f"{claim.name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(record, allow_nan=False, ensure_ascii=False) + "\n" for record in records]
    write_atomically(path, "".join(lines).encode())
    return path


def judge_records(claim: Claim, path: Path) -> Judged:
    """The verdict on a file of records. Errors: `InputError` for records of other arms than the claim has now."""
    records = read_records([path])
    machine = records[0]["case"]["form"]
    form = claim.form(machine)
    runs = runs_of(records)
    if missing := {arm.name for arm in form.arms} ^ {run.arm for run in runs}:
        raise InputError(f"records={path} do not hold the arms of {claim.name} as it is now ({min(missing)!r}); "
                         f"run `fastssl claim {claim.name}` again")  # fmt: skip
    return Judged(claim, form, runs, judge(form.effects, runs))


def _toy_records(
    claim: Claim, machine: Machine, jobs: Sequence[tuple[Arm, int]], at_once: int, tell: Tell
) -> Iterator[dict[str, Any]]:
    if not jobs:
        return
    states = [(arm.name, seed, "waiting") for arm, seed in jobs]
    with ProcessPoolExecutor(at_once, multiprocessing.get_context("spawn")) as pool:
        configs = [dataclasses.replace(arm.work, seed=seed) for arm, seed in jobs]
        for i, (result, seconds) in enumerate(pool.map(_timed_toy, configs)):
            states[i] = (*states[i][:2], "done")
            tell(states)
            yield from _of_toy(claim, machine, jobs[i][0].name, result, seconds)


def _timed_toy(config: ToyConfig) -> tuple[ToyResult, float]:
    clock = Clock("cpu")
    with clock.phase("train"):
        result = run_toy(config)
    return result, clock.spent_s("train")


def _of_toy(claim: Claim, machine: Machine, arm: str, result: ToyResult, seconds: float) -> Iterator[dict[str, Any]]:
    config = result.config
    for point in result.history:
        images = point.step * config.batch_size
        yield new_record(
            suite=SUITE,
            case={**_about(claim, machine, arm), "seed": config.seed, "step": point.step,
                  "final": point.step == config.steps, "config": dataclasses.asdict(config)},
            scope=["augment", "train_step"],
            clock={**Clock("cpu").record(), "train_s": seconds},  # of the whole run: its points are not timed
            budget={"gpu_h": None, "views": images * config.views, "images": images, "steps": point.step,
                    "flops": None, "joules": None},
            metrics={"captured": point.captured, "effective_rank": point.effective_rank, "loss": point.loss},
            dataset={},
        )  # fmt: skip


def _train_records(
    claim: Claim,
    machine: Machine,
    form: Form,
    jobs: Sequence[tuple[Arm, int]],
    runs_dir: Path,
    at_once: int,
    fresh: bool,
    tell: Tell,
) -> Iterator[dict[str, Any]]:
    if not jobs:
        return
    recipes = [_named(claim, arm, seed) for arm, seed in jobs]
    slots = Slots.split(at_once, gpus=torch.cuda.device_count() if machine == "gpu" else 0)
    tell_states = lambda outcomes: tell([(*_place(job), _state(one)) for job, one in zip(jobs, outcomes)])
    outcomes = run_pool(recipes, runs_dir, slots, fresh=fresh, tell=tell_states)
    if failed := [one for one in outcomes if one.result is None]:
        raise InputError(f"{len(failed)} of {len(outcomes)} runs failed, the first: {failed[0].recipe.name}, "
                         f"seed {failed[0].recipe.seed}: {failed[0].error}")  # fmt: skip
    for (arm, _), outcome in zip(jobs, outcomes):
        assert outcome.result is not None, "checked above"
        directory = Path(outcome.result["directory"])
        records = read_records([directory / "records.jsonl"])
        records[-1]["metrics"] |= _looks(form, directory)
        for record in records:
            record["suite"] = SUITE
            record["case"] |= _about(claim, machine, arm.name)
            record["id"] = record_id(record)
            yield record


def _looks(form: Form, directory: Path) -> dict[str, float]:
    """Metrics of further probes of a finished run."""
    metrics: dict[str, float] = {}
    if form.few_labels:
        for record in probe_run(directory, Asked(kind=("ridge",), labels=form.few_labels)):
            metrics |= {name: value for name, value in record["metrics"].items() if name.startswith("ridge_labels")}
    if form.mlp:
        metrics |= next(probe_run(directory, Asked(kind=("mlp",))))["metrics"]
    return metrics


def _named(claim: Claim, arm: Arm, seed: int) -> Recipe:
    assert isinstance(arm.work, Recipe), "toys go elsewhere"
    plain = "".join(c if c.isalnum() or c in ".+=-" else "-" for c in arm.name)
    return dataclasses.replace(arm.work, name=f"{claim.name}-{plain}", seed=seed)


def _about(claim: Claim, machine: Machine, arm: str) -> dict[str, str]:
    return {"claim": claim.name, "form": machine, "arm": arm, "command": f"fastssl claim {claim.name} --on {machine}"}


def _place(job: tuple[Arm, int]) -> tuple[str, int]:
    return job[0].name, job[1]


def _state(outcome: Outcome) -> str:
    return f"{outcome.share:.0%}" if outcome.state == "running" else outcome.state
