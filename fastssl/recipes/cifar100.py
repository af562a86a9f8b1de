"""Recipes on CIFAR-100: those of CIFAR-10 with a hundred classes."""

from dataclasses import replace

from fastssl.recipe import DataConfig, Recipe
from fastssl.recipes import cifar10
from fastssl.recipes.arms import SMALL, recipes_of


def on_gpu() -> Recipe:
    """CIFAR-100, ResNet-18, batches of 512, 100 epochs unless said otherwise; one GPU."""
    return replace(cifar10.on_gpu(), data=DataConfig(dataset="cifar100"))


ALL = recipes_of(on_gpu, "cifar100", SMALL)
