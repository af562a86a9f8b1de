"""Archives that lie: nothing is written, memory stays bounded, and one line names the member and the reason."""

import gzip
import io
import struct
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest
import zstandard
from PIL import Image

from fastssl.data.archive import ArchiveLimits, open_archive
from fastssl.data.arrays import numpy_source
from fastssl.data.options import WriteOptions
from fastssl.data.pack import write_beton
from fastssl.data.shards import shard_source
from fastssl.data.sources import archive_source
from fastssl.errors import InputError

MEMORY_BYTES = 64 << 20
SMALL = ArchiveLimits(free_bytes=8 << 20)


def png(value=0):
    buffer = io.BytesIO()
    Image.new("RGB", (4, 4), (value, 0, 0)).save(buffer, "PNG")
    return buffer.getvalue()


def header(name, size=0, kind=b"0", content=b""):
    """One tar header with its checksum right, whatever else it says; `content` is padded."""
    block = bytearray(512)
    block[: len(name)] = name.encode()
    block[100:108], block[108:116], block[116:124] = b"0000644\0", b"0000000\0", b"0000000\0"
    block[124:136] = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    block[136:148], block[148:156], block[156:157] = b"00000000000\0", b" " * 8, kind
    block[257:265] = b"ustar\x0000"
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + content + bytes(-len(content) % 512)


END = bytes(1024)


def refused(call, *reasons):
    """Call, and expect one line with all the reasons, within the memory allowed."""
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as caught:
            call()
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 800
    assert [reason for reason in reasons if reason not in message] == []
    assert peak_bytes < MEMORY_BYTES


@pytest.mark.parametrize(
    ("member", "reasons"),
    [
        (header("/etc/passwd.png", 1, content=b"x"), ("'/etc/passwd.png'", "absolute")),
        (header("train/ant/../../../x.png", 1, content=b"x"), ("../x.png", "points outside")),
        (header("C:\\x.png", 1, content=b"x"), ("C:", "foreign path")),
        (header("a\\..\\x.png", 1, content=b"x"), ("x.png", "foreign path")),
        (header("train/a\nb.png", 1, content=b"x"), ("impossible name",)),
        (header("train/ant/x.png", kind=b"2"), ("'train/ant/x.png'", "symbolic link")),
        (header("train/ant/x.png", kind=b"1"), ("'train/ant/x.png'", "hard link")),
        (header("train/ant/x.png", kind=b"3"), ("'train/ant/x.png'", "device")),
        (header("train/ant/x.png", kind=b"4"), ("'train/ant/x.png'", "device")),
        (header("train/ant/x.png", kind=b"6"), ("'train/ant/x.png'", "pipe")),
        (header("train/ant/x.png", kind=b"S"), ("'train/ant/x.png'", "sparse")),
        (header("train/ant/x.png", kind=b"Z"), ("'train/ant/x.png'", "unknown kind")),
        (header("train/../..", kind=b"5"), ("points outside",)),
        (header("train", 10**9, kind=b"5"), ("folder of 1000000000 bytes",)),
        (header("train/ant/x.png", 2**40), ("'train/ant/x.png'", "claims 1099511627776 bytes")),
        (header("train/ant/x.png", 2**80), ("'train/ant/x.png'", "claims")),
        (header("long", 2**36, kind=b"L"), ("'long'", "extended header of 68719476736")),
        (header("pax", 2**36, kind=b"x"), ("'pax'", "extended header")),
        (header("pax", 2**36, kind=b"g"), ("'pax'", "extended header")),
        (header("pax", 9, kind=b"x", content=b"999999 a=") + header("x.png"), ("'pax'", "damaged extended header")),
        (header("train/a.png", 1, content=b"x") * 2, ("'train/a.png'", "comes twice")),
        (header("train/a.png", 1, content=b"x") + header("./train//a.png", 1, content=b"x"), ("comes twice",)),
        (b"\0garbage" * 64, ("is not an archive",)),
        (header("train/a.png") + b"garbage!" * 64, ("damaged header at byte 512",)),
    ],
)
def test_hostile_tar_member_is_refused(tmp_path, member, reasons):
    for name, pack in (("a.tar", bytes), ("a.tar.gz", gzip.compress), ("a.tar.zst", zstandard.compress)):
        (tmp_path / name).write_bytes(pack(member + END))
        refused(lambda name=name: open_archive(tmp_path / name).members(), *reasons)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tar", "a.tar.gz", "a.tar.zst"]


def test_pax_path_that_points_outside_is_refused(tmp_path):
    record = b"19 path=../../x.png\n"
    record = b"%d" % len(record) + record[2:]
    (tmp_path / "a.tar").write_bytes(header("pax", len(record), b"x", record) + header("ok.png") + END)
    refused(lambda: open_archive(tmp_path / "a.tar").members(), "'../../x.png'", "points outside")


@pytest.mark.parametrize("kind", ["zst", "gz"])
def test_compressed_stream_without_end_is_refused_in_bounded_memory(tmp_path, kind):
    """Members of zeros, 200 MB from some kilobytes."""
    path = tmp_path / f"a.tar.{kind}"
    opener = zstandard.open if kind == "zst" else gzip.open
    with opener(path, "wb") as file:
        for number in range(20):
            file.write(header(f"train/ant/{number}.png", 10 << 20))
            for _ in range(10):
                file.write(bytes(1 << 20))
        file.write(END)
    assert path.stat().st_size < 300_000
    refused(lambda: open_archive(path, SMALL).members(), "train/ant/", "decompression bomb")


def test_endless_number_of_members_is_refused(tmp_path):
    path = tmp_path / "a.tar.zst"
    path.write_bytes(zstandard.compress(b"".join(header(f"train/ant/{n}.png") for n in range(3000)) + END))
    refused(lambda: open_archive(path, ArchiveLimits(num_members=2000)).members(), "2000.png", "2000 members")
    empty = zstandard.compress(header("x", kind=b"5") * 40_000 + END)
    path.write_bytes(empty)
    refused(lambda: open_archive(path, SMALL).members(), "decompression bomb")


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_cut_off_stream_is_refused(tmp_path, pack, share):
    noise = np.random.default_rng(0).bytes(5000)
    content = pack(b"".join(header(f"train/ant/{n}.png", 5000, content=noise) for n in range(50)) + END)
    (tmp_path / "a").write_bytes(content[: int(len(content) * share)])
    refused(lambda: open_archive(tmp_path / "a").members(), "fetch it again")


def write_zip(path, name="train/ant/x.png", content=b"x" * 100, mode=0o100644, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        info = zipfile.ZipInfo(name)
        info.external_attr, info.compress_type = mode << 16, method
        archive.writestr(info, content)
    return path


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"name": "/etc/x.png"}, "absolute"),
        ({"name": "../x.png"}, "points outside"),
        ({"name": "a\\..\\x.png"}, "foreign path"),
        ({"mode": 0o120777}, "link or a device"),
        ({"mode": 0o020644}, "link or a device"),
        ({"method": zipfile.ZIP_LZMA}, "neither stored nor deflated"),
    ],
)
def test_hostile_zip_member_is_refused(tmp_path, options, reason):
    path = write_zip(tmp_path / "a.zip", **options)
    refused(lambda: open_archive(path).members(), repr(options.get("name", "train/ant/x.png")), reason)


def edit_sizes(path, claimed):
    """Make the directory (and the member's own header) claim another decompressed size."""
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\x01\x02")
    content[central + 24 : central + 28] = struct.pack("<I", claimed)
    content[22:26] = struct.pack("<I", claimed)
    path.write_bytes(content)


def read_all(path):
    archive = open_archive(path)
    return list(archive.read({member.name for member in archive.members()}))


def test_zip_member_that_claims_too_much_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip")
    edit_sizes(path, 2**32 - 2)
    refused(lambda: read_all(path), "'train/ant/x.png'", "claims 4294967294 bytes")


def test_zip_bomb_that_claims_little_is_refused_in_bounded_memory(tmp_path):
    path = write_zip(tmp_path / "a.zip", content=bytes(200 << 20))
    edit_sizes(path, 1000)
    refused(lambda: read_all(path), "'train/ant/x.png'", "lies about its size")


def test_zip_members_that_share_their_bytes_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", method=zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    central, end = content.index(b"PK\x01\x02"), content.index(b"PK\x05\x06")
    second = bytearray(content[central:end])
    second[-5:] = b"y.png"
    content[end:end] = second
    end += len(second)
    content[end + 8 : end + 12] = struct.pack("<HH", 2, 2)
    content[end + 12 : end + 16] = struct.pack("<I", 2 * len(second))
    path.write_bytes(content)
    refused(lambda: read_all(path), "overlaps another member")


def test_repeated_zip_name_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a/x.png", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a/x.png", b"2")
    refused(lambda: read_all(tmp_path / "a.zip"), "'a/x.png'", "comes twice")


def test_encrypted_zip_member_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip")
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    refused(lambda: read_all(path), "'train/ant/x.png'", "encrypted")


def test_cut_off_zip_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip")
    path.write_bytes(path.read_bytes()[:-30])
    refused(lambda: read_all(path), "not a whole zip")


@pytest.mark.parametrize("form", ["png", "jpg", "webp", "gif", "bmp"])
def test_image_that_claims_a_billion_pixels_is_refused_by_member(tmp_path, form):
    side = 40_000
    files = {
        "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0),
        "jpg": b"\xff\xd8\xff\xc0\0\x11\x08" + struct.pack(">HH", side, side) + b"\3\1\x22\0\2\x11\1\3\x11\1\xff\xda",
        "gif": b"GIF89a" + struct.pack("<HH", side, side) + b"\0\0\0,\0\0\0\0" + struct.pack("<HH", side, side),
        "bmp": b"BM" + struct.pack("<IHHIIiiHHIIiiII", 999, 0, 0, 54, 40, side, side, 1, 24, 0, 0, 1, 1, 0, 0),
        "webp": b"RIFF\x40\0\0\0WEBPVP8L\x30\0\0\0\x2f" + struct.pack("<I", 16383 | 16383 << 14),
    }
    files = {name: content + bytes(64) for name, content in files.items()}
    member = f"train/ant/x.{form}"
    (tmp_path / "a.tar").write_bytes(header(member, len(files[form]), content=files[form]) + END)
    refused(lambda: write_beton(archive_source(tmp_path / "a.tar"), tmp_path / "x.beton"), repr(member), "")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]


def test_pixel_bomb_of_a_real_png_is_refused_before_decoding(tmp_path):
    buffer = io.BytesIO()
    Image.new("1", (9000, 9000)).save(buffer, "PNG")
    content = buffer.getvalue()
    (tmp_path / "a.tar").write_bytes(header("train/ant/x.png", len(content), content=content) + END)
    source = archive_source(tmp_path / "a.tar")
    refused(lambda: write_beton(source, tmp_path / "x.beton"), "'train/ant/x.png'", "claims 9000x9000 pixels")


def test_member_that_is_no_image_is_refused_by_name(tmp_path):
    (tmp_path / "a.tar").write_bytes(header("train/ant/x.jpg", 9, content=b"#!/bin/sh") + END)
    source = archive_source(tmp_path / "a.tar")
    refused(lambda: write_beton(source, tmp_path / "x.beton"), "'train/ant/x.jpg'", "is not an image")


def test_shard_label_bomb_is_refused(tmp_path):
    for label in (b"1" * 5000, b"[" * 100_000, b"99999999999", b'{"label": 1e400}'):
        name = "a.json" if label[:1] in b"[{" else "a.cls"
        content = header("a.png", len(png()), content=png()) + header(name, len(label), content=label) + END
        (tmp_path / "a.tar").write_bytes(content)
        refused(lambda: shard_source(tmp_path / "a.tar"), "label")


def test_npz_that_claims_more_than_it_holds_is_refused(tmp_path):
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        buffer, {"descr": "|u1", "fortran_order": False, "shape": (10**6, 1000, 1000, 3)}
    )
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", buffer.getvalue())
        archive.writestr("labels.npy", buffer.getvalue())
    refused(lambda: numpy_source(tmp_path / "a.npz", name="a"), "images.npy claims 3000000000000 bytes")


def test_large_honest_archive_streams_in_bounded_memory(tmp_path):
    """100 MB of members pass through with a few of them in memory at a time."""
    generator = np.random.default_rng(0)
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for number in range(32):
            buffer = io.BytesIO()
            pixels = generator.integers(0, 256, (1000, 1000, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(buffer, "BMP")
            info = tarfile.TarInfo(f"train/ant/{number}.bmp")
            info.size = buffer.tell()
            archive.addfile(info, io.BytesIO(buffer.getvalue()))
    assert (tmp_path / "a.tar").stat().st_size > 90_000_000
    source = archive_source(tmp_path / "a.tar")
    tracemalloc.start()
    write_beton(source, tmp_path / "x.beton", WriteOptions(num_threads=2))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < MEMORY_BYTES
