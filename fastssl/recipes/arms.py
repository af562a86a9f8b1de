"""The methods with the settings of their papers, as changes to a dataset's base recipe.

`recipes_of(base, dataset, arms)` makes one recipe per arm. `SMALL` is for images of 32 to 96 px and a ResNet-18,
`LARGE` for ImageNet and a ResNet-50. What an arm does not name is the base's: views, epochs, batch size, optimiser.

Adam of the papers is AdamW here: at their weight decays of 1e-6 the two differ by nothing that a run could show.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fastssl.augment.presets import get_preset
from fastssl.methods import MethodConfig
from fastssl.methods.barlow_twins import BarlowTwinsConfig
from fastssl.methods.byol import BYOLConfig
from fastssl.methods.cissl import CISSLConfig
from fastssl.methods.diet import DIETConfig
from fastssl.methods.dino import DINOConfig
from fastssl.methods.directclr import DirectCLRConfig
from fastssl.methods.dissl import DISSLConfig
from fastssl.methods.idealized import IdealizedConfig
from fastssl.methods.moco_v3 import MoCoV3Config
from fastssl.methods.random_encoder import RandomEncoderConfig
from fastssl.methods.simclr import SimCLRConfig
from fastssl.methods.simsiam import SimSiamConfig
from fastssl.methods.spectral import SpectralConfig
from fastssl.methods.supervised import SupervisedConfig
from fastssl.methods.swav import SwAVConfig
from fastssl.methods.vicreg import VICRegConfig
from fastssl.recipe import ProbeConfig, Recipe

NOT_YET_RUN = "not yet run"


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One method on any dataset of a scale."""

    name: str
    """The recipe is called DATASET-NAME."""
    about: str
    """Settings and their source, in a line."""
    method: MethodConfig
    preset: str | None = None
    """Views of `augment.presets`, at the base's size; None keeps the base's."""
    without_blur: bool = False
    """As the papers have it at 32 px."""
    optim: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the base's `OptimConfig` to replace; `lr_per_256` is a rate that grows with the batch."""
    run: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the base's `Recipe` to replace."""


def recipes_of(
    base: Callable[[], Recipe], dataset: str, arms: Sequence[Arm], price: str = NOT_YET_RUN
) -> tuple[Callable[[], Recipe], ...]:
    """A recipe function per arm, named DATASET_NAME, whose docstring says its settings and its price."""
    return tuple(_recipe_function(base, dataset, arm, price) for arm in arms)


def _recipe_function(base: Callable[[], Recipe], dataset: str, arm: Arm, price: str) -> Callable[[], Recipe]:
    name = f"{dataset}-{arm.name}"

    def recipe() -> Recipe:
        return replace(_applied(base(), arm), name=name)

    recipe.__name__ = name.replace("-", "_")
    recipe.__doc__ = f"{arm.about}. {(base.__doc__ or '').strip()} Price: {price}."
    return recipe


def _applied(base: Recipe, arm: Arm) -> Recipe:
    run = dict(arm.run)
    if arm.preset is not None:
        specs = get_preset(arm.preset, size=base.spec.size)
        if arm.without_blur:
            specs = tuple(replace(spec, blur_p=0.0) for spec in specs)
        run = {"spec": specs[0], "more_specs": specs[1:], "views": max(base.views, len(specs))} | run
    optim = dict(arm.optim)
    batch_size = run.get("batch_size", base.batch_size)
    if "lr_per_256" in optim:
        optim["lr"] = optim.pop("lr_per_256") * batch_size / 256
    return replace(base, method=arm.method, optim=replace(base.optim, **optim), **run)


_SMALL_PROJECTOR = {"lr": 1e-3, "weight_decay": 1e-6, "schedule": "constant", "warmup_fraction": 0.0}  # Agrawal 2023
_ISSL = {"lr_per_256": 2e-3, "weight_decay": 1e-6, "warmup_fraction": 0.033}  # Dubois 2022: 10 epochs of 300
_DIET = {"lr": 1e-3, "weight_decay": 0.05, "warmup_fraction": 0.02}  # Ibrahim 2024: 10 epochs of 500
_SGD = {"optimiser": "sgd", "weight_decay": 5e-4, "exclude_norm_and_bias": False}
_ONE_PASS = {"views": 1, "epochs": 1, "more_specs": (), "probe": ProbeConfig(probes=1)}

SIMSIAM = Arm(
    name="simsiam", about="SimSiam as in the paper's appendix D (800 epochs there): SGD .03 x batch / 256, no blur",
    method=SimSiamConfig(projector_hidden=2048, projector_depth=2), preset="moco-v2", without_blur=True,
    optim=_SGD | {"lr_per_256": 0.03},
)  # fmt: skip
FLOOR = Arm(name="random", about="The untrained encoder, its BatchNorm statistics settled in one pass: the floor",
            method=RandomEncoderConfig(), run=_ONE_PASS)  # fmt: skip
CEILING = Arm(name="supervised", about="Cross-entropy on the labels, shifted and flipped images: the ceiling",
              method=SupervisedConfig(), preset="pad-flip", run={"views": 1})  # fmt: skip

SMALL = (
    Arm(name="simclr", about="SimCLR, temperature .5", method=SimCLRConfig(temperature=0.5)),
    Arm(name="cissl", about="CISSL with the rates and views of Dubois 2022 for TinyImageNet, without its gradient clip",
        method=CISSLConfig(), preset="issl-fine", optim=_ISSL),
    Arm(name="directclr", about="DirectCLR, temperature .1, on the paper's share of the features",
        method=DirectCLRConfig()),
    Arm(name="moco-v3", about="MoCo v3, temperature .2, momentum .99", method=MoCoV3Config()),
    Arm(name="spectral", about="Spectral contrastive as its authors on CIFAR-10 (800 epochs): SGD .03 x batch / 256",
        method=SpectralConfig(), optim=_SGD | {"lr_per_256": 0.03}),
    Arm(name="idealized", about="The idealized loss, d = 256, optimised as Agrawal 2023",
        method=IdealizedConfig(), optim=_SMALL_PROJECTOR),
    Arm(name="barlow", about="Barlow Twins, small projector (d = 256, weight 3/d), constant rate 1e-3 (Agrawal 2023)",
        method=BarlowTwinsConfig(projector_dim=256), optim=_SMALL_PROJECTOR),
    Arm(name="vicreg", about="VICReg, small projector (d = 256), constant rate 1e-3 (Agrawal 2023)",
        method=VICRegConfig(), optim=_SMALL_PROJECTOR),
    Arm(name="byol", about="BYOL; the momentum begins at .99, as its authors have it for 100 epochs",
        method=BYOLConfig(target_momentum=0.99)),
    SIMSIAM,
    replace(SIMSIAM, name="fastsiam", run={"views": 4},
            about="FastSiam: SimSiam that predicts the mean of three other views",
            method=replace(SIMSIAM.method, multiview="mean_target")),
    Arm(name="dino", about="DINO, 4096 outputs, BatchNorm in its head, two views", method=DINOConfig(
        num_outputs=4096, projector_bn=True)),
    Arm(name="swav", about="SwAV, 512 prototypes, two views", method=SwAVConfig(num_prototypes=512)),
    Arm(name="dissl", about="DISSL with the rates and views of Dubois 2022 for TinyImageNet, without its gradient clip",
        method=DISSLConfig(), preset="issl-fine", optim=_ISSL),
    Arm(name="diet", about="DIET at strength 3 on a long schedule (Ibrahim 2024)", method=DIETConfig(),
        preset="diet-3", optim=_DIET, run={"views": 1, "batch_size": 256, "epochs": 500}),
    CEILING,
    FLOOR,
)  # fmt: skip

_LARS = {"optimiser": "lars", "warmup_fraction": 0.1}

LARGE = (
    Arm(name="simclr", about="SimCLR, temperature .1, LARS .3 x batch / 256", method=SimCLRConfig(temperature=0.1),
        preset="simclr", optim=_LARS | {"lr_per_256": 0.3, "weight_decay": 1e-6}),
    Arm(name="cissl", about="CISSL, optimised as SimCLR", method=CISSLConfig(),
        preset="issl-fine", optim=_LARS | {"lr_per_256": 0.3, "weight_decay": 1e-6}),
    Arm(name="directclr", about="DirectCLR, 360 of 2048 features, LARS .3 x batch / 256", method=DirectCLRConfig(),
        preset="simclr", optim=_LARS | {"lr_per_256": 0.3, "weight_decay": 1e-6}),
    Arm(name="moco-v3", about="MoCo v3, LARS .3 x batch / 256, decay 1.5e-6", method=MoCoV3Config(),
        preset="byol", optim=_LARS | {"lr_per_256": 0.3, "weight_decay": 1.5e-6}),
    Arm(name="spectral", about="Spectral contrastive, mu = 10, SGD .05 x batch / 256", preset="simclr",
        method=SpectralConfig(max_square_norm=10.0),
        optim=_SGD | {"lr_per_256": 0.05, "weight_decay": 1e-4}),
    Arm(name="idealized", about="The idealized loss, d = 512, optimised as Barlow Twins", preset="barlow",
        method=IdealizedConfig(projector_dim=512), optim=_LARS | {"lr_per_256": 0.2, "weight_decay": 1.5e-6}),
    Arm(name="barlow", about="Barlow Twins, weight .0051 at d = 8192, three layers, LARS .2 x batch / 256",
        method=BarlowTwinsConfig(redundancy_weight=0.0051, projector_dim=8192, projector_depth=3),
        preset="barlow", optim=_LARS | {"lr_per_256": 0.2, "weight_decay": 1.5e-6}),
    Arm(name="barlow-small", about="Barlow Twins, small projector: d = 512, weight 10/d (Agrawal 2023), four views",
        method=BarlowTwinsConfig(redundancy_weight=10 / 512, projector_dim=512), preset="barlow", run={"views": 4},
        optim=_LARS | {"lr_per_256": 0.2, "weight_decay": 1.5e-6}),
    Arm(name="vicreg", about="VICReg, d = 8192, three layers, LARS .2 x batch / 256",
        method=VICRegConfig(projector_dim=8192, projector_depth=3), preset="vicreg",
        optim=_LARS | {"lr_per_256": 0.2, "weight_decay": 1e-6}),
    Arm(name="byol", about="BYOL, momentum from .99, LARS .45 x batch / 256 as its authors have it for 100 epochs",
        method=BYOLConfig(target_momentum=0.99), preset="byol",
        optim=_LARS | {"lr_per_256": 0.45, "weight_decay": 1e-6}),
    Arm(name="simsiam", about="SimSiam, SGD .05 x batch / 256, decay 1e-4", method=SimSiamConfig(), preset="moco-v2",
        optim=_SGD | {"lr_per_256": 0.05, "weight_decay": 1e-4, "warmup_fraction": 0.0}),
    Arm(name="dino", about="DINO, 2 x 224 + 8 x 96 px, SGD .03 x batch / 256", method=DINOConfig(num_outputs=60000),
        preset="dino", optim=_SGD | {"lr_per_256": 0.03, "weight_decay": 1e-4}),
    Arm(name="swav", about="SwAV, 2 x 224 + 6 x 96 px, 3000 prototypes, LARS .3 x batch / 256", preset="swav",
        method=SwAVConfig(), optim=_LARS | {"lr_per_256": 0.3, "weight_decay": 1e-6}),
    Arm(name="dissl", about="DISSL, optimised as SimCLR", method=DISSLConfig(),
        preset="issl-fine", optim=_LARS | {"lr_per_256": 0.3, "weight_decay": 1e-6}),
    Arm(name="diet", about="DIET at strength 3 (Ibrahim 2024), its head of one row per image streamed",
        method=DIETConfig(), preset="diet-3", optim=_DIET, run={"views": 1, "batch_size": 256, "epochs": 100}),
    replace(CEILING, about="Cross-entropy on the labels, crops of 8-100 % and flips: the ceiling", preset="supervised",
            optim={"optimiser": "sgd", "lr_per_256": 0.1, "weight_decay": 1e-4}),
    FLOOR,
)  # fmt: skip
