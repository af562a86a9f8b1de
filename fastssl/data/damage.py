"""What becomes of a batch in which samples are damaged: an error that names the first, or a smaller batch."""

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Int64

from fastssl.data.beton import BetonFile
from fastssl.errors import InputError
from fastssl.native import Failure

OnError = Literal["raise", "skip"]


def check_on_error(on_error: str) -> None:
    """Raises `InputError` for an unknown policy."""
    if on_error not in get_args(OnError):
        raise InputError(f"on_error={on_error!r} is unknown; give one of {', '.join(get_args(OnError))}")


def kept_rows(
    beton: BetonFile, source: Int64[np.ndarray, "b"], failures: Sequence[Failure], on_error: OnError
) -> Bool[np.ndarray, "b"]:
    """Which of some samples stay. `failures` count among them, `source` are their positions in the file.

    Raises `InputError` naming file, sample, offset and reason when damage is not to be skipped.
    """
    if on_error == "raise":
        raise beton.damage(int(source[failures[0].sample]), failures[0].message)
    kept = np.ones(len(source), dtype=bool)
    kept[[failure.sample for failure in failures]] = False
    return kept


def nothing_left(beton: BetonFile, source: Int64[np.ndarray, "b"]) -> InputError:
    """The error to raise for a batch whose samples are all damaged: a step without an image has no statistics."""
    return InputError(
        f"{beton.path}: all {len(source)} samples of a batch are damaged, sample {source[0]} at byte "
        f"{beton.offsets[source[0]]} first, and on_error=skip leaves none; write the file again"
    )
