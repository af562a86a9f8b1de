"""Records are built from what is true here, appended whole, and read back or refused by line."""

import errno
import json
import multiprocessing
import os

import pytest

from fastssl.errors import InputError
from fastssl.telemetry.clock import Clock
from fastssl.telemetry.records import append_record, new_record, read_records


def make(step=1, **changes):
    values = {
        "suite": "train",
        "case": {
            "run": "demo-0123", "name": "demo", "method": "simclr", "seed": 0, "epoch": 1.0, "step": step,
            "final": False, "protocol": "ridge", "recipe": {"spec": {"crop_scale": (0.2, 1.0)}},
        },
        "scope": ["augment", "train_step"],
        "clock": Clock("cpu").record(),
        "budget": {"gpu_h": 0.0, "views": 2, "images": 1, "steps": step, "flops": None, "joules": None},
        "metrics": {"ridge": 0.5, "knn": 0.4},
        "dataset": {"id": "demo", "fingerprint": "ab"},
    }  # fmt: skip
    return new_record(**(values | changes))


def test_new_record_describes_where_it_was_measured():
    record = make()
    assert record["device"]["kind"] == "cpu"
    assert record["host"]["cores"] >= 1
    assert record["host"]["page_cache"] == "unknown"
    assert {"python", "torch", "ffcv", "fastssl"} <= set(record["software"])
    assert record["code"]["version"] == record["software"]["fastssl"]
    assert (record["samples"], record["unit"], record["warmup"], record["outcome"]) == ([], "", 0, "ok")
    assert record["case"]["recipe"]["spec"]["crop_scale"] == [0.2, 1.0]


def test_id_is_a_hash_of_the_rest():
    assert make()["id"] != make(step=2)["id"]
    assert len(make()["id"]) == 16


def test_new_record_cuts_paths_to_their_name():
    record = make(dataset={"id": "/data/private/x-train.beton", "fingerprint": "ab", "how": "from /data/private/x"})
    assert (record["dataset"]["id"], record["dataset"]["how"]) == ("x-train.beton", "from x")


def test_new_record_refuses_what_is_not_finite():
    with pytest.raises(InputError, match=r"^metrics\.ridge=nan"):
        make(metrics={"ridge": float("nan"), "knn": 0.1})


def test_records_come_back_as_written(tmp_path):
    path = tmp_path / "a" / "b" / "records.jsonl"
    written = [make(step) for step in range(3)]
    for record in written:
        append_record(path, record)
    assert path.read_bytes().count(b"\n") == 3
    assert read_records([path]) == written
    assert read_records([path, path]) == written * 2


def test_append_refuses_a_wrong_record_and_leaves_the_file_alone(tmp_path):
    path = tmp_path / "records.jsonl"
    append_record(path, make())
    before = path.read_bytes()
    with pytest.raises(InputError, match=r"^outcome='fine'"):
        append_record(path, {**make(), "outcome": "fine"})
    assert path.read_bytes() == before


def test_torn_last_line_is_skipped_with_a_warning(tmp_path):
    path = tmp_path / "records.jsonl"
    append_record(path, make())
    with path.open("ab") as handle:
        handle.write(json.dumps(make(2)).encode()[:100])
    with pytest.warns(UserWarning, match=r"records\.jsonl:2 was cut off"):
        assert read_records([path]) == [make()]


def test_append_removes_a_torn_last_line_with_a_warning(tmp_path):
    path = tmp_path / "records.jsonl"
    append_record(path, make())
    with path.open("ab") as handle:
        handle.write(b'{"schema": 1, "id"')
    with pytest.warns(UserWarning, match="ended in a line that was cut off"):
        append_record(path, make(2))
    assert read_records([path]) == [make(), make(2)]


def test_whole_last_line_without_newline_is_kept(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps(make()))
    assert read_records([path]) == [make()]
    append_record(path, make(2))
    assert read_records([path]) == [make(), make(2)]


def test_broken_line_in_the_middle_is_named_by_file_and_line(tmp_path):
    path = tmp_path / "records.jsonl"
    good = json.dumps(make())
    path.write_text(f"{good}\n{good[:50]}\n{good}\n")
    with pytest.raises(InputError, match=r"records\.jsonl:2 is not JSON"):
        read_records([path])


@pytest.mark.parametrize("content", [b"\xff\xfe\n", b'{"a": \xff}\n', b"[" * 5 + b"\n"])
def test_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / "records.jsonl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"records\.jsonl:1 is not JSON"):
        read_records([path])


def test_wrong_record_is_named_by_file_line_and_field(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps(make()) + "\n" + json.dumps({**make(), "warmup": -1}) + "\n")
    with pytest.raises(InputError, match=r"records\.jsonl:2: warmup=-1 "):
        read_records([path])


@pytest.mark.parametrize("end", ["\n", ""])
def test_newer_schema_is_refused_in_one_line(tmp_path, end):
    path = tmp_path / "records.jsonl"
    path.write_text(json.dumps({"schema": 9, "strange": True}) + end)
    with pytest.raises(InputError, match=r"records\.jsonl:1: schema=9 is newer .* update fastssl$"):
        read_records([path])


def test_missing_file_and_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"none\.jsonl cannot be read: No such file"):
        read_records([tmp_path / "none.jsonl"])
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_records([tmp_path])


def test_full_disk_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "records.jsonl"
    append_record(path, make())
    before, write = path.read_bytes(), os.write
    monkeypatch.setattr(os, "write", lambda handle, line: write(handle, line[:40]))
    with pytest.raises(InputError, match=os.strerror(errno.ENOSPC)):
        append_record(path, make(2))
    assert path.read_bytes() == before


def _append_many(path, begin):
    for step in range(begin, begin + 25):
        append_record(path, make(step))


def test_processes_never_mix_their_lines(tmp_path):
    path = tmp_path / "records.jsonl"
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_append_many, args=(path, begin)) for begin in (0, 25, 50)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert sorted(record["case"]["step"] for record in read_records([path])) == list(range(75))
