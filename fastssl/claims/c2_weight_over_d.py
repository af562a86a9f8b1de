"""C2: the best orthogonality weight falls as one over the projector's dimension."""

from dataclasses import replace

from fastssl.claims.bases import gpu_base
from fastssl.claims.claim import Claim, Form, Panel, Work
from fastssl.claims.slopes import grid_form
from fastssl.methods.barlow_twins import BarlowTwinsConfig
from fastssl.report.verdict import Band
from fastssl.toy import ToyConfig

BAND = Band(-1.3, -0.7)


def _cpu() -> Form:
    work = lambda dim, weight: ToyConfig(dim=dim, top=dim, weight=weight, steps=1000)
    return grid_form(
        (4, 8, 16), (1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0), work,
        panel=Panel(kind="lines", y="captured", y_label="top d directions captured, %",
                    x_label="weight", log_x=True),
        band=BAND, setting="known-spectrum toy, Barlow Twins, 1000 steps; share of the top d directions captured",
        seeds=5,
    )  # fmt: skip


def _gpu() -> Form:
    def work(dim: int, weight: float) -> Work:
        base = gpu_base(BarlowTwinsConfig(projector_dim=dim, redundancy_weight=weight), epochs=20)
        return replace(base, optim=replace(base.optim, lr=1e-3, schedule="constant", warmup_fraction=0.0))

    return grid_form(
        (32, 128, 512), (1e-3, 4e-3, 1.6e-2, 6.4e-2, 0.256), work,
        panel=Panel(kind="lines", x_label="weight", log_x=True),
        band=BAND, setting="Barlow Twins, micro, 32 px, 20 epochs of 2 views, AdamW 1e-3 constant", seeds=3,
    )  # fmt: skip


CLAIM = Claim(
    number=2,
    name="weight-over-d",
    paper="Agrawal 2023",
    says="The best orthogonality weight goes as 1/d.",
    reading="The paper's tuned values follow d^-1.02 on CIFAR-10. The best weight of each d is the apex of a parabola "
    "through the grid's best point and its neighbours. A flat optimum moves with little, so the slope is less certain "
    "than the accuracies: what matters in practice is how much is lost at the rule's own weight.",
    cpu=_cpu,
    gpu=_gpu,
)
