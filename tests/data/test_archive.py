import io
import tarfile
import zipfile

import pytest

from fastssl.data.archive import ArchiveLimits, open_archive
from fastssl.errors import InputError


def make_tar(path, files):
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_kind_is_told_by_content_not_by_name(tmp_path):
    tar = make_tar(tmp_path / "a.zip", {"a": b"1"})
    with zipfile.ZipFile(tmp_path / "a.tar", "w") as archive:
        archive.writestr("a", b"2")
    assert list(open_archive(tar).read({"a"})) == [("a", b"1")]
    assert list(open_archive(tmp_path / "a.tar").read({"a"})) == [("a", b"2")]


def test_read_gives_the_asked_members_in_archive_order(tmp_path):
    archive = open_archive(make_tar(tmp_path / "a.tar", {"b": b"1", "./a": b"22" * 600, "c": b""}))
    assert [(member.name, member.size_bytes) for member in archive.members()] == [("b", 1), ("a", 1200), ("c", 0)]
    assert list(archive.read({"a", "b"})) == [("b", b"1"), ("a", b"22" * 600)]


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"x" * 2000, b"BZh91AY", b"\xfd7zXZ\0"])
def test_what_is_no_archive_is_refused_in_one_line(tmp_path, content):
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.tar") as caught:
        open_archive(tmp_path / "a.tar").members()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9])
def test_cut_off_tar_is_refused(tmp_path, kept):
    content = make_tar(tmp_path / "a.tar", {f"{i}.png": b"x" * 3000 for i in range(10)}).read_bytes()
    (tmp_path / "b.tar").write_bytes(content[: int(10 * 3584 * kept)])
    with pytest.raises(InputError, match="cut off"):
        open_archive(tmp_path / "b.tar").members()


def test_member_limits_are_kept(tmp_path):
    path = make_tar(tmp_path / "a.tar", {f"{i}.png": b"x" * 10 for i in range(5)})
    with pytest.raises(InputError, match="one more than the 4 members"):
        open_archive(path, ArchiveLimits(num_members=4)).members()
    with pytest.raises(InputError, match=r"'0\.png' claims 10 bytes, more than 9"):
        open_archive(path, ArchiveLimits(member_bytes=9)).members()
