"""Recipes on STL-10: trained on its 100,000 unlabelled images, probed on its 5,000 labelled ones.

Views are the preset `small-projector-stl` (Agrawal 2023) unless the recipe says otherwise; DINO and SwAV crop small
views too.
"""

from dataclasses import replace

from fastssl.augment.presets import get_preset
from fastssl.models import ModelConfig
from fastssl.optim import OptimConfig
from fastssl.recipe import DataConfig, ProbeConfig, Recipe
from fastssl.recipes.arms import SMALL, recipes_of


def on_gpu() -> Recipe:
    """STL-10, ResNet-18 on 64 px, batches of 256, 100 epochs of the unlabelled split unless said otherwise; one GPU."""
    (view,) = get_preset("small-projector-stl", size=64)
    return Recipe(
        name="stl10",
        data=DataConfig(dataset="stl10", train_split="unlabeled"),
        model=ModelConfig(arch="resnet18"),
        optim=OptimConfig(optimiser="adamw", lr=1e-3, weight_decay=1e-4, warmup_fraction=0.05),
        spec=view,
        probe=ProbeConfig(probes=10),
        batch_size=256,
        epochs=100,
    )


_LABELLED = {"supervised": {"data": DataConfig(dataset="stl10")}}
"""Labels are in the other split."""
_MULTI_CROP = {"dino", "swav"}
_ARMS = tuple(
    replace(
        arm,
        preset=arm.name if arm.name in _MULTI_CROP else arm.preset,
        about=arm.about.replace("two views", "two large and several small views"),
        run={**arm.run, **_LABELLED.get(arm.name, {})},
    )
    for arm in SMALL
)

ALL = recipes_of(on_gpu, "stl10", _ARMS)
