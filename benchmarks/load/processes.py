"""What a process and those it has started have used: CPU seconds and private memory. Linux only."""

import os
import re
import resource
import time
from collections.abc import Iterable
from pathlib import Path

_MEMORY = re.compile(r"^Pss_(?:Anon|Shmem):\s+(\d+) kB$", re.MULTILINE)


def descendants(root: int | None = None) -> list[int]:
    """Ids of the living processes below `root` (this process when None), in no order."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (parent := _parent(folder)) is not None:
            children.setdefault(parent, []).append(int(folder.name))
    found, open_ids = [], [root or os.getpid()]
    while open_ids:
        below = children.get(open_ids.pop(), [])
        found += below
        open_ids += below
    return found


def _parent(folder: Path) -> int | None:
    try:
        text = (folder / "stat").read_text()
    except OSError:  # it ended meanwhile
        return None
    return int(text[text.rindex(")") :].split()[2])


def cpu_s(children: Iterable[int] = ()) -> float:
    """CPU seconds of this process, of its children that have ended, and of the living ones given; in nanosecond steps.

    A living child's clock is read by its id (clock_getcpuclockid of POSIX); /proc counts in steps of 10 ms.
    """
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    living = sum(time.clock_gettime((~child << 3) | 2) for child in children)
    return time.process_time() + ended.ru_utime + ended.ru_stime + living


def private_bytes(root: int) -> int:
    """Memory of a process and those below it that is no file's: anonymous and shared pages, each counted once.

    Pages that several processes share count in parts (Pss), so a forked worker does not double its parent's.
    """
    return sum(_private_of(process) for process in [root, *descendants(root)])


def _private_of(process: int) -> int:
    try:
        text = Path(f"/proc/{process}/smaps_rollup").read_text()
    except OSError:
        return 0
    return 1024 * sum(int(amount) for amount in _MEMORY.findall(text))
