"""Importing the library leaves the process's thread counts alone, although importing FFCV does not."""

import subprocess
import sys


def test_importing_the_data_room_keeps_the_thread_counts_and_loads_no_writer():
    """One process, for both: to import torch takes it seconds."""
    script = (
        "import numba, sys, torch; before = torch.get_num_threads(), numba.get_num_threads();"
        "import fastssl.data.open; assert 'fastssl.data.pack' not in sys.modules;"
        "import fastssl.data.dataset;"
        "assert (torch.get_num_threads(), numba.get_num_threads()) == before, before"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
