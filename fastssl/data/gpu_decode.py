"""JPEGs decoded on the GPU, by nvJPEG as torchvision binds it.

What the binding does (torchvision 0.21 to 0.29): it decodes a list of JPEGs on a stream of its own, under a lock of the
process, and waits for that stream before it returns. It writes to its outputs at once, whatever is queued on the
caller's stream (pytorch/vision pull request 9606), so memory that a kernel is still to read must not be handed to it.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from fastssl.data.format import MODE_JPG
from fastssl.data.jpeg import JpegError, decode_jpeg
from fastssl.data.payloads import Payloads
from fastssl.data.served import Served
from fastssl.errors import InputError
from fastssl.native import Failure

Planes: TypeAlias = UInt8[Tensor, "3 _ _"]


@dataclass(frozen=True, slots=True)
class Decoded:
    images: UInt8[Tensor, "k 3 h w"]
    """Without the failures; in channels-last memory. Images smaller than the largest lie in the upper left corner, and
    nothing is said of the rest."""
    failures: list[Failure]
    ready: torch.cuda.Event | None
    """When they are there. None on a CPU, where they are."""


class GpuDecoder:
    """Decodes samples held in memory; for one thread, which waits for the device.

    It works on a stream of its own, whose memory no other stream gets, and waits until that is idle before it decodes
    again. On a CPU torchvision's libjpeg takes nvJPEG's place.
    """

    def __init__(self, served: Served, payloads: Payloads, device: torch.device) -> None:
        self._one_size, self._shape = served.one_size, (served.info.height, served.info.width, 3)
        self._payloads, self._device = payloads, device
        self._sizes, self._jpeg = served.beton.sizes[served.source], served.beton.modes[served.source] == MODE_JPG
        self._decode_list = find_decoder(device)
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self.num_refused = 0
        """Samples that the binding did not decode and libjpeg-turbo did."""

    def __call__(self, positions: Int64[np.ndarray, "b"]) -> Decoded:
        """Samples at those positions of the data as served."""
        if self._stream is None:
            return Decoded(*self._make(positions), None)
        with torch.cuda.stream(self._stream):
            idle, ready = torch.cuda.Event(blocking=True), torch.cuda.Event()
            idle.record()
            idle.synchronize()
            images, failures = self._make(positions)
            ready.record()
            return Decoded(images, failures, ready)

    def _make(self, positions: Int64[np.ndarray, "b"]) -> tuple[UInt8[Tensor, "k 3 h w"], list[Failure]]:
        made = self._decode(positions)
        failures = [Failure(row, reason) for row, reason in enumerate(made) if isinstance(reason, str)]
        return self._gather([planes for planes in made if isinstance(planes, Tensor)]), failures

    def _decode(self, positions: Int64[np.ndarray, "b"]) -> list[Planes | str]:
        """Each sample's pixels, or what is wrong with it."""
        jpegs = positions[self._jpeg[positions]].tolist()
        decoded: dict[int, Planes | str]
        try:
            decoded = dict(zip(jpegs, self._decode_jpegs(jpegs), strict=True))
        except RuntimeError:  # because of one or more of them; the binding does not say which
            decoded = {position: self._decode_alone(position) for position in jpegs}
        return [decoded[at] if at in decoded else self._copy_raw(at) for at in positions.tolist()]

    def _decode_jpegs(self, positions: list[int]) -> list[Planes]:
        if not positions:
            return []
        made = self._decode_list([self._payloads[position] for position in positions])
        if any(planes.shape[1:] != tuple(self._sizes[at].tolist()) for at, planes in zip(positions, made, strict=True)):
            raise RuntimeError("a JPEG has another size than the file's table says")
        return made

    def _decode_alone(self, position: int) -> Planes | str:
        with suppress(RuntimeError):
            return self._decode_jpegs([position])[0]
        height, width = self._sizes[position].tolist()
        try:
            pixels = decode_jpeg(self._payloads[position].numpy().data, height, width)
        except JpegError as error:
            return str(error)
        self.num_refused += 1
        return self._planes(torch.from_numpy(pixels))

    def _copy_raw(self, position: int) -> Planes | str:
        (height, width), values = self._sizes[position].tolist(), self._payloads[position]
        if len(values) != height * width * 3:
            return f"{len(values)} bytes, but {height} x {width} pixels take {height * width * 3}"
        return self._planes(values.view(height, width, 3))

    def _planes(self, pixels: UInt8[Tensor, "h w 3"]) -> UInt8[Tensor, "3 h w"]:
        return pixels.to(self._device, non_blocking=True).permute(2, 0, 1)

    def _gather(self, images: list[Planes]) -> UInt8[Tensor, "k 3 h w"]:
        if images and self._one_size:
            return torch.stack(images).contiguous(memory_format=torch.channels_last)
        shape = (len(images), *self._shape)
        gathered = torch.empty(shape, dtype=torch.uint8, device=self._device).permute(0, 3, 1, 2)
        for room, planes in zip(gathered, images, strict=True):
            room[:, : planes.shape[1], : planes.shape[2]] = planes
        return gathered


def find_decoder(device: torch.device) -> Callable[[list[Tensor]], list[Planes]]:
    """torchvision's decoder of a list of JPEGs to RGB on the device; it raises `RuntimeError` for all of them at once.

    Raises `InputError` where torchvision has none: 0.29 announces that it will go.
    """
    try:
        from torchvision.io import ImageReadMode, decode_jpeg
    except ImportError as error:
        raise InputError(
            f"loader=nvjpeg decodes by torchvision.io: {error}; install torchvision 0.29, or take loader=images"
        ) from error
    return lambda jpegs: list(decode_jpeg(jpegs, mode=ImageReadMode.RGB, device=device))
