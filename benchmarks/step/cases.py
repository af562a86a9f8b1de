"""What is measured: which network, on which views, fed by whom."""

from dataclasses import dataclass, replace
from pathlib import Path

from fastssl.augment.presets import get_preset
from fastssl.methods.simclr import SimCLRConfig
from fastssl.models import Arch, ModelConfig
from fastssl.optim import OptimConfig
from fastssl.recipe import DataConfig, Recipe

MODEL_ONLY, CACHED = "model only", "cached"
CEILINGS = (MODEL_ONLY, CACHED)
"""Views that are there already; and one batch of images that is, from which new views are made in each step."""
OWN = ("resident", "crops", "images", "nvjpeg")
"""This library's loaders, by the name that `open_loader` knows them by."""
PEERS = ("ffcv", "torchvision")
"""FFCV's own loader under our augmentation, and what most people do: PIL images in torch's DataLoader."""


@dataclass(frozen=True)
class Case:
    name: str
    arch: Arch
    preset: str
    size: int
    stored: str
    """Which set of `benchmarks.load.cases.STORED`."""
    batch: int
    contestants: tuple[str, ...]
    devices: tuple[str, ...]

    def recipe(self, beton: Path, device: str, workers: int) -> Recipe:
        """SimCLR with two views; every method's step has the same encoder passes, and this one a light head."""
        specs = tuple(replace(spec, size=self.size) for spec in get_preset(self.preset))
        return Recipe(
            name=f"step-{self.name}",
            data=DataConfig(dataset=str(beton), workers=workers),
            model=ModelConfig(arch=self.arch),
            method=SimCLRConfig(),
            optim=OptimConfig(optimiser="adamw", lr=1e-4),
            spec=specs[0],
            more_specs=specs[1:],
            batch_size=self.batch,
            epochs=1,
            device="cuda" if device == "cuda" else "cpu",
        )


def cases(device: str) -> dict[str, Case]:
    """Those of a device, in the order of a campaign."""
    jpeg = ("crops", "images", "nvjpeg", "torchvision", *CEILINGS)
    small = ("resident", "crops", "ffcv", "torchvision", *CEILINGS)
    found = (
        Case("nano-32", "nano", "simclr-cifar", 32, "raw-32", 256, small, ("cpu",)),
        Case("resnet18-32", "resnet18", "simclr-cifar", 32, "raw-32", 512, small, ("cuda",)),
        Case("resnet50-224", "resnet50", "simclr", 224, "jpeg-500", 256, jpeg, ("cuda",)),
        Case("nano-64", "nano", "simclr", 64, "jpeg-500", 64, (*jpeg[:2], *jpeg[3:]), ("cpu",)),
    )
    return {case.name: case for case in found if device in case.devices}
