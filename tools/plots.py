"""Redraws every committed figure and the README's table from the committed records.

python tools/plots.py            # rewrite results/figures/ and the README's block
python tools/plots.py --check    # exit 1 if the README's table is stale
"""

import argparse
import re
import sys
from pathlib import Path

import polars as pl

from fastssl.report.figures import budget_csv, budget_figure
from fastssl.report.load import load_runs
from fastssl.report.tables import budget_table

ROOT = Path(__file__).parent.parent
LABELS = {"train/cpu-amd-epyc-2core/cifar10-ten-minutes": "CIFAR-10 (JPEG)"}
"""What to call a campaign's dataset when its name says too little: a JPEG copy of CIFAR-10 is not CIFAR-10."""


def campaigns() -> list[Path]:
    """Every committed set of training records: results/<suite>/<machine>/<campaign>.jsonl."""
    return sorted((ROOT / "results").glob("*/*/*.jsonl"))


def load(path: Path) -> pl.DataFrame:
    return load_runs([path], LABELS.get(str(path.relative_to(ROOT / "results").with_suffix(""))))


def with_tables(text: str) -> str:
    """The README with each block between `<!-- table: CAMPAIGN -->` and its end replaced by that campaign's table."""

    def table(found: re.Match[str]) -> str:
        begin, name, end = found.group(1), found.group(2), found.group(3)
        frame = load(ROOT / "results" / f"{name}.jsonl")  # raises for a campaign that is not there
        return f"{begin}\n{budget_table(frame).markdown().strip()}\n{end}"

    return re.sub(r"(<!-- table: (\S+) -->).*?(<!-- end: \2 -->)", table, text, flags=re.DOTALL)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the README's tables are stale")
    check = parser.parse_args().check
    readme = ROOT / "README.md"
    fresh = with_tables(readme.read_text())
    if check:
        if fresh != readme.read_text():
            print("README.md: its tables are not those of the records; run `make plots`", file=sys.stderr)
            return 1
        return 0
    for path in campaigns():
        frame = load(path)
        suite, machine = path.relative_to(ROOT / "results").parts[:2]
        out = ROOT / "results" / "figures" / f"{suite}-{machine}-{path.stem}"
        for file in (*budget_figure(frame, out), budget_csv(frame, out)):
            print(f"wrote {file.relative_to(ROOT)}")
    readme.write_text(fresh)
    return 0


if __name__ == "__main__":
    sys.exit(main())
