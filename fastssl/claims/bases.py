"""The recipes that claims start from: small enough for two CPU cores, and for a few minutes of one GPU.

On a CPU: nano on views of 16 px, of which a core trains some thousand a second. On a GPU: micro at 32 px. SimCLR's
temperature was chosen on a held-out tenth of the training images (docs/speedrun.md), its rate between the two that did
best there; the other methods take the same rate, and nothing was searched for them or for the GPU.
"""

from dataclasses import replace
from typing import Any

from fastssl.methods import MethodConfig
from fastssl.methods.barlow_twins import BarlowTwinsConfig
from fastssl.methods.diet import DIETConfig
from fastssl.methods.random_encoder import RandomEncoderConfig
from fastssl.methods.simclr import SimCLRConfig
from fastssl.models import ModelConfig
from fastssl.optim import OptimConfig
from fastssl.recipe import DataConfig, ProbeConfig, Recipe
from fastssl.recipes.arms import FLOOR
from fastssl.recipes.cifar10 import on_cpu, on_gpu
from fastssl.report.verdict import Seen

CIFAR_TRAIN = 50_000
SIMCLR = SimCLRConfig(temperature=0.2)
BARLOW = BarlowTwinsConfig(projector_dim=128)
DIET = DIETConfig()
RANDOM = RandomEncoderConfig()


def cpu_base(method: MethodConfig = SIMCLR, *, images: int = CIFAR_TRAIN, epochs: int = 1, **changes: Any) -> Recipe:
    """Nano, 16 px, batches of 256, AdamW 4e-3 after a short warm-up, one probe at the end."""
    base = on_cpu()
    fields = {
        "method": method,
        "optim": OptimConfig(lr=4e-3, weight_decay=1e-4, warmup_fraction=0.05),
        "spec": replace(base.spec, size=16),
        "data": DataConfig(dataset="cifar10", fraction=images / CIFAR_TRAIN),
        "probe": ProbeConfig(probes=1),
        "epochs": epochs,
        "budget_s": None,
    }
    return _made(base, fields | changes)


def gpu_base(method: MethodConfig = SIMCLR, *, images: int = CIFAR_TRAIN, epochs: int = 20, **changes: Any) -> Recipe:
    """Micro, 32 px, batches of 512, AdamW 2e-3 after a short warm-up, one probe at the end."""
    base = on_gpu()
    fields = {
        "method": method,
        "model": ModelConfig(arch="micro"),
        "optim": OptimConfig(lr=2e-3, weight_decay=1e-4, warmup_fraction=0.05),
        "data": DataConfig(dataset="cifar10", fraction=images / CIFAR_TRAIN),
        "probe": ProbeConfig(probes=1),
        "epochs": epochs,
    }
    return _made(base, fields | changes)


def floor_of(recipe: Recipe) -> Recipe:
    """The untrained encoder of a recipe's network, its BatchNorm statistics settled in one pass."""
    once = {name: value for name, value in FLOOR.run.items() if name != "more_specs"}
    return replace(recipe, method=RANDOM, more_specs=(), **once)


def gap(over: str, under: str, metric: str = "ridge"):
    """The effect "how much better is one arm than another", in the metric."""

    def of(seen: Seen) -> float:
        return seen[over][metric] - seen[under][metric]

    return of


def _made(base: Recipe, fields: dict[str, Any]) -> Recipe:
    if fields["method"].kind == "diet":
        fields = {"views": 1} | fields
    return replace(base, **fields)
