"""One JPEG to pixels, in one process: every decoder that the loaders use, the same pixels asked of each.

python -m pytest benchmarks/bench_decode.py --benchmark-only --records runs/bench/decode.jsonl
"""

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.io import ImageReadMode, decode_jpeg

from benchmarks.load.photographs import PhotographSource, missing_packages
from benchmarks.one_process import timed, write_down
from fastssl.data import jpeg

NUM_IMAGES, QUALITY = 32, 90
LEVELS = 3.0
"""Of 255, in the mean: decoders differ in how they enlarge the colours."""


def _simplejpeg(payload: bytes) -> np.ndarray:
    import simplejpeg

    return simplejpeg.decode_jpeg(payload)


def _ours(payload: bytes) -> np.ndarray:
    info = jpeg.read_jpeg_info(payload)
    assert info is not None
    return jpeg.decode_jpeg(payload, info.height, info.width)


DECODERS: dict[str, Callable[[bytes], np.ndarray]] = {
    "ours: libjpeg-turbo, damage found": _ours,
    "simplejpeg": _simplejpeg,
    "OpenCV": lambda payload: cv2.imdecode(np.frombuffer(payload, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1],  # pyright: ignore
    "torchvision": lambda payload: decode_jpeg(
        torch.frombuffer(bytearray(payload), dtype=torch.uint8), ImageReadMode.RGB
    ).permute(1, 2, 0).numpy(),
    "PIL": lambda payload: np.asarray(Image.open(io.BytesIO(payload)).convert("RGB")),
}  # fmt: skip


@pytest.fixture(scope="module")
def payloads() -> list[bytes]:
    if reason := missing_packages():
        pytest.skip(f"the photographs are missing: {reason}")
    items = PhotographSource(NUM_IMAGES).read(np.arange(NUM_IMAGES))
    return [cv2.imencode(".jpg", np.asarray(item.image)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()
            for item in items]  # fmt: skip


@pytest.mark.parametrize("name", DECODERS)
def test_decoder(name, payloads, benchmark, request):
    if name == "simplejpeg":
        pytest.importorskip("simplejpeg")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    decode = DECODERS[name]
    for payload in payloads[:8]:
        want = cv2.imdecode(np.frombuffer(payload, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]  # pyright: ignore
        got = decode(payload)
        assert got.shape == want.shape
        assert np.abs(got.astype(int) - want).mean() < LEVELS
    seconds = timed(benchmark, lambda: [decode(payload) for payload in payloads], NUM_IMAGES)
    write_down(request.config.getoption("--records"), "decode", "jpeg-500", name, seconds, ["decode"])
