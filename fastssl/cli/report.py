"""Tables, figures and pages from records."""

from dataclasses import dataclass
from typing import Any

from fastssl.cli.console import Console
from fastssl.cli.report_budget import Budget
from fastssl.cli.report_page import Page

EXAMPLE = "fastssl report budget results/demo --out budget"


@dataclass(frozen=True)
class Command:
    action: Budget | Page

    def run(self, console: Console) -> dict[str, Any]:
        return self.action.run(console)
