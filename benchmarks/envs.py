"""Where the peers live: each in an environment of its own over this one, so that none changes what another finds.

python -m benchmarks.envs                     installs every peer that exists for this Python
python -m benchmarks.envs webdataset litdata  some of them

An environment `.peers/NAME` sees this one's packages behind its own. What a peer pins otherwise lies in its own folder
and hides the shared one from it alone. A peer that cannot be installed leaves its reason in `.peers/NAME.txt`, which
becomes its row of the tables.
"""

import argparse
import os
import signal
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
PEERS_DIR = ROOT / ".peers"
PINS = Path(__file__).with_name("peers.txt")
"""Versions that were measured; not the library's own pins, which some peers cannot be resolved with."""
PACKAGES: dict[str, tuple[str, ...]] = {
    "webdataset": ("webdataset",),
    "litdata": ("litdata", "simplejpeg"),
    "mosaicml": ("mosaicml-streaming",),
    "spdl": ("spdl", "simplejpeg"),
    "dali": ("nvidia-dali-cuda120",),
    "tensorflow": ("tensorflow-cpu",),
    "datasets": ("datasets",),
    "grain": ("grain", "simplejpeg"),
    "turbojpeg": ("PyTurboJPEG<2",),
    "lightly": ("lightly",),
    "stable-pretraining": ("stable-pretraining",),
}
"""Environment -> what is installed into it, beside what it asks for itself."""
INSTALL_S = 300


def python_of(peer: str | None) -> Path:
    """The interpreter that has the peer; this one's for None. Errors: FileNotFoundError saying why there is none."""
    if peer is None:
        return Path(sys.executable)
    python = PEERS_DIR / peer / "bin" / "python"
    reason = PEERS_DIR / f"{peer}.txt"
    if reason.exists():
        raise FileNotFoundError(f"not installed: {reason.read_text().strip()}")
    if not python.exists():
        raise FileNotFoundError(f"not installed; `make peers PEERS={peer}` installs it")
    return python


def install(peer: str) -> str:
    """Installs it; returns why it could not be, or nothing."""
    home, reason = PEERS_DIR / peer, PEERS_DIR / f"{peer}.txt"
    reason.unlink(missing_ok=True)
    venv.create(home, symlinks=True)
    python = home / "bin" / "python"
    folder = next((home / "lib").glob("python*/site-packages"))
    (folder / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--disable-pip-version-check",
               "--prefer-binary", "-c", str(PINS), *PACKAGES[peer]]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            _, said = process.communicate(timeout=INSTALL_S)
            why = "" if process.returncode == 0 else _last_error(said)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the resolver is a child of its own
            why = f"installing took longer than {INSTALL_S} s"
    if why:
        reason.write_text(why + "\n")
    return why


def _last_error(text: str) -> str:
    lines = [line for line in text.splitlines() if line.startswith("ERROR")] or text.splitlines() or ["without a word"]
    return lines[-1].removeprefix("ERROR: ")[:200]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"{', '.join(PACKAGES)}; all by default")
    named = parser.parse_args().peers or list(PACKAGES)
    if unknown := sorted(set(named) - set(PACKAGES)):
        parser.error(f"{' '.join(unknown)}: unknown; give some of {', '.join(PACKAGES)}")
    PEERS_DIR.mkdir(exist_ok=True)
    for number, peer in enumerate(named, 1):
        started = time.perf_counter()
        why = install(peer)
        print(f"{number}/{len(named)} {peer}: {why or 'installed'}, {time.perf_counter() - started:.0f} s", flush=True)
    return 0  # one that does not exist for this Python is a row of the tables, not a failure


if __name__ == "__main__":
    sys.exit(main())
