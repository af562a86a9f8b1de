"""C13: with few images DIET learns as much as SimCLR."""

from dataclasses import replace

from fastssl.claims.bases import DIET, SIMCLR, cpu_base, gap, gpu_base
from fastssl.claims.claim import Arm, Claim, Form
from fastssl.recipe import Recipe
from fastssl.report.verdict import Band, Effect


def diet(base: Recipe) -> Recipe:
    """The recipe's data and length for DIET, with the weight decay of its paper."""
    return replace(base, method=DIET, views=1, optim=replace(base.optim, lr=2e-3, weight_decay=0.05))


def _form(base: Recipe, setting: str) -> Form:
    return Form(
        arms=(
            Arm(name="SimCLR", work=replace(base, method=SIMCLR, epochs=(base.epochs or 0) // 2)),
            Arm(name="DIET", work=diet(base)),
        ),
        effects=(Effect(says="DIET against SimCLR", of=gap("DIET", "SimCLR"), band=Band(-0.04, 0.04)),),
        setting=setting,
    )


CLAIM = Claim(
    number=13,
    name="diet-few-images",
    paper="Ibrahim 2024",
    says="At equal views processed DIET comes within 4 points of SimCLR on a small dataset.",
    reading="DIET sees each image once per epoch and SimCLR twice, so DIET has twice the epochs. Its classes are the "
    "images: with few of them each comes by often. On 50,000 images and a short schedule DIET is far behind.",
    cpu=lambda: _form(cpu_base(images=2_000, epochs=90, batch_size=100),
                      "nano, 16 px, 2,000 images, 180,000 views, batch 100"),
    gpu=lambda: _form(gpu_base(images=10_000, epochs=500, batch_size=256),
                      "micro, 32 px, 10,000 images, 5 million views, batch 256"),
)  # fmt: skip
