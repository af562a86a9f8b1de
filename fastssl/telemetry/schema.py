"""What one record must hold. Records are evidence: what cannot be read back the same way is refused before it is kept.

One record is one JSON object: what was run (`suite`, `case`, `scope`), what came out (`samples` in `unit`, `metrics`),
what it cost (`clock`, `budget`) and where (`device`, `host`, `software`, `code`, `dataset`). Raw numbers only: medians
and intervals are computed by `fastssl.report`, never stored. Blocks may carry more keys than are required here.
"""

import getpass
import math
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any

from fastssl.errors import InputError

SCHEMA = 1
SCOPES = ("decode", "augment", "h2d", "train_step", "loss", "write")
"""`loss`: a loss alone, forward and backward, which is a part of a step; `write`: images to a training file."""
OUTCOMES = ("ok", "wrong", "failed", "timeout")
"""`wrong`: the output broke the contract that was checked before timing; such a record carries no samples."""

Check = Callable[[object], str | None]
"""None when the value is right, else what to give instead."""


def _one_of(*kinds: type) -> Check:
    names = " or ".join(kind.__name__ for kind in kinds)
    return lambda value: None if type(value) in kinds else f"give {names}"


def _or_null(check: Check) -> Check:
    def checked(value: object) -> str | None:
        reason = None if value is None else check(value)
        return reason and f"{reason}, or null"

    return checked


def _number(low: float, high: float = math.inf, *, whole: bool = False) -> Check:
    kinds, noun = ((int,), "a whole number") if whole else ((int, float), "a number")
    bounds = "" if low == -math.inf else f" of {low:g} or more" if high == math.inf else f" from {low:g} to {high:g}"
    return lambda value: None if type(value) in kinds and low <= value <= high else f"give {noun}{bounds}"  # type: ignore


def _text(value: object) -> str | None:
    return None if isinstance(value, str) and value else "give a text that is not empty"


def _slug(value: object) -> str | None:
    good = isinstance(value, str) and re.fullmatch(r"[a-z0-9][a-z0-9_-]*", value)
    return None if good else "give lower-case letters, digits, _ and -"


def _member(*known: object) -> Check:
    return lambda value: None if value in known else f"give one of {', '.join(map(str, known))}"


def _list_of(check: Check) -> Check:
    def checked(value: object) -> str | None:
        if not isinstance(value, list):
            return "give a list"
        return next((f"in the list, {reason}" for item in value if (reason := check(item))), None)

    return checked


def _utc(value: object) -> str | None:
    try:
        offset = datetime.fromisoformat(str(value)).utcoffset()
    except ValueError:
        offset = None
    return "give an ISO 8601 time with +00:00" if offset is None or offset.total_seconds() else None


_COUNT = _number(0, whole=True)
_AMOUNT = _number(0)

TOP: dict[str, Check] = {
    "schema": _member(SCHEMA),
    "id": _text,
    "suite": _slug,
    "case": _one_of(dict),
    "scope": _list_of(_member(*SCOPES)),
    "samples": _list_of(_number(-math.inf)),
    "unit": _one_of(str),
    "warmup": _COUNT,
    "outcome": _member(*OUTCOMES),
    "clock": _one_of(dict),
    "budget": _one_of(dict),
    "metrics": _one_of(dict),
    "device": _one_of(dict),
    "host": _one_of(dict),
    "software": _one_of(dict),
    "code": _one_of(dict),
    "dataset": _one_of(dict),
    "started_utc": _utc,
}
BLOCKS: dict[str, dict[str, Check]] = {
    "clock": {
        **dict.fromkeys(("compile_s", "data_s", "train_s", "eval_s", "checkpoint_s"), _AMOUNT),
        "world_size": _number(1, whole=True),
    },
    "budget": {
        "gpu_h": _or_null(_AMOUNT),
        **dict.fromkeys(("views", "images", "steps"), _or_null(_COUNT)),
        **dict.fromkeys(("flops", "joules"), _or_null(_AMOUNT)),
    },
    "device": {
        "kind": _member("cpu", "cuda"),
        "name": _text,
        "count": _number(1, whole=True),
        "memory_bytes": _or_null(_COUNT),
    },
    "host": {
        "cpu": _text,
        "cores": _number(1, whole=True),
        "memory_bytes": _or_null(_COUNT),
        "page_cache": _member("unknown", "warm", "cold"),
    },
    "code": {"commit": _or_null(_text), "dirty": _or_null(_one_of(bool)), "version": _text},
}
DATASET: dict[str, Check] = {"id": _text, "fingerprint": _text}
"""Required together, or the block is empty (a benchmark on made-up pixels)."""
TRAIN_CASE: dict[str, Check] = {
    **dict.fromkeys(("run", "name", "method", "protocol"), _text),
    "seed": _one_of(int),
    "epoch": _AMOUNT,
    "step": _COUNT,
    "final": _one_of(bool),
    "recipe": _one_of(dict),
}
LOOK_CASE: dict[str, Check] = {
    **dict.fromkeys(("run", "name", "method", "protocol", "layer", "weights_hash"), _text),
    "weights": _member("trained", "random"),
    "seed": _one_of(int),
    "step": _COUNT,
    "views": _COUNT,
    "recipe": _one_of(dict),
}
"""Of what was found in a run afterwards: suites `probe` and `spectrum`."""
TRAIN_METRICS: dict[str, Check] = {"ridge": _number(0, 1), "knn": _number(0, 1)}
"""Accuracies, as fractions of one."""

PRIVATE_KEYS = frozenset({"host_name", "hostname", "user", "user_name", "username", "home"})
_PATH = re.compile(r"^(?:/|~[\w.-]*(?:/|$)|[A-Za-z]:[\\/])")
_PATH_INSIDE = re.compile(r"(?<=[\s\"'(=,:])(?:~[\w.-]*/|[A-Za-z]:\\|/(?=[\w.+-]+/))[\w.+/\\-]+")


def validate(record: object) -> None:
    """Returns when the record may be kept; else raises `InputError`, one line naming the field and its value."""
    if not isinstance(record, dict):
        raise InputError(f"record={_short(record)} is not an object; give one dictionary per record")
    schema = record.get("schema")
    if type(schema) is int and schema > SCHEMA:
        raise InputError(f"schema={schema} is newer than this version of fastssl reads ({SCHEMA}); update fastssl")
    if unknown := sorted(set(map(str, record)) - set(TOP)):
        raise InputError(f"{unknown[0]}={_short(record[unknown[0]])} is no field of a record; see results/README.md")
    for field, value in _leaves(record, ""):
        _check_leaf(field, value)
    _check(record, TOP, "")
    for block, checks in BLOCKS.items():
        _check(record[block], checks, f"{block}.")
    _check(record["metrics"], dict.fromkeys(record["metrics"], _number(-math.inf)), "metrics.")
    _check(record["software"], dict.fromkeys(record["software"], _or_null(_text)), "software.")
    if record["dataset"]:
        _check(record["dataset"], DATASET, "dataset.")
    if record["suite"] == "train":
        _check(record["case"], TRAIN_CASE, "case.")
        _check(record["metrics"], TRAIN_METRICS, "metrics.")
    if record["suite"] in ("probe", "spectrum"):
        _check(record["case"], LOOK_CASE, "case.")


def without_paths(text: str) -> str:
    """The text with absolute paths cut to their last part: where files lie says more of a machine than of a result."""
    if _PATH.match(text):
        return _last_part(text)
    return _PATH_INSIDE.sub(lambda found: _last_part(found.group()), text)


def _last_part(path: str) -> str:
    return re.split(r"[/\\]", path.rstrip("/\\"))[-1].lstrip("~") or "root"


def _check(values: Mapping[str, Any], checks: dict[str, Check], where: str) -> None:
    for name, check in checks.items():
        if name not in values:
            raise InputError(f"{where}{name} is missing from the record; a record without it cannot be compared")
        if reason := check(values[name]):
            raise InputError(f"{where}{name}={_short(values[name])} does not fit the record; {reason}")


def _leaves(value: object, field: str) -> Iterator[tuple[str, object]]:
    """Every value that is not a container, with its dotted name."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if not isinstance(name, str):
                raise InputError(f"{field}.{name} has a key that is not a text; JSON would turn it into one")
            if name.lower() in PRIVATE_KEYS:
                raise InputError(f"{field}.{name}={_short(inner)} names a machine or a person; leave it out")
            yield from _leaves(inner, f"{field}.{name}" if field else name)
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            yield from _leaves(inner, f"{field}[{i}]")
    else:
        yield field, value


def _check_leaf(field: str, value: object) -> None:
    if value is not None and type(value) not in (bool, int, float, str):
        raise InputError(f"{field}={_short(value)} is a {type(value).__name__}, which JSON does not know; convert it")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{field}={value} is not a finite number, which JSON does not know; leave it out or give null")
    if isinstance(value, str):
        if without_paths(value) != value:
            raise InputError(f"{field}={value!r} holds an absolute path; give the file's name alone")
        if field.split(".")[0] in ("device", "host", "software", "code") and value in _private_names():
            raise InputError(f"{field}={value!r} is this machine's or user's name; leave it out")


@cache
def _private_names() -> frozenset[str]:
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user id without a name
        user = ""
    return frozenset({user, socket.gethostname()} - {""})


def _short(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 60 else f"{text[:57]}..."
