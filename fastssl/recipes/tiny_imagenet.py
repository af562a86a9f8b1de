"""Recipes on Tiny-ImageNet, the dataset of Dubois 2022: ResNet-18 with a 3x3 stem, 300 epochs, views `issl-fine`.

The paper's two steps beyond: "+dim" is a representation of 2048, made by a bottleneck (`--feature-dim 2048`), and its
control, the same bottleneck at the network's own 512; "+coarse" is the preset `issl-coarse` (`--spec issl-coarse`).
"""

from dataclasses import replace

from fastssl.augment.presets import get_preset
from fastssl.models import ModelConfig
from fastssl.optim import OptimConfig
from fastssl.recipe import DataConfig, ProbeConfig, Recipe
from fastssl.recipes.arms import SMALL, Arm, recipes_of


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


def _wider(arm: Arm, name: str, about: str, **model) -> Arm:
    return replace(arm, name=f"{arm.name}-{name}", about=f"{arm.about}; {about}",
                   run={**arm.run, "model": ModelConfig(arch="resnet18", **model)})  # fmt: skip


_DIMENSION = tuple(
    _wider(arm, *change[:2], **change[2])
    for arm in SMALL
    if arm.name in ("cissl", "dissl", "random")
    for change in (
        ("dim", "a bottleneck to 2048 features (+dim)", {"feature_dim": 2048}),
        ("plain-dim", "2048 features without the bottleneck's depth", {"feature_dim": 2048, "feature_head": "plain"}),
        ("bottleneck", "the bottleneck at 512 features: the control of depth", {"feature_dim": 512}),
    )
)

ALL = recipes_of(on_gpu, "tiny-imagenet", (*SMALL, *_DIMENSION))
