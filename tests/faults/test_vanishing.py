"""A file that is deleted, replaced or cut off in mid-epoch is an error: never other images, zeros or a crash."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from fastssl import native
from fastssl.data.arrays import array_source
from fastssl.data.options import WriteOptions
from fastssl.data.pack import write_beton
from fastssl.errors import InputError
from tests.faults.betons import NUM_IMAGES, open_kind, overwrite, place

KINDS = ("crops", "images", "ffcv")


def delete(path):
    path.unlink()


def replace_by_another(path):
    """As a new write of the dataset does: another file under the name, of the very same size."""
    images = np.full((NUM_IMAGES, 32, 32, 3), 9, dtype=np.uint8)
    write_beton(array_source(images, np.arange(NUM_IMAGES) % 5, name="tiny"), path, WriteOptions())


def copy_over(path):
    """The same bytes again, as a repeated copy leaves them: nothing tells that they were the same throughout."""
    again = path.with_name("again")
    shutil.copy(path, again)
    os.replace(again, path)


def write_into(path):
    overwrite(path, place(path, NUM_IMAGES - 1)[0], b"other pixels")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("on_error", ["raise", "skip"])
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (delete, "vanished while it was read"),
        (replace_by_another, "was changed while it was read"),
        (copy_over, "was changed while it was read"),
        (write_into, "was changed while it was read"),
    ],
)
def test_file_that_changes_in_mid_epoch_is_an_error(beton, kind, on_error, change, reason):
    path = beton()
    loader = open_kind(kind, path, batch_size=2, order="sequential", on_error=on_error)
    batches = loader.epoch(0)
    next(batches)
    change(path)
    with pytest.raises(InputError, match=reason) as caught:
        list(batches)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    with pytest.raises(InputError, match=reason):  # and no later epoch of this loader is served either
        list(loader.epoch(1))
    loader.close()


def test_resident_set_does_not_need_its_file_any_more(beton):
    path = beton()
    loader = open_kind("resident", path)
    whole = [batch.images.clone() for batch in loader.epoch(0)]
    path.unlink()
    assert all((batch.images == before).all() for batch, before in zip(loader.epoch(0), whole, strict=True))
    loader.close()


def test_exported_image_that_is_deleted_is_named(beton):
    path = beton()
    loader = open_kind("folder", path, num_workers=0, order="sequential")
    batches = loader.epoch(0)
    next(batches)
    [image] = path.with_suffix("").glob(f"*/{NUM_IMAGES - 1:08d}.png")
    image.unlink()
    with pytest.raises(InputError, match=f"{image.name} cannot be read"):
        list(batches)
    loader.close()


CUTS_OFF = """
import json, os, sys, time
from pathlib import Path
from fastssl.errors import InputError
from tests.faults.betons import open_kind, place

def cut_off(path, kind, keep, on_error):
    "What an epoch says whose file is cut off after its first batch; None when it ends as if nothing were amiss."
    loader = open_kind(kind, path, batch_size=2, order="sequential", on_error=on_error)
    batches = loader.epoch(0)
    next(batches)
    if kind == "ffcv":
        [epoch] = loader._epochs
        while not epoch.output_queue.full():
            time.sleep(0.01)
        time.sleep(0.3)  # by now its thread waits for room: a cut in the midst of a batch is one it cannot survive
    os.truncate(path, keep)
    try:
        list(batches)
    except InputError as error:
        return str(error)
    finally:
        loader.close()

def cut_off_while_decoded(path, keep):
    from fastssl.data import resident
    resident._CHUNK_BYTES = 4 * 32 * 32 * 3
    try:
        open_kind("resident", path, progress=lambda *_: os.truncate(path, keep)).close()
    except InputError as error:
        return str(error)

for line in sys.stdin:
    path, kind, keep, on_error = json.loads(line)
    said = cut_off_while_decoded(path, keep) if kind == "resident" else cut_off(Path(path), kind, keep, on_error)
    print(json.dumps(said), flush=True)
held = [open_kind(kind, Path(sys.argv[1]), batch_size=2).epoch(0) for kind in ("crops", "images", "ffcv")]
for batches in held:
    next(batches)
sys.exit(3)
"""


def test_file_that_is_cut_off_in_mid_epoch_is_an_error_and_a_process_may_end_in_mid_epoch(beton, tiny_beton):
    """In a process of its own, which a read beyond the file's end would end, and a thread left behind would not."""
    if reason := native.available():
        pytest.skip(reason)
    environment = {**os.environ, "PYTHONFAULTHANDLER": "1"}
    command = [sys.executable, "-c", CUTS_OFF, str(tiny_beton(NUM_IMAGES))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    cases = [(mode, kind, within, on_error) for mode in ("raw", "jpg") for kind in (*KINDS, "resident")
             for within in ("nothing", "a page", "a sample")
             for on_error in (("raise",) if kind == "ffcv" else ("raise", "skip"))]  # fmt: skip
    said = {}
    with process:
        for case in cases:
            mode, kind, within, on_error = case
            path = beton(mode)
            offset, size = place(path, NUM_IMAGES // 2)
            keep = {"nothing": 0, "a page": offset // 4096 * 4096, "a sample": offset + size // 2}[within]
            process.stdin.write(json.dumps([str(path), kind, keep, on_error]) + "\n")
            process.stdin.flush()
            said[case] = json.loads(process.stdout.readline() or '"the process ended"')
            if said[case] == "the process ended":
                break
    assert {case: line for case, line in said.items() if "was changed while it was read" not in str(line)} == {}
    assert process.returncode == 3
