"""Recipes on the embedded dataset: small enough for two CPU cores, real enough to tell methods apart.

Chosen on two cores for about 60,000 views (20 seconds): small batches, because 256 images a step leave too few steps.
"""

from dataclasses import replace

from fastssl.methods.barlow_twins import BarlowTwinsConfig
from fastssl.methods.diet import DIETConfig
from fastssl.methods.random_encoder import RandomEncoderConfig
from fastssl.methods.simclr import SimCLRConfig
from fastssl.methods.supervised import SupervisedConfig
from fastssl.methods.vicreg import VICRegConfig
from fastssl.models import ModelConfig
from fastssl.optim import OptimConfig
from fastssl.recipe import DataConfig, ProbeConfig, Recipe
from fastssl.views import ViewSpec


def demo_simclr() -> Recipe:
    """SimCLR, two views, temperature .2. Price: 20 s of two CPU cores, see results/demo."""
    return Recipe(
        name="demo-simclr",
        data=DataConfig(dataset="demo"),
        model=ModelConfig(arch="nano"),
        method=SimCLRConfig(temperature=0.2),
        optim=OptimConfig(optimiser="adamw", lr=3e-3, weight_decay=1e-4, warmup_fraction=0.1),
        spec=ViewSpec(size=32, crop_scale=(0.2, 1.0)),
        probe=ProbeConfig(probes=5),
        batch_size=64,
        epochs=6,
    )


def demo_barlow() -> Recipe:
    """Barlow Twins, leave-one-out, 128-wide projector, weight 3/d. Price: see results/demo."""
    spec = ViewSpec(size=32, crop_scale=(0.3, 1.0))
    return replace(demo_simclr(), name="demo-barlow", method=BarlowTwinsConfig(projector_dim=128), spec=spec)


def demo_vicreg() -> Recipe:
    """VICReg, 128-wide projector; at three times this rate it ends 20 points lower. Price: see results/demo."""
    optim = replace(demo_simclr().optim, lr=1e-3)
    return replace(demo_simclr(), name="demo-vicreg", method=VICRegConfig(projector_dim=128), optim=optim)


def demo_diet() -> Recipe:
    """DIET: one view, the sample's index as its class, on a fifth of the images. Price: see results/demo.

    Its head has one row per image, and a row learns only when its image comes by: with 5,000 images and 60,000 views it
    hardly leaves its start. With 1,000, each comes by sixty times.
    """
    base = demo_simclr()
    optim = replace(base.optim, weight_decay=0.05)
    return replace(base, name="demo-diet", method=DIETConfig(), optim=optim, views=1, epochs=60,
                   data=replace(base.data, fraction=0.2))  # fmt: skip


def demo_supervised() -> Recipe:
    """Cross-entropy on the labels, one view: the ceiling. Price as demo-simclr, see results/demo."""
    spec = ViewSpec(size=32, crop_scale=(0.4, 1.0))
    return replace(demo_simclr(), name="demo-supervised", method=SupervisedConfig(), spec=spec, views=1, epochs=12)


def demo_random() -> Recipe:
    """The untrained encoder, its BatchNorm statistics settled in one pass: the floor."""
    return replace(demo_simclr(), name="demo-random", method=RandomEncoderConfig(), views=1, epochs=1,
                   probe=ProbeConfig(probes=1))  # fmt: skip


ALL = (demo_simclr, demo_barlow, demo_vicreg, demo_diet, demo_supervised, demo_random)
