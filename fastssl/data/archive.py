"""Archives of images, read as a stream: nothing is unpacked, and no archive can take more memory than its limits.

Whoever made an archive may lie in it. Names that point outside, links, devices, sizes beyond the limit, expansion far
beyond the file's own size, repeated names and damaged headers are refused, in one line that names the member.
"""

import gzip
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol, runtime_checkable

import zstandard

from fastssl.errors import InputError


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    """Beyond any honest archive of images."""

    member_bytes: int = 256 << 20
    num_members: int = 20_000_000
    """ImageNet-21k has 14 million."""
    expansion: int = 200
    """Decompressed bytes per byte of the file; JPEGs expand about 1-fold, raw drawings some 50-fold."""
    free_bytes: int = 1 << 30
    """Expansion is not looked at below this many decompressed bytes."""


class Member(NamedTuple):
    """One file in an archive."""

    name: str
    size_bytes: int


@runtime_checkable
class Archive(Protocol):
    """A file of files."""

    path: Path

    def members(self) -> list[Member]:
        """All regular files, in archive order, names checked; the result is kept."""
        ...

    def read(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Content of the named members, in archive order."""
        ...


def refuse(path: Path, name: str, reason: str) -> InputError:
    """The one line for a member that is not taken."""
    shown = repr(name if len(name) <= 200 else name[:200] + "...")
    return InputError(f"{path}: member {shown} {reason}; make the archive again without it")


def check_name(path: Path, name: str) -> str:
    """The name without `./`; raises `InputError` when it could point outside the archive."""
    if name.startswith("/") or "\\" in name or name[1:2] == ":":
        raise refuse(path, name, "has an absolute or foreign path")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise refuse(path, name, "points outside the archive")
    if any(character < " " for character in name) or len(name) > 4096:
        raise refuse(path, name, "has an impossible name")
    return "/".join(parts)


class NameCheck:
    """Checks the members of one archive as they come: names, sizes, number, repetition."""

    def __init__(self, path: Path, limits: ArchiveLimits) -> None:
        self.path, self.limits = path, limits
        self._seen: set[str] = set()
        self._num_members = 0

    def count(self, name: str) -> None:
        """Any member, files or not."""
        self._num_members += 1
        if self._num_members > self.limits.num_members:
            raise refuse(self.path, name, f"is one more than the {self.limits.num_members} members allowed")

    def file(self, name: str, size_bytes: int) -> Member:
        """A regular file."""
        checked = check_name(self.path, name)
        if size_bytes > self.limits.member_bytes:
            raise refuse(self.path, name, f"claims {size_bytes} bytes, more than {self.limits.member_bytes}")
        if checked in self._seen:
            raise refuse(self.path, name, "comes twice")
        self._seen.add(checked)
        return Member(checked, size_bytes)


class ByteStream:
    """Forward reading of a plain or compressed file, with the expansion watched."""

    def __init__(self, path: Path, limits: ArchiveLimits) -> None:
        self.path = path
        self._limits = limits
        self._file = open(path, "rb")  # noqa: SIM115 (closed by close)
        self._allowed = max(limits.free_bytes, limits.expansion * path.stat().st_size)
        self._content, self._seekable = self._open_content()
        self.position = 0

    def _open_content(self) -> tuple[BinaryIO, bool]:
        magic = self._file.read(4)
        self._file.seek(0)
        if magic == b"\x28\xb5\x2f\xfd":
            decompressor = zstandard.ZstdDecompressor(max_window_size=1 << 27)  # `zstd --long=27`: 128 MB of memory
            return decompressor.stream_reader(self._file, read_across_frames=True), False  # pyright: ignore[reportReturnType]
        if magic[:2] == b"\x1f\x8b":
            return gzip.GzipFile(fileobj=self._file), False  # pyright: ignore[reportReturnType]
        return self._file, True

    def read(self, size_bytes: int, what: str) -> bytes:
        """Exactly that many bytes, or `InputError`."""
        pieces, missing = [], size_bytes
        while missing:
            try:
                piece = self._content.read(min(missing, 1 << 20))
            except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
                raise InputError(f"{self.path} is damaged at {what} ({error}); fetch it again") from error
            if not piece:
                raise InputError(f"{self.path} is cut off at {what}; fetch it again")
            pieces.append(piece)
            missing -= len(piece)
            self._advance(len(piece), what)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def skip(self, size_bytes: int, what: str) -> None:
        """Pass over that many bytes in bounded memory."""
        if self._seekable:
            self._file.seek(size_bytes, 1)
            self.position += size_bytes
            return
        while size_bytes:
            size_bytes -= len(self.read(min(size_bytes, 1 << 20), what))

    def _advance(self, size_bytes: int, what: str) -> None:
        self.position += size_bytes
        if not self._seekable and self.position > self._allowed:
            raise InputError(
                f"{self.path} expands more than {self._limits.expansion}-fold, at {what}: a decompression bomb? "
                "unpack it by hand if it is yours"
            )

    def close(self) -> None:
        self._content.close()
        self._file.close()


def open_archive(path: str | Path, limits: ArchiveLimits | None = None) -> Archive:
    """A .tar, .tar.gz, .tar.zst or .zip, recognised by its content; raises `InputError` for anything else."""
    from fastssl.data.tar import TarArchive
    from fastssl.data.zip import ZipArchive

    path, limits = Path(path), limits or ArchiveLimits()
    try:
        with open(path, "rb") as file:
            start = file.read(512)
    except OSError as error:
        raise InputError(f"archive={path} cannot be opened: {error.strerror}; give an archive of images") from error
    if start[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return ZipArchive(path, limits)
    if start[:3] == b"BZh" or start[:6] == b"\xfd7zXZ\0":
        raise InputError(f"archive={path} is compressed with bzip2 or xz; give .tar, .tar.gz, .tar.zst or .zip")
    return TarArchive(path, limits)
