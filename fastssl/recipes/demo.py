"""Recipes on the embedded dataset: small enough for two CPU cores, real enough to tell methods apart."""

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

VIEW = ViewSpec(size=32, crop_scale=(0.2, 1.0), hue=0.1)


def demo_simclr() -> Recipe:
    """SimCLR on the embedded dataset.

    Command: fastssl train demo-simclr. Hardware: 2 CPU cores. Price: see results/demo.
    """
    return Recipe(
        name="demo-simclr",
        data=DataConfig(dataset="demo"),
        model=ModelConfig(arch="nano"),
        method=SimCLRConfig(),
        optim=OptimConfig(optimiser="adamw", lr=2e-3, weight_decay=1e-4, warmup_fraction=0.1),
        spec=VIEW,
        probe=ProbeConfig(probes=5),
        batch_size=256,
        epochs=20,
    )


def demo_barlow() -> Recipe:
    """Barlow Twins on the embedded dataset, leave-one-out form, small projector."""
    return replace(demo_simclr(), name="demo-barlow", method=BarlowTwinsConfig())


def demo_vicreg() -> Recipe:
    """VICReg on the embedded dataset."""
    return replace(demo_simclr(), name="demo-vicreg", method=VICRegConfig())


def demo_diet() -> Recipe:
    """DIET on the embedded dataset: one view, the sample's index as its class."""
    return replace(demo_simclr(), name="demo-diet", method=DIETConfig(), views=1)


def demo_supervised() -> Recipe:
    """Supervised training on the embedded dataset: the ceiling."""
    return replace(demo_simclr(), name="demo-supervised", method=SupervisedConfig(), views=1)


def demo_random() -> Recipe:
    """The untrained encoder, its BatchNorm statistics settled: the floor."""
    return replace(demo_simclr(), name="demo-random", method=RandomEncoderConfig(), views=1, epochs=1,
                   probe=ProbeConfig(probes=1))  # fmt: skip


ALL = (demo_simclr, demo_barlow, demo_vicreg, demo_diet, demo_supervised, demo_random)
