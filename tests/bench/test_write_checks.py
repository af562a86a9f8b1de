"""Writers that would look fast because they do not write what they were given: each is named by the contract."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.write import betons, child
from benchmarks.write.checks import breaches


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Twelve smooth pictures of three classes, as JPEG files in class folders."""
    root, found = tmp_path_factory.mktemp("files"), []
    draw = np.random.default_rng(0)
    for place in range(12):
        folder = root / f"class{place // 4}"
        folder.mkdir(exist_ok=True)
        path = folder / f"{place:04d}.jpg"
        cv2.imwrite(str(path), cv2.resize(draw.integers(0, 256, (4, 5, 3), dtype=np.uint8), (60, 48)))
        found.append((str(path), place // 4))
    return found


def _kept(samples):
    return [(Path(path).read_bytes(), label) for path, label in samples]


def _decoded(samples):
    return [(cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2RGB), label) for path, label in samples]


@pytest.mark.parametrize("write", [betons.write, betons.append])
def test_writers_that_keep_bytes_pass(samples, tmp_path, write):
    write(tmp_path / "home", samples)
    assert breaches(samples, betons.read_back(tmp_path / "home"), keeps=True) == []


@pytest.mark.parametrize("write", [betons.write_again, betons.write_with_ffcv])
def test_writers_that_encode_again_pass(samples, tmp_path, write):
    write(tmp_path / "home", samples)
    assert breaches(samples, betons.read_pixels(tmp_path / "home"), keeps=False) == []


@pytest.mark.parametrize(
    "cheat",
    [
        lambda found: found[:-1],
        lambda found: [*found[:-1], found[0]],
        lambda found: [(found[0][0], label) for _, label in found],
        lambda found: [(payload, 0) for payload, _ in found],
        lambda found: [(payload[:-2], label) for payload, label in found],
    ],
    ids=["one left out", "one twice", "one image for all", "labels lost", "cut off"],
)
def test_bytes_that_are_not_those_of_the_files_are_named(samples, cheat):
    (line,) = breaches(samples, cheat(_kept(samples)), keeps=True)
    assert "of 12 images are not there as they were" in line


@pytest.mark.parametrize(
    ("cheat", "said"),
    [
        (lambda found: found[:-1], "11 of 12 images"),
        (lambda found: [(pixels * 0, label) for pixels, label in found], "levels from the file's pixels"),
        (lambda found: [(pixels[::2, ::2], label) for pixels, label in found], "(24, 30, 3), not (48, 60, 3)"),
        (lambda found: [(found[0][0], label) for _, label in found], "levels from the file's pixels"),
        (lambda found: [(pixels, 0) for pixels, _ in found], "label 0, not 1"),
    ],
    ids=["one left out", "zeros", "half the size", "one image for all", "labels lost"],
)
def test_pixels_that_are_not_those_of_the_files_are_named(samples, cheat, said):
    (line,) = breaches(samples, cheat(_decoded(samples)), keeps=False)
    assert said in line


@pytest.mark.parametrize("name", ["beton", "ffcv", "copy"])
def test_a_turn_is_timed_after_a_first_one_and_read_back_on_request(samples, tmp_path, name):
    """A turn of twelve small files takes none of the seconds that importing FFCV takes."""
    folder = str(Path(samples[0][0]).parent.parent)
    answer = child._answer(name, folder, tmp_path / "timed" / "home", check=False)
    assert answer["images"] == len(samples)
    assert answer["bytes"] > sum(Path(path).stat().st_size for path, _ in samples) / 2
    assert 0 < answer["cpu_s"] < 2
    assert child._answer(name, folder, tmp_path / "checked" / "home", check=True) == {"wrong": []}
