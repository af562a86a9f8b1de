"""Write an encoder, check the file against the library on real images, and only then give it its name."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fastssl.data.atomic import AtomicFile
from fastssl.errors import InputError
from fastssl.export.card import card_of, markdown
from fastssl.export.formats import FORMATS, FormatName, Forward
from fastssl.export.rebuild import rebuild_code
from fastssl.probing.passes import Look, plain_views, specs_of
from fastssl.probing.subject import Subject, open_run
from fastssl.runs import read_run

CHECKED_IMAGES = 5
TOLERANCE = 1e-4
"""Largest difference from the library's features that is let through, as a share of the largest feature (of 1 at
least): float32 in another order of sums gives about 1e-6."""


@dataclass(frozen=True)
class Exported:
    files: tuple[Path, ...]
    """The encoder, and its card as JSON and Markdown."""
    card: dict[str, Any]


def export_run(
    directory: Path, format_name: FormatName, out: Path, *, say: Callable[[str], None] = lambda line: None
) -> Exported:
    """The encoder of a run in a format, and its card beside it. Nothing is left under a final name after an error.

    Errors: `InputError` for a run without a readable checkpoint, a file that cannot be written, a format whose library
    is missing or that holds weights alone of a network without plain code, and for a file that gives other features.
    """
    files = (out, out.with_name(f"{out.name}.json"), out.with_name(f"{out.name}.md"))
    with ExitStack() as undo:
        parts = []
        for path in files:  # before the work: a folder that cannot be written is known at once
            parts.append(AtomicFile(path))
            undo.callback(parts[-1].discard)
        subject, run = open_run(directory, device="cpu"), read_run(directory)
        look = Look(dataset=subject.recipe.data.dataset, split=subject.recipe.data.train_split)
        views = plain_views(subject, look, CHECKED_IMAGES)
        code = rebuild_code(subject.recipe.model, subject.encoder, subject.recipe.spec.size)
        chosen = FORMATS[format_name]
        if chosen.weights_only and code is None:
            raise InputError(
                f"format={format_name} holds weights alone, and feature_dim={subject.recipe.model.feature_dim} has no "
                "plain code that takes them; give torchscript, torch-export or onnx"
            )
        card = {"format": format_name, **card_of(subject, run, specs_of(subject, look)[0], code)}
        say(f"writing   {subject.recipe.model.arch}, {subject.dim} features, step {subject.step:,}, as {format_name}")
        _write(parts[0], chosen.dump(subject.encoder, views[:2], {"fastssl": json.dumps(card)}))
        error = _checked(chosen.load(parts[0].temporary, code), subject, views)
        card |= {"checked_images": len(views), "max_abs_error": error}
        _write(parts[1], (json.dumps(card, indent=1) + "\n").encode())
        _write(parts[2], markdown(card, out.name).encode())
        for part in reversed(parts):  # the encoder last: where it is, its card is
            part.commit()
    return Exported(files, card)


def _write(part: AtomicFile, content: bytes) -> None:
    try:
        part.file.write(content)
        part.finish()
    except OSError as error:
        raise InputError(f"{part.path} cannot be written: {error.strerror}; give a folder that can") from error


def _checked(forward: Forward, subject: Subject, views: Tensor) -> float:
    """Largest difference between the file's features and the library's, of a batch and of one image alone."""
    with torch.inference_mode():
        wanted = subject.encoder(views.contiguous(memory_format=torch.channels_last))
        found = forward(views.contiguous())
        alone = forward(views[:1].contiguous())
    if found.shape != wanted.shape or alone.shape != wanted[:1].shape:
        raise InputError(f"the written file gives features of shape {tuple(found.shape)}, not {tuple(wanted.shape)}")
    error = max(float((found - wanted).abs().max()), float((alone - wanted[:1]).abs().max()))
    allowed = TOLERANCE * max(1.0, float(wanted.abs().max()))
    if not error <= allowed:
        raise InputError(
            f"the written file gives other features than the run (off by {error:.2g}, allowed {allowed:.2g}); "
            "nothing was kept; give another format"
        )
    return error
