"""C8: a weak orthogonality weight lets features become duplicates of one another."""

from dataclasses import replace

from fastssl.claims.bases import gpu_base
from fastssl.claims.claim import Arm, Claim, Form, Panel
from fastssl.methods.barlow_twins import BarlowTwinsConfig
from fastssl.recipe import ProbeConfig
from fastssl.report.verdict import Band, Effect, Seen
from fastssl.toy import ToyConfig

WEAK, STRONG = 1e-4, 0.1
FIRST, LAST = 100, 1500


def _rank(arm: str, step: int):
    def of(seen: Seen) -> float:
        return seen[arm].at(step, "effective_rank")

    return of


def _cpu() -> Form:
    config = ToyConfig(steps=LAST, measure_at=(50, FIRST, 200, 300, 500, 700, 1000))
    weak, strong = f"weight {WEAK:g}", f"weight {STRONG:g}"
    fallen = lambda seen: _rank(weak, FIRST)(seen) - _rank(weak, LAST)(seen)
    return Form(
        arms=tuple(Arm(name=f"weight {w:g}", work=replace(config, weight=w)) for w in (WEAK, 1e-2, STRONG)),
        effects=(
            Effect(says=f"weak: effective rank lost from step {FIRST} to {LAST}", of=fallen, band=Band(low=1.0),
                   unit="number"),
            Effect(says=f"strong: effective rank at step {LAST}, of 8", of=_rank(strong, LAST), band=Band(low=7.0),
                   unit="number"),
        ),
        setting="known-spectrum toy, Barlow Twins, d = 8; effective rank of the encoder",
        panels=(Panel(kind="curves", x="step", x_label="step", y="effective_rank", y_label="effective rank",
                      percent=False),),
        seeds=8,
    )  # fmt: skip


def _gpu() -> Form:
    def arm(weight: float) -> Arm:
        method = BarlowTwinsConfig(projector_dim=256, redundancy_weight=weight)
        return Arm(name=f"weight {weight:g}", work=gpu_base(method, epochs=10, probe=ProbeConfig(probes=20)))

    def fallen(seen: Seen) -> float:
        ranks = seen["weight 0.0001"].curve("effective_rank")
        return max(ranks) - ranks[-1]

    lead = lambda seen: seen["weight 0.012"]["effective_rank"] / seen["weight 0.0001"]["effective_rank"]
    return Form(
        arms=(arm(1e-4), arm(0.012), arm(0.1)),
        effects=(
            Effect(says="weak: effective rank lost since its highest", of=fallen, band=Band(low=1.0), unit="number"),
            Effect(says="tuned over weak: ratio of effective ranks", of=lead, band=Band(low=1.2), unit="ratio"),
        ),
        setting="Barlow Twins d = 256, micro, 32 px, 10 epochs; effective rank of the features",
        panels=(Panel(kind="curves", x="step", x_label="step", y="effective_rank", y_label="effective rank",
                      percent=False),),
    )  # fmt: skip


CLAIM = Claim(
    number=8,
    name="rank-over-time",
    paper="Agrawal 2023",
    says="With a weak weight the effective rank falls during training; with a strong one it stays near d.",
    reading="Rank is no measure of quality by itself: an untrained network can have the highest. It compares arms of "
    "one network.",
    cpu=_cpu,
    gpu=_gpu,
)
