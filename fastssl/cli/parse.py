"""From arguments to a command object, and from tyro's framed errors to one clear line."""

import contextlib
import io
import re
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import tyro

CONFIG = (
    tyro.conf.OmitArgPrefixes,
    tyro.conf.OmitSubcommandPrefixes,
    tyro.conf.AvoidSubcommands,
    tyro.conf.CascadeSubcommandArgs,
)


class WrongUse(Exception):
    """Arguments that cannot be read; the message is one line."""


def view_flags(more: str = "") -> Any:
    """How help names and explains the flags of a `ViewSpec`, whose docstring speaks to programmers."""
    about = "What may happen to an image on its way to a view; names that end in -p are probabilities, from 0 to 1."
    return tyro.conf.arg(name="view", help=f"{about} {more}".strip())


def parse(module: ModuleType, arguments: Sequence[str], prog: str) -> Any:
    """The module's `Command` filled from `arguments`, or None after --help. Raises `WrongUse` for what cannot be read.

    A module whose defaults depend on what is asked for has `command_for(arguments)` instead.
    """
    command = module.command_for(arguments) if hasattr(module, "command_for") else module.Command
    about = f"{(module.__doc__ or '').strip()}\n\nExample: {module.EXAMPLE}\n\n--json prints one JSON document last."
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(command, args=list(arguments), prog=prog, description=about, config=CONFIG)
    except SystemExit as request:
        if request.code:
            raise WrongUse(f"{one_line(complaint.getvalue())} (see `{prog} --help`)") from None
        return None


def one_line(framed: str) -> str:
    """The substance of a framed error: its frame and title gone, help text cut, whitespace folded."""
    lines = [line.strip(" │|") for line in framed.splitlines()]
    lines = [line for line in lines if line and not set(line) <= set("─-╰╯")]
    substance = []
    for line in lines[1:]:  # the first is the frame's title
        if line.startswith(("Argument helptext", "For full helptext")):
            break
        substance.append(line)
    text = " ".join(substance)
    text = re.sub(r"^Error parsing [\w.]+: ", "", text)
    text = re.sub(r"Perhaps you meant: (--[\w-]+).*", r"(perhaps you meant \1)", text)
    return text or "these arguments cannot be read"
