"""Compiles the C sources beside this file: `python -m fastssl.native.build`.

The package's build hook calls `compile_library` too, before anything is installed: only the standard library here.
`CC` and `CFLAGS` are read from the environment. Needs libjpeg-turbo's header (Debian and Ubuntu: libjpeg-dev).
"""

import hashlib
import os
import shlex
import subprocess
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
LIBRARY = FOLDER / "_views.so"
# No contraction of products and sums: the weights, and so the pixels, are to be the same on every processor. That no
# floating-point exception is looked at lets the compiler choose both ways at once, and so use vectors.
_FLAGS = ["-std=gnu11", "-O3", "-ffp-contract=off", "-fno-trapping-math", "-fPIC", "-shared", "-pthread", "-Wall"]


class BuildError(RuntimeError):
    """One line: what the compiler lacks."""


def sources_digest() -> str:
    """Sixteen hexadecimal digits that change with any C source; the library carries those it was made from."""
    digest = hashlib.sha256()
    for path in sorted(FOLDER.glob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def compile_library(target: Path = LIBRARY) -> Path:
    """Writes the shared library, complete or not at all; raises `BuildError`. A few seconds."""
    compiler = shlex.split(os.environ.get("CC") or "cc")
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        made = Path(folder) / target.name
        flags = [*_FLAGS, *shlex.split(os.environ.get("CFLAGS", "")), f'-DFASTSSL_SOURCES="{sources_digest()}"']
        command = [*compiler, *flags, *map(str, sorted(FOLDER.glob("*.c"))), "-o", str(made), "-ljpeg", "-lm"]
        _run(command)
        os.replace(made, target)
    return target


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise BuildError(f"no C compiler: {error}; install one or name it in CC") from None
    if done.returncode == 0:
        return
    lines = [line for line in done.stderr.splitlines() if "error" in line or "cannot find" in line]
    said = lines[0] if lines else f"exit code {done.returncode}"
    raise BuildError(f"{command[0]} failed: {said} (libjpeg-turbo's header comes with Debian's libjpeg-dev)")


if __name__ == "__main__":
    try:
        compile_library()
        print(f"compiled {LIBRARY.name} from sources {sources_digest()}")
    except BuildError as failure:
        raise SystemExit(str(failure)) from None
