"""C11: Gaussian noise alone, as the only augmentation, teaches something."""

from dataclasses import replace

from fastssl.augment.presets import get_preset
from fastssl.claims.bases import cpu_base, floor_of, gap, gpu_base
from fastssl.claims.claim import Arm, Claim, Form
from fastssl.recipe import Recipe
from fastssl.report.verdict import Band, Effect


def _form(base: Recipe, setting: str) -> Form:
    only = lambda name: replace(base, spec=get_preset(name, size=base.spec.size)[0])
    return Form(
        arms=(
            Arm(name="full augmentation", work=base),
            Arm(name="crop only", work=only("crop-only")),
            Arm(name="noise only", work=only("noise-only")),
            Arm(name="random encoder", work=floor_of(base)),
        ),
        effects=(
            Effect(says="noise only over the random encoder", of=gap("noise only", "random encoder"),
                   band=Band(low=0.0)),
            Effect(says="full augmentation over noise only", of=gap("full augmentation", "noise only"),
                   band=Band(low=0.05)),
        ),
        setting=setting,
    )  # fmt: skip


CLAIM = Claim(
    number=11,
    name="noise-only",
    paper="Bordes 2023",
    says="Trained on views that differ in Gaussian noise alone, SimCLR ends above a random encoder and far below the "
    "full augmentation.",
    reading="The noise has a standard deviation of .2 on values from 0 to 1: the paper names none.",
    cpu=lambda: _form(cpu_base(images=10_000, epochs=5), "SimCLR, nano, 16 px, 10,000 images, 5 epochs of 2 views"),
    gpu=lambda: _form(gpu_base(epochs=20), "SimCLR, micro, 32 px, 20 epochs of 2 views"),
)
