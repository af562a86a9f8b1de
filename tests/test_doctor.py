"""The doctor: true on a whole machine, calm on a broken one."""

import json
import sys

import pytest
import torch

from fastssl import doctor
from fastssl.doctor import LIBRARIES, diagnose


@pytest.fixture
def betons(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTSSL_BETONS", str(tmp_path / "betons"))
    return tmp_path / "betons"


def by_name(diagnosis):
    return {finding.what: finding for finding in diagnosis.findings}


def test_whole_machine_is_found_well(betons):
    diagnosis = diagnose(measure=False)
    assert diagnosis.ok, [finding for finding in diagnosis.findings if not finding.ok]
    found = by_name(diagnosis)
    assert {*LIBRARIES, "libjpeg-turbo", "cpu", "free memory", "loader auto", "backend auto", "precision"} <= set(found)
    assert found["torch"].state in torch.__version__
    assert found["backend auto"].note
    assert diagnosis.rates == {}
    assert len(diagnosis.as_rows()) == len(diagnosis.findings)
    assert json.loads(json.dumps(diagnosis.to_json(), allow_nan=False))["ok"] is True


def test_rates_are_measured_and_shown(betons, monkeypatch):
    monkeypatch.setattr(doctor, "RATE_S", 0.01)
    diagnosis = diagnose()
    expected = {"jpeg_images_per_s", "copy_gb_per_s", "matmul_fp32_gflops", "matmul_bf16_gflops"}
    assert expected <= set(diagnosis.rates)
    assert all(rate > 0 for rate in diagnosis.rates.values())
    assert {"JPEG decode", "memory copy", "matmul fp32", "matmul bf16"} <= set(by_name(diagnosis))


def test_rates_count_work_per_second(monkeypatch):
    moments = iter([0.0, 0.1, 0.3, 2.0])
    monkeypatch.setattr(doctor.time, "perf_counter", lambda: next(moments))
    done = []
    assert doctor._per_second(lambda: done.append(1)) == 1.0  # two runs in two seconds, and one before that
    assert len(done) == 3


@pytest.mark.parametrize("name", LIBRARIES)
def test_missing_library_is_a_line_with_its_remedy(betons, monkeypatch, name):
    module, _, needed = LIBRARIES[name]
    monkeypatch.setitem(sys.modules, module, None)
    findings = {finding.what: finding for finding in doctor._libraries()}
    assert findings[name].state == "missing"
    assert "install" in findings[name].note
    assert findings[name].ok != needed


def test_broken_library_is_a_line_with_the_reason(betons, monkeypatch):
    def broken(module):
        raise OSError("libopencv_core.so.406:\n cannot open shared object file")

    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    finding = next(finding for finding in doctor._libraries() if finding.what == "ffcv")
    assert (finding.state, finding.ok) == ("broken", False)
    assert "libopencv_core.so.406: cannot open" in finding.note
    assert "apt-get install" in finding.note


def test_diagnosis_survives_rooms_that_fail(betons, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setitem(sys.modules, "fastssl.augment", None)
    monkeypatch.setitem(sys.modules, "fastssl.data.beton", None)
    monkeypatch.setattr(doctor, "RATE_S", 0.01)
    diagnosis = diagnose()
    assert not diagnosis.ok
    found = by_name(diagnosis)
    assert found["torch"].state == "missing"
    assert found["betons"].state == found["choices"].state == "could not be looked at"
    assert "matmul_fp32_gflops" not in diagnosis.rates


def test_betons_are_listed_with_their_state(betons, tiny_beton):
    source = tiny_beton(10)
    betons.mkdir()
    content = source.read_bytes()
    (betons / "good-train.beton").write_bytes(content)
    (betons / "torn-train.beton").write_bytes(content[: len(content) // 2])
    found = {finding.what: finding for finding in doctor._betons()}
    assert found["beton folder"].note.startswith("2 betons, ")
    assert found["good-train.beton"].state == "whole"
    assert "10 images 32x32" in found["good-train.beton"].note
    assert "no sidecar" in found["good-train.beton"].note
    assert found["torn-train.beton"].state == "unusable"
    assert "\n" not in found["torn-train.beton"].note


def test_missing_beton_folder_is_no_fault(betons):
    (finding,) = doctor._betons()
    assert finding.ok
    assert finding.note.startswith("0 betons, ")


@pytest.mark.parametrize(
    ("rates", "flags", "advice", "flag"),
    [
        ({"matmul_fp32_gflops": 10.0, "matmul_bf16_gflops": 25.0}, set(), "bf16", "--precision bf16"),
        ({"matmul_fp32_gflops": 10.0, "matmul_bf16_gflops": 4.0}, {"amx_bf16"}, "fp32", "--precision fp32"),
        ({"matmul_fp32_gflops": 10.0, "matmul_bf16_gflops": 4.0}, {"avx2"}, "fp32", None),
        ({}, {"avx512_bf16"}, "bf16", None),
        ({}, {"avx2"}, "fp32", "--precision auto"),
    ],
)
def test_precision_is_advised_by_measurement_then_by_instruction_set(monkeypatch, rates, flags, advice, flag):
    monkeypatch.setattr(doctor.environment, "cpu_flags", lambda: frozenset(flags))
    state, note = doctor._precision("cpu", rates)
    assert state == advice
    assert ("--precision" in note) == (flag is not None)
    assert flag is None or flag in note


@pytest.mark.parametrize(("capability", "advice"), [((9, 0), "bf16"), ((7, 5), "fp16")])
def test_precision_on_a_gpu_follows_its_capability(monkeypatch, capability, advice):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert doctor._precision("cuda", {})[0] == advice


def test_busy_machine_is_said_beside_the_rates(monkeypatch):
    monkeypatch.setattr(doctor.environment, "host_facts", lambda: {"load_average_1min": 5.5, "cores": 2})
    first, _ = doctor._rates({"copy_gb_per_s": 7.0})
    assert (first.what, first.state) == ("busy machine", "load 5.5 on 2 cores")
    monkeypatch.setattr(doctor.environment, "host_facts", lambda: {"load_average_1min": 0.5, "cores": 2})
    assert [finding.what for finding in doctor._rates({"copy_gb_per_s": 7.0})] == ["memory copy"]
