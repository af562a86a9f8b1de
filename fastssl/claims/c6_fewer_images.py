"""C6: four views of half the images are worth two views of all."""

from dataclasses import replace
from typing import Any

from fastssl.claims.bases import BARLOW, cpu_base, gap, gpu_base
from fastssl.claims.claim import Arm, Claim, Form
from fastssl.recipe import Recipe
from fastssl.report.verdict import Band, Effect

ARMS = {"2 views, 100 %": (2, 1.0), "4 views, 50 %": (4, 0.5), "8 views, 25 %": (8, 0.25), "2 views, 50 %": (2, 0.5)}
ALL = "2 views, 100 %"


def _form(base: Recipe, setting: str, **changes: Any) -> Form:
    """Equal epochs: the first three arms process equally many views, the last one half of them."""
    part = lambda share: replace(base.data, fraction=base.data.fraction * share)
    return Form(
        arms=tuple(Arm(name=name, work=replace(base, views=views, data=part(share)))
                   for name, (views, share) in ARMS.items()),
        effects=(
            Effect(says=f"4 views of 50 % against {ALL}", of=gap("4 views, 50 %", ALL), band=Band(-0.01, 0.01)),
            Effect(says=f"8 views of 25 % against {ALL}", of=gap("8 views, 25 %", ALL), band=Band(high=0.0)),
        ),
        setting=setting,
        **changes,
    )  # fmt: skip


CLAIM = Claim(
    number=6,
    name="fewer-images",
    paper="Agrawal 2023",
    says="Four views of half the images come within a point of two views of all of them; eight of a quarter trail.",
    reading="Batches hold equally many images, so an epoch of half the images has half the steps: arms are equal in "
    "views processed and not in steps, as in the paper. The probe fits on all labels in every arm.",
    cpu=lambda: _form(cpu_base(BARLOW, images=12_000, epochs=4, batch_size=128),
                      "Barlow Twins d = 128, nano, 16 px, 12,000 images, 4 epochs"),
    gpu=lambda: _form(gpu_base(BARLOW, epochs=60), "Barlow Twins d = 128, micro, 32 px, 60 epochs"),
)  # fmt: skip
