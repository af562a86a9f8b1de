"""C4: with more views per image a step teaches more, at first."""

from dataclasses import replace

from fastssl.claims.bases import BARLOW, gpu_base
from fastssl.claims.claim import Arm, Claim, Form, Panel
from fastssl.recipe import ProbeConfig
from fastssl.report.verdict import Band, Effect, Seen
from fastssl.toy import ToyConfig

EARLY, LATE = 200, 1500
"""Steps of the toy."""


def toy_arms(views: tuple[int, ...] = (2, 4, 8)) -> tuple[Arm, ...]:
    """A fixed set of 200 images, so that views are what is scarce."""
    points = tuple(sorted({25, 50, 100, 150, EARLY, 400, 800, *(EARLY * 2 // v for v in views)}))
    config = ToyConfig(num_images=200, steps=LATE, measure_at=points)
    return tuple(Arm(name=f"{v} views", work=replace(config, views=v), x=v) for v in views)


def gpu_arms(batch_size: int) -> tuple[Arm, ...]:
    """Probes after every tenth of 20 epochs, from which epochs 2, 4, 10 and 20 are read."""
    return tuple(
        Arm(name=f"{v} views, batch {batch_size}",
            work=gpu_base(BARLOW, views=v, batch_size=batch_size, epochs=20, probe=ProbeConfig(probes=10)))
        for v in (2, 4, 8)
    )  # fmt: skip


def _lead(seen: Seen, step: int) -> float:
    return seen["4 views"].at(step, "captured") - seen["2 views"].at(step, "captured")


def _lead_at_probe(seen: Seen, number: int) -> float:
    few, many = (seen[f"{v} views, batch 512"].curve("ridge") for v in (2, 4))
    return many[number] - few[number]


def _cpu() -> Form:
    return Form(
        arms=toy_arms(),
        effects=(
            Effect(says=f"4 views over 2 at step {EARLY}", of=lambda s: _lead(s, EARLY), band=Band(low=0.01)),
            Effect(says=f"of that lead, gone by step {LATE}", of=lambda s: _lead(s, EARLY) - _lead(s, LATE),
                   band=Band(low=0.0)),
        ),
        setting="known-spectrum toy on 200 images, Barlow Twins, d = 8; share of the top 8 directions captured",
        panels=(Panel(kind="curves", x="step", x_label="step", y="captured", y_label="top 8 directions captured, %",
                      log_x=True),),
        seeds=8,
    )  # fmt: skip


def _gpu() -> Form:
    return Form(
        arms=gpu_arms(512),
        effects=(
            Effect(says="4 views over 2 at epoch 2", of=lambda s: _lead_at_probe(s, 0), band=Band(low=0.01)),
            Effect(says="of that lead, gone by epoch 20", band=Band(low=0.0),
                   of=lambda s: _lead_at_probe(s, 0) - _lead_at_probe(s, -1)),
        ),
        setting="Barlow Twins, micro, 32 px, 20 epochs",
        panels=(Panel(kind="curves", x="step", x_label="step"),),
    )  # fmt: skip


CLAIM = Claim(
    number=4,
    name="more-views",
    paper="Agrawal 2023",
    says="At equal steps four views are ahead of two early in training, and the lead shrinks.",
    reading="A step of four views costs about twice a step of two: this claim counts steps, `views-per-second` counts "
    "what they cost.",
    cpu=_cpu,
    gpu=_gpu,
)
