"""Recipes on ImageNet-1k and its subset of 100 classes: ResNet-50 at 224 px."""

from dataclasses import replace

from fastssl.augment.presets import get_preset
from fastssl.models import ModelConfig
from fastssl.optim import OptimConfig
from fastssl.recipe import DataConfig, ProbeConfig, Recipe
from fastssl.recipes.arms import LARGE, recipes_of

(VIEW,) = get_preset("simclr", size=224)


def on_imagenet() -> Recipe:
    """ImageNet-1k, ResNet-50, batches of 512, 100 epochs unless said otherwise; GPUs."""
    return Recipe(
        name="imagenet",
        data=DataConfig(dataset="imagenet", loader="crops", workers=16),
        model=ModelConfig(arch="resnet50"),
        optim=OptimConfig(optimiser="lars", lr=0.6, weight_decay=1e-6, warmup_fraction=0.1),
        spec=VIEW,
        probe=ProbeConfig(probes=4, test_split="val", probe_central=0.875, knn_k=200),
        batch_size=512,
        epochs=100,
    )


def on_imagenet100() -> Recipe:
    """ImageNet-100, ResNet-50, batches of 512, 200 epochs unless said otherwise; one GPU."""
    base = on_imagenet()
    return replace(base, data=replace(base.data, dataset="imagenet100"), epochs=200)


ALL = (*recipes_of(on_imagenet, "imagenet", LARGE), *recipes_of(on_imagenet100, "imagenet100", LARGE))
