"""Runs on disk, looked at without touching them: what there is, what one was, and what differs between two.

Reading takes no lock, survives a run that is being written to, and loads no torch.
"""

from fastssl.runs.find import find_run, find_runs
from fastssl.runs.read import Run, read_run

__all__ = ["Run", "find_run", "find_runs", "read_run"]
