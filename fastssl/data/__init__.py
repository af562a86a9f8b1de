"""Datasets, betons and the loaders that serve them.

Importing FFCV sets torch's and numba's thread counts to 1 for the whole process (ffcv 1.0.2, `pipeline/compiler.py`),
which halves the speed of training on two cores. So it is imported here, before any of our modules can, and the counts
are put back.
"""

import numba
import torch

_torch_threads, _numba_threads = torch.get_num_threads(), numba.get_num_threads()
import ffcv  # noqa: E402, F401

torch.set_num_threads(_torch_threads)
numba.set_num_threads(_numba_threads)
