"""Joules drawn since a meter was made, where the machine tells: NVML for an NVIDIA GPU, RAPL for an Intel or AMD CPU.

NVML counts one board (Volta and later). RAPL counts whole processor packages, whoever uses them, without memory and the
rest of the machine; on Linux reading it usually takes root. What cannot be read is None with a reason, never a guess.
"""

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

POWERCAP = Path("/sys/class/powercap")


class Meter(Protocol):
    source: str
    """"nvml" or "rapl"."""

    def joules(self) -> float:
        """Since the meter was made; never falls."""
        ...


@dataclass
class Rapl:
    """Sum over packages; each counter wraps at its own range."""

    folders: list[Path]
    source: str = "rapl"
    _last_uj: list[int] = field(default_factory=list)
    _sum_uj: int = 0

    def __post_init__(self) -> None:
        self._last_uj = [self._read(folder, "energy_uj") for folder in self.folders]
        self._range_uj = [self._read(folder, "max_energy_range_uj") for folder in self.folders]

    def joules(self) -> float:
        for i, folder in enumerate(self.folders):
            now = self._read(folder, "energy_uj")
            grown = now - self._last_uj[i]
            self._sum_uj += grown if grown >= 0 else grown + self._range_uj[i] + 1
            self._last_uj[i] = now
        return self._sum_uj / 1e6

    @staticmethod
    def _read(folder: Path, name: str) -> int:
        return int((folder / name).read_text())


class Nvml:
    """One GPU, by the library `nvidia-ml-py` (extra `energy`)."""

    source = "nvml"

    def __init__(self, nvml: Any, uuid: str) -> None:
        self._nvml = nvml
        nvml.nvmlInit()
        self._board = nvml.nvmlDeviceGetHandleByUUID(uuid)
        self._first_mj = nvml.nvmlDeviceGetTotalEnergyConsumption(self._board)

    def joules(self) -> float:
        return (self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._board) - self._first_mj) / 1e3


def meter_for(device_kind: str, powercap: Path = POWERCAP) -> tuple[Meter | None, str]:
    """A meter of the device that this process computes on, and what it counts; or None, and why not."""
    return _nvml() if device_kind == "cuda" else _rapl(powercap)


def _nvml() -> tuple[Meter | None, str]:
    import torch

    try:
        nvml = importlib.import_module("pynvml")
    except ImportError:
        return None, "nvidia-ml-py is not installed; pip install 'fastssl-vision[energy]'"
    try:
        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        return Nvml(nvml, f"GPU-{properties.uuid}"), f"NVML, {properties.name}"
    except (nvml.NVMLError, RuntimeError, AssertionError, AttributeError) as error:
        return None, f"NVML does not tell: {' '.join(str(error).split())}"


def _rapl(powercap: Path) -> tuple[Meter | None, str]:
    folders = [path.parent for path in sorted(powercap.glob("*-rapl:*/name")) if _is_package(path)]
    if not folders:
        return None, "this machine has no RAPL counters (virtual machines hide them)"
    try:
        return Rapl(folders), f"RAPL, {len(folders)} package{'s' * (len(folders) > 1)}, whoever uses them"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        return None, f"RAPL counters cannot be read: {reason} (root can, or a group that is given leave)"


def _is_package(path: Path) -> bool:
    try:
        return path.read_text().startswith("package")
    except OSError:
        return False
