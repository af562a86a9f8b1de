"""Zip files: stored and deflated members, checked before a byte of them is decompressed."""

import stat
import zipfile
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path

from fastssl.data.archive import ArchiveLimits, Member, NameCheck, refuse
from fastssl.errors import InputError


class ZipArchive:
    """An `Archive` of one zip file."""

    def __init__(self, path: Path, limits: ArchiveLimits) -> None:
        self.path, self.limits = path, limits
        self._entries: dict[str, zipfile.ZipInfo] | None = None

    def members(self) -> list[Member]:
        """All regular files, in the order their bytes lie."""
        return [Member(name, info.file_size) for name, info in self._checked().items()]

    def read(self, names: Collection[str]) -> Iterator[tuple[str, bytes]]:
        """Content of the named members; one that holds more or less than it claims is refused."""
        entries = self._checked()
        with _open(self.path) as archive:
            for name, info in entries.items():
                if name in names:
                    yield name, self._read_one(archive, info)

    def _read_one(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
        try:
            with archive.open(info) as file:
                content = file.read(info.file_size + 1)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
            raise refuse(self.path, info.filename, f"is damaged or lies about its size ({error})") from error
        if len(content) != info.file_size:
            raise refuse(self.path, info.filename, f"claims {info.file_size} bytes and holds {len(content)}")
        return content

    def _checked(self) -> dict[str, zipfile.ZipInfo]:
        if self._entries is None:
            with _open(self.path) as archive:
                infos = sorted(archive.infolist(), key=lambda info: info.header_offset)
            check, self._entries, end = NameCheck(self.path, self.limits), {}, 0
            for info in infos:
                check.count(info.filename)
                self._check_entry(info, end)
                end = info.header_offset + info.compress_size
                # `orig_filename`: ZipInfo rewrites separators and cuts at a NUL
                member = check.file(info.orig_filename.rstrip("/"), info.file_size)
                if not info.is_dir():
                    self._entries[member.name] = info
        return self._entries

    def _check_entry(self, info: zipfile.ZipInfo, previous_end: int) -> None:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise refuse(self.path, info.filename, "is a link or a device")
        if info.flag_bits & 1:
            raise refuse(self.path, info.filename, "is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise refuse(self.path, info.filename, "is neither stored nor deflated")
        if info.header_offset < previous_end:
            raise refuse(self.path, info.filename, "overlaps another member")


def _open(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise InputError(f"archive={path} is not a whole zip file ({error}); fetch it again") from error
