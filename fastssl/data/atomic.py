"""A file that appears under its final name complete, or not at all."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from fastssl.errors import InputError


class AtomicFile:
    """Writes to `.<name>.<pid>.tmp` in the same folder; `commit` fsyncs it and gives it its final name.

    The temporary file is locked while its writer lives. One that can be locked was left by a writer that died (killed,
    or a machine that went down), and the next write of the same target removes it. The lock, unlike the process id in
    the name, stays true inside containers, where ids repeat.
    """

    def __init__(self, path: Path) -> None:
        if not path.name or path.is_dir():
            raise InputError(f"{path} is a folder; give the name of a file in it")
        self.path = path
        self.temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _remove_stale(path)
            descriptor = os.open(self.temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except OSError as error:
            if self.temporary.exists():
                raise InputError(f"{path} is being written already; wait for it or give another name") from error
            raise InputError(f"{path} cannot be written: {error.strerror}; give a folder that can") from error
        self.file: BinaryIO = os.fdopen(descriptor, "wb+", buffering=1 << 20)
        fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def finish(self) -> None:
        """Everything on disk, still under the temporary name."""
        self.file.flush()
        os.fsync(self.file.fileno())

    def commit(self) -> None:
        """Replace the file of the final name, if any; call `finish` first."""
        os.replace(self.temporary, self.path)
        self.file.close()
        folder = os.open(self.path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def discard(self) -> None:
        """Leave nothing behind; harmless after `commit`."""
        if not self.file.closed:
            self.temporary.unlink(missing_ok=True)
            with suppress(OSError):  # closing flushes, and on a full disk that fails a second time
                self.file.close()


def _remove_stale(path: Path) -> None:
    """Remove temporary files of this target whose writer is gone."""
    prefix = f".{path.name}."
    for found in path.parent.iterdir():
        process_id = found.name.removeprefix(prefix).removesuffix(".tmp")
        if found.name != f"{prefix}{process_id}.tmp" or not process_id.isdigit():
            continue
        with suppress(FileNotFoundError), open(found, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            found.unlink(missing_ok=True)
