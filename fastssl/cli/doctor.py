"""What is installed here, what falls back to what and why, and how fast the basic stages run."""

from dataclasses import dataclass
from typing import Any

from fastssl.cli.console import Console
from fastssl.doctor import diagnose

EXAMPLE = "fastssl doctor"


@dataclass(frozen=True)
class Command:
    measure: bool = True
    """Also measure decoding, copying and matrix products for about a second each."""

    def run(self, console: Console) -> dict[str, Any]:
        diagnosis = diagnose(measure=self.measure)
        console.table(("what", "state", "note"), diagnosis.as_rows())
        return diagnosis.to_json()
