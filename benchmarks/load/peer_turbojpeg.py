"""PyTurboJPEG in the pool of threads that `threads` has: another binding of the same decoder."""

import numpy as np
from turbojpeg import TJPF_RGB, TurboJPEG

from benchmarks.load.contestant import Task
from benchmarks.load.threads import ThreadsLoader


class TurboLoader(ThreadsLoader):
    regime = ThreadsLoader.regime.replace("simplejpeg (accurate DCT) into a buffer of its thread", "PyTurboJPEG")

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self.turbo = TurboJPEG()

    def _decode(self, position: int) -> np.ndarray:
        return self.turbo.decode(bytes(self.beton.payload(position)), pixel_format=TJPF_RGB)


def open_contestant(name: str, task: Task) -> TurboLoader:
    return TurboLoader(task)
