"""The command line: `fastssl COMMAND ...`. The only package that knows the command-line library.

Each command is one module with a `Command` (what tyro parses) and an `EXAMPLE`. Modules are imported only when their
command is asked for, so `fastssl --help` does not wait for torch. Exit status: 0 done, 1 failed, 2 used wrongly, 130
interrupted, 141 when the reader of standard output left early (`fastssl ... | head`).
"""

import difflib
import importlib
import json
import math
import os
import sys
from collections.abc import Sequence
from typing import Any

from fastssl.cli.console import Console, speaks
from fastssl.cli.parse import WrongUse, parse
from fastssl.errors import InputError

COMMANDS = {
    "doctor": "what is installed, what falls back to what and why; what limits training on a dataset",
    "beton": "write, inspect, verify and export .beton dataset files",
    "parity": "do the loaders give the same distribution of views as torchvision?",
    "views": "draw images beside their augmented views",
    "train": "train a recipe, or resume a run",
    "runs": "list runs, show one, compare two",
    "export": "a run's encoder as a file that loads without this library",
    "probe": "probe a finished run: classifiers, layers, few labels, transfer, fine-tuning",
    "spectrum": "eigenspectrum and health of a run's features, beside the untrained encoder",
    "methods": "the methods, their papers, and what a step of each costs",
    "compare": "train several recipes for the same time, and compare",
    "sweep": "train recipes over a grid, a list or draws of their fields, several at a time",
    "speedrun": "race to a fixed accuracy: seconds of training clock, several seeds",
    "claim": "run a paper's claim and judge it: PASS, FAIL or UNCLEAR",
    "demo": "train every method on the built-in dataset for a few seconds each, and compare",
    "bench": "time loading, augmentation, steps, writing beside peers and ceilings; compare two commits",
    "report": "tables and figures from records",
}

READER_LEFT = 141
"""128 + SIGPIPE, as a shell reports a program that this signal ended."""

USAGE = """usage: fastssl COMMAND [options]

Self-supervised vision on one GPU, measured in accuracy per GPU-hour.

commands:
{commands}

`fastssl COMMAND --help` explains one, with an example. `--json`, on every command, prints one JSON document as the
last line of standard output."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status."""
    try:
        status = _main(list(sys.argv[1:] if argv is None else argv))
        print(end="", flush=True)  # here, and not at the interpreter's exit, where a closed pipe prints a complaint
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still buffered
        return READER_LEFT
    except OSError as error:  # of printing: what a command itself cannot write is its own failure
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"fastssl: standard output cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    return status


def _main(arguments: list[str]) -> int:
    as_json = "--json" in arguments
    arguments = [a for a in arguments if a != "--json"]
    console = Console()
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE.format(commands="\n".join(f"  {name:8}  {about}" for name, about in COMMANDS.items())))
        return 0 if arguments else 2
    document, status = _run(arguments, console)
    if as_json and document and speaks():
        print(json.dumps(_finite(document), allow_nan=False), flush=True)
    return status


def _run(arguments: list[str], console: Console) -> tuple[Any, int]:
    """The command's JSON document (empty after --help) and the exit status; a failure is one line on standard error."""
    try:
        if arguments[0] not in COMMANDS:
            raise WrongUse(unknown("command", arguments[0], list(COMMANDS)))
        module = importlib.import_module(f"fastssl.cli.{arguments[0]}")
        command = parse(module, arguments[1:], f"fastssl {arguments[0]}")
        document = command.run(console) if command else {}
        return document, 0 if _went_well(document) else 1
    except WrongUse as error:
        line, status = str(error), 2
        if not speaks():  # they are all used wrongly in the same way
            return {}, status
    except BrokenPipeError:
        raise
    except (InputError, OSError) as error:
        line, status = str(error), 1
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise  # ours to mend: keep the traceback
        line, status = "out of memory; lower --batch-size, --views or --projector-dim", 1
    except KeyboardInterrupt:
        line, status = "interrupted; what was finished is kept, `fastssl train --resume RUN` goes on with a run", 130
    line = " ".join(line.split())
    console.error(line)
    return {"ok": False, "error": line}, status


def _went_well(document: Any) -> bool:
    """Of rows, all are well, but for what is not installed here: that is for the table to say, and no failure."""
    if isinstance(document, list):
        return all(row["ok"] or row.get("reason", "").startswith("not installed") for row in document)
    return document.get("ok", True)


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def unknown(field: str, value: str, known: Sequence[str]) -> str:
    """One line for a name nobody knows, with the nearest known one first."""
    near = difflib.get_close_matches(value, known, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{field}={value!r} is unknown; {hint}known: {', '.join(known)}"
