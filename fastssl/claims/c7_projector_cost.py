"""C7: a small projector saves time."""

from dataclasses import replace

from fastssl.claims.bases import cpu_base, gpu_base
from fastssl.claims.claim import Arm, Claim, Form, Panel
from fastssl.methods.barlow_twins import BarlowTwinsConfig
from fastssl.recipe import Recipe
from fastssl.report.verdict import Band, Effect, Seen

SMALL, LARGE = 256, 8192


def _form(base: Recipe, band: Band, setting: str) -> Form:
    def saved(seen: Seen) -> float:
        per_step = {d: seen[f"d={d}"]["train_s"] / seen[f"d={d}"]["step"] for d in (SMALL, LARGE)}
        return 1 - per_step[SMALL] / per_step[LARGE]

    arms = tuple(
        Arm(name=f"d={d}", work=replace(base, method=BarlowTwinsConfig(projector_dim=d)), x=d)
        for d in (SMALL, 2048, LARGE)
    )
    return Form(
        arms=arms,
        effects=(Effect(says=f"of a step's time, saved by d = {SMALL} over {LARGE}", of=saved, band=band),),
        setting=setting,
        panels=(Panel(kind="lines", y="train_s", y_label="training clock, s", percent=False, log_x=True, log_y=True,
                      x_label="projector's d"),),
        alone=True,
    )  # fmt: skip


CLAIM = Claim(
    number=7,
    name="projector-cost",
    paper="Agrawal 2023",
    says="A projector of 256 instead of 8192 saves 8 to 16 % of a ResNet's step, and far more of a small network's.",
    reading="The clock of the training loop, without compilation and probes, one run at a time. The share saved is the "
    "projector's part of the step, so it depends on the network beside it: a tiny one shows the largest saving.",
    cpu=lambda: _form(cpu_base(images=2_560), Band(low=0.08), "Barlow Twins, nano, 16 px, 10 steps of 256 x 2 views"),
    gpu=lambda: _form(gpu_base(images=25_600, epochs=2), Band(low=0.3),
                      "Barlow Twins, micro, 32 px, 100 steps of 512 x 2 views"),
)  # fmt: skip
