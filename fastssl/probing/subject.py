"""A trained run, opened to be looked at: its encoder with the weights of its last checkpoint, or untrained."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from fastssl.augment import get_backend
from fastssl.errors import InputError
from fastssl.recipe import Recipe
from fastssl.train.checkpoint import read_checkpoint
from fastssl.train.health import build_encoder
from fastssl.train.run_dir import RunDir
from fastssl.train.setup import DTYPES, resolve_device, with_precision
from fastssl.types import AugmentBackend

Weights = Literal["trained", "untrained"]


@dataclass(frozen=True)
class Subject:
    """One network of a run, in eval mode on its device."""

    run: RunDir
    recipe: Recipe
    """With its precision settled."""
    facts: dict[str, str]
    """What the run was trained with: fingerprint, device, loader, backend."""
    weights: Weights
    encoder: nn.Module
    state: dict[str, Any]
    """The method's whole state, heads included, as the checkpoint has it; empty of an untrained network."""
    dim: int
    step: int
    device: torch.device
    backend: AugmentBackend
    weights_hash: str
    """Hex SHA-256 of the encoder's weights and buffers: features of other weights are never taken for these."""

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.recipe.precision]


def open_run(directory: Path, *, device: str = "auto", weights: Weights = "trained") -> Subject:
    """The encoder of a run. `untrained` has the weights it began with; its BatchNorm statistics are still 0 and 1
    (`passes.settle` lets it see images first, as the random encoder does).

    Errors: `InputError` for what is no run, has no checkpoint yet, or does not fit its recipe.
    """
    run = RunDir.existing(directory)
    recipe, facts = run.read_recipe()
    at = resolve_device(device)
    recipe = with_precision(recipe, at)
    encoder, dim = build_encoder(recipe)
    state: dict[str, Any] = {}
    step = 0
    if weights == "trained":
        content = read_checkpoint(run.checkpoint)
        state, step = content["state"]["method"], content["position"]["step"]
        load_encoder(encoder, state, run)
    encoder.to(device=at, memory_format=torch.channels_last).eval()  # pyright: ignore
    backend = get_backend(facts["backend"].partition("+")[0] if at.type == facts["device"] else "auto", at)
    return Subject(run, recipe, facts, weights, encoder, state, dim, step, at, backend, hash_of(encoder))


def load_encoder(encoder: nn.Module, method_state: dict[str, Any], run: RunDir) -> None:
    """Puts the encoder's part of a method's state into it, strictly."""
    prefix = "encoder."
    own = {name.removeprefix(prefix): value for name, value in method_state.items() if name.startswith(prefix)}
    try:
        encoder.load_state_dict(own, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{run.checkpoint} does not fit its recipe ({reason}); train it anew with --fresh") from error


def hash_of(module: nn.Module) -> str:
    """Hex SHA-256 of names, shapes and bytes of every weight and buffer."""
    found = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if isinstance(value, torch.Tensor):
            found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
            found.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()
