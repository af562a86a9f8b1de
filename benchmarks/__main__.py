"""Runs a campaign: one fresh process per group of cases, then the tables of its records.

python -m benchmarks --quick                                   three groups, under three minutes on two cores
python -m benchmarks --records results/augment/MACHINE/CAMPAIGN.jsonl
python -m benchmarks --device cuda --groups simclr-32 simclr-224
"""

import argparse
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from benchmarks.cases import groups

ROOT = Path(__file__).parent.parent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer groups, blocks and rounds, no torch.compile")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--groups", nargs="+", help="which groups (benchmarks/README.md); all by default")
    parser.add_argument(
        "--contestants", nargs="+", default=[], metavar="NAME", help="backends and peers; all by default"
    )
    parser.add_argument("--records", type=Path, default=Path("runs/bench/augment.jsonl"), help="appended to")
    options = parser.parse_args()
    known = groups(options.device, quick=False)
    if unknown := set(options.groups or ()) - set(known):
        parser.error(f"--groups {' '.join(sorted(unknown))}: unknown; give some of {', '.join(known)}")
    failed = []
    records = options.records.resolve()
    before = len(records.read_text().splitlines()) if records.exists() else 0
    for group in options.groups or groups(options.device, options.quick):
        started = time.perf_counter()
        try:
            code = _run_group(group, options, records)
        except KeyboardInterrupt:
            failed.append(f"{group} (interrupted)")
            break
        print(f"{group}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
        failed += [group] * bool(code)
    if records.exists():
        _print_tables(records, before)
    if failed:
        print(f"went wrong: {', '.join(failed)}; the reasons stand above", file=sys.stderr)
    return bool(failed)


def _print_tables(records: Path, before: int) -> None:
    if find_spec("polars") is None:
        print("the tables need polars, which is not installed; make them elsewhere from the records", file=sys.stderr)
        return
    from fastssl.report.cost_tables import augment_tables
    from fastssl.report.costs import load_timings

    for table in augment_tables(load_timings([records], skip=before)):
        print(f"\n{table.title}\n\n{table.markdown()}")


def _run_group(group: str, options: argparse.Namespace, records: Path) -> int:
    command = [sys.executable, "-m", "pytest", "benchmarks/bench_augment.py", "-p", "no:cacheprovider", "--timeout=0",
               "--benchmark-disable-gc", "--benchmark-quiet", "--benchmark-timer=time.perf_counter", "--tb=short",
               "-rfE", "--no-header", "--disable-warnings", f"--group={group}", f"--bench-device={options.device}",
               f"--records={records}",
               f"--contestants={','.join(options.contestants)}", *["--quick"] * options.quick]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": "2" if group.endswith("two-cores") else "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:  # it was interrupted too, and writes down the blocks it has finished
            process.wait(timeout=60)
            raise


if __name__ == "__main__":
    sys.exit(main())
