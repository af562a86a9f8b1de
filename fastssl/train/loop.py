"""The training loop, top to bottom. Everything it calls is elsewhere; everything that happens in a run is here."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastssl.errors import InputError
from fastssl.optim import set_lr
from fastssl.recipe import Recipe
from fastssl.telemetry.clock import Clock
from fastssl.telemetry.records import read_records
from fastssl.train.checkpoint import Position, load_checkpoint, save_checkpoint
from fastssl.train.log import EpochLog, FiniteGuard
from fastssl.train.observe import observation
from fastssl.train.probe import Prober
from fastssl.train.run_dir import RunDir
from fastssl.train.setup import build, resolve_device, start_card, warm_up
from fastssl.types import Batch


@dataclass(frozen=True)
class TrainResult:
    """What a run leaves behind; `metrics` are those of the final weights, accuracies as fractions of one."""

    run: str
    directory: str
    metrics: dict[str, float]
    clock: dict[str, Any]
    budget: dict[str, Any]


def train(
    recipe: Recipe | None,
    *,
    runs_dir: Path = Path("runs"),
    resume: Path | None = None,
    fresh: bool = False,
    say: Callable[[str], None] = print,
    progress: Callable[[float], None] = lambda share: None,
) -> TrainResult:
    """Trains a recipe, probes it along the way, and returns the final metrics.

    Args:
        recipe: what to run; None with `resume`, which brings its own.
        runs_dir: where run directories live; the run's own is named by the recipe's identity.
        resume: a run directory to continue from its last checkpoint.
        fresh: start over although a run of this identity exists.
        say: takes the start card and one line per epoch and probe.
        progress: takes the share done, 0 to 1; called every step.

    Errors: `InputError` for an impossible recipe, missing data, a damaged checkpoint, or a loss that is not finite.
    """
    # ------------------------------------------------------------------ what runs, and where it is kept
    if resume is not None:
        recipe, _ = RunDir.existing(resume).read_recipe()
    assert recipe is not None, "train needs a recipe or a run to resume"
    clock = Clock(resolve_device(recipe.device).type)
    with clock.phase("compile"):
        parts = build(recipe)
    run = RunDir.existing(resume) if resume else RunDir.of(runs_dir, recipe, parts.facts)
    identity = recipe.identity(**parts.facts)
    with run.locked():
        if fresh:
            run.clear()
        if run.finished:
            say(f"run       {run.run_id} is finished; --fresh trains it again")
            return _result(run, recipe)
        if resume is None and run.checkpoint.exists():
            raise InputError(f"run {run.run_id} is unfinished; continue it with `fastssl train --resume {run.path}`, "
                             "or start over with --fresh")  # fmt: skip
        if resume is None:
            run.clear()
            run.write_recipe(recipe, parts.facts)

        # -------------------------------------------------------------- where it starts
        for line in start_card(parts, run.run_id):
            say(line)
        with clock.phase("compile"):
            warm_up(parts)
            prober = Prober(recipe, parts.info, parts.backend, parts.device)
        position, last_good = Position(), "none yet"
        if resume is not None and run.checkpoint.exists():
            position = load_checkpoint(run.checkpoint, identity, parts.trainable, clock, parts.device)
            last_good = f"{run.checkpoint} at step {position.step}"
            say(f"resume    at epoch {position.epoch}, step {position.step}")
        run.keep_records(position.num_records)
        log, guard = EpochLog(position, clock), FiniteGuard(parts.device, recipe.method.kind)
        steps_per_epoch, saved_at, metrics = len(parts.loader), time.monotonic(), {}

        def share_done() -> float:
            """Progress of schedule and run: of the time budget when there is one, else of the steps."""
            if recipe.budget_s is not None:
                return min(1.0, clock.spent_s("train", "data") / recipe.budget_s)
            return position.step / (recipe.epochs * steps_per_epoch)

        # -------------------------------------------------------------- the loop
        share = share_done()
        with clock.phase("train"):
            while share < 1.0 or position.probes_done < recipe.probe.probes:
                for batch in _timed(parts.loader.epoch(position.epoch, position.step_in_epoch), clock):
                    set_lr(parts.trainable.optimizer, recipe.optim.lr_scale(share))
                    output = parts.step(batch, position.epoch)
                    position.advance(len(batch.index), recipe.views, steps_per_epoch)
                    log.add(output)
                    guard.watch(output.loss, position.step)
                    parts.trainable.on_step_end(position.step)
                    share = share_done()
                    progress(share)
                    if position.step % guard.every_steps == 0:
                        guard.check(None, position, last_good)

                    # ---------------------------------------------- probe: the clock of training stands still
                    if share >= (position.probes_done + 1) / recipe.probe.probes:
                        guard.check(None, position, last_good)
                        with clock.phase("eval"):
                            metrics = prober(parts.trainable.encoder, parts.dtype)
                            position.probes_done = int(share * recipe.probe.probes + 1e-9)
                            run.append(observation(run, recipe, parts, position, clock, metrics | log.means(), prober))
                            position.num_records += 1
                        say(f"probe     step {position.step}  ridge {metrics['ridge']:.2%}  knn {metrics['knn']:.2%}")

                    # ---------------------------------------------- checkpoint
                    epoch_ended = position.step_in_epoch == 0
                    if epoch_ended:
                        say(log.line(metrics))
                        log.end_epoch()
                    if share >= 1.0 or time.monotonic() - saved_at >= recipe.checkpoint_s:
                        guard.check(parts.trainable.method, position, last_good)
                        with clock.phase("checkpoint"):
                            save_checkpoint(run.checkpoint, identity, parts.trainable, position, clock)
                        saved_at, last_good = time.monotonic(), f"{run.checkpoint} at step {position.step}"
                    if share >= 1.0:
                        break

        # -------------------------------------------------------------- done
        parts.loader.close()
        prober.close()
        run.finish()
        return _result(run, recipe)


def _timed(batches: Iterator[Batch], clock: Clock) -> Iterator[Batch]:
    """Charges the wait for each batch to the data phase, without making the device wait for it."""
    while True:
        with clock.phase("data", sync=False):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _result(run: RunDir, recipe: Recipe) -> TrainResult:
    last = read_records([run.records])[-1]
    return TrainResult(run.run_id, str(run.path), last["metrics"], last["clock"], last["budget"])
