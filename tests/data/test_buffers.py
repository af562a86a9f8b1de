"""Memory that comes back when nobody holds it, and not before."""

import numpy as np
import pytest
import torch

from fastssl.data.buffers import Buffers

SHAPE = (1 << 22, 3)


def test_buffer_comes_back_with_the_last_tensor_of_it():
    buffers = Buffers(torch.device("cpu"))
    lent = buffers.take(SHAPE, 10)
    lent[:] = 7
    address, tensor = lent.ctypes.data, buffers.to_device(lent)
    part = tensor[2:4].T
    del lent, tensor
    other = buffers.take(SHAPE, 10)
    other[:] = 9
    assert other.ctypes.data != address
    assert part.unique().tolist() == [7]
    del part
    assert buffers.take(SHAPE, 10).ctypes.data == address
    assert buffers.take((5, 5), 5).shape == (5, 5)


def test_part_of_a_buffer_is_lent_for_a_short_batch():
    buffers = Buffers(torch.device("cpu"))
    address = buffers.take(SHAPE, SHAPE[0]).ctypes.data
    short = buffers.take(SHAPE, 3)
    assert (short.shape, short.ctypes.data) == ((3, 3), address)


@pytest.mark.gpu
def test_buffer_is_not_lent_again_before_its_copy_is_done():
    buffers = Buffers(torch.device("cuda"))
    lent = buffers.take(SHAPE, SHAPE[0])
    lent[:] = 7
    address = lent.ctypes.data
    torch.cuda._sleep(1_000_000_000)  # half a second, in which the copy cannot begin
    sent = buffers.to_device(lent)
    del lent
    other = buffers.take(SHAPE, SHAPE[0])
    assert other.ctypes.data != address
    other[:] = 9
    assert sent.unique().tolist() == [7]
    torch.cuda.synchronize()
    later = buffers.to_device(other)  # which looks through what was being sent
    assert buffers.take(SHAPE, SHAPE[0]).ctypes.data == address
    assert np.unique(later.cpu()).tolist() == [9]
