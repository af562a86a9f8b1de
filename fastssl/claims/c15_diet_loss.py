"""C15: DIET's training loss says how good the representation is, without a label."""

from dataclasses import replace

from scipy.stats import spearmanr

from fastssl.claims.bases import cpu_base, gpu_base
from fastssl.claims.c13_diet_few_images import diet
from fastssl.claims.claim import Arm, Claim, Form, Panel
from fastssl.recipe import ProbeConfig, Recipe
from fastssl.report.verdict import Band, Effect, Seen

ARM = "DIET"


def _correlation(seen: Seen) -> float:
    return float(spearmanr(seen[ARM].curve("loss"), seen[ARM].curve("ridge"))[0])  # pyright: ignore[reportArgumentType]


def _form(base: Recipe, probes: int, setting: str) -> Form:
    return Form(
        arms=(Arm(name=ARM, work=replace(diet(base), probe=ProbeConfig(probes=probes))),),
        effects=(Effect(says="Spearman's rank correlation of loss and accuracy", of=_correlation, band=Band(high=-0.8),
                        unit="number"),),
        setting=setting,
        panels=(Panel(kind="curves", x="loss", x_label="training loss, mean of the epoch"),),
    )  # fmt: skip


CLAIM = Claim(
    number=15,
    name="diet-loss",
    paper="Ibrahim 2024",
    says="Along a run DIET's loss and the probe's accuracy rank its checkpoints alike: Spearman near -1.",
    reading="Within one run both move with time, so a strong correlation is easy to have; it is what the paper shows. "
    "Between settings of label smoothing or augmentation the losses are not comparable.",
    cpu=lambda: _form(cpu_base(images=1_000, epochs=120, batch_size=100), 8,
                      "DIET, nano, 16 px, 1,000 images, 120 epochs, 8 probes"),
    gpu=lambda: _form(gpu_base(images=10_000, epochs=200, batch_size=256), 20,
                      "DIET, micro, 32 px, 10,000 images, 200 epochs, 20 probes"),
)  # fmt: skip
