"""Times writers beside their peers: a folder of JPEGs becomes a training file, synced to the disk.

python -m benchmarks.bench_write --quick                                          a look: four writers
python -m benchmarks.bench_write --records results/write/MACHINE/CAMPAIGN.jsonl   all of them
"""

import argparse
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

from benchmarks.load.photographs import missing_packages
from benchmarks.load.stored import Cache
from benchmarks.write.campaign import run
from benchmarks.write.writers import WRITERS
from fastssl.telemetry.records import append_record

QUICK = ("beton", "ffcv", "webdataset", "copy")
LEAST_BLOCKS = 6


def main() -> int:
    options = _parse()
    if reason := missing_packages():
        print(f"the photographs are missing: {reason}", file=sys.stderr)
        return 1
    names = options.contestants or [name for name in WRITERS if not options.quick or name in QUICK]
    stored = Cache(options.cache, 512 if options.quick else 1_024, 0).stored("jpeg-500")
    before = len(options.records.read_text().splitlines()) if options.records.exists() else 0
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=options.cache) as scratch:  # on the disk that holds the images
        entries = run(tuple(names), stored, Path(scratch), options.blocks)
    for entry in entries:
        append_record(options.records, entry.record(stored, options.quick))
    print(f"{len(entries)} writers: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    _print_tables(options.records, before)
    return any(entry.outcome != "ok" and not entry.absent for entry in entries)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bench_write",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="half of the images, four writers")
    parser.add_argument("--contestants", nargs="+", choices=tuple(WRITERS), metavar="NAME", help=", ".join(WRITERS))
    parser.add_argument("--blocks", type=int, default=LEAST_BLOCKS, help="6 by default; fewer have no interval")
    parser.add_argument("--cache", type=Path, default=Path("runs/bench/stored"), help="where the images are kept")
    parser.add_argument("--records", type=Path, default=Path("runs/bench/write.jsonl"), help="appended to")
    options = parser.parse_args()
    if options.blocks < 1:
        parser.error(f"--blocks {options.blocks}: give 1 or more")
    return options


def _print_tables(records: Path, before: int) -> None:
    if find_spec("polars") is None:
        print("the tables need polars, which is not installed; make them elsewhere from the records", file=sys.stderr)
        return
    from fastssl.report.write_costs import load_writes, write_tables

    for table in write_tables(load_writes([records], skip=before)):
        print(f"\n{table.title}\n\n{table.markdown()}")


if __name__ == "__main__":
    sys.exit(main())
