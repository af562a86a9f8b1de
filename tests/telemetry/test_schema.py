"""What a record may hold, and how a wrong one is told."""

import copy
import getpass
import json
import socket
import subprocess
import sys

import pytest

from fastssl.errors import InputError
from fastssl.telemetry.schema import SCHEMA, validate, without_paths

GOOD = {
    "schema": SCHEMA,
    "id": "0123456789abcdef",
    "suite": "train",
    "case": {
        "run": "demo-simclr-0123", "name": "demo-simclr", "method": "simclr", "seed": 0, "epoch": 1.5, "step": 30,
        "final": False, "protocol": "ridge, single view", "recipe": {"views": 2},
    },
    "scope": ["augment", "train_step"],
    "samples": [],
    "unit": "",
    "warmup": 0,
    "outcome": "ok",
    "clock": {"compile_s": 0.5, "data_s": 1, "train_s": 8.0, "eval_s": 2.0, "checkpoint_s": 0.0, "world_size": 1},
    "budget": {"gpu_h": 0.0025, "views": 15360, "images": 7680, "steps": 30, "flops": None, "joules": None},
    "metrics": {"ridge": 0.61, "knn": 0.58, "loss": -3.2},
    "device": {"kind": "cpu", "name": "AMD EPYC", "count": 1, "memory_bytes": 8 << 30},
    "host": {"cpu": "AMD EPYC", "cores": 2, "memory_bytes": None, "page_cache": "unknown"},
    "software": {"python": "3.11.7", "triton": None},
    "code": {"commit": None, "dirty": None, "version": "0.1.0"},
    "dataset": {"id": "demo", "fingerprint": "ab12"},
    "started_utc": "2026-01-02T03:04:05+00:00",
}  # fmt: skip


def changed(field, value):
    record = copy.deepcopy(GOOD)
    *blocks, name = field.split(".")
    node = record
    for block in blocks:
        node = node[block]
    node[name] = value
    return record


def test_good_record_is_accepted_also_after_json():
    validate(GOOD)
    validate(json.loads(json.dumps(GOOD)))


def test_record_of_a_benchmark_needs_no_run_and_no_dataset():
    record = {**GOOD, "suite": "load", "case": {"contestant": "ffcv"}, "dataset": {}, "metrics": {}}
    validate({**record, "samples": [812.0, 809], "unit": "images/s", "warmup": 3})


@pytest.mark.parametrize("field", sorted(set(GOOD)))
def test_missing_field_is_named(field):
    with pytest.raises(InputError, match=f"^{field} is missing"):
        validate({name: value for name, value in GOOD.items() if name != field})


@pytest.mark.parametrize(
    "field",
    [f"{block}.{name}" for block in ("clock", "budget", "device", "host", "code", "dataset") for name in GOOD[block]]
    + [f"case.{name}" for name in GOOD["case"]]
    + ["metrics.ridge", "metrics.knn"],
)
def test_missing_key_of_a_block_is_named(field):
    record = copy.deepcopy(GOOD)
    block, name = field.split(".")
    del record[block][name]
    with pytest.raises(InputError, match=f"^{field} is missing"):
        validate(record)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", 0), ("schema", "1"), ("id", ""), ("suite", "Train it"), ("case", []), ("scope", ["everything"]),
        ("scope", "augment"), ("samples", [1.0, "2"]), ("samples", (1.0,)), ("unit", None), ("warmup", -1),
        ("warmup", 1.0), ("outcome", "fine"), ("clock.train_s", -0.1), ("clock.world_size", 0),
        ("clock.world_size", True),
        ("budget.views", 1.5), ("budget.gpu_h", "1"), ("metrics.ridge", 61.0), ("metrics.knn", -0.1),
        ("metrics.loss", "low"), ("metrics.ridge", True), ("device.kind", "tpu"),
        ("device.name", ""), ("device.count", 0), ("host.cores", None),
        ("host.page_cache", "hot"), ("software.torch", 2), ("code.dirty", "no"), ("dataset.fingerprint", None),
        ("case.seed", 1.0), ("case.final", 1), ("case.epoch", -1), ("started_utc", "yesterday"),
        ("started_utc", "2026-01-02T03:04:05"), ("started_utc", "2026-01-02T03:04:05+02:00"),
    ],
)  # fmt: skip
def test_wrong_value_is_refused_naming_field_and_value(field, value):
    with pytest.raises(InputError) as caught:
        validate(changed(field, value))
    message = str(caught.value)
    assert message.startswith(f"{field}=")
    assert repr(value)[:50] in message
    assert "\n" not in message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("field", ["metrics.loss", "clock.train_s", "case.recipe"])
def test_number_that_json_does_not_know_is_refused(field, value):
    with pytest.raises(InputError, match=rf"^{field}(\.lr\[1\])?={value} is not a finite number"):
        validate(changed(field, {"lr": [1.0, value]} if field == "case.recipe" else value))


def test_value_that_json_does_not_know_is_refused():
    with pytest.raises(InputError, match=r"^case\.recipe\.tags=\{'a'\} is a set"):
        validate(changed("case.recipe", {"tags": {"a"}}))
    with pytest.raises(InputError, match="key that is not a text"):
        validate(changed("case.recipe", {1: 2}))


@pytest.mark.parametrize(
    "path", ["/data/x.beton", "/data", "~/x", "~", "~ann/x", "C:\\x\\y", "read from /data/x", "root=/data/x, 3"]
)
def test_absolute_path_is_refused_wherever_it_hides(path):
    with pytest.raises(InputError, match=r"^case\.recipe\.data\.dataset=.*absolute path"):
        validate(changed("case.recipe", {"data": {"dataset": path}}))
    assert without_paths(path) not in (path, "")
    validate(changed("case.recipe", {"data": {"dataset": without_paths(path)}}))


@pytest.mark.parametrize(
    "text", ["12 images/s", "train/x.beton", "1 / 2", "https://a.b/c", "exp(cosine / 0.07)", "~5 s"]
)
def test_text_that_only_looks_like_a_path_is_kept(text):
    assert without_paths(text) == text
    validate(changed("case.protocol", text))


@pytest.mark.parametrize("key", ["hostname", "user", "HOME"])
def test_key_that_names_machine_or_person_is_refused(key):
    with pytest.raises(InputError, match=rf"^host\.{key}='x' names a machine or a person"):
        validate(changed(f"host.{key}", "x"))


@pytest.mark.parametrize("name", [socket.gethostname(), getpass.getuser()])
def test_name_of_machine_or_user_is_refused(name):
    with pytest.raises(InputError, match=r"^host\.note="):
        validate(changed("host.note", name))


def test_unknown_field_is_refused():
    with pytest.raises(InputError, match=r"^metric=\{\} is no field"):
        validate({**GOOD, "metric": {}})


def test_newer_schema_is_refused_before_anything_else():
    with pytest.raises(InputError, match=r"^schema=2 is newer than .* reads \(1\); update fastssl$"):
        validate({"schema": 2, "whatever": float("nan")})


@pytest.mark.parametrize("value", [None, [], "x"])
def test_record_that_is_no_object_is_refused(value):
    with pytest.raises(InputError, match=r"^record="):
        validate(value)


def test_schema_and_records_do_without_torch():
    code = "import sys; import fastssl.telemetry.records, fastssl.telemetry.schema; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
