"""Is a run being trained? Told by the kernel's table of locks, so that no lock is taken to find out."""

import os
from pathlib import Path

TABLE = Path("/proc/locks")


def held_inodes() -> frozenset[int]:
    """Inodes under an exclusive `flock` of a process on this machine; empty where the kernel does not tell."""
    try:
        lines = TABLE.read_text().splitlines()
    except OSError:
        return frozenset()
    fields = [line.split() for line in lines]
    return frozenset(
        int(f[5].rpartition(":")[2]) for f in fields if len(f) >= 8 and f[1] == "FLOCK" and f[3] == "WRITE"
    )


def is_held(lock: Path, held: frozenset[int]) -> bool:
    """The device is not compared: layered file systems (those of containers) report another one than the kernel's."""
    try:
        return os.stat(lock).st_ino in held
    except OSError:
        return False
