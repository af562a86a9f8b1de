"""A trained run, opened to be looked at: its encoder with the weights of its last checkpoint, or untrained."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from fastssl.augment import get_backend
from fastssl.data.open import find_beton
from fastssl.data.served import serve
from fastssl.errors import InputError
from fastssl.kernels.seeding import seeded
from fastssl.recipe import Recipe
from fastssl.train.checkpoint import read_checkpoint
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
    projector: nn.Module | None
    """What the method puts between encoder and loss; None unless it was asked for."""
    dim: int
    """Width of the encoder's features."""
    step: int
    device: torch.device
    backend: AugmentBackend
    weights_hash: str
    """Hex SHA-256 of the encoder's weights and buffers: features of other weights are never taken for these."""

    @property
    def dtype(self) -> torch.dtype:
        return DTYPES[self.recipe.precision]


def open_run(
    directory: Path, *, device: str = "auto", weights: Weights = "trained", projector: bool = False
) -> Subject:
    """The encoder of a run. `untrained` has the weights it began with; its BatchNorm statistics are still 0 and 1
    (`passes.settle` lets it see images first, as the random encoder does).

    Errors: `InputError` for what is no run, has no checkpoint yet, or does not fit its recipe.
    """
    run = RunDir.existing(directory)
    recipe, facts = run.read_recipe()
    at = resolve_device(device)
    recipe = with_precision(recipe, at)
    encoder, head, dim = _build(recipe, projector)
    step = 0
    if weights == "trained":
        content = read_checkpoint(run.checkpoint)
        step = content["position"]["step"]
        for prefix, network in (("encoder.", encoder), ("projector.", head)):
            if network is not None:
                _load(network, prefix, content["state"]["method"], run)
    encoder.to(device=at, memory_format=torch.channels_last).eval()  # pyright: ignore
    if head is not None:
        head.to(at).eval()
    backend = get_backend(facts["backend"].partition("+")[0] if at.type == facts["device"] else "auto", at)
    return Subject(run, recipe, facts, weights, encoder, head, dim, step, at, backend, hash_of(encoder))


def _build(recipe: Recipe, with_projector: bool) -> tuple[nn.Module, nn.Module | None, int]:
    """Encoder, projector and the width of the features, as a run of this recipe begins with them; global random
    state is put back."""
    with seeded(recipe.seed):
        encoder, dim = recipe.model.build(recipe.spec.size)
        if not with_projector:
            return encoder, None, dim
        info = serve(find_beton(recipe.data.dataset, recipe.data.train_split)).info
        projector = getattr(recipe.method.build(encoder, dim, info), "projector", None)
        if not isinstance(projector, nn.Module):
            raise InputError(f"layer=projector, but {recipe.method.kind} has none; give encoder, or a module inside")
        return encoder, projector, dim


def _load(network: nn.Module, prefix: str, method_state: dict[str, Any], run: RunDir) -> None:
    """Puts a network's part of a method's state into it, strictly."""
    own = {name.removeprefix(prefix): value for name, value in method_state.items() if name.startswith(prefix)}
    try:
        network.load_state_dict(own, strict=True)
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
