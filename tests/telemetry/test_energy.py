"""Joules from counters that wrap, from a library that may be missing, and never from a guess."""

import sys
import types

import pytest

from fastssl.telemetry.energy import Nvml, meter_for


def package(folder, number, value, highest=1000, name="package-0"):
    zone = folder / f"intel-rapl:{number}"
    zone.mkdir(parents=True, exist_ok=True)
    (zone / "name").write_text(f"{name}\n")
    (zone / "energy_uj").write_text(f"{value}\n")
    (zone / "max_energy_range_uj").write_text(f"{highest}\n")
    return zone / "energy_uj"


def test_rapl_adds_packages_and_survives_wrapping(tmp_path):
    first, second = package(tmp_path, 0, 900), package(tmp_path, 1, 100, name="package-1")
    package(tmp_path, 2, 5, name="dram")
    meter, words = meter_for("cpu", tmp_path)
    assert "2 packages" in words
    first.write_text("950"), second.write_text("130")
    assert meter.joules() == pytest.approx(80e-6)
    first.write_text("20")  # 50 to the end, one for the step over it, 20 more
    assert meter.joules() == pytest.approx(80e-6 + 71e-6)
    assert meter.joules() == pytest.approx(151e-6)


def test_unreadable_or_absent_counters_are_none_with_a_reason(tmp_path):
    assert meter_for("cpu", tmp_path)[0] is None
    assert "no RAPL" in meter_for("cpu", tmp_path)[1]
    package(tmp_path, 0, 900).write_text("garbage")
    meter, reason = meter_for("cpu", tmp_path)
    assert meter is None
    assert "cannot be read" in reason


def test_nvml_counts_from_when_it_was_made():
    counter = [5_000]
    fake = types.SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda uuid: uuid,
        nvmlDeviceGetTotalEnergyConsumption=lambda board: counter[0],
    )
    meter = Nvml(fake, "GPU-1")
    counter[0] = 7_500
    assert meter.joules() == 2.5


def test_a_missing_library_says_which_extra_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    meter, reason = meter_for("cuda")
    assert meter is None
    assert "fastssl-vision[energy]" in reason
