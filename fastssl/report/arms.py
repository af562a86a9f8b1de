"""Which runs repeat one another, and what to call them: an arm is a recipe without its seed, on one dataset and device.

A recipe's name does not make an arm, because a flag changes a recipe and keeps its name. Arms of one method are told
apart by the fields in which they differ.
"""

import difflib
import json
from collections.abc import Iterator, Sequence
from typing import Any

from fastssl.errors import InputError

METHOD_LABELS = {
    "simclr": "SimCLR",
    "cissl": "CISSL",
    "directclr": "DirectCLR",
    "moco_v3": "MoCo v3",
    "spectral": "spectral contrastive",
    "idealized": "idealized loss",
    "barlow_twins": "Barlow Twins",
    "vicreg": "VICReg",
    "byol": "BYOL",
    "simsiam": "SimSiam",
    "dino": "DINO",
    "swav": "SwAV",
    "dissl": "DISSL",
    "diet": "DIET",
    "supervised": "supervised",
    "random": "random encoder",
}
ROLES = {"random": "floor", "supervised": "ceiling"}
"""What a method bounds; every other method has the role "method"."""
FREE = frozenset({"seed", "name", "data.workers", "checkpoint_s"})
"""Fields that repeat a run or only change its speed."""
UNNAMED = frozenset({"protocol", "fingerprint", "data.dataset"})
"""Fields too long for a label, or said by another one."""
NAMED_FIELDS = 3


def arm_key(recipe: dict[str, Any], **facts: str) -> tuple[tuple[str, str], ...]:
    """Equal for runs that differ in their seed alone; hashable and sortable."""
    fields = dict(flatten(recipe)) | {name: json.dumps(value) for name, value in facts.items()}
    return tuple(sorted((name, value) for name, value in fields.items() if name not in FREE))


Arm = tuple[str, tuple[tuple[str, str], ...]]
"""A method, and what `arm_key` gives."""


def group_by_field(arms: Sequence[Arm], field: str) -> tuple[dict[Arm, Arm], dict[Arm, str]]:
    """Which group each arm falls into by its method and one field, and what differs inside of each group.

    Dataset, device and protocol stay part of a group: pooling these would hide what may not be pooled. Errors:
    `InputError` for a field that no arm has.
    """
    known = sorted({name for _, key in arms for name, _ in key})
    matches = [name for name in known if name == field] or [n for n in known if n.endswith(f".{field}")]
    if len(matches) != 1:
        near = matches or difflib.get_close_matches(field, known, 3) or known
        why = "means more than one field" if matches else "is no field of these recipes"
        raise InputError(f"by={field} {why}; give one of {', '.join(near)}")
    kept = {matches[0], "dataset", "device", "protocol", "fingerprint"}
    groups = {arm: (arm[0], tuple(pair for pair in arm[1] if pair[0] in kept)) for arm in arms}
    pooled = {}
    for group in dict.fromkeys(groups.values()):
        members = [dict(key) for (method, key), g in groups.items() if g == group]
        names = sorted({name for member in members for name in member})
        pooled[group] = ", ".join(name for name in names if len({member.get(name) for member in members}) > 1)
    return groups, pooled


def arm_labels(arms: Sequence[Arm]) -> list[str]:
    """One label per distinct (method, key), in order: "SimCLR", or "SimCLR (views 4)" beside a sibling of 2 views."""
    labels = [_label(method, dict(key), [dict(k) for m, k in arms if m == method]) for method, key in arms]
    return [
        label if labels.count(label) == 1 else f"{label} #{labels[: i + 1].count(label)}"
        for i, label in enumerate(labels)
    ]


def _label(method: str, fields: dict[str, str], siblings: list[dict[str, str]]) -> str:
    plain = METHOD_LABELS.get(method, method)
    names = sorted({name for sibling in siblings for name in sibling} - UNNAMED)
    differing = [name for name in names if len({sibling.get(name) for sibling in siblings}) > 1]
    if not differing:
        return plain
    shown = [f"{name.split('.')[-1]} {_readable(fields.get(name))}" for name in differing[:NAMED_FIELDS]]
    return f"{plain} ({', '.join(shown)}{', ...' if len(differing) > NAMED_FIELDS else ''})"


def _readable(value: str | None) -> str:
    return "none" if value in (None, "null") else str(value).strip('"')


def flatten(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names of a nested dictionary's fields, with their values as JSON."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flatten(inner, f"{name}.{key}" if name else str(key))
    else:
        yield name, json.dumps(value)
