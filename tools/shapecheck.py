"""How the tests check shapes and types at every call: beartype, with an int allowed where a float is asked for."""

from typing import Any

from beartype import BeartypeConf, beartype

_check = beartype(conf=BeartypeConf(is_pep484_tower=True))


def check(thing: Any) -> Any:
    """Decorator of a function or class. Triton's kernels are left alone: their annotations are machine types."""
    hints = getattr(thing, "__annotations__", {}).values()
    return thing if any(type(hint).__module__.startswith("triton.") for hint in hints) else _check(thing)
