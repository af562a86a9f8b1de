"""The command line: `fastssl COMMAND ...`. The only package that knows the command-line library.

Each command is one module with a `Command` (what tyro parses) and an `EXAMPLE`. Modules are imported only when their
command is asked for, so `fastssl --help` does not wait for torch. Exit status: 0 done, 1 failed, 2 used wrongly.
"""

import difflib
import importlib
import json
import sys
from collections.abc import Sequence

from fastssl.cli.console import Console
from fastssl.cli.parse import parse
from fastssl.errors import InputError

COMMANDS = {
    "doctor": "what is installed, what falls back to what and why",
    "beton": "write, inspect, verify and export .beton dataset files",
    "parity": "do the loaders give the same distribution of views as torchvision?",
    "train": "train a recipe, or resume a run",
    "demo": "train every method on the built-in dataset for a few seconds each, and compare",
    "report": "tables and figures from records",
}

USAGE = """usage: fastssl COMMAND [options]

Self-supervised vision on one GPU, measured in accuracy per GPU-hour.

commands:
{commands}

`fastssl COMMAND --help` explains one, with an example. `--json`, on every command, prints one JSON document as the
last line of standard output."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in arguments
    arguments = [a for a in arguments if a != "--json"]
    console = Console()
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE.format(commands="\n".join(f"  {name:8}  {about}" for name, about in COMMANDS.items())))
        return 0 if arguments else 2
    if arguments[0] not in COMMANDS:
        console.error(unknown("command", arguments[0], list(COMMANDS)))
        return 2
    try:
        module = importlib.import_module(f"fastssl.cli.{arguments[0]}")
        document = parse(module, arguments[1:], f"fastssl {arguments[0]}").run(console)
    except SystemExit as request:  # --help, or a wrong use already explained by the parser
        return int(request.code or 0)
    except (InputError, OSError) as error:
        console.error(" ".join(str(error).split()))
        return 1
    except KeyboardInterrupt:
        console.error("interrupted; what was finished is kept")
        return 130
    if as_json:
        print(json.dumps(document), flush=True)
    return 0 if document.get("ok", True) else 1


def unknown(field: str, value: str, known: Sequence[str]) -> str:
    """One line for a name nobody knows, with the nearest known one first."""
    near = difflib.get_close_matches(value, known, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return f"{field}={value!r} is unknown; {hint}known: {', '.join(known)}"
