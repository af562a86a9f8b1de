"""C5: do more views pay for what they cost?"""

from fastssl.claims.c4_more_views import EARLY, gpu_arms, toy_arms
from fastssl.claims.claim import Claim, Form, Panel
from fastssl.report.verdict import Band, Effect, Seen


def _at_equal_views(views: int):
    """Lead over two views, when both have processed what two views do in `EARLY` steps."""

    def of(seen: Seen) -> float:
        return seen[f"{views} views"].at(EARLY * 2 // views, "captured") - seen["2 views"].at(EARLY, "captured")

    return of


def _at_equal_time(batch_size: int):
    """Lead of four views over two, where the shorter of the two runs ends: the last probe before that."""

    def of(seen: Seen) -> float:
        few, many = (seen[f"{v} views, batch {batch_size}"] for v in (2, 4))
        budget = min(few["train_s"], many["train_s"])
        last = lambda run: [point["ridge"] for point in run.points if point.train_s <= 1.02 * budget][-1]
        return last(many) - last(few)

    return of


def _cpu() -> Form:
    return Form(
        arms=toy_arms(),
        effects=(
            Effect(says="4 views over 2 at equal views processed", of=_at_equal_views(4), band=Band(low=0.0)),
            Effect(says="8 views over 2 at equal views processed", of=_at_equal_views(8), band=Band(low=0.0)),
        ),
        setting="known-spectrum toy on 200 images, Barlow Twins, d = 8; share of the top 8 directions captured",
        panels=(Panel(kind="curves", x="views", x_label="views processed", y="captured",
                      y_label="top 8 directions captured, %", log_x=True),),
        seeds=8,
    )  # fmt: skip


def _gpu() -> Form:
    return Form(
        arms=(*gpu_arms(128), *gpu_arms(1024)),
        effects=tuple(
            Effect(says=f"4 views over 2 at equal GPU-seconds, batch {b}", of=_at_equal_time(b), band=Band(low=0.0))
            for b in (128, 1024)
        ),
        setting="Barlow Twins, micro, 32 px, 20 epochs",
        panels=(Panel(kind="curves", x="train_s", x_label="GPU-seconds"),),
    )


CLAIM = Claim(
    number=5,
    name="views-per-second",
    paper="Agrawal 2023",
    says="More views per image give more accuracy per unit of compute.",
    reading="The same runs as `more-views`, over what they cost. The network's cost is in views, so on the toy views "
    "processed stand for compute; a loader that decodes each image once makes further views of it cheaper than new "
    "images, which this axis does not credit.",
    cpu=_cpu,
    gpu=_gpu,
)
