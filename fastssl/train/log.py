"""What a run says while it trains, and the guard that stops it when its loss is no number any more."""

import torch

from fastssl.errors import InputError
from fastssl.telemetry.clock import Clock
from fastssl.train.checkpoint import Position
from fastssl.types import MethodOutput


class EpochLog:
    """Means of the method's logs over the current epoch, summed on the device; reading them waits for it."""

    def __init__(self, position: Position, clock: Clock) -> None:
        self.position, self.clock = position, clock
        self.restart()

    def restart(self) -> None:
        """Starts the rates anew: at an epoch's start, and after a resume in its middle."""
        self.views, self.train_s, self.data_s = self.position.views, *self._spent()

    def add(self, output: MethodOutput) -> None:
        sums = self.position.log_sums
        for name, value in {"loss": output.loss.detach(), "steps": torch.ones(()), **output.logs}.items():
            sums[name] = sums[name] + value.float() if name in sums else value.float()

    def means(self) -> dict[str, float]:
        sums = {name: float(value) for name, value in self.position.log_sums.items()}
        steps = sums.pop("steps", 1.0)
        return {name: value / steps for name, value in sums.items()}

    def scalars(self) -> dict[str, float]:
        """What loggers are told of the epoch that just ended: means of the method's logs, and what it cost so far."""
        train_s, data_s = self._spent()
        cost = {"epoch": self.position.epoch, "views": self.position.views, "compute_s": train_s + data_s}
        return {**{f"train/{name}": value for name, value in self.means().items()}, **cost}

    def line(self, metrics: dict[str, float]) -> str:
        """One line for the epoch that just ended."""
        train_s, data_s = self._spent()
        waited, spent = data_s - self.data_s, train_s + data_s - self.train_s - self.data_s
        rate = (self.position.views - self.views) / max(spent, 1e-9)
        parts = "  ".join(f"{name} {value:.4g}" for name, value in self.means().items())
        probe = f"  ridge {metrics['ridge']:.1%}  knn {metrics['knn']:.1%}" if metrics else ""
        damaged = f"  skipped {self.position.skipped}" if self.position.skipped else ""
        total = train_s + data_s
        return (
            f"epoch {self.position.epoch:4d}  {parts}  {rate:,.0f} views/s  data-wait {waited / max(spent, 1e-9):.0%}"
            f"  compute {total:.0f} s{damaged}{probe}"
        )

    def end_epoch(self) -> None:
        self.position.log_sums.clear()
        self.restart()

    def _spent(self) -> tuple[float, float]:
        return self.clock.spent_s("train"), self.clock.spent_s("data")


class FiniteGuard:
    """Remembers on the device the first step whose loss was not finite, so that watching costs no waiting."""

    def __init__(self, device: torch.device, method: str) -> None:
        self.first_bad = torch.full((), -1, dtype=torch.int64, device=device)
        self.method = method
        self.every_steps = 1 if device.type == "cpu" else 50

    def watch(self, loss: torch.Tensor, step: int) -> None:
        bad = (self.first_bad < 0) & ~torch.isfinite(loss.detach())
        self.first_bad = torch.where(bad, step, self.first_bad)

    def check(self, weights: torch.nn.Module | None, position: Position, last_good: str) -> None:
        """Raises when a loss so far was not finite, or (given `weights`) when a weight is not."""
        step = int(self.first_bad)
        if step < 0 and weights is not None and not all(bool(p.isfinite().all()) for p in weights.parameters()):
            step = position.step
        if step >= 0:
            raise InputError(
                f"loss of {self.method} is not finite at step {step}; last good checkpoint: {last_good}; "
                "lower --lr, lengthen --warmup-fraction or give --precision fp32"
            )
