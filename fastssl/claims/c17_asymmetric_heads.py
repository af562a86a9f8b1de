"""C17: does a linear student help the linear probe?"""

from dataclasses import replace

from fastssl.claims.bases import cpu_base, gap, gpu_base
from fastssl.claims.claim import Arm, Claim, Form
from fastssl.methods.cissl import CISSLConfig
from fastssl.recipe import Recipe
from fastssl.report.verdict import Band, Effect

LINEAR = CISSLConfig(temperature=0.2, projector_hidden=256)


def _form(base: Recipe, setting: str) -> Form:
    return Form(
        arms=(
            Arm(name="SimCLR", work=base),
            Arm(name="CISSL, linear student", work=replace(base, method=LINEAR)),
            Arm(name="CISSL, perceptron student", work=replace(base, method=replace(LINEAR, student_depth=2))),
        ),
        effects=(
            Effect(says="CISSL over SimCLR", of=gap("CISSL, linear student", "SimCLR"), band=Band(low=0.0)),
            Effect(says="linear student over a perceptron", band=Band(low=0.0),
                   of=gap("CISSL, linear student", "CISSL, perceptron student")),
        ),
        setting=setting,
    )  # fmt: skip


CLAIM = Claim(
    number=17,
    name="asymmetric-heads",
    paper="Dubois 2022",
    says="Predicting with a linear head, as the probe will, gives a better probe than SimCLR's shared perceptron.",
    reading="The paper's own gain is .6 points on Tiny-ImageNet; runs as short as these can hardly see it, so the "
    "interval is what to read. The third arm has two perceptrons, each its own: it tells asymmetry from untying.",
    cpu=lambda: _form(cpu_base(images=10_000, epochs=6), "nano, 16 px, 10,000 images, 6 epochs of 2 views, batch 256"),
    gpu=lambda: _form(gpu_base(epochs=40), "micro, 32 px, 40 epochs of 2 views, batch 512"),
)
