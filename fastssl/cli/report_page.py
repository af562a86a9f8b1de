"""One HTML file, which needs no network, made from records."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from fastssl.cli.console import Console


@dataclass(frozen=True)
class Page:
    """One self-contained HTML file from records: curves, tables, run cards.

    Example: fastssl report page results --out page.html
    """

    records: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RECORDS")]
    """Record files, run directories, or folders of them."""
    out: Path = Path("page.html")
    """The file to write."""

    def run(self, console: Console) -> dict[str, Any]:
        raise NotImplementedError
