"""The training loop, top to bottom. Everything it calls is elsewhere; everything that happens in a run is here."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.nn import Module

from fastssl.errors import InputError
from fastssl.methods.gather import world_size
from fastssl.optim import set_lr
from fastssl.recipe import Recipe
from fastssl.telemetry.clock import Clock
from fastssl.telemetry.energy import meter_for
from fastssl.telemetry.loggers import LoggerName, Loggers, require
from fastssl.telemetry.records import read_records
from fastssl.train import ranks
from fastssl.train.checkpoint import Position, load_checkpoint, save_checkpoint
from fastssl.train.log import EpochLog, FiniteGuard
from fastssl.train.observe import observation
from fastssl.train.probe import Prober
from fastssl.train.run_dir import RunDir
from fastssl.train.setup import Parts, build, resolve_device, start_card, warm_up
from fastssl.types import Batch

Say = Callable[[str], None]
"""Takes the start card, and one line per epoch and probe."""
Progress = Callable[[float], None]
"""Takes the share of the run that is done, 0 to 1; called every step."""


def quiet(share: float) -> None:
    """No progress shown."""


@dataclass(frozen=True)
class TrainResult:
    """What a run leaves behind; `metrics` are those of the final weights, accuracies as fractions of one."""

    run: str
    directory: str
    metrics: dict[str, float]
    clock: dict[str, Any]
    budget: dict[str, Any]


@ranks.together()
def train(
    recipe: Recipe,
    *,
    runs_dir: Path = Path("runs"),
    fresh: bool = False,
    append: Module | None = None,
    log: Sequence[LoggerName] = (),
    say: Say = print,
    progress: Progress = quiet,
) -> TrainResult:
    """Trains a recipe, probes it along the way, and returns the final metrics.

    The run's directory in `runs_dir` is named by the recipe's identity. A finished run is not repeated and an
    unfinished one is not overwritten, unless `fresh` says so. `append` is a module of one's own behind the
    augmentation (`augment.append`): it is part of the identity, and changes the views trained on, not those probed.
    `log` names loggers beside the lines of JSON that every run writes (`telemetry.loggers`); they are no part of it.
    Processes started by `torchrun` train one model together; `say` and `progress` are called in the first of them.

    Errors: `InputError` for an impossible recipe, missing data, or a loss that is not finite.
    """
    say, progress = ranks.only_first(say), ranks.only_first(progress)
    require(log)
    clock = _clock(recipe.device)
    with clock.phase("compile"):
        parts = build(recipe, append=append)
    recipe = parts.recipe
    run = RunDir.of(runs_dir, recipe, parts.facts)
    with closing(parts.loader):
        if not fresh and run.finished:
            say(f"run       {run.run_id} is finished; --fresh trains it again")
            return _result(run)
        if not fresh and run.checkpoint.exists():
            raise InputError(f"run {run.run_id} is unfinished; continue it with `fastssl train --resume {run.path}`, "
                             "or start over with --fresh")  # fmt: skip
        with _ready(parts, run, clock, say) as (prober, step_flops):
            ranks.on_first(lambda: run.begin(recipe, parts.facts))
            return _run(parts, prober, step_flops, run, clock, log, say, progress)


@ranks.together()
def resume(
    directory: Path,
    *,
    append: Module | None = None,
    log: Sequence[LoggerName] = (),
    say: Say = print,
    progress: Progress = quiet,
) -> TrainResult:
    """Continues a run from its last checkpoint (or from the start, when it had none yet) with its own recipe.

    On the CPU, a run counted in epochs then ends bit for bit as if it had never stopped.

    Errors: `InputError` as `train`, for a damaged checkpoint, and when the dataset or `append` is not the run's.
    """
    say, progress = ranks.only_first(say), ranks.only_first(progress)
    run = RunDir.existing(directory)
    recipe, facts = run.read_recipe()
    if int(facts.get("world_size", 1)) != world_size():
        raise InputError(f"world_size={world_size()} but {run.run_id} was begun by {facts.get('world_size', 1)} "
                         "processes; resume it with as many (torchrun --nproc-per-node N)")  # fmt: skip
    require(log)
    clock = _clock(facts["device"])
    with clock.phase("compile"):
        parts = build(recipe, facts, append)
    with closing(parts.loader):
        if parts.backend.name != facts["backend"]:
            raise InputError(f"append makes the backend {parts.backend.name}, but {run.run_id} was trained with "
                             f"{facts['backend']}; give append what it was given then, or nothing")  # fmt: skip
        if parts.info.fingerprint != facts["fingerprint"]:
            raise InputError(f"dataset={recipe.data.dataset} has other images than when {run.run_id} began "
                             "(its fingerprint differs); put the old beton back, or train anew")  # fmt: skip
        for name, value in parts.facts.items():  # those of the method: what is in the files its config names
            if value != facts.get(name):
                raise InputError(f"{name} differs from when {run.run_id} began; put the old file back, or train anew")
        if run.finished:
            say(f"run       {run.run_id} is finished; there is nothing to resume")
            return _result(run)
        with _ready(parts, run, clock, say) as (prober, step_flops):
            return _run(parts, prober, step_flops, run, clock, log, say, progress)


def _clock(device: str) -> Clock:
    """A clock of all processes' device-hours, and of its energy where that can be read."""
    kind = resolve_device(device).type
    return Clock(kind, world_size(), meter=meter_for(kind)[0])


@contextmanager
def _ready(parts: Parts, run: RunDir, clock: Clock, say: Say) -> Iterator[tuple[Prober | None, int]]:
    """Everything that can be refused is refused here, before a run's directory is made or touched.

    Gives the prober and holds the run's lock, both in the first process alone; and the operations of a step. The steps
    of `warm_up` are steps of all processes, so none still looks at what an earlier run left when the first removes it.
    """
    for line in start_card(parts, run.run_id):
        say(line)
    ranks.require_same("run", run.run_id)
    with ExitStack() as held:
        with clock.phase("compile"):
            prober = held.enter_context(closing(Prober(parts))) if ranks.is_first() else None
            step_flops = warm_up(parts)
        if prober is not None:
            with clock.phase("eval"):
                prober.look_at_untrained()
        if ranks.is_first():
            held.enter_context(run.locked())
        yield prober, step_flops


def _run(
    parts: Parts,
    prober: Prober | None,
    step_flops: int,
    run: RunDir,
    clock: Clock,
    loggers: Sequence[LoggerName],
    say: Say,
    progress: Progress,
) -> TrainResult:
    # ------------------------------------------------------------------ where it starts
    recipe, trainable = parts.recipe, parts.trainable
    position, last_good, metrics = Position(), "none yet", {}
    if run.checkpoint.exists():
        position = load_checkpoint(run.checkpoint, parts.identity, trainable, clock, parts.device)
        last_good = f"{run.checkpoint} at step {position.step}"
        say(f"resume    at epoch {position.epoch}, step {position.step}")
    ranks.on_first(lambda: run.keep_records(position.num_records))
    scalars = Loggers(run.path, loggers, position.step, say) if ranks.is_first() else Loggers.none()
    log, guard = EpochLog(position, clock), FiniteGuard(parts.device, recipe.method.kind)
    steps_per_epoch, saved_at = len(parts.loader), time.monotonic()

    def share_done() -> float:
        """Progress of schedule and run: of the time budget when there is one, else of the steps."""
        if recipe.epochs is not None:
            return position.step / (recipe.epochs * steps_per_epoch)
        assert recipe.budget_s is not None, "Recipe sees to it that there is one"
        return min(1.0, clock.spent_s("train", "data") / recipe.budget_s)

    def probe() -> dict[str, float]:
        assert prober is not None, "the first process has one, and nobody else is asked"
        metrics = prober()
        run.append(observation(run, parts, position, clock, metrics | log.means(), prober, step_flops))
        scalars.log(position.step, {"epoch": position.epoch, **{f"probe/{k}": v for k, v in metrics.items()}})
        say(f"probe     step {position.step}  ridge {metrics['ridge']:.2%}  knn {metrics['knn']:.2%}"
            + f"  {prober.skipped} damaged images left out" * bool(prober.skipped))  # fmt: skip
        if metrics["collapsed"]:
            rank, floor = metrics["effective_rank"], metrics["random_effective_rank"]
            say(f"collapse  at step {position.step} all images look alike to the encoder (effective rank {rank:.1f}, "
                f"untrained {floor:.1f}): see docs/health.md")  # fmt: skip
        return metrics

    # ------------------------------------------------------------------ the loop
    share = share_done()
    with closing(scalars), clock.phase("train"):
        while share < 1.0 or position.probes_done < recipe.probe.probes:
            for batch in _timed(parts.loader.epoch(position.epoch, position.step_in_epoch), clock):
                set_lr(trainable.optimizer, recipe.optim.lr_scale(share))
                trainable.on_step_start(position.step, share)
                output = parts.step(batch, position.epoch)
                trainable.on_step_end(position.step, share)
                position.advance(batch, recipe.views, steps_per_epoch)
                log.add(output)
                guard.watch(output.loss, position.step)
                share, since_saved_s = ranks.agreed(share_done(), time.monotonic() - saved_at)
                progress(share)
                if position.step % guard.every_steps == 0:
                    guard.check(None, position, last_good)

                # ------------------------------------------------------ probe: the clock of training stands still
                if share >= (position.probes_done + 1) / recipe.probe.probes:
                    guard.check(None, position, last_good)
                    with clock.phase("eval"):
                        position.probes_done = int(share * recipe.probe.probes + 1e-9)
                        metrics = ranks.on_first(probe)
                        position.num_records += 1

                # ------------------------------------------------------ epoch's line, checkpoint
                if position.step_in_epoch == 0:
                    say(log.line(metrics))
                    with clock.phase("checkpoint", sync=False):
                        scalars.log(position.step, log.scalars())
                    log.end_epoch()
                if share >= 1.0 or since_saved_s >= recipe.checkpoint_s:
                    guard.check(trainable.method, position, last_good)
                    with clock.phase("checkpoint"):
                        save_checkpoint(run.checkpoint, parts.identity, trainable, position, clock)
                    saved_at, last_good = time.monotonic(), f"{run.checkpoint} at step {position.step}"
                if share >= 1.0:
                    break

    ranks.on_first(run.finish)
    return _result(run)


def _timed(batches: Iterator[Batch], clock: Clock) -> Iterator[Batch]:
    """Charges the wait for each batch to the data phase, without making the device wait for it."""
    while True:
        with clock.phase("data", sync=False):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _result(run: RunDir) -> TrainResult:
    records = read_records([run.records]) if run.records.is_file() else []
    if not records:
        raise InputError(f"{run.records} has no record although the run is finished; train it anew with --fresh")
    last = records[-1]
    return TrainResult(run.run_id, str(run.path), last["metrics"], last["clock"], last["budget"])
