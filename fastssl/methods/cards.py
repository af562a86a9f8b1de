"""What each method is, read from the head of its own file: a name, an idea in a line, a paper."""

import re
import sys
from dataclasses import dataclass

from fastssl.methods import METHODS


@dataclass(frozen=True)
class MethodCard:
    kind: str
    """Its name in recipes and records."""
    name: str
    """What the field calls it."""
    idea: str
    paper: str
    """Authors, year, arXiv number; empty for a textbook's method."""


def method_cards() -> list[MethodCard]:
    """One per registered method, in the registry's order."""
    return [_card(kind, sys.modules[config.__module__].__doc__ or "") for kind, config in METHODS.items()]


def _card(kind: str, head: str) -> MethodCard:
    """The head begins with "NAME: IDEA." and names its first paper as "AUTHORS YEAR, arXiv NUMBER"."""
    head = " ".join(head.split())
    name, _, rest = head.partition(": ")
    paper = re.search(r"Papers?: (.*?, arXiv \d{4}\.\d{4,5})", head)
    return MethodCard(kind, name, re.split(r"\.(?: |$)", rest)[0], paper[1] if paper else "")
