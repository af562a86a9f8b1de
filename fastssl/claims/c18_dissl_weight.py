"""C18: DISSL needs no slow copy and no stop-gradient, but lambda above 1 + beta."""

from dataclasses import replace

from fastssl.claims.bases import cpu_base, floor_of, gap, gpu_base
from fastssl.claims.claim import Arm, Claim, Form
from fastssl.methods.dino import DINOConfig
from fastssl.methods.dissl import DISSLConfig
from fastssl.recipe import Recipe
from fastssl.report.verdict import Band, Effect

DISSL = DISSLConfig(num_outputs=512, head_rank=128, teacher_hidden=256)
DINO = DINOConfig(num_outputs=512, projector_dim=64, projector_hidden=256, projector_bn=True, teacher_momentum=0.98)
BELOW, ABOVE = "DISSL, lambda 1.2", "DISSL, lambda 2.3"


def _form(base: Recipe, setting: str) -> Form:
    below = replace(DISSL, max_entropy_weight=1.2, allow_collapse=True)
    return Form(
        arms=(
            Arm(name=ABOVE, work=replace(base, method=DISSL)),
            Arm(name=BELOW, work=replace(base, method=below)),
            Arm(name="DINO", work=replace(base, method=DINO)),
            Arm(name="random encoder", work=floor_of(base)),
        ),
        effects=(
            Effect(says="lambda 2.3 over 1.2", of=gap(ABOVE, BELOW), band=Band(low=0.03)),
            Effect(says="lambda 2.3 over the random encoder", of=gap(ABOVE, "random encoder"), band=Band(low=0.03)),
            Effect(says="lambda 2.3 over DINO", of=gap(ABOVE, "DINO"), band=Band(low=-0.01)),
        ),
        setting=setting,
    )


CLAIM = Claim(
    number=18,
    name="dissl-weight",
    paper="Dubois 2022",
    says="DISSL trains without a slow teacher and keeps up with DINO; at lambda below 1 + beta = 1.8 it collapses.",
    reading="Below 1 + beta a constant teacher has the lower loss; the run then ends near the random encoder, a probe "
    "of whose features is no zero.",
    cpu=lambda: _form(cpu_base(images=10_000, epochs=6), "nano, 16 px, 10,000 images, 6 epochs of 2 views, batch 256"),
    gpu=lambda: _form(gpu_base(epochs=40), "micro, 32 px, 40 epochs of 2 views, batch 512"),
)
