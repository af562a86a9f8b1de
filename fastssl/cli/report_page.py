"""One HTML file, which needs no network, made from records."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from fastssl.cli.console import Console
from fastssl.errors import InputError
from fastssl.report.page import write_page


@dataclass(frozen=True)
class Page:
    """One self-contained HTML file from records: curves, a table at any budget, run cards, throughput and ceilings.

    Example: fastssl report page results --out page.html
    """

    records: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="RECORDS")]
    """Record files, run directories, or folders of them."""
    out: Path = Path("page.html")
    """The file to write."""

    def run(self, console: Console) -> dict[str, Any]:
        if self.out.suffix != ".html":
            raise InputError(f"out={self.out} is no name of a page; give one that ends in .html")
        data = write_page(self.records, self.out)
        size = self.out.stat().st_size
        console.say(f"wrote {self.out}: {data['runs']} runs of {len(data['groups'])} comparable groups, "
                    f"{len(data['benches'])} benchmark cases, {size / 1e6:.2f} MB")  # fmt: skip
        return {"file": str(self.out), "bytes": size, "runs": data["runs"], "groups": len(data["groups"])}
