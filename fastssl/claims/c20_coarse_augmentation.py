"""C20: coarser augmentation helps, most where labels are few."""

from dataclasses import replace

from fastssl.augment.presets import get_preset
from fastssl.claims.bases import cpu_base, gpu_base
from fastssl.claims.claim import Arm, Claim, Form, Panel
from fastssl.recipe import Recipe
from fastssl.report.verdict import Band, Effect, Seen

STRENGTHS = (0.25, 0.5, 1.0, 2.0)
FEW = (0.1, 0.01)


def _gain(metric: str):
    """Of strength 1 over .25."""
    return lambda seen: seen["strength 1"][metric] - seen["strength 0.25"][metric]


def _form(base: Recipe, setting: str) -> Form:
    def work(strength: float) -> Recipe:
        (spec,) = get_preset("issl", size=base.spec.size, strength=strength)
        return replace(base, spec=spec)

    def more_with_few(seen: Seen) -> float:
        return _gain("ridge_labels_0.01")(seen) - _gain("ridge")(seen)

    return Form(
        arms=tuple(Arm(name=f"strength {s:g}", work=work(s), x=s) for s in STRENGTHS),
        effects=(
            Effect(says="all labels: strength 1 over .25", of=_gain("ridge"), band=Band(low=0.0)),
            Effect(says="1 % of labels: strength 1 over .25", of=_gain("ridge_labels_0.01"), band=Band(low=0.0)),
            Effect(says="by how much the second exceeds the first", of=more_with_few, band=Band(low=0.0)),
        ),
        setting=setting,
        panels=(Panel(kind="lines", x_label="strength", log_x=True),
                Panel(kind="lines", y="ridge_labels_0.01", y_label="ridge accuracy on 1 % of labels, %",
                      x_label="strength", log_x=True)),
        few_labels=FEW,
    )  # fmt: skip


CLAIM = Claim(
    number=20,
    name="coarse-augmentation",
    paper="Dubois 2022",
    says="Up to strength 1 a coarser augmentation raises accuracy, and by more when labels are few.",
    reading="Coarser augmentation means fewer equivalence classes to tell apart; a short run of a small network may "
    "find strong views hard and prefer milder ones.",
    cpu=lambda: _form(cpu_base(images=10_000, epochs=3), "SimCLR, nano, 16 px, 10,000 images, 3 epochs of 2 views"),
    gpu=lambda: _form(gpu_base(epochs=40), "SimCLR, micro, 32 px, 40 epochs of 2 views"),
)
