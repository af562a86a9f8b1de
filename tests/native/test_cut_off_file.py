"""A mapped file that is cut off while it is in use: failures, not the end of the process. In processes of their own."""

import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("needs_library")
SETUP = """
import faulthandler, mmap, os, signal, sys, tempfile
import numpy as np
from fastssl import native
from tests.native.images import as_jpeg, one_batch, textured, whole_decode

SIZE, NUM, KEPT = (96, 128), 24, 7
IMAGE = textured(*SIZE)
JPEG = as_jpeg(IMAGE)
PAGE = mmap.PAGESIZE

def mapped_batch(image):
    '''The file, its mapped bytes and samples; every payload begins on a page of its own.'''
    payload = image if isinstance(image, bytes) else image.tobytes()
    step = -(-len(payload) // PAGE) * PAGE
    file = tempfile.TemporaryFile()
    file.write((payload + bytes(step - len(payload))) * NUM)
    file.flush()
    source = np.frombuffer(mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ), np.uint8)
    sizes, coded = np.tile(SIZE, (NUM, 1)), np.full(NUM, isinstance(image, bytes))
    samples = native.describe_samples(np.arange(NUM) * step, np.full(NUM, len(payload)), sizes, coded)
    return file, source, samples, step

def make_crops(pool, source, samples):
    out = np.full((NUM, *SIZE[:1], *SIZE[:1], 3), KEPT, np.uint8)
    crops = np.tile(np.array([[0, 0, SIZE[0], SIZE[0], 0]], np.int32), (NUM, 1))
    return pool.make_crops(source, samples, [native.View(crops, out)]), out

def read_images(pool, source, samples):
    out = np.full((NUM, *SIZE, 3), KEPT, np.uint8)
    return pool.read_images(source, samples, np.tile(np.array([[0, 0, *SIZE]], np.int32), (NUM, 1)), out), out

def die_of_a_cut_off_file():
    file, source, samples, step = mapped_batch(JPEG)
    os.truncate(file.fileno(), 0)
    source.sum()
"""


def run(code: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *options, "-c", SETUP + code]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("options", [(), ("-X", "faulthandler")], ids=["plain", "faulthandler"])
def test_samples_beyond_the_cut_fail_and_the_others_are_right(options: tuple[str, ...]):
    done = run(
        """
def check(pool, method, image):
    pixels = whole_decode(image) if image is JPEG else IMAGE
    for whole in (9, 0):
        file, source, samples, step = mapped_batch(image)
        assert method(pool, source, samples)[0] == []
        os.truncate(file.fileno(), whole * step)
        failures, out = method(pool, source, samples)
        assert [failure.sample for failure in failures] == list(range(whole, NUM)), failures
        assert all(failure.message.startswith("unreadable: ") for failure in failures), failures
        assert (out[:whole] == pixels[:, : out.shape[2]]).all()
    assert method(pool, *mapped_batch(image)[1:3])[0] == []

for method in (make_crops, read_images):
    for image in (JPEG, IMAGE):
        print(method.__name__, "JPEG" if image is JPEG else "raw pixels", flush=True)
        with native.Pool(2) as pool:
            check(pool, method, image)
""",
        options,
    )
    assert done.returncode == 0, done.stdout + done.stderr  # its last line names the case
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 4


def test_a_file_cut_inside_a_jpeg_is_a_failure_of_that_sample_too():
    done = run("""
with native.Pool(2) as pool:
    file, source, samples, step = mapped_batch(JPEG)
    assert step >= 2 * PAGE
    os.truncate(file.fileno(), 3 * step + PAGE)
    failures, _ = read_images(pool, source, samples)
    assert [failure.sample for failure in failures] == list(range(3, NUM))
""")
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read in /proc")
def test_cut_off_samples_leak_no_decoder():
    done = run("""
def resident(times):
    for _ in range(times):
        assert len(read_images(pool, source, first)[0]) == NUM
    with open("/proc/self/statm") as numbers:
        return int(numbers.read().split()[1]) * PAGE

with native.Pool(2) as pool:
    file, source, samples, step = mapped_batch(JPEG)
    os.truncate(file.fileno(), PAGE)  # the first begins and then faults, with its decoder open
    first = samples[:1].repeat(NUM)
    before = resident(50)
    grown = resident(200) - before
    assert grown < 200 * NUM * 1000, grown
""")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("enable", ["", "faulthandler.enable()"])
@pytest.mark.parametrize("after", [False, True])
def test_a_fault_elsewhere_still_ends_the_process(enable: str, after: bool):
    """With the fault handler put before ours or after it, and once more in front of it by a second batch."""
    lines = ["with native.Pool(1) as pool: make_crops(pool, *mapped_batch(JPEG)[1:3])"]
    lines = [*lines, enable, *lines] if after else [enable, *lines]
    done = run("\n".join([*lines, "die_of_a_cut_off_file()"]))
    assert done.returncode == -signal.SIGBUS
    assert ("Fatal Python error: Bus error" in done.stderr) == bool(enable)


def test_a_signal_that_a_process_sends_is_passed_on():
    opened = "with native.Pool(1) as pool: make_crops(pool, *mapped_batch(JPEG)[1:3])"
    sent = f"{opened}\nos.kill(os.getpid(), signal.SIGBUS)\nprint('alive')"
    assert run(sent).returncode == -signal.SIGBUS
    assert run(f"signal.signal(signal.SIGBUS, lambda *_: sys.exit(3))\n{sent}").returncode == 3
    assert run(f"signal.signal(signal.SIGBUS, signal.SIG_IGN)\n{sent}").stdout == "alive\n"


def test_a_fault_handler_enabled_after_the_pool_stays_out_of_guarded_work():
    done = run("""
with native.Pool(2) as pool:
    file, source, samples, step = mapped_batch(IMAGE)
    make_crops(pool, source, samples)
    faulthandler.enable()
    os.truncate(file.fileno(), 0)
    assert len(make_crops(pool, source, samples)[0]) == NUM
""")
    assert (done.returncode, done.stderr) == (0, "")
