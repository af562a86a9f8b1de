"""Features that are kept in a run's directory, so that the next probe does not show the images again.

A file holds what it is of: hash of the weights, fingerprint of the images, views, layer, number format and what else
decides a feature; and the hash of its numbers. It is believed only if all of that is what is asked for. Its name is for
people; a file copied from another run, or left by other weights, is never taken for this one's.
"""

import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastssl.data.served import serve
from fastssl.probing.passes import Look, Pass, Progress, beton_of, show, specs_of
from fastssl.probing.record import KNOWN_AS
from fastssl.probing.subject import Subject, hash_of
from fastssl.telemetry.files import write_atomically
from fastssl.types import DatasetInfo

FORMAT = 2
DAMAGED = (
    OSError,
    EOFError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    pickle.UnpicklingError,
    zipfile.BadZipFile,
)

Say = Callable[[str], None]


def features_of(
    subject: Subject,
    look: Look,
    layers: Sequence[str] = ("encoder",),
    *,
    fresh: bool = False,
    progress: Progress | None = None,
    say: Say = lambda line: None,
) -> Pass:
    """What `passes.show` gives, from `RUN/features/` where it is there and whole, else shown and kept.

    `fresh` shows the images in any case. Features of other weights of the run are removed when new ones are kept. A
    file that cannot be written costs the next probe its time, and is said; nothing else.
    """
    folder = subject.run.path / "features"
    keys = {layer: key_of(subject, look, layer) for layer in layers}
    paths = {layer: folder / _file_name(subject, look, layer, key) for layer, key in keys.items()}
    kept = {} if fresh else {layer: read(paths[layer], key, say) for layer, key in keys.items()}
    found = {layer: one for layer, one in kept.items() if one is not None}
    if missing := [layer for layer in layers if layer not in found]:
        shown = show(subject, look, missing, progress)
        for layer in missing:
            found[layer] = Pass({layer: shown.features[layer]}, shown.labels, shown.info, shown.skipped)
            _keep(paths[layer], keys[layer], found[layer], say)
        _remove_others(folder, subject)
    first = found[layers[0]]
    return Pass({layer: found[layer].features[layer] for layer in layers}, first.labels, first.info, first.skipped)


def key_of(subject: Subject, look: Look, layer: str) -> dict[str, Any]:
    """All that decides the features, as JSON."""
    data = subject.recipe.data
    return {
        "format": FORMAT,
        "weights": subject.weights_hash,
        "head": hash_of(subject.projector) if layer == "projector" and subject.projector is not None else "",
        "images": serve(beton_of(subject, look)).info.fingerprint,
        "look": asdict(look),
        "layer": layer,
        "specs": [repr(spec) for spec in specs_of(subject, look)],
        "precision": subject.recipe.precision,
        "device": subject.device.type,
        "backend": subject.backend.name,
        "loader": subject.facts["loader"],
        "holdout": [data.holdout, data.subset_seed] if data.holdout else [],
        "on_error": data.on_error,
    }


def read(path: Path, key: dict[str, Any], say: Say = lambda line: None) -> Pass | None:
    """What the file holds; None when it is not there, of something else, or damaged."""
    if not path.is_file():
        return None
    try:
        content = torch.load(io.BytesIO(path.read_bytes()), map_location="cpu", weights_only=True)
        if content["key"] != json.dumps(key, sort_keys=True):
            say(f"features  {path.name} are of something else; shown again")
            return None
        features, labels = content["features"], content["labels"]
        if content["sha256"] != _hash(content["info"], content["skipped"], features, labels):
            raise ValueError("it does not hold what was written")
        info: dict[str, Any] = json.loads(content["info"])
        info |= {name: tuple(value) for name, value in info.items() if isinstance(value, list)}
        return Pass({key["layer"]: features}, labels, DatasetInfo(**info), content["skipped"])
    except DAMAGED as error:
        say(f"features  {path.name} is damaged ({' '.join(str(error).split())[:80]}); shown again")
        return None


def _keep(path: Path, key: dict[str, Any], one: Pass, say: Say) -> None:
    features, info, buffer = one.features[key["layer"]], json.dumps(asdict(one.info)), io.BytesIO()
    content = {
        "key": json.dumps(key, sort_keys=True),
        "sha256": _hash(info, one.skipped, features, one.labels),
        "features": features,
        "labels": one.labels,
        "info": info,
        "skipped": one.skipped,
    }
    torch.save(content, buffer)
    try:
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, buffer.getvalue())
    except OSError as error:
        say(f"features  {path.name} is not kept: {error.strerror}")


def _hash(info: str, skipped: int, *tensors: Tensor) -> str:
    found = hashlib.sha256(json.dumps([info, skipped]).encode())
    for tensor in tensors:
        found.update(
            f"{tensor.dtype} {tuple(tensor.shape)}".encode()
            + tensor.contiguous().view(-1).view(torch.uint8).numpy().tobytes()
        )
    return found.hexdigest()


def _file_name(subject: Subject, look: Look, layer: str, key: dict[str, Any]) -> str:
    mark = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
    dataset = Path(look.dataset).stem
    return f"{_owner(subject)}-{dataset}-{look.split}-{layer}-views{look.views}-{mark}.pt"


def _owner(subject: Subject) -> str:
    return f"{KNOWN_AS[subject.weights]}-{subject.weights_hash[:12]}"


def _remove_others(folder: Path, subject: Subject) -> None:
    for path in folder.glob(f"{KNOWN_AS[subject.weights]}-*.pt"):
        if not path.name.startswith(_owner(subject)):
            path.unlink(missing_ok=True)
