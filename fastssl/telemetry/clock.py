"""Where the time and the energy of a run go: five accumulators that pause one another.

A phase entered inside another stops the outer one, so the phases add up to the wall time spent inside the outermost.
Evaluation inside a training loop therefore never counts as training. At the edges of a phase the clock waits for the
CUDA device, so that queued kernels are charged to the phase that launched them; a wait on the host alone (for the next
batch) is timed with `sync=False`, because the device is busy with earlier steps meanwhile.

Wall time is kept apart from the phases, from one look at the time when the first begins, so that it can tell whether
they add up. Energy is read at the same edges, but for those of waits: joules of `train` are those of `data` too.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastssl.errors import InputError
from fastssl.telemetry.energy import Meter

PHASES: tuple[str, ...] = ("compile", "data", "train", "eval", "checkpoint")


class Clock:
    """Seconds per phase over a whole run, restarts included. Belongs to one thread.

    Args:
        device: what the timed code runs on, "cpu" or "cuda[:n]"; only CUDA has anything to wait for.
        world_size: devices that work side by side, each for the same seconds.
        now: seconds from any fixed moment; replaced in tests.
        meter: counts the joules of the device, where it can be read.
    """

    def __init__(
        self,
        device: object = "cpu",
        world_size: int = 1,
        now: Callable[[], float] = time.perf_counter,
        meter: Meter | None = None,
    ) -> None:
        if world_size < 1:
            raise InputError(f"world_size={world_size} is not a number of devices; give 1 or more")
        self.device, self.world_size = str(device), world_size
        self._now = now
        self._before_s = dict.fromkeys(PHASES, 0.0)
        """What earlier processes of the run had spent."""
        self._here_s = dict.fromkeys(PHASES, 0.0)
        self._open: list[str] = []
        self._since = 0.0
        self._began: float | None = None
        self._before_wall_s = 0.0
        self._meter = meter
        self._joules_before = dict.fromkeys(PHASES, 0.0)
        self._joules = dict.fromkeys(PHASES, 0.0)
        """Of this process; where a part of the run had no meter, nothing is known of the whole."""
        self._metered: list[str] = []
        self._joules_read, self._all_metered = 0.0, meter is not None

    @contextmanager
    def phase(self, name: str, sync: bool = True) -> Iterator[None]:
        """Charges the time inside to `name` and pauses the phase around it.

        `sync` waits for the CUDA device on entry and on exit. After an exception it does not: a device error raised
        by that wait would hide the first one. Errors: `InputError` for a name that is not a phase.
        """
        _check(name)
        if sync:
            self._wait_for_device()
        self._charge()
        self._began = self._since if self._began is None else self._began
        self._open.append(name)
        if sync:
            self._charge_energy()
            self._metered.append(name)
        finished = False
        try:
            yield
            finished = True
        finally:
            try:
                if sync and finished:
                    self._wait_for_device()
            finally:
                self._charge()
                self._open.pop()
                if sync:
                    self._charge_energy()
                    self._metered.pop()

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds of every phase so far, the running one included; reading them waits for nothing."""
        seconds = {name: self._before_s[name] + self._here_s[name] for name in PHASES}
        if self._open:
            seconds[self._open[-1]] += self._now() - self._since
        return seconds

    def spent_s(self, *names: str) -> float:
        """Seconds of the named phases together, without waiting for the device: for time budgets."""
        seconds = self.seconds
        return sum(seconds[_check(name)] for name in names)

    @property
    def wall_s(self) -> float:
        """Seconds since the first phase began, and those of earlier processes of the run; apart from the phases."""
        return self._before_wall_s + (0.0 if self._began is None else self._now() - self._began)

    def joules(self, *names: str) -> float | None:
        """Energy of the named phases over the whole run, times the devices of NVML, of which one is read; None without
        a meter, also when a part of the run had none. The energy of `data` is in `train`."""
        self._charge_energy()
        if self._meter is None or not self._all_metered:
            return None
        devices = self.world_size if self._meter.source == "nvml" else 1
        return devices * sum(self._joules_before[_check(name)] + self._joules[name] for name in names)

    @property
    def energy_source(self) -> str | None:
        """Who counts the joules: "nvml", "rapl", or None."""
        return None if self._meter is None else self._meter.source

    def data_wait(self) -> float:
        """Share of the training clock (`train` and `data`) spent waiting for batches, 0 to 1; 0 before it has run."""
        seconds = self.seconds
        return seconds["data"] / max(seconds["data"] + seconds["train"], 1e-9)

    def gpu_hours(self, *names: str) -> float:
        """Compute-hours of the named phases: seconds x world_size / 3600.

        GPU-hours where the device is a GPU, machine-hours where it is a CPU; the record's device block says which.
        """
        return self.spent_s(*names) * self.world_size / 3600

    def record(self) -> dict[str, Any]:
        """The `clock` block of a record; `device` is the kind this clock waits for."""
        seconds = {f"{name}_s": spent for name, spent in self.seconds.items()}
        device = self.device.split(":")[0]
        return {**seconds, "wall_s": self.wall_s, "world_size": self.world_size, "device": device}

    def state_dict(self) -> dict[str, Any]:
        known = self.joules(*PHASES) is not None
        joules = {name: self._joules_before[name] + self._joules[name] for name in PHASES} if known else None
        return {"seconds": self.seconds, "wall_s": self.wall_s, "joules": joules, "world_size": self.world_size}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Adds what an earlier process had spent to what this one spends; loading twice counts it once.

        Errors: `InputError` for unknown or missing phases, or another world size (its hours would not add up).
        """
        seconds, world_size = state["seconds"], state["world_size"]
        for name in seconds:
            _check(name)
        if missing := [name for name in PHASES if name not in seconds]:
            raise InputError(f"clock state has no phase {missing[0]!r}; it was saved by another version of fastssl")
        if world_size != self.world_size:
            raise InputError(
                f"world_size={self.world_size} but the run was timed on {world_size}; resume it on as many"
            )
        self._before_s = {name: float(seconds[name]) for name in PHASES}
        self._before_wall_s = float(state.get("wall_s", sum(self._before_s.values())))
        if (joules := state.get("joules")) is None:
            self._all_metered = False
        elif self._all_metered:
            self._joules_before = {name: float(joules[name]) for name in PHASES}

    def _charge(self) -> None:
        """Books the time since the last edge on the phase that was running."""
        now = self._now()
        if self._open:
            self._here_s[self._open[-1]] += now - self._since
        self._since = now

    def _charge_energy(self) -> None:
        """Books the joules since the last edge on the phase that was metered."""
        if self._meter is None:
            return
        try:
            read = self._meter.joules()
        except Exception:  # of a driver or a file: a counter that is gone must not end the run, only its joules
            self._meter = None
            return
        if self._metered:
            self._joules[self._metered[-1]] += read - self._joules_read
        self._joules_read = read

    def _wait_for_device(self) -> None:
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.synchronize(self.device)


def _check(name: str) -> str:
    if name not in PHASES:
        raise InputError(f"phase={name!r} is unknown; give one of {', '.join(PHASES)}")
    return name
