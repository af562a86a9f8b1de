"""Do the pipelines give the same distribution of views as torchvision? `run_parity` answers with a `ParityReport`."""

from fastssl.parity.report import ParityReport, ParityRow
from fastssl.parity.run import check_pipeline, run_parity

__all__ = ["ParityReport", "ParityRow", "check_pipeline", "run_parity"]
