"""C10: one negative per anchor is enough to learn from."""

from dataclasses import replace

from fastssl.claims.bases import SIMCLR, cpu_base, floor_of, gap, gpu_base
from fastssl.claims.claim import Arm, Claim, Form
from fastssl.recipe import Recipe
from fastssl.report.verdict import Band, Effect


def _form(base: Recipe, setting: str) -> Form:
    return Form(
        arms=(
            Arm(name="all negatives", work=base),
            Arm(name="one negative", work=replace(base, method=replace(SIMCLR, num_negatives=1))),
            Arm(name="random encoder", work=floor_of(base)),
        ),
        effects=(
            Effect(says="one negative over the random encoder", of=gap("one negative", "random encoder"),
                   band=Band(low=0.03)),
            Effect(says="all negatives over one", of=gap("all negatives", "one negative"), band=Band(low=0.0)),
        ),
        setting=setting,
    )  # fmt: skip


CLAIM = Claim(
    number=10,
    name="one-negative",
    paper="Bordes 2023",
    says="With a single negative SimCLR still learns: well above a random encoder, below all negatives.",
    reading="The negative is drawn from the batch, anew for every anchor and step.",
    cpu=lambda: _form(cpu_base(images=10_000, epochs=6), "SimCLR, nano, 16 px, 10,000 images, 6 epochs of 2 views"),
    gpu=lambda: _form(gpu_base(epochs=20), "SimCLR, micro, 32 px, 20 epochs of 2 views"),
)
