"""Health at every probe: cheap measures of the test features, those of the untrained encoder, and the collapse alarm.

The untrained encoder is rebuilt from the recipe's seed when a run begins and when it is resumed, so that both know the
same numbers and nothing of it needs a checkpoint.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from fastssl.evals.features import extract
from fastssl.evals.health import measures, spectra
from fastssl.recipe import Recipe

if TYPE_CHECKING:
    from fastssl.train.probe import Prober

COLLAPSED_RANK = 1.2
"""Effective rank below which the features lie on a line. Supervised features of C classes end near C - 1."""
COLLAPSED_SPREAD = 0.01
"""Share of the untrained encoder's relative variance, below which the features have shrunk to a point."""


@dataclass(frozen=True)
class Health:
    """What the measures say of one encoder."""

    metrics: dict[str, float]
    """`alpha`, `alpha_r2` (where a law can be fitted), `rankme`, `effective_rank`."""
    spread: float
    """Variance as a share of the mean squared length, 0 to 1."""

    @classmethod
    def of(cls, x: Tensor) -> "Health":
        found = spectra(x)
        return cls(measures(found), found.spread)

    def collapsed(self, untrained: "Health") -> bool:
        """Whether the features lie on a line or have shrunk to a point, which the untrained encoder's have not."""
        rank, spread = self.metrics["effective_rank"], self.spread
        return rank < COLLAPSED_RANK or spread < COLLAPSED_SPREAD * untrained.spread

    def beside(self, untrained: "Health") -> dict[str, float]:
        """Metrics of a record: these, the untrained encoder's as `random_...`, and `collapsed`, 0 or 1."""
        floor = {f"random_{name}": value for name, value in untrained.metrics.items()}
        return {**self.metrics, **floor, "collapsed": float(self.collapsed(untrained))}


def alarm(metrics: dict[str, float]) -> str | None:
    """One line for a probe that found the representation collapsed; None for a healthy one."""
    if not metrics["collapsed"]:
        return None
    return (
        f"COLLAPSED effective rank {metrics['effective_rank']:.2f} (untrained {metrics['random_effective_rank']:.1f}): "
        "all images look alike to the encoder; lower --lr, or strengthen what keeps features apart (docs/health.md)"
    )


def build_encoder(recipe: Recipe) -> tuple[nn.Module, int]:
    """The encoder as a run of this recipe begins with it, on the CPU, and the width of its features; global random
    state is put back."""
    before = torch.default_generator.get_state()
    torch.default_generator.manual_seed(recipe.seed)
    try:
        return recipe.model.build(recipe.spec.size)
    finally:
        torch.default_generator.set_state(before)


def untrained_health(prober: "Prober") -> Health:
    """Of the untrained encoder on the test split, its BatchNorm statistics settled on the same images: normalisation
    is what a trained encoder has for free."""
    parts = prober.parts
    encoder, _ = build_encoder(parts.recipe)
    encoder.to(device=parts.device, memory_format=torch.channels_last).train()  # pyright: ignore
    for module in encoder.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # the mean over batches
    with torch.no_grad():
        for batch in prober.test_loader.epoch(0):
            x = prober.prepare(batch)
            if len(x) > 1:  # one image has no variance
                with torch.autocast(x.device.type, parts.dtype, enabled=parts.dtype != torch.float32):
                    encoder(x)
    x, _ = extract(encoder, prober.test_loader, prober.prepare, parts.dtype)
    return Health.of(x)
