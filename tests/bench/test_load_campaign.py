"""A campaign of loaders: processes that fail or hang, blocks in turn, records, stored sets, ceilings."""

import sys
import time

import numpy as np
import pytest

from benchmarks.load import campaign, child, handle, photographs, processes
from benchmarks.load.campaign import Entry, Extent, run_case
from benchmarks.load.cases import CEILINGS, DECODE_ONLY, OWN, Case, cases, epochs_per_block, view
from benchmarks.load.ceilings import Ceiling
from benchmarks.load.contestant import MODULES, Task
from benchmarks.load.draws import draw_crop
from benchmarks.load.photographs import PhotographSource
from benchmarks.load.stored import Cache
from benchmarks.load.write_down import record_of
from fastssl.data.beton import BetonFile
from fastssl.report import loader_costs
from fastssl.report.loader_costs import load_loaders
from fastssl.telemetry.records import append_record


@pytest.fixture(autouse=True)
def two_pictures(monkeypatch):
    """Those of scikit-learn; scikit-image belongs to the benchmark alone."""
    kept = {name: path for name, path in photographs.PICTURES.items() if path.startswith("sklearn")}
    monkeypatch.setattr(photographs, "PICTURES", kept)


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "stored", num_photographs=8, num_small=8)


def small_case(*contestants):
    return Case("jpeg-1x32", "jpeg-500", (view(32),), 4, contestants)


def test_every_contestant_of_every_case_is_known():
    named = {name for case in cases().values() for name in case.contestants}
    assert named == set(MODULES)
    assert (loader_costs.CEILINGS, (*OWN, *DECODE_ONLY)) == (CEILINGS, loader_costs.OWN)
    assert all(epochs_per_block(name, quick=True) == 1 for name in named)


def test_case_becomes_records_and_rows(cache, tmp_path):
    """The whole way, with processes: ours and a ceiling."""
    entries = run_case(small_case("crops", "decode"), ("crops", "decode"), cache, Extent(blocks=2, quick=True))
    assert [(entry.outcome, entry.reason) for entry in entries] == [("ok", "")] * 2
    for entry in entries:
        append_record(tmp_path / "records.jsonl", record_of(entry, quick=True))
    ours, decode = load_loaders([tmp_path / "records.jsonl"]).iter_rows(named=True)
    assert (ours["threads"], ours["num_images"], ours["sizes"]) == (2, 8, [32])
    assert len(ours["blocks"]) == len(ours["wall"]) == 2
    assert min(*ours["blocks"], *ours["wall"], *decode["blocks"], ours["first_batch_s"]) > 0


class FakeHandle:
    """A process that answers what it is told to."""

    log: list[str] = []  # noqa: RUF012 (shared on purpose)

    def __init__(self, name, task, ramps, log):
        self.name = name

    def ask(self, command):
        self.log.append(f"{self.name} {command}")
        if self.name == "threads" and command == "check":
            return {"wrong": ["views show nothing", "labels are wrong"]}
        if self.name == "ffcv" and command == "load":
            raise handle.Absent("not installed: no ffcv")
        if self.name == "images" and command == "block" and self.log.count("images block") > 4:
            raise handle.Stopped("timeout", "block took longer than 1 s")
        return {
            "wrong": [],
            "first_batch_s": 1.0,
            "threads": 2,
            "regime": "",
            "wall_s": 2.0,
            "start_s": 0.01,
            "cpu_s": 4.0,
            "images": 8,
        }

    def ask_and_watch(self, command):
        return {}, 5_000_000

    def private_bytes(self):
        return 2_000_000

    def close(self):
        self.log.append(f"{self.name} close")


def test_trouble_of_one_leaves_the_others_theirs(cache, monkeypatch):
    monkeypatch.setattr(campaign, "Handle", FakeHandle)
    FakeHandle.log = []
    names = ("crops", "threads", "ffcv", "images", "decode")
    entries = {entry.name: entry for entry in run_case(small_case(*names), names, cache, Extent(6, quick=False))}
    outcomes = {name: (entry.outcome, entry.absent) for name, entry in entries.items()}
    assert outcomes == {"crops": ("ok", False), "threads": ("wrong", False), "ffcv": ("failed", True),
                        "images": ("timeout", False), "decode": ("ok", False)}  # fmt: skip
    assert entries["threads"].reason == "views show nothing; labels are wrong"
    assert entries["crops"].cpu_s == [0.5] * 6
    assert entries["crops"].private_bytes == 3_000_000
    assert record_of(entries["images"], quick=False)["samples"] == []
    assert {f"{name} close" for name in names} <= set(FakeHandle.log)


def test_blocks_hold_everyone_once_in_orders_of_their_own(cache, monkeypatch):
    monkeypatch.setattr(campaign, "Handle", FakeHandle)
    FakeHandle.log = []
    names = ("crops", "decode", "huffman", "torchvision PIL")
    run_case(small_case(*names), names, cache, Extent(6, quick=False))
    turns = [line.removesuffix(" block") for line in FakeHandle.log if line.endswith(" block")][-24:]
    blocks = [tuple(turns[at : at + 4]) for at in range(0, 24, 4)]
    assert all(sorted(block) == sorted(names) for block in blocks)
    assert len(set(blocks)) > 1


@pytest.fixture
def script(tmp_path, monkeypatch, cache):
    """A handle on a process that runs the given lines instead of a contestant."""
    opened = []

    def start(text):
        path = tmp_path / "script.py"
        path.write_text(text)
        real = handle.subprocess.Popen
        monkeypatch.setattr(handle.subprocess, "Popen", lambda command, **given: real([sys.executable, path], **given))
        task = Task(cache.stored("jpeg-500"), (view(32),), 4, 2)
        opened.append(handle.Handle("crops", task, cache.ramps("jpeg-500"), (tmp_path / "log").open("w+b")))
        return opened[-1]

    yield start
    for one in opened:
        one.close()
        one.log.close()


def test_process_that_hangs_is_a_timeout_and_ends(script, monkeypatch):
    monkeypatch.setitem(handle.LIMITS_S, "block", 0.2)
    child = script("import time\ntime.sleep(60)")
    with pytest.raises(handle.Stopped, match="block took longer") as caught:
        child.ask("block")
    assert caught.value.outcome == "timeout"
    child.close()
    assert child.process.returncode is not None


def test_process_that_dies_tells_its_last_words(script):
    child = script("import sys\nsys.exit('Illegal instruction')")
    with pytest.raises(handle.Stopped, match="ended during open: Illegal instruction") as caught:
        child.ask("open")
    assert caught.value.outcome == "failed"


def test_command_that_raises_or_lacks_a_package_is_answered():
    def fail():
        raise ValueError("first line\nsecond")

    def lack():
        raise child.Missing("not installed: simplejpeg")

    assert child._answer(fail) == {"failed": "ValueError: first line"}
    assert child._answer(lack) == {"missing": "not installed: simplejpeg"}


def test_cpu_and_memory_of_processes_below_are_counted():
    text = "import time\nheld = bytearray(b'x') * (64 << 20)\nwhile time.process_time() < 0.5: pass\nprint(flush=True)"
    text += "\ninput()"
    before = set(processes.descendants())  # of other tests
    with handle.subprocess.Popen([sys.executable, "-c", text], stdin=-1, stdout=-1) as process:
        process.stdout.readline()
        assert set(processes.descendants()) - before == {process.pid}
        assert processes.cpu_s([process.pid]) - processes.cpu_s() == pytest.approx(0.5, abs=0.2)
        assert processes.private_bytes(process.pid) > 64 << 20
        before = processes.cpu_s([process.pid])
        time.sleep(0.2)  # it waits: no CPU time passes
        assert processes.cpu_s([process.pid]) - before < 0.1
        process.stdin.close()


def test_photographs_are_the_same_again_and_vary(cache):
    source = PhotographSource(6)
    first, again = (list(source.read(np.arange(6))) for _ in range(2))
    assert all(np.array_equal(one.image, other.image) for one, other in zip(first, again, strict=True))
    assert len({item.image.tobytes() for item in first}) == 6
    assert {max(item.image.shape) for item in first} == {500}
    assert {item.image.shape for item in PhotographSource(4, side=32).read(np.arange(4))} == {(32, 32, 3)}
    stored = cache.stored("jpeg-500")
    assert len(list(stored.folder.rglob("*.jpg"))) == len(BetonFile(stored.beton)) == 8


def test_ceilings_touch_every_image(cache):
    task = Task(cache.stored("jpeg-500"), (view(32),), 4, 2)
    for name in CEILINGS:
        opened = Ceiling(name, task)
        labels = [label for batch in opened.block(0) for label in batch.labels]
        assert sorted(labels) == sorted(opened.beton.labels)
        opened.close()


def test_ceiling_that_fails_on_an_image_says_so(cache):
    opened = Ceiling("decode", Task(cache.stored("jpeg-500"), (view(32),), 8, 2))
    opened.beton.payload_sizes[:] = 2
    with pytest.raises(RuntimeError, match="failed on image"):
        list(opened.block(0))
    opened.close()


def test_crop_that_never_fits_is_the_largest_in_the_middle():
    from random import Random

    crops = [draw_crop(Random(seed), 10, 100, view(32, (0.9, 1.0)))[:4] for seed in range(5)]
    assert set(crops) == {(0, 43, 10, 13)}


def test_entry_counts_seconds_per_image(cache):
    entry = Entry(small_case("crops"), "crops", Task(cache.stored("jpeg-500"), (view(32),), 4, 2))
    entry.handle = FakeHandle("crops", None, None, None)
    entry.block()
    assert (entry.wall_s, entry.cpu_s, entry.images_per_block) == ([0.25], [0.5], 8)


def test_files_leave_the_page_cache_and_what_stays_is_a_failure(cache, monkeypatch):
    stored = cache.stored("jpeg-500")
    stored.warm()
    assert stored.cool() < campaign.MOST_STAYED
    entry = Entry(small_case("crops"), "crops", Task(stored, (view(32),), 4, 1), cool=lambda: 0.5)
    with pytest.raises(handle.Stopped, match="50% of the file would not leave the page cache"):
        entry.block()


def test_a_cold_case_is_cooled_before_each_block_and_says_so(cache, tmp_path):
    cold = Case("jpeg-1x32-cold", "jpeg-500", (view(32),), 4, ("crops",), threads=1, cold=True)
    (entry,) = run_case(cold, ("crops",), cache, Extent(2, True))
    assert entry.fine, entry.reason
    assert len(entry.stayed) >= 4  # two blocks, one that warms up at least, one for the memory
    record = record_of(entry, quick=True)
    assert record["host"]["page_cache"] == "cold"
    assert record["metrics"]["still_cached_share"] <= campaign.MOST_STAYED
    append_record(tmp_path / "cold.jsonl", record)
    assert load_loaders([tmp_path / "cold.jsonl"])["page_cache"].to_list() == ["cold"]
