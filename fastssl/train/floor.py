"""Health of the encoder before its first step, which every probe's stands beside: high ranks alone say little.

It is rebuilt from the recipe's seed when a run begins and when it is resumed, so both know the same numbers and no
checkpoint carries them.
"""

from typing import TYPE_CHECKING

import torch
from torch import nn

from fastssl.evals.features import extract
from fastssl.evals.health import health
from fastssl.kernels.seeding import seeded
from fastssl.recipe import Recipe

if TYPE_CHECKING:
    from fastssl.train.probe import Prober


def untrained_encoder(recipe: Recipe) -> nn.Module:
    """The encoder as a run of this recipe begins with it, on the CPU; global random state is put back."""
    with seeded(recipe.seed):
        return recipe.model.build(recipe.spec.size)[0]


def untrained_health(prober: "Prober") -> dict[str, float]:
    """`random_alpha`, `random_alpha_r2`, `random_rankme`, `random_effective_rank` of the untrained encoder's test
    features. Its BatchNorm statistics are settled on the same images: normalisation is what a trained one has for free.
    """
    parts = prober.parts
    encoder = untrained_encoder(parts.recipe)
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
    features, _ = extract(encoder, prober.test_loader, prober.prepare, parts.dtype)
    return {f"random_{name}": value for name, value in health(features).items() if name != "collapsed"}
