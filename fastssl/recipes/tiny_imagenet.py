"""Recipes on Tiny-ImageNet, the dataset of Dubois 2022: ResNet-18 with a 3x3 stem, 300 epochs, views `issl-fine`."""

from fastssl.augment.presets import get_preset
from fastssl.models import ModelConfig
from fastssl.optim import OptimConfig
from fastssl.recipe import DataConfig, ProbeConfig, Recipe
from fastssl.recipes.arms import SMALL, recipes_of


def on_gpu() -> Recipe:
    """Tiny-ImageNet, ResNet-18 on 64 px, batches of 512, 300 epochs unless said otherwise; one GPU."""
    (view,) = get_preset("issl-fine", size=64)
    return Recipe(
        name="tiny-imagenet",
        data=DataConfig(dataset="tiny_imagenet"),
        model=ModelConfig(arch="resnet18"),
        optim=OptimConfig(optimiser="adamw", lr=4e-3, weight_decay=1e-6, warmup_fraction=0.033),
        spec=view,
        probe=ProbeConfig(probes=10, test_split="val"),
        batch_size=512,
        epochs=300,
    )


ALL = recipes_of(on_gpu, "tiny-imagenet", SMALL)
