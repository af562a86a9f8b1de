"""C9: SimCLR does not need large batches."""

from dataclasses import replace

from fastssl.claims.bases import cpu_base, gap, gpu_base
from fastssl.claims.claim import Arm, Claim, Form, Panel
from fastssl.recipe import Recipe
from fastssl.report.verdict import Band, Effect

CPU_RATES = {25: 1e-3, 100: 2e-3, 400: 4e-3}
GPU_RATES = {32: 5e-4, 128: 1e-3, 512: 2e-3, 2048: 4e-3}
"""Of AdamW, by the square root of the batch from the rate of the base recipe; not searched."""


def _form(base: Recipe, rates: dict[int, float], setting: str) -> Form:
    work = lambda size, rate: replace(base, batch_size=size, optim=replace(base.optim, lr=rate))
    small, large = min(rates), max(rates)
    return Form(
        arms=tuple(Arm(name=f"batch {size}", work=work(size, rate), x=size) for size, rate in rates.items()),
        effects=(
            Effect(says=f"what batch {small} lacks of batch {large}", band=Band(high=0.03),
                   of=gap(f"batch {large}", f"batch {small}")),
        ),
        setting=setting,
        panels=(Panel(kind="lines", x_label="images per batch", log_x=True),),
    )  # fmt: skip


CLAIM = Claim(
    number=9,
    name="small-batches",
    paper="Bordes 2023",
    says="SimCLR loses little with small batches once the learning rate fits them.",
    reading="Equal epochs, so a small batch takes more steps. The rate follows the square root of the batch.",
    cpu=lambda: _form(cpu_base(images=5_000, epochs=8), CPU_RATES, "SimCLR, nano, 16 px, 5,000 images, 8 epochs"),
    gpu=lambda: _form(gpu_base(epochs=20), GPU_RATES, "SimCLR, micro, 32 px, 20 epochs"),
)
