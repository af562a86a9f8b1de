"""Importing the library leaves the process's thread counts alone, although importing FFCV does not."""

import subprocess
import sys


def test_importing_the_data_room_keeps_torch_and_numba_threads():
    script = (
        "import numba, torch; before = torch.get_num_threads(), numba.get_num_threads();"
        "import fastssl.data.open, fastssl.data.dataset;"
        "assert (torch.get_num_threads(), numba.get_num_threads()) == before, before"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_opening_a_loader_imports_no_writer():
    script = "import fastssl.data.open, sys; assert 'fastssl.data.pack' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
