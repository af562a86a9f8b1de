"""The identity of a dataset as stored: what every sample is, in order, wherever its bytes lie in the file."""

import hashlib
import struct
from collections.abc import Iterable


def sample_digest(label: int, mode: int, height: int, width: int, payload: bytes | memoryview) -> bytes:
    """SHA-256 of one sample: label (int64), mode (uint8), height and width (uint16), payload."""
    digest = hashlib.sha256(struct.pack("<qBHH", label, mode, height, width))
    digest.update(payload)
    return digest.digest()


def combine_digests(digests: Iterable[bytes]) -> str:
    """SHA-256 over the samples' digests in index order, as 64 hexadecimal digits."""
    whole = hashlib.sha256(b"fastssl beton 1\n")
    for digest in digests:
        whole.update(digest)
    return whole.hexdigest()
