"""Making records, and keeping them: one JSON object per line, appended and never changed afterwards."""

import fcntl
import hashlib
import json
import os
import warnings
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fastssl.errors import InputError
from fastssl.telemetry import environment
from fastssl.telemetry.reading import read_records
from fastssl.telemetry.schema import SCHEMA, validate, without_paths

__all__ = ["append_record", "new_record", "read_records", "record_id"]

_PROCESS_STARTED_UTC = datetime.now(timezone.utc).isoformat(timespec="seconds")


def new_record(
    *,
    suite: str,
    case: dict[str, Any],
    scope: list[str],
    clock: dict[str, Any],
    budget: dict[str, Any],
    metrics: dict[str, float],
    dataset: dict[str, Any],
    samples: list[float] | None = None,
    unit: str = "",
    warmup: int = 0,
    outcome: str = "ok",
    device: str | None = None,
    page_cache: str = "unknown",
    started_utc: str | None = None,
) -> dict[str, Any]:
    """A valid record: the given blocks, and what this process knows of machine, software and code.

    Args:
        clock: `Clock.record()`; its `device` decides which device is described unless `device` does.
        device: "cpu" or "cuda".
        started_utc: ISO 8601; by default when this process began.

    Absolute paths inside the blocks are cut to their last part. `id` is a hash of everything else.
    Errors: `InputError` for a block that does not fit the schema.
    """
    kind = device or clock.get("device")
    record = {
        "schema": SCHEMA,
        "suite": suite,
        "case": case,
        "scope": scope,
        "samples": samples or [],
        "unit": unit,
        "warmup": warmup,
        "outcome": outcome,
        "clock": clock,
        "budget": budget,
        "metrics": metrics,
        "device": environment.device_facts(kind, count=clock.get("world_size", 1)),
        "host": {**environment.host_facts(), "page_cache": page_cache},
        "software": environment.software_versions(),
        "code": environment.code_version(),
        "dataset": dataset,
        "started_utc": started_utc or _PROCESS_STARTED_UTC,
    }
    record = _plain(record)
    record["id"] = record_id(record)
    validate(record)
    return record


def record_id(record: dict[str, Any]) -> str:
    """Hash of everything in a record but its id."""
    content = {name: value for name, value in record.items() if name != "id"}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def append_record(path: Path, record: dict[str, Any]) -> None:
    """Adds one line and waits until it is on disk; makes the folders above.

    The line is one write to a locked file opened for appending, so two processes never mix theirs. A last line that an
    earlier process left cut off is removed, with a warning. Errors: `InputError` for a record that does not fit the
    schema, or a file that cannot be written; the file is then as before.
    """
    validate(record)
    line = json.dumps(record, allow_nan=False, ensure_ascii=False).encode() + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)  # dropped when the file is closed
            _write_line(handle, line, path)
        finally:
            os.close(handle)
    except OSError as error:
        raise InputError(f"records={path} cannot be written: {error.strerror}; give a file that can") from error


def _write_line(handle: int, line: bytes, path: Path) -> None:
    size = os.fstat(handle).st_size
    if size and os.pread(handle, 1, size - 1) != b"\n":
        size, line = _mend_tail(handle, size, line, path)
    try:
        written = os.write(handle, line)
        if written < len(line):
            raise OSError(28, os.strerror(28))  # ENOSPC: a short write to a regular file has no other cause
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, size)
        raise


def _mend_tail(handle: int, size: int, line: bytes, path: Path) -> tuple[int, bytes]:
    """Size without a cut-off last line; a whole one that only lacks its newline (an editor's doing) is kept."""
    content = os.pread(handle, size, 0)
    begin = content.rfind(b"\n") + 1
    try:
        json.loads(content[begin:])
        return size, b"\n" + line
    except ValueError:
        warnings.warn(f"{path} ended in a line that was cut off while it was written; removed", stacklevel=4)
        os.ftruncate(handle, begin)
        return begin, line


def _plain(value: Any) -> Any:
    """Tuples to lists, as JSON would; absolute paths to their last part."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, str):
        return without_paths(value)
    return value
