"""What is installed here, what falls back to what and why, and how fast the basic stages run.

Everything heavy is imported where it is looked at, so that a broken library becomes a line with its remedy instead of
a traceback. `measure=True` adds rates of about a second each: they size expectations, they are not benchmarks.
"""

import importlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from fastssl.telemetry import environment
from fastssl.telemetry.energy import meter_for

SYSTEM_FIX = "apt-get install build-essential pkg-config libturbojpeg0-dev libopencv-dev, then pip install ffcv"
LIBRARIES = {
    "torch": ("torch", "trains; pip install torch", True),
    "torchvision": ("torchvision", "ResNets, and the pipeline others are compared with; pip install torchvision", True),
    "ffcv": ("ffcv", f"reads betons; {SYSTEM_FIX}", True),
    "numba": ("numba", "compiled loading and augmentation on a CPU; pip install numba", True),
    "pillow": ("PIL", "reads image folders; pip install pillow", True),
    "kornia": ("kornia", "augments on a GPU; pip install kornia", True),
    "zstandard": ("zstandard", "reads .tar.zst archives; pip install zstandard", True),
    "opencv": ("cv2", "measures images while betons are written; pip install opencv-python", True),
    "triton": ("triton", "torch.compile on a GPU; pip install triton", False),
}
"""By name: the module, what it is for with its remedy, and whether the library cannot do without it."""
RATE_S = 0.5
"""Least seconds each rate is measured for, after one run that is not counted."""


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, what was found, and what follows from it."""

    section: str
    what: str
    state: str
    note: str = ""
    ok: bool = True


@dataclass(frozen=True)
class Diagnosis:
    """Facts as in a record, rates by name with their unit, and findings in reading order."""

    versions: dict[str, str | None]
    host: dict[str, Any]
    rates: dict[str, float]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Nothing that the library needs is missing or broken."""
        return all(finding.ok for finding in self.findings)

    def as_rows(self) -> list[tuple[str, str, str]]:
        """What, state, note."""
        return [(finding.what, finding.state, finding.note) for finding in self.findings]

    def to_json(self) -> dict[str, Any]:
        findings = [asdict(finding) for finding in self.findings]
        return {"ok": self.ok, "versions": self.versions, "host": self.host, "rates": self.rates, "findings": findings}


def diagnose(measure: bool = True) -> Diagnosis:
    """Looks at everything; never raises because something is missing or broken. About 5 s, with `measure` about 10."""
    rates = measure_rates() if measure else {}
    parts: dict[str, Callable[[], Iterator[Finding]]] = {
        "versions": _versions,
        "libraries": _libraries,
        "machine": _machine,
        "devices": _devices,
        "choices": lambda: _choices(rates),
        "betons": _betons,
        "rates": lambda: _rates(rates),
    }
    findings = tuple(finding for name, look in parts.items() for finding in _guarded(name, look))
    return Diagnosis(environment.software_versions(), environment.host_facts(), rates, findings)


def _guarded(section: str, look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """What a section finds, up to an error nobody foresaw, which becomes its last finding."""
    try:
        yield from look()
    except Exception as error:
        yield Finding(section, section, "could not be looked at", _one_line(error), ok=False)


def _versions() -> Iterator[Finding]:
    versions, code = environment.software_versions(), environment.code_version()
    commit = f"commit {code['commit'][:12]}{', changed since' if code['dirty'] else ''}" if code["commit"] else ""
    yield Finding("versions", "fastssl", code["version"], commit)
    yield Finding("versions", "python", str(versions["python"]), str(versions["os"]))


def _libraries() -> Iterator[Finding]:
    versions = environment.software_versions()
    for name, (module, purpose, needed) in LIBRARIES.items():
        use, _, fix = purpose.partition("; ")
        try:
            found = importlib.import_module(module)
        except Exception as error:  # a library may fail to import in any way: a missing .so, a numpy of another age
            state = "missing" if isinstance(error, ModuleNotFoundError) and error.name == module else "broken"
            reason = "" if state == "missing" else f" ({_one_line(error)})"
            yield Finding("libraries", name, state, f"{use}: {fix}{reason}", ok=not needed)
            continue
        yield Finding("libraries", name, versions.get(name) or str(getattr(found, "__version__", "found")), use)
    yield _libjpeg()


def _libjpeg() -> Finding:
    try:
        _decoder(*_photograph())()
    except Exception as error:
        return Finding("libraries", "libjpeg-turbo", "broken", f"{SYSTEM_FIX} ({_one_line(error)})", ok=False)
    return Finding("libraries", "libjpeg-turbo", "found", "decodes JPEGs, through ffcv")


def _machine() -> Iterator[Finding]:
    import torch

    host = environment.host_facts()
    quota = f"; a container grants {host['cpu_quota_cores']:g} of them" if host["cpu_quota_cores"] else ""
    yield Finding(
        "machine", "cpu", host["cpu"], f"{host['cores']} cores usable{quota}, load {host['load_average_1min']}"
    )
    flags = environment.cpu_flags()
    present = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "bf16") if name in flags]
    yield Finding(
        "machine", "cpu features", ", ".join(present) or "none of note", "avx512_bf16 or amx_bf16 speed bf16 up"
    )
    threads = os.environ.get("OMP_NUM_THREADS")
    note = f"OMP_NUM_THREADS={threads}" if threads else "OMP_NUM_THREADS is not set"
    yield Finding("machine", "torch threads", str(torch.get_num_threads()), note)
    from fastssl.data.memory import free_bytes

    total = host["memory_bytes"]
    yield Finding("machine", "free memory", _gigabytes(free_bytes()), f"of {_gigabytes(total)}" if total else "")


def _devices() -> Iterator[Finding]:
    import torch

    for i in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(i)
        free, total = torch.cuda.mem_get_info(i)
        note = f"capability {properties.major}.{properties.minor}, {_gigabytes(free)} free of {_gigabytes(total)}"
        yield Finding("devices", f"cuda:{i}", properties.name, note)
    if not torch.cuda.is_available():
        built = "this torch is built without CUDA" if torch.version.cuda is None else "torch sees no driver or no GPU"
        yield Finding("devices", "cuda", "none", f"{built}; --device auto takes the CPU")
    meter, words = meter_for("cuda" if torch.cuda.is_available() else "cpu")
    yield Finding("devices", "energy", "read" if meter else "not read", words)


def _choices(rates: dict[str, float]) -> Iterator[Finding]:
    import torch

    from fastssl.augment import get_backend
    from fastssl.data.memory import free_bytes

    device = "cuda" if torch.cuda.is_available() else "cpu"
    yield Finding("choices", "device auto", device, "CUDA when torch sees a GPU")
    limit = _gigabytes(free_bytes(device) // 4)
    yield Finding(
        "choices", "loader auto", f"resident up to {limit}", "decoded images in a quarter of free memory; else ffcv"
    )
    backend = get_backend("auto", device)
    yield Finding("choices", "backend auto", backend.name, backend.reason)
    yield Finding("choices", "precision", *_precision(device, rates))


def _precision(device: str, rates: dict[str, float]) -> tuple[str, str]:
    """The number format that is quick here, by measurement where there is one, else by instruction set."""
    quick = environment.quick_precision(device)
    if device == "cuda":
        return (
            quick,
            "native here" if quick == "bf16" else "bf16 is emulated on this GPU, and --precision auto avoids it",
        )
    fp32, bf16 = rates.get("matmul_fp32_gflops"), rates.get("matmul_bf16_gflops")
    if fp32 and bf16:
        times = f"matrix products in bf16 run at {bf16 / fp32:.1f} times the speed of fp32"
        better = "bf16" if bf16 > fp32 else "fp32"
        return better, times if better == quick else f"{times}, and auto takes {quick}: give --precision {better}"
    if quick == "bf16":
        return "bf16", "this CPU multiplies bf16"
    return "fp32", "this CPU has no bf16 instructions, so bf16 is slow, and --precision auto avoids it"


def _betons() -> Iterator[Finding]:
    from fastssl.data.beton import BetonFile
    from fastssl.data.paths import BETONS_VARIABLE, betons_dir
    from fastssl.errors import InputError

    folder = betons_dir()
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = f"{_gigabytes(shutil.disk_usage(existing).free)} free"
    found = sorted(folder.glob("*.beton"))
    source = f"from {BETONS_VARIABLE}" if BETONS_VARIABLE in os.environ else f"{BETONS_VARIABLE} moves it"
    yield Finding("betons", "beton folder", str(folder), f"{len(found)} betons, {free}; {source}")
    for path in found:
        try:
            beton = BetonFile(path)
        except (InputError, OSError) as error:
            yield Finding("betons", path.name, "unusable", _one_line(error))
            continue
        sides = sorted({tuple(size) for size in beton.sizes.tolist()})
        shape = f"{sides[0][0]}x{sides[0][1]}" if len(sides) == 1 else "of several sizes"
        sidecar = "" if beton.sidecar else "; no sidecar, so no fingerprint: write it again"
        note = f"{len(beton):,} images {shape}, {path.stat().st_size / 1e6:,.1f} MB{sidecar}"
        yield Finding("betons", path.name, "whole", note)


def _rates(rates: dict[str, float]) -> Iterator[Finding]:
    host = environment.host_facts()
    if rates and host["load_average_1min"] > host["cores"]:
        busy = f"load {host['load_average_1min']} on {host['cores']} cores"
        yield Finding("rates", "busy machine", busy, "others are computing here: the rates below are lower than it can")
    notes = {
        "jpeg_images_per_s": (
            "JPEG decode",
            "images/s",
            "one core, 500x375, quality 90: the ceiling of any JPEG loader",
        ),
        "copy_gb_per_s": ("memory copy", "GB/s", "read and written, one thread"),
        "matmul_fp32_gflops": ("matmul fp32", "GFLOP/s", "all torch threads"),
        "matmul_bf16_gflops": ("matmul bf16", "GFLOP/s", "all torch threads"),
        "cuda_copy_gb_per_s": ("GPU memory copy", "GB/s", "read and written"),
        "cuda_matmul_bf16_gflops": ("GPU matmul bf16", "GFLOP/s", ""),
    }
    for name, rate in rates.items():
        what, unit, note = notes[name]
        yield Finding("rates", what, f"{rate:,.0f} {unit}" if rate >= 10 else f"{rate:.1f} {unit}", note)


def measure_rates() -> dict[str, float]:
    """Rates by name, each measured for about a second; one whose library is missing is absent."""
    measures: dict[str, Callable[[], float]] = {
        "jpeg_images_per_s": lambda: _per_second(_decoder(*_photograph())),
        "copy_gb_per_s": lambda: _copy_rate("cpu", 1 << 26),
        "matmul_fp32_gflops": lambda: _matmul_rate("cpu", "float32", 768),
        "matmul_bf16_gflops": lambda: _matmul_rate("cpu", "bfloat16", 768),
    }
    if _cuda_found():
        measures["cuda_copy_gb_per_s"] = lambda: _copy_rate("cuda", 1 << 30)
        measures["cuda_matmul_bf16_gflops"] = lambda: _matmul_rate("cuda", "bfloat16", 4096)
    measured = {name: _measured(measure) for name, measure in measures.items()}
    return {name: rate for name, rate in measured.items() if rate is not None}


def _measured(measure: Callable[[], float]) -> float | None:
    try:
        return measure()
    except Exception:  # its library is missing or broken, which the libraries' own lines say
        return None


def _cuda_found() -> bool:
    try:
        import torch
    except Exception:  # the libraries' own lines say so
        return False
    return torch.cuda.is_available()


def _per_second(work: Callable[[], object]) -> float:
    work()
    begin, count = time.perf_counter(), 0
    while (spent := time.perf_counter() - begin) < RATE_S:
        work()
        count += 1
    return count / spent


def _photograph() -> tuple[bytes, int, int]:
    """A JPEG of 375x500 pixels with about a photograph's detail (60 KB), its height and its width."""
    import numpy as np

    from fastssl.data.jpeg import encode_jpeg

    y, x = np.mgrid[0:375, 0:500]
    grain = ((y * 500 + x) * 2654435761 >> 13) % 64 - 32  # Knuth's multiplicative hash: texture without randomness
    shades = [128 + 90 * np.sin(x / a + y / b) for a, b in ((61, 83), (47, 91), (73, 59))]
    pixels = np.clip(np.stack(shades, axis=-1) + 0.5 * grain[..., None], 0, 255).astype(np.uint8)
    return encode_jpeg(pixels, 90), 375, 500


def _decoder(data: bytes, height: int, width: int) -> Callable[[], object]:
    from fastssl.data.jpeg import decode_jpeg

    return lambda: decode_jpeg(data, height, width)


def _copy_rate(device: str, num_bytes: int) -> float:
    """GB/s, each byte counted once as read and once as written."""
    import torch

    source = torch.ones(num_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return _per_second(lambda: _waited(device, lambda: target.copy_(source))) * 2 * num_bytes / 1e9


def _matmul_rate(device: str, dtype: str, size: int) -> float:
    """GFLOP/s of square products, two operations per multiply-add."""
    import torch

    a = torch.full((size, size), 0.5, dtype=getattr(torch, dtype), device=device)
    return _per_second(lambda: _waited(device, lambda: a @ a)) * 2 * size**3 / 1e9


def _waited(device: str, work: Callable[[], object]) -> None:
    work()
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def _gigabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:,.1f} GB"


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."
