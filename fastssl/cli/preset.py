"""A preset asked for on the command line, found before the flags are made: its numbers are then the flags' defaults."""

from collections.abc import Sequence

from fastssl.augment.presets import PRESETS, Specs, get_preset
from fastssl.cli import unknown
from fastssl.cli.parse import WrongUse
from fastssl.errors import InputError


def preset_specs(arguments: Sequence[str], size: int | None = None) -> Specs | None:
    """The specs of the preset that `--spec`, `--strength` and `--size` name, or None. `size` is that without `--size`.

    Errors: `WrongUse` for a preset that cannot be made, and for a strength without one.
    """
    name = _given(arguments, "--spec", "the name of a preset (`fastssl views --list`)")
    strength, side = _given(arguments, "--strength", "a number"), _given(arguments, "--size", "a number of pixels")
    if name is None and strength is not None:
        raise WrongUse(f"strength={strength} has no effect without a preset; give --spec NAME")
    if name is None:
        return None
    if name not in PRESETS:
        raise WrongUse(unknown("spec", name, list(PRESETS)))
    try:
        size = size if side is None else _whole_number(side, "size")
        return get_preset(name, size=size, strength=None if strength is None else _number(strength, "strength"))
    except InputError as error:
        raise WrongUse(str(error)) from None


def _given(arguments: Sequence[str], flag: str, what: str) -> str | None:
    """What follows the flag, as `--flag value` or `--flag=value`; the last one counts. It has to be something."""
    found = None
    for argument, after in zip(arguments, [*arguments[1:], ""]):
        if argument == flag:
            found = "" if after.startswith("--") else after
        elif argument.startswith(f"{flag}="):
            found = argument.partition("=")[2]
    if found == "":
        raise WrongUse(f"{flag} has nothing after it; give {what}")
    return found


def _number(text: str, field: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"{field}={text} is not a number; give one") from None


def _whole_number(text: str, field: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(f"{field}={text} is not a whole number; give one") from None
