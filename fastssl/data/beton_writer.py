"""The low-level writer: payloads one after the other, then tables, header and final name."""

from pathlib import Path

import numpy as np

from fastssl.data.atomic import AtomicFile
from fastssl.data.format import (
    ALLOCATION_TYPE,
    FIELD_TYPE,
    HEADER_TYPE,
    MAX_PAGE_BYTES,
    METADATA_TYPE,
    describe_fields,
    describe_header,
    hash_tables,
)
from fastssl.errors import InputError

PAGE_BYTES = 1 << 23
"""FFCV's default."""


class BetonWriter:
    """Fills a .beton of known length in any sample order; nothing has the final name before `commit`.

    A payload that would cross a page boundary begins on the next page. One that is larger than a page doubles the page
    size: what crossed no boundary of small pages crosses none of large ones, so what is written already stays valid.
    """

    def __init__(self, path: Path, num_samples: int) -> None:
        self.page_bytes = PAGE_BYTES
        self.metadata = np.zeros(num_samples, dtype=METADATA_TYPE)
        self.allocations = np.zeros(num_samples, dtype=ALLOCATION_TYPE)
        self.num_written = 0
        self.end = HEADER_TYPE.itemsize + 2 * FIELD_TYPE.itemsize + self.metadata.nbytes
        self.atomic = AtomicFile(path)
        self.atomic.file.seek(self.end)

    def add(self, index: int, label: int, mode: int, height: int, width: int, payload: bytes | memoryview) -> None:
        """Append one sample's payload and note where it lies."""
        size = len(payload)
        while size > self.page_bytes:
            if self.page_bytes == MAX_PAGE_BYTES:
                raise InputError(f"sample {index} takes {size} bytes, more than a page can; give max_side or mode jpg")
            self.page_bytes *= 2
        into_page = self.end % self.page_bytes
        if into_page + size > self.page_bytes:
            self.end += self.page_bytes - into_page
            self.atomic.file.seek(self.end)
        self.atomic.file.write(payload)
        image = self.metadata["f0"][index : index + 1]
        image["mode"], image["width"], image["height"], image["data_ptr"] = mode, width, height, self.end
        self.metadata["f1"][index] = label
        self.allocations[self.num_written] = (index, self.end, size)
        self.num_written += 1
        self.end += size

    def finish(self, fingerprint: str) -> tuple[int, str]:
        """Write tables and header and bring everything to the disk.

        Gives the size of the file in bytes, and the hash of its tables (`format.hash_tables`).
        """
        assert self.num_written == len(self.metadata)
        file = self.atomic.file
        file.write(self.allocations.tobytes())
        size_bytes = file.tell()
        tables = describe_fields(fingerprint).tobytes() + self.metadata.tobytes()
        file.seek(HEADER_TYPE.itemsize)
        file.write(tables)
        self.atomic.finish()
        header = describe_header(len(self.metadata), self.page_bytes, self.end).tobytes()
        file.seek(0)
        file.write(header)
        self.atomic.finish()
        return size_bytes, hash_tables(header + tables, self.allocations.tobytes())

    def commit(self) -> None:
        """Give the file its final name."""
        self.atomic.commit()

    def discard(self) -> None:
        """Remove what was written; harmless after `commit`."""
        self.atomic.discard()
