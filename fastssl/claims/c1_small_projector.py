"""C1: a small projector with a tuned weight does what a large one does."""

from dataclasses import replace

from fastssl.claims.bases import gap, gpu_base
from fastssl.claims.claim import Arm, Claim, Form, Panel
from fastssl.methods.barlow_twins import BarlowTwinsConfig
from fastssl.report.verdict import Band, Effect
from fastssl.toy import ToyConfig

WEAK, STRONG = 1e-4, 0.1


def _cpu() -> Form:
    arms = tuple(
        Arm(
            name=f"d={dim} weight={weight:g}",
            work=ToyConfig(dim=dim, weight=weight),
            x=dim,
            series=f"weight {weight:g}",
        )
        for dim in (8, 16, 32)
        for weight in (WEAK, STRONG)
    )  # fmt: skip
    name = lambda dim, weight: f"d={dim} weight={weight:g}"
    return Form(
        arms=arms,
        effects=(
            Effect(says="weak weight: what d = 8 lacks of d = 32", band=Band(low=0.03),
                   of=gap(name(32, WEAK), name(8, WEAK), "captured")),
            Effect(says="strong weight: d = 8 against d = 32", band=Band(-0.01, 0.01),
                   of=gap(name(8, STRONG), name(32, STRONG), "captured")),
        ),
        setting="known-spectrum toy, Barlow Twins, 1500 steps; share of the top 8 directions captured",
        panels=(Panel(kind="lines", y="captured", y_label="top 8 directions captured, %", x_label="projector's d",
                      log_x=True),
                Panel(kind="lines", y="effective_rank", y_label="effective rank", percent=False,
                      x_label="projector's d", log_x=True)),
        seeds=8,
    )  # fmt: skip


def _gpu() -> Form:
    def arm(dim: int, rule: str) -> Arm:
        weight = 4e-4 if rule == "fixed" else 3 / dim
        base = gpu_base(BarlowTwinsConfig(projector_dim=dim, redundancy_weight=weight), epochs=40)
        constant = replace(base.optim, lr=1e-3, weight_decay=1e-6, schedule="constant", warmup_fraction=0.0)
        return Arm(name=f"d={dim} {rule}", work=replace(base, optim=constant), x=dim, series=f"{rule} weight")

    arms = tuple(arm(dim, rule) for rule in ("fixed", "tuned") for dim in (64, 256, 2048))
    return Form(
        arms=arms,
        effects=(
            Effect(says="weight 4e-4: what d = 64 lacks of d = 2048", band=Band(low=0.03),
                   of=gap("d=2048 fixed", "d=64 fixed")),
            Effect(says="weight 3/d: d = 64 against d = 2048", band=Band(-0.01, 0.01),
                   of=gap("d=64 tuned", "d=2048 tuned")),
        ),
        setting="Barlow Twins, micro, 32 px, 40 epochs of 2 views, AdamW 1e-3 constant",
        panels=(Panel(kind="lines", x_label="projector's d", log_x=True),),
    )  # fmt: skip


CLAIM = Claim(
    number=1,
    name="small-projector",
    paper="Agrawal 2023",
    says="A small projector equals a large one once its orthogonality weight is tuned; at a fixed weight it trails.",
    reading="On the toy the answer is exact: the best encoder is known, and `captured` says how much of it was found. "
    "An encoder of 32 dimensions out of 64 captures some of any 8 directions by its size alone.",
    cpu=_cpu,
    gpu=_gpu,
)
