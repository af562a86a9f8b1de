"""A process of its own for one contestant of one case: `python -m benchmarks.load.child`, driven line by line.

It reads one JSON command a line and answers each with one JSON line: `load` (import what the contestant needs),
`check`, `open` (the first batch included), `block`. It ends with its input.
"""

import dataclasses
import gc
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.load.contestant import Contestant, Missing, Task, load_module
from benchmarks.load.stored import StoredSet
from fastssl.views import ViewSpec


class Child:
    def __init__(self, name: str, task: Task, ramps: StoredSet) -> None:
        self.name, self.task, self.ramps = name, task, ramps
        self.blocks = 0
        self.opened: Contestant | None = None

    def load(self) -> dict[str, Any]:
        self.module = load_module(self.name)
        return {}

    def check(self) -> dict[str, Any]:
        """A ceiling makes no views: it has only to run."""
        from benchmarks.load import checks

        opened = self.module.open_contestant(self.name, self.task)
        if self.name in self.module_ceilings():
            for _ in opened.block(0):
                pass
            return {"wrong": [], "regime": opened.regime}
        find = getattr(self.module, "breaches", None) or checks.epoch_breaches
        wrong = find(opened, self.task)
        opened.close()
        if not wrong and not hasattr(self.module, "breaches"):
            probe = checks.probe_task(self.task, self.ramps)
            wrong = checks.crop_breaches(self.module.open_contestant(self.name, probe), probe)
        return {"wrong": wrong, "regime": opened.regime}
