"""C19: more features help linear probes, and perceptrons less."""

from dataclasses import replace

from fastssl.claims.bases import cpu_base, floor_of, gpu_base
from fastssl.claims.claim import Arm, Claim, Form, Panel
from fastssl.recipe import Recipe
from fastssl.report.verdict import Band, Effect, Seen


def _form(base: Recipe, dims: tuple[int, ...], setting: str) -> Form:
    sized = lambda k: replace(base, model=replace(base.model, feature_dim=k))
    small, large = min(dims), max(dims)

    def gain(seen: Seen, k: int, metric: str) -> float:
        return seen[f"K={k}"][metric] - seen[f"K={k} random"][metric]

    def growth(metric: str):
        return lambda seen: gain(seen, large, metric) - gain(seen, small, metric)

    return Form(
        arms=(
            *(Arm(name=f"K={k}", work=sized(k), x=k, series="SimCLR") for k in dims),
            *(Arm(name=f"K={k} random", work=floor_of(sized(k)), x=k, series="random encoder") for k in dims),
        ),
        effects=(
            Effect(says=f"linear probe: gain over random at K = {large} over that at {small}", of=growth("ridge"),
                   band=Band(low=0.0)),
            Effect(says="... and by how much it exceeds a perceptron's", band=Band(low=0.0),
                   of=lambda seen: growth("ridge")(seen) - growth("mlp")(seen)),
        ),
        setting=setting,
        panels=(Panel(kind="lines", x_label="features K", log_x=True),
                Panel(kind="lines", y="mlp", y_label="perceptron's accuracy, %", x_label="features K", log_x=True)),
        mlp=True,
    )  # fmt: skip


CLAIM = Claim(
    number=19,
    name="dimension",
    paper="Dubois 2022",
    says="A larger representation raises the linear probe, over what it does for a random encoder, more than it raises "
    "a perceptron's.",
    reading="All arms have the same bottleneck, so none has more depth. A random encoder gains with K too: accuracy "
    "alone would credit training with that, so the claim is the gain over random.",
    cpu=lambda: _form(cpu_base(images=10_000, epochs=3), (16, 64, 512), "SimCLR, nano, 16 px, 10,000 images, 3 epochs"),
    gpu=lambda: _form(gpu_base(epochs=20), (128, 512, 2048), "SimCLR, micro, 32 px, 20 epochs of 2 views"),
)
