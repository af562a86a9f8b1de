"""The decoder's build: what it needs, what it says when that is missing, and how a stale library is noticed."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fastssl import native
from fastssl.errors import InputError
from fastssl.native import build, library


@pytest.fixture
def fresh_load() -> Iterator[None]:
    library.load.cache_clear()
    yield
    library.load.cache_clear()


def test_build_writes_one_file(tmp_path: Path):
    if reason := native.available():
        pytest.skip(reason)
    assert build.compile_library(tmp_path / "views.so").stat().st_size > 10_000
    assert [path.name for path in tmp_path.iterdir()] == ["views.so"]


def test_build_without_a_compiler_says_so_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CC", str(tmp_path / "none"))
    with pytest.raises(build.BuildError, match=r"no C compiler: .*; install one or name it in CC"):
        build.compile_library(tmp_path / "views.so")
    assert list(tmp_path.iterdir()) == []


def test_build_without_the_header_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    if native.available():
        pytest.skip("there is no compiler or no header")
    (tmp_path / "jpeglib.h").write_text("#error jpeglib.h is not there\n")
    monkeypatch.setenv("CFLAGS", f"-I{tmp_path}")
    with pytest.raises(build.BuildError, match=r"jpeglib\.h is not there.*libjpeg-dev"):
        build.compile_library(tmp_path / "views.so")


@pytest.mark.usefixtures("fresh_load")
def test_a_missing_library_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(build, "LIBRARY", tmp_path / "views.so")
    assert native.available() == (
        "the native decoder is not compiled; `python -m fastssl.native.build` compiles it and says what it lacks"
    )
    with pytest.raises(InputError, match="not compiled"):
        native.Pool(1)


@pytest.mark.usefixtures("fresh_load")
def test_a_library_of_other_sources_is_not_used(monkeypatch: pytest.MonkeyPatch):
    if reason := native.available():
        pytest.skip(reason)
    library.load.cache_clear()
    monkeypatch.setattr(build, "sources_digest", lambda: "0" * 16)
    assert "compiled from other sources" in str(native.available())


@pytest.mark.usefixtures("fresh_load")
def test_a_file_that_is_no_library_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(build, "LIBRARY", tmp_path / "views.so")
    (tmp_path / "views.so").write_bytes(b"text")
    assert "does not load" in str(native.available())


def test_importing_the_decoder_loads_no_torch():
    code = "import sys; from fastssl import native; native.available(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
