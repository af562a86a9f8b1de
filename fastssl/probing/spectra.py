"""The spectrum of a run's features, beside that of the same encoder untrained."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float32, Int64
from torch import Tensor

from fastssl.evals.health import SecondMoments, health, view_health
from fastssl.probing.passes import Look, Pass, Progress, settle, show
from fastssl.probing.record import looked_at
from fastssl.probing.subject import Subject, open_run


@dataclass(frozen=True)
class Spectrum:
    """What one network's features of one layer are like."""

    record: dict[str, Any]
    features: Float32[Tensor, "n k"]
    labels: Int64[Tensor, "n"]
    class_names: list[str]


def spectra_of(
    directory: Path,
    *,
    layer: str = "encoder",
    split: str | None = None,
    images: int | None = None,
    view_images: int = 1000,
    views: int = 10,
    device: str = "auto",
    progress: Progress | None = None,
) -> Iterator[Spectrum]:
    """The trained encoder first, then the untrained one, its BatchNorm statistics settled on the run's images.

    Args:
        layer: `encoder`, `projector`, or a module inside the encoder.
        split: of the run's dataset; its test split if None.
        images: at most about so many, a class-balanced share; None takes the split.
        view_images: images of LiDAR, alignment and uniformity, each in `views` drawn views.

    Errors: `InputError` for what is no run, a layer it does not have, or data that is missing.
    """
    for weights in ("trained", "untrained"):
        subject = open_run(directory, device=device, weights=weights, projector=layer == "projector")
        if weights == "untrained":
            subject = settle(subject)
        dataset, at = subject.recipe.data.dataset, split or subject.recipe.probe.test_split
        plain = show(subject, Look(dataset=dataset, split=at, limit=images), (layer,), progress)
        drawn = show(subject, Look(dataset=dataset, split=at, limit=view_images, views=views), (layer,), progress)
        yield _spectrum(subject, layer, plain, drawn)


def _spectrum(subject: Subject, layer: str, plain: Pass, drawn: Pass) -> Spectrum:
    x, seen = plain.features[layer][:, 0], drawn.features[layer]
    protocol = (
        f"single undistorted view of {len(x)} images of {plain.info.name} {plain.info.split}, alpha at ranks 3 to 50; "
        f"LiDAR, alignment and uniformity of {len(seen)} of them in {seen.shape[1]} views drawn as in training"
    )
    record = looked_at(
        subject,
        "spectrum",
        {"layer": layer, "images": len(x), "views": seen.shape[1], "protocol": protocol},
        health(x) | view_health(seen),
        plain.info,
        samples=SecondMoments.of(x).spectrum.tolist(),
        unit="variance",
    )
    return Spectrum(record, x, plain.labels, list(plain.info.class_names))
