"""Where a number was measured: device, host, software and code, without naming the machine, its user or its folders.

Nothing here raises because a tool or a file is missing: the fact is then None. Nothing here opens a device that the
process does not use already.
"""

import os
import platform
import re
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import fastssl
from fastssl.errors import InputError

DISTRIBUTIONS = {
    "torch": ("torch",),
    "torchvision": ("torchvision",),
    "triton": ("triton", "pytorch-triton"),
    "ffcv": ("ffcv",),
    "kornia": ("kornia",),
    "numba": ("numba",),
    "numpy": ("numpy",),
    "opencv": ("opencv-python", "opencv-python-headless", "opencv-contrib-python"),
    "pillow": ("pillow",),
    "simplejpeg": ("simplejpeg",),
    "lightly": ("lightly",),
    "solo-learn": ("solo-learn",),
}
_CGROUP = Path("/sys/fs/cgroup")
_PROJECT = 'name = "fastssl-vision"'


def device_facts(kind: str | None = None, count: int = 1) -> dict[str, Any]:
    """`kind` ("cpu" or "cuda"; None takes CUDA when there is any), `name`, `count` of devices used, `memory_bytes`.

    A CPU counts as one device with the memory this process may use. `count` is what a run used, not what is there.
    Errors: `InputError` when CUDA is asked for by name and absent.
    """
    if kind != "cpu":
        import torch

        if torch.cuda.is_available():
            properties = torch.cuda.get_device_properties(torch.cuda.current_device())
            capability = f"{properties.major}.{properties.minor}"
            facts = {"kind": "cuda", "name": properties.name, "count": count, "memory_bytes": properties.total_memory}
            return {**facts, "capability": capability, "visible": torch.cuda.device_count()}
        if kind is not None:
            raise InputError(f"device={kind} but torch sees no CUDA device; give cpu, or see `fastssl doctor`")
    return {"kind": "cpu", "name": cpu_model(), "count": 1, "memory_bytes": memory_bytes()}


def host_facts() -> dict[str, Any]:
    """CPU model, cores this process may run on, its memory, the load of the last minute, torch's threads if loaded.

    `page_cache` is "unknown": only the one who measures knows whether files were read before.
    """
    torch = sys.modules.get("torch")
    return {
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "cpu_quota_cores": cpu_quota_cores(),
        "memory_bytes": memory_bytes(),
        "load_average_1min": round(os.getloadavg()[0], 2),
        "torch_threads": torch.get_num_threads() if torch else None,
        "page_cache": "unknown",
    }


@cache
def software_versions() -> dict[str, str | None]:
    """Versions by name; None for what is not installed."""
    versions = {name: _first_version(names) for name, names in DISTRIBUTIONS.items()}
    system = {"python": platform.python_version(), "os": platform.system()}
    return {**system, "fastssl": fastssl.__version__, **versions}


@cache
def code_version() -> dict[str, Any]:
    """`commit` and `dirty` (fastssl/ or pyproject.toml changed since) of this library's checkout, and `version`.

    Read once per process: what was imported is what the checkout held then. Both are None when the library is not
    running from its own checkout; the repository of somebody who installed it is not ours to quote.
    """
    root = Path(fastssl.__file__).parent.parent
    unknown = {"commit": None, "dirty": None, "version": fastssl.__version__}
    project = root / "pyproject.toml"
    if not project.is_file() or _PROJECT not in project.read_text(errors="replace"):
        return unknown
    top, commit = _git(root, "rev-parse", "--show-toplevel"), _git(root, "rev-parse", "HEAD")
    changes = _git(root, "status", "--porcelain", "--", "fastssl", "pyproject.toml")
    if top is None or commit is None or changes is None or Path(top).resolve() != root.resolve():
        return unknown
    return {"commit": commit, "dirty": bool(changes), "version": fastssl.__version__}


def machine_slug(kind: str | None = None) -> str:
    """Folder name of a kind of machine: "cpu-amd-epyc-2core", "nvidia-h200", "nvidia-h200-x8"."""
    device = device_facts(kind)
    name = re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((?:r|tm|c)\)|@.*$", " ", device["name"].lower())).strip("-")
    if device["kind"] == "cpu":
        return f"cpu-{name}-{usable_cores()}core"
    return name if device["visible"] == 1 else f"{name}-x{device['visible']}"


@cache
def cpu_model() -> str:
    """As /proc/cpuinfo has it ("AMD EPYC"); the architecture where that file says nothing."""
    found = re.search(r"^model name\s*:\s*(.+)$", _read(Path("/proc/cpuinfo")), re.MULTILINE)
    return " ".join(found.group(1).split()) if found else platform.machine() or "unknown"


@cache
def cpu_flags() -> frozenset[str]:
    """Instruction sets, as /proc/cpuinfo names them; empty where that file is missing."""
    found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", _read(Path("/proc/cpuinfo")), re.MULTILINE)
    return frozenset(found.group(1).split()) if found else frozenset()


def quick_precision(device: str) -> str:
    """The shortest number format that a device ("cpu", "cuda") computes in hardware: bf16, fp16 or fp32."""
    if device == "cpu":
        return "bf16" if cpu_flags() & {"avx512_bf16", "amx_bf16", "bf16"} else "fp32"
    import torch

    return "bf16" if torch.cuda.get_device_capability()[0] >= 8 else "fp16"  # Ampere has the first bf16 tensor cores


def usable_cores() -> int:
    """Cores this process may be scheduled on, which is less than the machine has under taskset or Slurm."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_quota_cores() -> float | None:
    """A container's share of CPU time, in cores; None without a limit."""
    quota, _, period = _read(_CGROUP / "cpu.max").strip().partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


@cache
def memory_bytes() -> int | None:
    """Memory of the machine, or of the container when that is less."""
    known = (_meminfo_bytes("MemTotal"), _cgroup_bytes("memory.max"))
    return min((size for size in known if size is not None), default=None)


def free_memory_bytes() -> int | None:
    """Memory that can still be allocated: what the machine has available, or the container when that is less."""
    available = _meminfo_bytes("MemAvailable")
    limit, used = _cgroup_bytes("memory.max"), _cgroup_bytes("memory.current")
    if available is None or limit is None or used is None:
        return available
    # `memory.current` counts the page cache, which the kernel gives up when memory is asked for
    cached = re.search(r"^inactive_file (\d+)$", _read(_CGROUP / "memory.stat"), re.MULTILINE)
    return min(available, max(0, limit - used + (int(cached.group(1)) if cached else 0)))


def _meminfo_bytes(name: str) -> int | None:
    found = re.search(rf"^{name}:\s*(\d+) kB", _read(Path("/proc/meminfo")), re.MULTILINE)
    return int(found.group(1)) * 1024 if found else None


def _cgroup_bytes(name: str) -> int | None:
    """A file of cgroup version 2; None where it is missing or says "max"."""
    text = _read(_CGROUP / name).strip()
    return int(text) if text.isdigit() else None


def _first_version(names: tuple[str, ...]) -> str | None:
    found = (next(iter(metadata.distributions(name=name)), None) for name in names)
    return next((distribution.version for distribution in found if distribution), None)


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints, or None. Without GIT_* of the caller: inside a hook they point to another repository."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, env=variables, capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
