import hashlib
import io
from dataclasses import replace

import numpy as np
import pytest
from ffcv.fields.decoders import CenterCropRGBImageDecoder, IntDecoder, SimpleRGBImageDecoder
from ffcv.loader import Loader, OrderOption
from ffcv.pipeline.compiler import Compiler
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps
from torchvision.transforms import functional

from fastssl.data.arrays import array_source
from fastssl.data.beton import BetonFile
from fastssl.data.beton_writer import BetonWriter
from fastssl.data.options import WriteOptions
from fastssl.data.pack import write_beton
from fastssl.data.pixels import load_pixels, resize
from fastssl.data.source import Item, SourceInfo
from fastssl.data.subset import held_out_indices
from fastssl.errors import InputError


class ListSource:
    """Any images with any labels."""

    def __init__(self, images, labels=None):
        self.images = images
        self.labels = np.asarray(labels if labels is not None else np.arange(len(images)) % 3, dtype=np.int64)
        self.info = SourceInfo(name="list", class_names=("a", "b", "c"))

    def read(self, positions):
        for position in positions.tolist():
            yield Item(position, self.images[position], f"list[{position}]")


def picture(seed, height=24, width=31):
    blotches = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(blotches).resize((width, height), Image.Resampling.BICUBIC))


def encoded(pixels, form="JPEG", **options):
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, form, **options)
    return buffer.getvalue()


def read_with_ffcv(path, decoder, os_cache, compiled=False):
    """Stock FFCV; its compiler, which takes a second per pipeline, changes no pixel."""
    Compiler.set_enabled(compiled)
    pipelines = {"image": [decoder], "label": [IntDecoder()]}
    order = OrderOption.SEQUENTIAL
    loader = Loader(str(path), 16, num_workers=1, os_cache=os_cache, order=order, drop_last=False, pipelines=pipelines)
    batches = [(images.copy(), labels.copy()) for images, labels in loader]
    Compiler.set_enabled(True)
    return np.concatenate([images for images, _ in batches]), np.concatenate([labels for _, labels in batches])[:, 0]


@pytest.mark.parametrize("mode", ["raw", "jpg", "proportion"])
def test_ffcv_reads_images_of_one_size(tmp_path, mode):
    source = ListSource([picture(seed) for seed in range(50)])
    write_beton(source, tmp_path / "x.beton", WriteOptions(mode=mode))
    beton = BetonFile(tmp_path / "x.beton")
    expected = np.stack([beton.decode(index) for index in range(50)]).astype(int)
    for os_cache in (True, False):
        images, labels = read_with_ffcv(tmp_path / "x.beton", SimpleRGBImageDecoder(), os_cache, compiled=mode == "jpg")
        np.testing.assert_array_equal(labels, source.labels)
        # FFCV takes libjpeg's fast inverse DCT: 4 levels apart at most on noise (0 in mode raw)
        assert np.abs(images - expected).max() <= (0 if mode == "raw" else 5)


@pytest.mark.parametrize("mode", ["raw", "jpg"])
def test_ffcv_reads_images_of_many_sizes(tmp_path, mode):
    source = ListSource([picture(seed, 20 + seed, 60 - seed) for seed in range(30)])
    write_beton(source, tmp_path / "x.beton", WriteOptions(mode=mode))
    images, labels = read_with_ffcv(tmp_path / "x.beton", CenterCropRGBImageDecoder((16, 16), 1.0), True)
    np.testing.assert_array_equal(labels, source.labels)
    for index in range(30):
        height, width = source.images[index].shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        crop = Image.fromarray(source.images[index][top : top + side, left : left + side])
        expected = np.asarray(crop.resize((16, 16), Image.Resampling.BOX), dtype=float)
        assert np.abs(images[index] - expected).mean() < 8  # another picture is 60 away


@pytest.mark.parametrize("mode", ["raw", "jpg", "proportion"])
def test_bytes_do_not_depend_on_the_number_of_threads(tmp_path, mode):
    source = ListSource([picture(seed, 20 + seed % 7, 30) for seed in range(300)])
    for num_threads in (1, 2, 5):
        write_beton(source, tmp_path / f"{num_threads}.beton", WriteOptions(mode=mode, num_threads=num_threads))
    for name in ("{}.beton", "{}.beton.json"):
        first, *others = [(tmp_path / name.format(num_threads)).read_bytes() for num_threads in (1, 2, 5)]
        assert all(other == first for other in others)


def test_proportion_draws_about_that_share_and_depends_on_the_seed(tmp_path):
    source, modes = ListSource([picture(0, 4, 4)] * 1000), []
    for seed in (0, 1):
        options = WriteOptions(mode="proportion", jpg_proportion=0.3, subset_seed=seed)
        write_beton(source, tmp_path / "x.beton", options)
        modes.append(BetonFile(tmp_path / "x.beton").modes)
    for drawn in modes:
        assert 240 < (drawn == 0).sum() < 360  # four standard deviations
    assert (modes[0] != modes[1]).any()


@pytest.mark.parametrize(
    ("file", "options", "kept"),
    [
        (encoded(picture(0)), {}, True),
        (encoded(picture(0), subsampling=0, quality=99), {}, True),
        (encoded(picture(0), progressive=True), {}, False),
        (encoded(Image.fromarray(picture(0)).convert("L")), {}, False),
        (encoded(picture(0)), {"keep_jpeg": False}, False),
        (encoded(picture(0)), {"max_side": 20}, False),
        (encoded(picture(0)), {"max_side": 31}, True),
        (encoded(picture(0)), {"square": 24}, False),
        (encoded(picture(0), exif=Image.Exif()), {}, True),
        (encoded(picture(0), "PNG"), {}, False),
    ],
)
def test_original_jpeg_is_kept_exactly_when_any_reader_decodes_it(tmp_path, file, options, kept):
    write_beton(ListSource([file]), tmp_path / "x.beton", WriteOptions(mode="jpg", **options))
    payload = bytes(BetonFile(tmp_path / "x.beton").payload(0))
    assert (payload == file) == kept
    with Image.open(io.BytesIO(payload)) as image:
        assert image.mode == "RGB"
        assert not image.info.get("progressive")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_exif_rotation_is_applied_as_pil_does(tmp_path, orientation, form):
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = encoded(picture(3), form, exif=exif)
    rgb = load_pixels(file, "x", WriteOptions()).rgb
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(file))).convert("RGB")
    np.testing.assert_array_equal(rgb, np.asarray(upright))
    write_beton(ListSource([file]), tmp_path / "x.beton", WriteOptions(mode="jpg"))
    assert BetonFile(tmp_path / "x.beton").decode(0).shape == rgb.shape


@pytest.mark.parametrize("form", ["PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG"])
@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_every_colour_mode_becomes_rgb(form, mode):
    image = Image.fromarray(picture(1)).convert(mode)
    try:
        file = encoded(image, form)
    except (OSError, ValueError):
        assert form != "TIFF"  # the other formats lack some mode
        return
    rgb = load_pixels(file, "x", WriteOptions()).rgb
    assert rgb.dtype == np.uint8
    np.testing.assert_array_equal(rgb, np.asarray(Image.open(io.BytesIO(file)).convert("RGB")))


def test_sixteen_bit_gray_keeps_its_upper_byte():
    file = encoded(Image.fromarray(np.array([[0, 255, 256, 65535]], dtype=np.uint16)), "PNG")
    assert load_pixels(file, "x", WriteOptions()).rgb[0, :, 0].tolist() == [0, 0, 1, 255]


@given(height=st.integers(1, 60), width=st.integers(1, 60), square=st.integers(1, 40))
def test_square_is_torchvisions_resize_and_centre_crop(height, width, square):
    pixels = picture(0, height, width)
    expected = functional.center_crop(functional.resize(Image.fromarray(pixels), square), [square, square])
    np.testing.assert_array_equal(resize(pixels, None, square), np.asarray(expected))


@given(height=st.integers(1, 90), width=st.integers(1, 90), max_side=st.integers(1, 50))
def test_max_side_bounds_the_longer_side_and_never_enlarges(height, width, max_side):
    pixels = picture(0, height, width)
    resized = resize(pixels, max_side, None)
    assert max(resized.shape[:2]) == min(max_side, max(height, width))
    assert (resized is pixels) == (max(height, width) <= max_side)


def test_sidecar_tells_what_was_measured(tmp_path):
    images = [picture(seed) for seed in (0, 1, 2, 0, 1, 0)]
    result = write_beton(ListSource(images, [0, 1, 2, 0, 0, 0]), tmp_path / "x.beton")
    pixels = np.concatenate([image.reshape(-1, 3) for image in images]) / 255
    sidecar = BetonFile(tmp_path / "x.beton").sidecar
    np.testing.assert_allclose(sidecar["mean"], pixels.mean(0), atol=1e-6)
    np.testing.assert_allclose(sidecar["std"], pixels.std(0), atol=1e-6)
    assert sidecar["class_counts"] == [4, 1, 1]
    assert (sidecar["height"], sidecar["width"]) == (24, 31)
    assert sidecar["duplicates"] == {
        "num_groups": 2,
        "num_samples": 5,
        "num_groups_across_labels": 1,
        "groups": [[0, 3, 5], [1, 4]],
    }
    assert sidecar["payload_bytes"] == 6 * 24 * 31 * 3
    assert result["bytes"] == (tmp_path / "x.beton").stat().st_size
    assert result["samples"] == 6


def test_sizes_that_vary_are_null_with_a_range(tmp_path):
    sidecar = write_beton(ListSource([picture(0, 10, 20), picture(0, 12, 20)]), tmp_path / "x.beton")
    assert (sidecar["height"], sidecar["width"], sidecar["height_range"]) == (None, 20, [10, 12])


def test_fraction_is_class_balanced_and_seeded(tmp_path):
    source, prints = ListSource([picture(seed, 2, 2) for seed in range(90)]), []
    for seed in (0, 1, 0):
        result = write_beton(source, tmp_path / "x.beton", WriteOptions(fraction=0.2, subset_seed=seed))
        assert result["class_counts"] == [6, 6, 6]
        prints.append(result["fingerprint"])
    assert prints[0] == prints[2] != prints[1]


@given(counts=st.lists(st.integers(1, 30), min_size=1, max_size=5), share=st.floats(0.05, 0.9), seed=st.integers(0, 9))
def test_held_out_samples_are_balanced_and_of_the_asked_number(counts, share, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    wanted = round(share * len(labels))
    if not 0 < wanted < len(labels):
        with pytest.raises(InputError):
            held_out_indices(labels, share, seed)
        return
    chosen = held_out_indices(labels, share, seed)
    assert len(chosen) == wanted == len(set(chosen.tolist()))
    taken = np.bincount(labels[chosen], minlength=len(counts))
    assert np.abs(taken - np.array(counts) * wanted / len(labels)).max() < 1


def test_payload_larger_than_a_page_gets_a_larger_page(tmp_path):
    sizes = [(10, 10), (1800, 2000), (10, 10), (3000, 2000), (500, 2000), (10, 10)]
    images = [np.full((*size, 3), number, dtype=np.uint8) for number, size in enumerate(sizes)]
    write_beton(ListSource(images), tmp_path / "x.beton")
    beton = BetonFile(tmp_path / "x.beton")
    assert beton.layout.page_bytes == 1 << 25
    ends = beton.offsets + beton.payload_sizes - 1
    assert (beton.offsets >> 25 == ends >> 25).all()
    for number, image in enumerate(images):
        np.testing.assert_array_equal(beton.decode(number), image)
    read, _ = read_with_ffcv(tmp_path / "x.beton", CenterCropRGBImageDecoder((4, 4), 1.0), False)
    assert [int(image[0, 0, 0]) for image in read] == list(range(6))


def test_nothing_has_the_final_name_before_commit_and_the_hash_is_of_all_but_payloads(tmp_path):
    writer = BetonWriter(tmp_path / "x.beton", 1)
    writer.add(0, 0, 1, 1, 1, b"abc")
    size_bytes, tables_sha256 = writer.finish("0" * 64)
    content = writer.atomic.temporary.read_bytes()
    assert size_bytes == len(content)
    assert tables_sha256 == hashlib.sha256(content.replace(b"abc", b"")).hexdigest()
    assert not (tmp_path / "x.beton").exists()
    writer.commit()
    assert [path.name for path in tmp_path.iterdir()] == ["x.beton"]


def test_truncated_jpeg_of_a_source_is_refused_by_name(tmp_path):
    file = encoded(picture(0, 100, 100))
    with pytest.raises(InputError, match=r"list\[1\] cannot be decoded .*truncated"):
        write_beton(ListSource([file, file[: len(file) // 2]]), tmp_path / "x.beton")
    assert list(tmp_path.iterdir()) == []


def test_damaged_jpeg_that_pil_reads_is_told_and_stored_whole(tmp_path):
    file = encoded(picture(0, 100, 100), quality=95)
    damaged = file[:-40] + b"\xff\xd9"
    result = write_beton(ListSource([file, damaged]), tmp_path / "x.beton", WriteOptions(mode="jpg"))
    assert "list[1]" in result["warnings"][0]
    beton = BetonFile(tmp_path / "x.beton")
    assert bytes(beton.payload(0)) == file
    assert beton.decode(1).shape == (100, 100, 3)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (np.zeros((4, 4, 3)), "array of float64"),
        (np.zeros((4, 4, 2), np.uint8), "2 channels"),
        (np.zeros((0, 4, 3), np.uint8), "shape"),
        (b"", "it is empty"),
        (b"GIF89a", "not an image|cannot be decoded"),
        (np.zeros((70000, 1, 3), np.uint8), "70000 pixels; a beton holds 65535"),
    ],
)
def test_odd_image_is_refused_by_name(tmp_path, image, reason):
    with pytest.raises(InputError, match=reason) as caught:
        write_beton(ListSource([image]), tmp_path / "x.beton")
    assert "list[0]" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_image_of_too_many_pixels_is_refused_before_decoding(form):
    file = encoded(picture(0, 100, 200), form)
    with pytest.raises(InputError, match="claims 100x200 pixels, more than max_pixels=19999"):
        load_pixels(file, "x", WriteOptions(max_pixels=19_999))


def test_progress_counts_up_to_the_number_of_samples(tmp_path):
    calls = []
    source = array_source(np.zeros((600, 2, 2, 3), np.uint8), np.zeros(600, int))
    write_beton(source, tmp_path / "x.beton", progress=lambda done, total: calls.append((done, total)))
    assert calls == [(256, 600), (512, 600), (600, 600)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "png"},
        {"quality": 0},
        {"max_side": 0},
        {"max_side": 9, "square": 9},
        {"fraction": 0.0},
        {"val": 1.5},
        {"val": 0},
        {"jpg_proportion": 2.0},
        {"subset_seed": -1},
        {"num_threads": 0},
    ],
)
def test_impossible_option_is_refused_by_name(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        replace(WriteOptions(), **wrong)


def test_val_of_a_single_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="call write_dataset"):
        write_beton(ListSource([picture(0)]), tmp_path / "x.beton", WriteOptions(val=0.5))
