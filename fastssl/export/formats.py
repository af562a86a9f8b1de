"""File formats: each writes an encoder to bytes, and loads such a file as its reader would, without this library.

All take normalised images (n, 3, s, s), float32, of any n, and give features (n, dim), float32.
"""

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from fastssl.errors import InputError

FormatName = Literal["state_dict", "safetensors", "torchscript", "torch-export", "onnx"]
Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Format:
    dump: Callable[[nn.Module, Tensor, dict[str, str]], bytes]
    """Takes an encoder in eval mode on the CPU, two views, and texts to keep inside where the format can."""
    load: Callable[[Path, str | None], Forward]
    """Takes the file, and code that builds the network as `network` where the format holds weights alone."""
    weights_only: bool = False


def _dump_state(encoder: nn.Module, views: Tensor, texts: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    torch.save(_weights(encoder), buffer)
    return buffer.getvalue()


def _load_state(path: Path, code: str | None) -> Forward:
    return _filled(torch.load(path, weights_only=True), code)


def _dump_safetensors(encoder: nn.Module, views: Tensor, texts: dict[str, str]) -> bytes:
    with _extra("safetensors"):
        from safetensors.torch import save
    return save(_weights(encoder), metadata={"format": "pt", **texts})


def _load_safetensors(path: Path, code: str | None) -> Forward:
    with _extra("safetensors"):
        from safetensors.torch import load_file
    return _filled(load_file(path), code)


def _dump_torchscript(encoder: nn.Module, views: Tensor, texts: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with _quiet(), torch.no_grad():
        torch.jit.save(torch.jit.trace(encoder, views), buffer)
    return buffer.getvalue()


def _load_torchscript(path: Path, code: str | None) -> Forward:
    with _quiet(), path.open("rb") as stream:
        return torch.jit.load(stream, map_location="cpu")


def _dump_torch_export(encoder: nn.Module, views: Tensor, texts: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with _quiet():
        torch.export.save(torch.export.export(encoder, (views,), dynamic_shapes=_any_batch()), buffer)
    return buffer.getvalue()


def _load_torch_export(path: Path, code: str | None) -> Forward:
    with _quiet():
        return torch.export.load(io.BytesIO(path.read_bytes())).module()


def _dump_onnx(encoder: nn.Module, views: Tensor, texts: dict[str, str]) -> bytes:
    with _extra("onnx"):
        import onnx
        import onnxruntime
        import onnxscript

        _ = onnxruntime, onnxscript  # the exporter and the check need them
    names: dict[str, Any] = {"input_names": ["images"], "output_names": ["features"]}
    with _quiet():
        program = torch.onnx.export(encoder, (views,), dynamo=True, dynamic_shapes=_any_batch(), verbose=False, **names)
    assert program is not None
    model = program.model_proto
    onnx.helper.set_model_props(model, texts)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _load_onnx(path: Path, code: str | None) -> Forward:
    with _extra("onnx"):
        import onnxruntime
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return lambda views: torch.from_numpy(session.run(None, {"images": views.numpy()})[0])


FORMATS: dict[FormatName, Format] = {
    "state_dict": Format(_dump_state, _load_state, weights_only=True),
    "safetensors": Format(_dump_safetensors, _load_safetensors, weights_only=True),
    "torchscript": Format(_dump_torchscript, _load_torchscript),
    "torch-export": Format(_dump_torch_export, _load_torch_export),
    "onnx": Format(_dump_onnx, _load_onnx),
}


def _weights(encoder: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().cpu().contiguous() for name, value in encoder.state_dict().items()}


def _filled(weights: dict[str, Tensor], code: str | None) -> Forward:
    """The network that the card's own code builds, with these weights."""
    assert code is not None
    names: dict[str, Any] = {}
    exec(code, names)  # ours, from `rebuild`: what the card tells its reader to run is what is checked
    names["network"].load_state_dict(weights, strict=True)
    return names["network"].eval()


def _any_batch() -> tuple[dict[int, Any]]:
    return ({0: torch.export.Dim("batch", min=1)},)


@contextlib.contextmanager
def _extra(what: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise InputError(
            f"format={what} needs {error.name}, which is not installed; install it with "
            "`pip install 'fastssl-vision[export]'`"
        ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' notices (of deprecation, of a batch of any size), which are no news to who exports."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
