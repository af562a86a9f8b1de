"""Recipe in, checkpoints and records out. `loop.train` is the one place where a run happens."""

from fastssl.train.loop import TrainResult, resume, train

__all__ = ["TrainResult", "resume", "train"]
