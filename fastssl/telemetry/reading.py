"""Records from disk. Apart from `records`, so that reports need nothing that knows torch."""

import json
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fastssl.errors import InputError
from fastssl.telemetry.schema import validate


def read_records(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Every record of the given JSON Lines files, in order.

    A last line that was cut off (a machine went down while it was written) is skipped with a warning.
    Errors: `InputError` naming file and line for anything else that is not a record, also one of a newer schema.
    """
    return [record for path in paths for record in _read_file(Path(path))]


def _read_file(path: Path) -> list[dict[str, Any]]:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"records={path} cannot be read: {error.strerror}; give a .jsonl file of records") from error
    lines = content.split(b"\n")
    torn = lines.pop()  # empty after the newline that ends a complete file
    if torn.strip():
        if _is_json(torn):  # an editor dropped the newline
            lines.append(torn)
        else:
            warnings.warn(f"{path}:{len(lines) + 1} was cut off while it was written; skipped", stacklevel=3)
    return [_parse(line, path, number) for number, line in enumerate(lines, 1) if line.strip()]


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _parse(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise InputError(f"{path}:{number} is not JSON; restore the file, or delete that line") from error
    try:
        validate(record)
    except InputError as error:
        raise InputError(f"{path}:{number}: {error}") from error
    return record
