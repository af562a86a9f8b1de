"""Writers that die, sources that raise, disks that fill: nothing half-written ever has a final name."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from fastssl.data.arrays import array_source
from fastssl.data.atomic import AtomicFile
from fastssl.data.beton import BetonFile
from fastssl.data.inspect import verify_beton
from fastssl.data.options import WriteOptions
from fastssl.data.pack import write_beton
from fastssl.data.source import Item, SourceInfo
from fastssl.errors import InputError

NUM_SAMPLES = 400
SERVER = """
import json, os, resource, signal, sys, time
import numpy as np
import fastssl.data.pack as pack
from fastssl.data.arrays import array_source
from fastssl.data.pack import write_beton

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in what a shell starts in the background
pack.PROGRESS_EVERY = 8
images = np.random.default_rng(1).integers(0, 256, ({n}, 24, 24, 3), dtype=np.uint8)

def note(done, total):
    print(done, flush=True)
    time.sleep(.006)

def write(out, limit_bytes):
    print("pid", os.getpid(), flush=True)
    if limit_bytes:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
    try:
        write_beton(array_source(images, np.arange({n}) % 4), out, progress=note)
        print("done", flush=True)
    except BaseException as error:
        print("error", type(error).__name__, error, flush=True)

print("ready", flush=True)
for line in sys.stdin:
    pid = os.fork()
    if pid == 0:
        write(**json.loads(line))
        os._exit(0)
    print("\\nexit", os.waitpid(pid, 0)[1], flush=True)
""".replace("{n}", str(NUM_SAMPLES))


class Writer:
    """A process that writes `source_of(1)` in children of its own, which tests may kill; imports are paid for once."""

    def __init__(self):
        command = [sys.executable, "-c", SERVER]
        self.server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.line() == "ready"

    def line(self):
        return self.server.stdout.readline().rstrip("\n")

    def start(self, out, limit_bytes=0):
        self.server.stdin.write(json.dumps({"out": str(out), "limit_bytes": limit_bytes}) + "\n")
        self.server.stdin.flush()
        return int(self.line().removeprefix("pid "))

    def end(self):
        """The lines until the child is gone."""
        lines = []
        while not lines or not lines[-1].startswith("exit"):
            lines.append(self.line())
        return lines


@pytest.fixture(scope="module")
def writer():
    process = Writer()
    yield process
    process.server.stdin.close()
    process.server.wait(timeout=30)


def source_of(seed):
    images = np.random.default_rng(seed).integers(0, 256, (NUM_SAMPLES, 24, 24, 3), dtype=np.uint8)
    return array_source(images, np.arange(NUM_SAMPLES) % 4)


class Raising:
    """Gives some images, then an error."""

    def __init__(self, error, after=150):
        self.error, self.after = error, after
        self.labels = np.zeros(10_000, dtype=np.int64)
        self.info = SourceInfo(name="raising")

    def read(self, positions):
        for position in positions.tolist():
            if position == self.after:
                raise self.error
            yield Item(position, np.zeros((8, 8, 3), dtype=np.uint8), str(position))


def test_writer_killed_at_any_of_20_points_leaves_the_earlier_file_whole(writer, tmp_path):
    out = tmp_path / "x.beton"
    earlier = write_beton(source_of(0), out)["fingerprint"]
    expected = write_beton(source_of(1), tmp_path / "expected.beton")["fingerprint"]
    num_finished = 0
    for point in range(20):  # progress is told 50 times; the last points lie between the last of it and the end
        pid = writer.start(out)
        for _ in range(min(point * 3, 50)):
            writer.line()
        time.sleep(max(0, point - 15) * 0.008)
        with contextlib.suppress(ProcessLookupError):  # it may have ended by itself: then the new file is there
            os.kill(pid, signal.SIGKILL)
        writer.end()
        found = BetonFile(out)
        assert found.fingerprint() in (earlier, expected)
        assert found.sidecar is None or found.sidecar["fingerprint"] == found.fingerprint()
        if found.fingerprint() == expected:
            num_finished += 1
            write_beton(source_of(0), out)
    assert num_finished <= 10  # six at most on a machine that has time; the others were cut short
    write_beton(source_of(1), out)
    assert out.read_bytes() == (tmp_path / "expected.beton").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []


def test_writer_killed_in_an_empty_folder_leaves_no_final_name(writer, tmp_path):
    out = tmp_path / "x.beton"
    pid = writer.start(out)
    writer.line()
    os.kill(pid, signal.SIGKILL)
    writer.end()
    assert [path.name for path in tmp_path.iterdir()] == [f".x.beton.{pid}.tmp"]
    write_beton(source_of(1), out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.beton", "x.beton.json"]
    verify_beton(out)


def test_interrupted_writer_cleans_up(writer, tmp_path):
    pid = writer.start(tmp_path / "x.beton")
    writer.line()
    os.kill(pid, signal.SIGINT)
    assert any(line.startswith("error KeyboardInterrupt") for line in writer.end())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError("the source broke"), MemoryError("no memory"), OSError(5, "I/O error")])
def test_error_of_the_source_comes_through_at_once(tmp_path, error):
    started_s = time.monotonic()
    with pytest.raises(type(error), match=str(error.args[-1])):
        write_beton(Raising(error), tmp_path / "x.beton", WriteOptions(num_threads=4))
    assert time.monotonic() - started_s < 60
    assert list(tmp_path.iterdir()) == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("beton")]


def test_source_that_ends_early_is_an_error(tmp_path):
    source = Raising(RuntimeError())
    source.read = lambda positions: iter([Item(0, np.zeros((2, 2, 3), np.uint8), "0")])
    with pytest.raises(InputError, match="gave 1 of 10000 images"):
        write_beton(source, tmp_path / "x.beton")
    assert list(tmp_path.iterdir()) == []


def test_few_samples_are_under_way_at_once(tmp_path):
    """A source of any length is read only as far as the threads can follow."""
    read, written = [0], [0]
    images = np.zeros((5000, 4, 4, 3), dtype=np.uint8)
    whole = array_source(images, np.zeros(5000, dtype=int))

    class Counting:
        labels, info = whole.labels, whole.info

        def read(self, positions):
            for item in whole.read(positions):
                read[0] += 1
                assert read[0] - written[0] <= 64 * 8 + 256
                yield item

    def note(done, _):
        written[0] = done

    write_beton(Counting(), tmp_path / "x.beton", WriteOptions(num_threads=2), progress=note)
    assert (read[0], written[0]) == (5000, 5000)


def test_file_size_limit_ends_with_one_line_and_nothing_left(writer, tmp_path):
    writer.start(tmp_path / "x.beton", limit_bytes=200_000)
    *_, error, _, gone = writer.end()
    assert error.startswith("error InputError")
    assert "does not fit on its disk" in error
    assert gone == "exit 0"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("nth", range(3))
def test_disk_that_fills_late_leaves_the_earlier_file_whole(tmp_path, monkeypatch, call, nth):
    out = tmp_path / "x.beton"
    earlier = write_beton(source_of(0), out)["fingerprint"]
    real, calls = getattr(os, call), [0]

    def failing(*arguments):
        calls[0] += 1
        if calls[0] == nth + 1:
            raise OSError(28, "No space left on device")
        return real(*arguments)

    monkeypatch.setattr(os, call, failing)
    if call == "replace" and nth == 2:  # there are two: sidecar, beton
        earlier = write_beton(source_of(1), out)["fingerprint"]
    else:
        with pytest.raises(InputError, match="does not fit on its disk"):
            write_beton(source_of(1), out)
    monkeypatch.undo()
    assert BetonFile(out).fingerprint() == earlier
    assert not list(tmp_path.glob(".*"))


def test_sidecar_ahead_of_its_beton_is_told_apart(tmp_path, monkeypatch):
    """A power cut between the two renames: the new sidecar stands beside the earlier beton."""
    out = tmp_path / "x.beton"
    write_beton(source_of(0), out)
    write_beton(source_of(1), tmp_path / "new.beton")
    os.replace(tmp_path / "new.beton.json", tmp_path / "x.beton.json")
    assert BetonFile(out).sidecar is None
    assert json.loads((tmp_path / "x.beton.json").read_text())["format"] == 1


def test_file_being_written_by_a_live_writer_is_left_alone(writer, tmp_path):
    writer.start(tmp_path / "x.beton")
    writer.line()
    write_beton(source_of(0), tmp_path / "x.beton")
    assert "done" in writer.end()
    assert BetonFile(tmp_path / "x.beton").sidecar is not None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.beton", "x.beton.json"]


def test_target_is_written_once_at_a_time_in_one_process(tmp_path):
    first = AtomicFile(tmp_path / "x")
    with pytest.raises(InputError, match="is being written already"):
        AtomicFile(tmp_path / "x")
    first.discard()
    second = AtomicFile(tmp_path / "x")
    second.finish()
    second.commit()
    second.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_beton(source_of(0), tmp_path / "file" / "x.beton")
