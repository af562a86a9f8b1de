"""C14: DIET hardly minds the batch size."""

from dataclasses import replace

from fastssl.claims.bases import cpu_base, gpu_base
from fastssl.claims.c13_diet_few_images import diet
from fastssl.claims.claim import Arm, Claim, Form, Panel
from fastssl.recipe import Recipe
from fastssl.report.verdict import Band, Effect, Seen


def _form(base: Recipe, sizes: tuple[int, ...], setting: str) -> Form:
    def work(size: int) -> Recipe:
        recipe = diet(replace(base, batch_size=size))
        return replace(recipe, optim=replace(recipe.optim, lr=2e-3 * (size / 100) ** 0.5))

    def spread(seen: Seen) -> float:
        values = [run["ridge"] for run in seen.values()]
        return max(values) - min(values)

    return Form(
        arms=tuple(Arm(name=f"batch {size}", work=work(size), x=size) for size in sizes),
        effects=(Effect(says="best batch size over worst", of=spread, band=Band(high=0.03)),),
        setting=setting,
        panels=(Panel(kind="lines", x_label="images per batch", log_x=True),),
    )


CLAIM = Claim(
    number=14,
    name="diet-batch",
    paper="Ibrahim 2024",
    says="DIET's accuracy spreads by at most 3 points over a factor of 16 in batch size.",
    reading="Equal epochs; the rate follows the square root of the batch. `small-batches` is the control: SimCLR, "
    "whose loss itself depends on the batch.",
    cpu=lambda: _form(cpu_base(images=2_000, epochs=50), (25, 100, 400), "DIET, nano, 16 px, 2,000 images, 50 epochs"),
    gpu=lambda: _form(gpu_base(images=10_000, epochs=200), (32, 256, 2048),
                      "DIET, micro, 32 px, 10,000 images, 200 epochs"),
)  # fmt: skip
