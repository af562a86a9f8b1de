"""Recipes on CIFAR-10: ResNet-18 for a GPU, and `nano` variants for a machine without one.

Views are the preset `small-projector-cifar` (Agrawal 2023) unless the recipe says otherwise; see docs/presets.md.
"""

from dataclasses import replace

from fastssl.augment.presets import get_preset
from fastssl.methods.barlow_twins import BarlowTwinsConfig
from fastssl.methods.byol import BYOLConfig
from fastssl.methods.diet import DIETConfig
from fastssl.methods.moco_v3 import MoCoV3Config
from fastssl.methods.random_encoder import RandomEncoderConfig
from fastssl.methods.simclr import SimCLRConfig
from fastssl.methods.simsiam import SimSiamConfig
from fastssl.methods.supervised import SupervisedConfig
from fastssl.methods.vicreg import VICRegConfig
from fastssl.models import ModelConfig
from fastssl.optim import OptimConfig
from fastssl.recipe import DataConfig, ProbeConfig, Recipe

(VIEW,) = get_preset("small-projector-cifar")


def cifar10_simclr() -> Recipe:
    """SimCLR, ResNet-18, 100 epochs.

    Command: fastssl train cifar10-simclr. Hardware: one GPU. Price and accuracy: not yet run.
    """
    return Recipe(
        name="cifar10-simclr",
        data=DataConfig(dataset="cifar10"),
        model=ModelConfig(arch="resnet18"),
        method=SimCLRConfig(temperature=0.5),
        optim=OptimConfig(optimiser="adamw", lr=1e-3, weight_decay=1e-4, warmup_fraction=0.05),
        spec=VIEW,
        probe=ProbeConfig(probes=10),
        batch_size=512,
        epochs=100,
    )


def cifar10_barlow() -> Recipe:
    """Barlow Twins, ResNet-18, small projector (d = 256, redundancy weight 3/d), 100 epochs; not yet run."""
    return replace(cifar10_simclr(), name="cifar10-barlow", method=BarlowTwinsConfig(projector_dim=256))


def cifar10_vicreg() -> Recipe:
    """VICReg, ResNet-18, 100 epochs; not yet run."""
    return replace(cifar10_simclr(), name="cifar10-vicreg", method=VICRegConfig())


def cifar10_moco_v3() -> Recipe:
    """MoCo v3, ResNet-18, temperature .2, momentum .99 as its authors for 100 epochs; not yet run."""
    return replace(cifar10_simclr(), name="cifar10-moco-v3", method=MoCoV3Config())


def cifar10_byol() -> Recipe:
    """BYOL, ResNet-18, 100 epochs; not yet run.

    The target's momentum begins at .99: its authors take .996 for 1000 epochs, .99 for 300 and 100, .97 for 40.
    """
    return replace(cifar10_simclr(), name="cifar10-byol", method=BYOLConfig(target_momentum=0.99))


def cifar10_simsiam() -> Recipe:
    """SimSiam, ResNet-18, 100 epochs; not yet run.

    Views, heads and optimiser are those of the paper's appendix D (two layers in the projector, SGD at .03 x batch /
    256, decay 5e-4 on every weight, crops of 20-100 %, colours .4/.4/.4/.1, no blur), which trains for 800 epochs.
    """
    (view,) = get_preset("moco-v2", size=32)
    method = SimSiamConfig(projector_hidden=2048, projector_depth=2)
    optim = OptimConfig(optimiser="sgd", lr=0.06, weight_decay=5e-4, exclude_norm_and_bias=False)
    return replace(cifar10_simclr(), name="cifar10-simsiam", method=method, optim=optim,
                   spec=replace(view, blur_p=0.0))  # fmt: skip


def cifar10_fastsiam() -> Recipe:
    """FastSiam: SimSiam that predicts the mean of three other views, 50 epochs for as many views; not yet run."""
    base = cifar10_simsiam()
    method = replace(base.method, multiview="mean_target")
    return replace(base, name="cifar10-fastsiam", method=method, views=4, epochs=50)


def cifar10_diet() -> Recipe:
    """DIET at strength 3 (preset `diet-3`), ResNet-18, long schedule (Ibrahim 2024); not yet run."""
    (spec,) = get_preset("diet-3")
    optim = OptimConfig(optimiser="adamw", lr=1e-3, weight_decay=0.05, warmup_fraction=0.02)
    return replace(cifar10_simclr(), name="cifar10-diet", method=DIETConfig(), spec=spec, optim=optim, views=1,
                   batch_size=256, epochs=500)  # fmt: skip


def cifar10_supervised() -> Recipe:
    """Cross-entropy on the labels, ResNet-18, crops of 25-100 % and flips: the ceiling; not yet run."""
    spec = replace(VIEW, crop_scale=(0.25, 1.0), jitter_p=0.0, gray_p=0.0)
    return replace(cifar10_simclr(), name="cifar10-supervised", method=SupervisedConfig(), spec=spec, views=1)


def cifar10_random() -> Recipe:
    """The untrained ResNet-18, its BatchNorm statistics settled in one pass: the floor."""
    return replace(cifar10_simclr(), name="cifar10-random", method=RandomEncoderConfig(), views=1, epochs=1,
                   probe=ProbeConfig(probes=1))  # fmt: skip


def cifar10_nano_simclr() -> Recipe:
    """SimCLR with the nano net, ten minutes of training clock on two CPU cores. Price: see results/train."""
    base = cifar10_simclr()
    spec = replace(base.spec, crop_scale=(0.2, 1.0))  # a short run learns faster from milder crops
    return _nano(replace(base, method=SimCLRConfig(temperature=0.2), spec=spec), "cifar10-nano-simclr")


def cifar10_nano_supervised() -> Recipe:
    """The nano net on labels, ten minutes of training clock on two CPU cores: the ceiling. Price: see results/train."""
    return _nano(cifar10_supervised(), "cifar10-nano-supervised")


def cifar10_nano_random() -> Recipe:
    """The untrained nano net: the floor of the CPU runs."""
    return replace(_nano(cifar10_random(), "cifar10-nano-random"), epochs=1, budget_s=None)


def _nano(recipe: Recipe, name: str) -> Recipe:
    """A CPU's version: nano net, batches of 256 for more steps in the time, a fixed time."""
    optim = replace(recipe.optim, lr=2e-3)
    probe = replace(recipe.probe, probes=min(recipe.probe.probes, 6))
    return replace(recipe, name=name, model=ModelConfig(arch="nano"), optim=optim, probe=probe, batch_size=256,
                   epochs=None, budget_s=600.0)  # fmt: skip


ALL = (
    cifar10_simclr,
    cifar10_barlow,
    cifar10_vicreg,
    cifar10_moco_v3,
    cifar10_byol,
    cifar10_simsiam,
    cifar10_fastsiam,
    cifar10_diet,
    cifar10_supervised,
    cifar10_random,
    cifar10_nano_simclr,
    cifar10_nano_supervised,
    cifar10_nano_random,
)
