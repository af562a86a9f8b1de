"""Recipes on CIFAR-10: ResNet-18 for a GPU, and `nano` variants for a machine without one.

Views are the preset `small-projector-cifar` (Agrawal 2023) unless the recipe says otherwise; see docs/presets.md.
"""

from dataclasses import replace

from fastssl.augment.presets import get_preset
from fastssl.methods.barlow_twins import BarlowTwinsConfig
from fastssl.methods.byol import BYOLConfig
from fastssl.methods.cissl import CISSLConfig
from fastssl.methods.diet import DIETConfig
from fastssl.methods.dino import DINOConfig
from fastssl.methods.directclr import DirectCLRConfig
from fastssl.methods.dissl import DISSLConfig
from fastssl.methods.idealized import IdealizedConfig
from fastssl.methods.moco_v3 import MoCoV3Config
from fastssl.methods.simclr import SimCLRConfig
from fastssl.methods.simsiam import SimSiamConfig
from fastssl.methods.spectral import SpectralConfig
from fastssl.methods.supervised import SupervisedConfig
from fastssl.methods.swav import SwAVConfig
from fastssl.methods.vicreg import VICRegConfig
from fastssl.models import ModelConfig
from fastssl.optim import OptimConfig
from fastssl.recipe import DataConfig, ProbeConfig, Recipe
from fastssl.recipes.arms import FLOOR, SMALL, Arm, recipes_of

(VIEW,) = get_preset("small-projector-cifar")


def on_gpu() -> Recipe:
    """CIFAR-10, ResNet-18, batches of 512, 100 epochs unless said otherwise; one GPU."""
    return Recipe(
        name="cifar10",
        data=DataConfig(dataset="cifar10"),
        model=ModelConfig(arch="resnet18"),
        optim=OptimConfig(optimiser="adamw", lr=1e-3, weight_decay=1e-4, warmup_fraction=0.05),
        spec=VIEW,
        probe=ProbeConfig(probes=10),
        batch_size=512,
        epochs=100,
    )


def on_cpu() -> Recipe:
    """CIFAR-10, nano net, batches of 256 for more steps, ten minutes of training clock on two cores."""
    base = on_gpu()
    spec = replace(base.spec, crop_scale=(0.2, 1.0))  # a short run learns faster from milder crops
    return replace(base, model=ModelConfig(arch="nano"), optim=replace(base.optim, lr=2e-3), spec=spec, batch_size=256,
                   probe=ProbeConfig(probes=6), epochs=None, budget_s=600.0)  # fmt: skip


_LABELLED = replace(VIEW, crop_scale=(0.25, 1.0), jitter_p=0.0, gray_p=0.0)
NANO = (
    Arm(name="simclr", about="SimCLR, temperature .2", method=SimCLRConfig(temperature=0.2)),
    Arm(name="cissl", about="CISSL", method=CISSLConfig(temperature=0.2, projector_hidden=256)),
    Arm(name="directclr", about="DirectCLR on a quarter of the features", method=DirectCLRConfig(
        temperature=0.2, num_features=64)),
    Arm(name="moco-v3", about="MoCo v3", method=MoCoV3Config(
        projector_dim=128, projector_hidden=256, predictor_hidden=256)),
    Arm(name="spectral", about="Spectral contrastive, d = 256", method=SpectralConfig(
        projector_dim=256, projector_hidden=256)),
    Arm(name="idealized", about="The idealized loss, d = 128", method=IdealizedConfig(projector_dim=128)),
    Arm(name="barlow", about="Barlow Twins, d = 128", method=BarlowTwinsConfig(projector_dim=128)),
    Arm(name="vicreg", about="VICReg, d = 128", method=VICRegConfig(projector_dim=128)),
    Arm(name="byol", about="BYOL, momentum from .98", method=BYOLConfig(
        target_momentum=0.98, projector_dim=128, projector_hidden=256, predictor_hidden=256)),
    Arm(name="simsiam", about="SimSiam, SGD", method=SimSiamConfig(
        projector_dim=256, projector_hidden=256, projector_depth=2, predictor_hidden=64),
        optim={"optimiser": "sgd", "lr": 0.1, "weight_decay": 5e-4, "exclude_norm_and_bias": False}),
    Arm(name="dino", about="DINO, 512 outputs, momentum from .98", method=DINOConfig(
        num_outputs=512, projector_dim=64, projector_hidden=256, projector_bn=True, teacher_momentum=0.98)),
    Arm(name="swav", about="SwAV, 128 prototypes", method=SwAVConfig(
        num_prototypes=128, projector_dim=64, projector_hidden=256)),
    Arm(name="dissl", about="DISSL, 512 outputs of rank 128", method=DISSLConfig(
        num_outputs=512, head_rank=128, teacher_hidden=256)),
    Arm(name="diet", about="DIET on a tenth of the images, each of which so comes by more often", method=DIETConfig(),
        optim={"weight_decay": 0.05}, run={"views": 1, "data": DataConfig(dataset="cifar10", fraction=0.1)}),
    Arm(name="supervised", about="Cross-entropy on the labels: the ceiling", method=SupervisedConfig(),
        run={"views": 1, "spec": _LABELLED}),
    replace(FLOOR, run=dict(FLOOR.run) | {"budget_s": None, "spec": VIEW}),
)  # fmt: skip

ALL = (
    *recipes_of(on_gpu, "cifar10", SMALL, "eight seconds of an H200, see docs/methods; in full not yet run"),
    *recipes_of(on_cpu, "cifar10-nano", NANO, "three minutes of one core, see docs/methods"),
)
