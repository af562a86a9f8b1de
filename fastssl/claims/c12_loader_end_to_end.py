"""C12: training fed from a beton is faster, end to end, than training fed by PIL."""

from dataclasses import replace

from fastssl.claims.bases import cpu_base, gpu_base
from fastssl.claims.claim import Arm, Claim, Form, Panel
from fastssl.recipe import Recipe
from fastssl.report.verdict import Band, Effect, Seen

LOADERS = ("resident", "crops", "ffcv", "folder")


def _speed(loader: str):
    def of(seen: Seen) -> float:
        rate = lambda arm: seen[arm]["views"] / seen[arm]["train_s"]
        return rate(loader) / rate("folder")

    return of


def _form(base: Recipe, setting: str) -> Form:
    return Form(
        arms=tuple(Arm(name=loader, work=replace(base, data=replace(base.data, loader=loader))) for loader in LOADERS),
        effects=tuple(
            Effect(says=f"views per second, {loader} over folder", of=_speed(loader), band=Band(low=1.2), unit="ratio")
            for loader in ("crops", "ffcv")
        ),
        setting=setting,
        panels=(Panel(y="train_s", y_label="seconds for the same views", percent=False),),
        alone=True,
    )


CLAIM = Claim(
    number=12,
    name="loader-end-to-end",
    paper="Bordes 2023",
    says="The same training ends sooner when a beton feeds it than when torchvision's PIL pipeline does.",
    reading="The clock of training and of waiting for data. On a CPU loader and network share the cores, so a loader's "
    "own work slows the step also where nobody waits; on a GPU the folder arm shows a GPU that starves.",
    cpu=lambda: _form(cpu_base(images=12_500), "SimCLR, nano, 16 px, 12,500 JPEGs, one pass of 2 views, two cores"),
    gpu=lambda: _form(gpu_base(images=25_000), "SimCLR, micro, 32 px, 25,000 JPEGs, 20 passes of 2 views"),
)
