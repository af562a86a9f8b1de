"""Recipes tuned for seconds to a target: the ladders of `fastssl speedrun`, one per machine kind.

A rung is the accuracy of a linear probe (closed-form ridge, one plain view, final weights) that every seed must reach.
The CPU ladder's settings were chosen at two epochs on a held-out tenth of the training images, by
`fastssl sweep --holdout .1` (docs/speedrun.md); the epochs of its rungs 60 and 65 are guesses. Rungs of the GPU ladder
are Agrawal 2023's points (85.6 % in 20, 91.7 % in 198 A100-minutes) and two more; their recipes are starting points
that nobody has timed yet.
"""

from collections.abc import Callable
from dataclasses import replace

from fastssl.methods.simclr import SimCLRConfig
from fastssl.optim import OptimConfig
from fastssl.recipe import ProbeConfig, Recipe
from fastssl.recipes.cifar10 import on_cpu, on_gpu


def _cpu(target: float, epochs: int) -> Recipe:
    """Nano; small mild crops, probed at the images' own 32 px, where things have the scale that the crops showed."""
    base = on_cpu()
    return replace(
        base,
        name=f"cifar10-speedrun-cpu-{target:g}",
        method=SimCLRConfig(temperature=0.2),
        optim=OptimConfig(lr=4e-3, weight_decay=1e-4, warmup_fraction=0.05),
        spec=replace(base.spec, size=24, crop_scale=(0.35, 1.0)),
        probe=ProbeConfig(probes=1, probe_size=32),
        batch_size=128,
        epochs=epochs,
        budget_s=None,
    )


def _gpu(target: float, epochs: int) -> Recipe:
    """ResNet-18, the same idea at a GPU's batch size; not yet run."""
    base = on_gpu()
    return replace(
        base,
        name=f"cifar10-speedrun-gpu-{target:g}",
        method=SimCLRConfig(temperature=0.2),
        optim=OptimConfig(lr=2e-3, weight_decay=1e-4, warmup_fraction=0.05),
        spec=replace(base.spec, crop_scale=(0.2, 1.0)),
        probe=ProbeConfig(probes=1),
        epochs=epochs,
    )


LADDERS: dict[str, dict[str, dict[float, Callable[[], Recipe]]]] = {
    "cifar10": {
        "cpu": {50: lambda: _cpu(50, 2), 60: lambda: _cpu(60, 16), 65: lambda: _cpu(65, 60)},
        "gpu": {80: lambda: _gpu(80, 20), 85.6: lambda: _gpu(85.6, 50), 90: lambda: _gpu(90, 200),
                91.7: lambda: _gpu(91.7, 500)},
    },
}  # fmt: skip
"""Dataset -> machine -> target in per cent -> recipe."""
