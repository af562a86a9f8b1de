"""C16: augmentation is what makes DIET work; label smoothing helps less."""

from dataclasses import replace

from fastssl.augment.presets import get_preset
from fastssl.claims.bases import cpu_base, gap, gpu_base
from fastssl.claims.c13_diet_few_images import diet
from fastssl.claims.claim import Arm, Claim, Form
from fastssl.methods.diet import DIETConfig
from fastssl.recipe import Recipe
from fastssl.report.verdict import Band, Effect

STRONG = "strength 3, smoothing .8"


def _form(base: Recipe, setting: str) -> Form:
    def work(strength: int, smoothing: float) -> Recipe:
        (spec,) = get_preset(f"diet-{strength}", size=base.spec.size)
        return replace(diet(base), spec=spec, method=DIETConfig(label_smoothing=smoothing))

    return Form(
        arms=(
            Arm(name="strength 0, smoothing .8", work=work(0, 0.8)),
            Arm(name="strength 1, smoothing .8", work=work(1, 0.8)),
            Arm(name=STRONG, work=work(3, 0.8)),
            Arm(name="strength 3, smoothing 0", work=work(3, 0.0)),
        ),
        effects=(
            Effect(says="strength 3 over 0", of=gap(STRONG, "strength 0, smoothing .8"), band=Band(low=0.05)),
            Effect(says="smoothing .8 over 0", of=gap(STRONG, "strength 3, smoothing 0"), band=Band(low=0.0)),
        ),
        setting=setting,
    )


CLAIM = Claim(
    number=16,
    name="diet-ingredients",
    paper="Ibrahim 2024",
    says="Without augmentation DIET learns little; label smoothing of .8 speeds it up.",
    reading="Strength 1 is crop and flip, 3 the paper's full augmentation. A longer run may order strengths otherwise: "
    "strong augmentation pays late.",
    cpu=lambda: _form(cpu_base(images=2_000, epochs=50, batch_size=100), "DIET, nano, 16 px, 2,000 images, 50 epochs"),
    gpu=lambda: _form(gpu_base(images=10_000, epochs=200, batch_size=256),
                      "DIET, micro, 32 px, 10,000 images, 200 epochs"),
)  # fmt: skip
