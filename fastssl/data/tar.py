"""Tar files (plain, gzip, zstandard) as a stream.

Python's `tarfile` reads extended headers of any claimed size into memory, so an archive of a few kilobytes can take all
of it, and spends 50-100 us per member, an hour on ImageNet-21k. This reader knows regular files, folders and long names
(ustar, GNU and pax; POSIX.1-2001) and refuses the rest.
"""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from fastssl.data.archive import ArchiveLimits, ByteStream, Member, NameCheck, check_name, refuse
from fastssl.errors import InputError

BLOCK_BYTES = 512
_MAX_EXTENDED_BYTES = 1 << 16
"""Of an extended header: a long name and a few attributes."""
_REFUSED = {
    b"1": "is a hard link",
    b"2": "is a symbolic link",
    b"3": "is a device",
    b"4": "is a device",
    b"6": "is a pipe",
    b"S": "is a sparse file",
}


class TarArchive:
    """An `Archive` of one tar file."""

    def __init__(self, path: Path, limits: ArchiveLimits) -> None:
        self.path, self.limits = path, limits
        self._members: list[Member] | None = None

    def members(self) -> list[Member]:
        """All regular files; the first call reads every header."""
        if self._members is None:
            self._members = [member for member, _ in iter_tar(self.path, self.limits, lambda name: False)]
        return self._members

    def read(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Content of the named members; stops after the last of them."""
        missing = len(names)
        for member, content in iter_tar(self.path, self.limits, names.__contains__):
            if content is not None:
                yield member.name, content
                missing -= 1
                if not missing:
                    return


def iter_tar(path: Path, limits: ArchiveLimits, wanted: Callable[[str], bool]) -> Iterator[tuple[Member, bytes | None]]:
    """Every regular file, with its content where `wanted(name)`."""
    check, stream, extended = NameCheck(path, limits), ByteStream(path, limits), {}
    try:
        while True:
            header = stream.read(BLOCK_BYTES, f"byte {stream.position}")
            if not header.strip(b"\0"):
                return
            name, size_bytes, kind = _parse_header(header, path, stream.position)
            check.count(name)
            if kind in (b"L", b"K", b"x", b"g"):
                extended.update(_read_extended(stream, name, size_bytes, kind))
                continue
            name, size_bytes = extended.pop("path", name), int(extended.pop("size", size_bytes))
            if kind in _REFUSED:
                raise refuse(path, name, _REFUSED[kind])
            if kind == b"5" or (kind in (b"0", b"\0", b"7") and name.endswith("/")):
                _check_folder(check, name, size_bytes)
                continue
            if kind not in (b"0", b"\0", b"7"):
                raise refuse(path, name, f"is of an unknown kind {kind!r}")
            member, what = check.file(name, size_bytes), f"member {name!r}"
            content = stream.read(size_bytes, what) if wanted(member.name) else None
            stream.skip(-size_bytes % BLOCK_BYTES + (size_bytes if content is None else 0), what)
            yield member, content
    finally:
        stream.close()


def _check_folder(check: NameCheck, name: str, size_bytes: int) -> None:
    """A folder is only a name, but the name is checked like any other."""
    check_name(check.path, name)
    if size_bytes:
        raise refuse(check.path, name, f"is a folder of {size_bytes} bytes")


def _parse_header(header: bytes, path: Path, position: int) -> tuple[str, int, bytes]:
    """Name, size and kind of one header block."""
    try:
        claimed = int(header[148:156].strip(b" \0") or b"0", 8)
        size_bytes = _parse_number(header[124:136])
    except ValueError as error:
        raise _not_tar(path, position) from error
    if claimed != sum(header) - sum(header[148:156]) + 8 * 32 or size_bytes < 0:
        raise _not_tar(path, position)
    name = header[:100].split(b"\0")[0]
    if header[257:263] == b"ustar\0" and header[345]:
        name = header[345:500].split(b"\0")[0] + b"/" + name
    return name.decode("utf-8", "backslashreplace"), size_bytes, header[156:157]


def _not_tar(path: Path, position: int) -> InputError:
    if position <= BLOCK_BYTES:
        return InputError(f"archive={path} is not an archive; give .tar, .tar.gz, .tar.zst or .zip")
    return InputError(f"{path} has a damaged header at byte {position - BLOCK_BYTES}; fetch it again")


def _parse_number(field: bytes) -> int:
    """Octal digits, or GNU's base 256 when the first bit is set."""
    if field[0] & 0x80:
        return int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
    return int(field.strip(b" \0") or b"0", 8)


def _read_extended(stream: ByteStream, name: str, size_bytes: int, kind: bytes) -> dict[str, str]:
    """What a long-name or pax header says of the next member."""
    if size_bytes > _MAX_EXTENDED_BYTES:
        raise refuse(stream.path, name, f"claims an extended header of {size_bytes} bytes")
    content = stream.read(size_bytes, f"member {name!r}")
    stream.skip(-size_bytes % BLOCK_BYTES, f"member {name!r}")
    if kind == b"L":
        return {"path": content.split(b"\0")[0].decode("utf-8", "backslashreplace")}
    return _parse_pax(content, stream.path, name) if kind == b"x" else {}


def _parse_pax(content: bytes, path: Path, name: str) -> dict[str, str]:
    found = {}
    while content:
        length, _, rest = content.partition(b" ")
        if not length.isdigit() or not len(length) + 3 <= int(length) <= len(content):
            raise refuse(path, name, "has a damaged extended header")
        record = rest[: int(length) - len(length) - 2]
        key, _, value = record.decode("utf-8", "backslashreplace").partition("=")
        if key.startswith("GNU.sparse"):
            raise refuse(path, name, "is a sparse file")
        if key == "path" or (key == "size" and value.isdecimal() and len(value) < 20):
            found[key] = value
        content = content[int(length) :]
    return found
