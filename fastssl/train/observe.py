"""One evaluation point of a run, as the record that every curve and table is later made from."""

import resource
from typing import Any

import torch

from fastssl.methods.gather import world_size
from fastssl.telemetry.clock import Clock
from fastssl.telemetry.records import new_record
from fastssl.train.checkpoint import Position
from fastssl.train.probe import Prober
from fastssl.train.run_dir import RunDir
from fastssl.train.setup import Parts, dataset_facts


def observation(
    run: RunDir,
    parts: Parts,
    position: Position,
    clock: Clock,
    metrics: dict[str, float],
    prober: Prober,
    step_flops: int,
) -> dict[str, Any]:
    """The record of this moment: what was run, what it has cost so far, and what the probes say.

    `step_flops` are those of one process; all of them work alike.
    """
    recipe = parts.recipe
    epoch = position.epoch + position.step_in_epoch / len(parts.loader)
    final = position.probes_done == recipe.probe.probes
    return new_record(
        suite="train",
        case={
            "run": run.run_id,
            "name": recipe.name,
            "method": recipe.method.kind,
            "seed": recipe.seed,
            "epoch": epoch,
            "step": position.step,
            "final": final,
            "protocol": prober.protocol,
            "skipped": position.skipped,
            "skipped_by_probe": prober.skipped,
            "loader": parts.loader.describe(),
            "backend": parts.backend.name,
            "recipe": recipe.to_json(),
        },
        scope=["decode", "augment", "h2d", "train_step"],
        clock={**clock.record(), "data_wait": clock.data_wait()},
        budget={
            "gpu_h": clock.gpu_hours("train", "data"),
            "views": position.views,
            "images": position.images,
            "steps": position.step,
            "flops": step_flops * position.step * world_size(),
            "joules": clock.joules("train", "data"),
            "energy_source": clock.energy_source,
            "peak_memory_bytes": peak_memory_bytes(parts.device),
        },
        metrics=metrics,
        dataset=dataset_facts(parts.info),
    )


def peak_memory_bytes(device: torch.device) -> int:
    """Most that this process has held so far: of the GPU's memory as torch allots it, on a CPU of the machine's."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
