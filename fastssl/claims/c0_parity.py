"""C0: whoever loads the images and whoever augments them, the accuracy is the same."""

from dataclasses import replace

from fastssl.claims.bases import cpu_base, gap, gpu_base
from fastssl.claims.claim import Arm, Claim, Form
from fastssl.recipe import Recipe
from fastssl.report.verdict import Band, Effect

LOADERS = ("crops", "ffcv", "folder")
LIMIT = 0.007


def _arms(base: Recipe, backends: tuple[str, ...]) -> tuple[Arm, ...]:
    loaded = lambda loader: replace(base, data=replace(base.data, loader=loader))
    return (
        *(Arm(name=loader, work=loaded(loader)) for loader in ("resident", *LOADERS)),
        *(Arm(name=backend, work=replace(loaded("resident"), backend=backend)) for backend in backends),
    )


def _form(base: Recipe, backends: tuple[str, ...], setting: str) -> Form:
    effects = tuple(
        Effect(says=f"{other} against resident", of=gap(other, "resident"), band=Band(-LIMIT, LIMIT))
        for other in (*LOADERS, *backends)
    )
    return Form(arms=_arms(base, backends), effects=effects, setting=setting)


CLAIM = Claim(
    number=0,
    name="parity",
    paper="this library",
    says="Loaders and augmentation backends give the same accuracy within .7 points.",
    reading="Published reports of this family of code lost 10 to 17 points in the data path without noticing; nothing "
    "below counts before this holds. The arms of one seed see the same images in the same order wherever their draws "
    "are the same, so their difference is far steadier than either accuracy; UNCLEAR says that three seeds bound it no "
    "closer than its interval.",
    cpu=lambda: _form(cpu_base(images=12_500, epochs=2), ("kornia",),
                      "SimCLR, nano, 16 px, 12,500 images, 2 epochs of 2 views"),
    gpu=lambda: _form(gpu_base(epochs=10), ("kornia", "fused"), "SimCLR, micro, 32 px, 10 epochs of 2 views"),
)  # fmt: skip
