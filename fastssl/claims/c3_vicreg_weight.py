"""C3: VICReg's invariance and variance weights grow with the projector's dimension."""

from fastssl.claims.bases import gpu_base
from fastssl.claims.claim import Claim, Form, Panel
from fastssl.claims.slopes import grid_form
from fastssl.methods.vicreg import VICRegConfig
from fastssl.report.verdict import Band
from fastssl.toy import ToyConfig

BAND = Band(0.5, 1.0)


def _cpu() -> Form:
    work = lambda dim, weight: ToyConfig(objective="vicreg", dim=dim, top=dim, weight=weight, steps=1000)
    return grid_form(
        (4, 8, 16), (0.25, 1.0, 4.0, 16.0, 64.0, 256.0), work,
        panel=Panel(kind="lines", y="captured", y_label="top d directions captured, %",
                    x_label="lambda = mu", log_x=True),
        band=BAND, setting="known-spectrum toy, VICReg with nu 1, 1000 steps; share of the top d directions captured",
        seeds=5,
    )  # fmt: skip


def _gpu() -> Form:
    work = lambda dim, weight: gpu_base(
        VICRegConfig(projector_dim=dim, invariance_weight=weight, variance_weight=weight), epochs=20
    )
    return grid_form(
        (64, 2048), (10.0, 25.0, 100.0, 400.0), work,
        panel=Panel(kind="lines", x_label="lambda = mu", log_x=True),
        band=BAND, setting="VICReg with nu 1, micro, 32 px, 20 epochs of 2 views", seeds=3,
    )  # fmt: skip


CLAIM = Claim(
    number=3,
    name="vicreg-weight",
    paper="Agrawal 2023",
    says="VICReg's best lambda = mu grows with d, with a slope of .5 to 1 in logarithms.",
    reading="The paper's best values grow as d^.70. The covariance term is divided by d, so a larger d weakens it only "
    "as far as its entries do not grow with it.",
    cpu=_cpu,
    gpu=_gpu,
)
