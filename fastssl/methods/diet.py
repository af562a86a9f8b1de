"""DIET: classify every image as itself. One view, no projector, no pairs; the target is the sample's index.

With z_b the representation of image b, W one row per image of the dataset (N x K, no bias), y_b its index and eps the
label smoothing, the cross-entropy against the target q = (1 - eps) onehot(y) + eps / N is

    loss = mean_b( logsumexp_j <z_b, W_j>  -  (1 - eps) <z_b, W_y>  -  eps <z_b, mean_j W_j> )

so the B x N logits are never needed at once: blocks of rows of W are streamed, a running maximum and sum give the
logsumexp, and the backward pass computes each block of logits again (dz = g W, dW_block = g_block' z, with
g = (softmax - q) / B). Beside W, its gradient and the optimiser's state this takes memory for a few B x block_rows
matrices, whatever N.

The loss cannot fall to 0: its minimum is the entropy of q, `floor(N, eps)`, e.g. 9.156 of the initial log N = 10.820 at
N = 50,000 and eps .8. So `loss_minus_floor` is what is logged. At the minimum the logit of the target stands
log(1 + (1 - eps) N / eps) above the others (9.434 there).

Papers: Balestriero 2023, arXiv 2302.10260; Ibrahim, Klindt, Balestriero 2024, arXiv 2406.10743. Authors' code: the
listing in the 2024 paper's appendix C; the repository has no public commit to name.

Deviations:
- the logits are streamed, and in float32 also under autocast: in fp16 without a scaler the off-target gradient,
  (1 - eps) / N / B = 1.6e-8 at N = 50,000 and B = 256, rounds to exactly 0;
- several views are allowed: the loss is the mean over views, all with the same target;
- the head may have its own multiples of learning rate and weight decay.
Images that occur twice have conflicting targets; the beton writer reports them.

Cost: forward N K B multiply-adds, backward 3 N K B (one of them the recomputation).
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from fastssl.errors import InputError
from fastssl.methods.encode import encode_views, require_views
from fastssl.methods.precision import at_least_float32, without_autocast
from fastssl.types import DatasetInfo, MethodOutput, Views


@dataclass(frozen=True, kw_only=True)
class DIETConfig:
    """DIET. Defaults are the paper's."""

    kind: Literal["diet"] = "diet"
    label_smoothing: float = 0.8
    """Share of the target spread over all samples, from 0 to 1."""
    head_lr_scale: float = 1.0
    """Multiplies the learning rate of the head alone."""
    head_weight_decay_scale: float = 1.0
    """Multiplies the weight decay of the head alone."""
    block_rows: int = 16384
    """Rows of the head per block: bounds memory, changes the result by rounding alone."""

    def __post_init__(self) -> None:
        if not 0 <= self.label_smoothing <= 1:
            raise InputError(f"label_smoothing={self.label_smoothing} is not a share; give a number from 0 to 1")
        for name in ("head_lr_scale", "head_weight_decay_scale"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name}={getattr(self, name)} is no multiple; give 0 or more")
        if self.block_rows < 1:
            raise InputError(f"block_rows={self.block_rows} streams nothing; give 1 or more")

    def build(self, encoder: nn.Module, dim: int, info: DatasetInfo) -> "DIET":
        """Errors: `InputError` when the dataset is empty."""
        if info.num_samples < 1:
            raise InputError(f"num_samples={info.num_samples} in {info.name}/{info.split} gives DIET no class")
        return DIET(self, encoder, dim, info)


class DIET(nn.Module):
    """Encoder and a linear head with one row per sample; takes one or more views.

    The rows belong to one dataset: its size and fingerprint are in the state dict, and another one's is refused.
    """

    def __init__(self, config: DIETConfig, encoder: nn.Module, dim: int, info: DatasetInfo) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.head = nn.Linear(dim, info.num_samples, bias=False)
        self.dataset: dict[str, Any] = {"num_samples": info.num_samples, "fingerprint": info.fingerprint}
        self.floor = floor(info.num_samples, config.label_smoothing)

    def forward(self, views: Views, index: Int64[Tensor, "b"], labels: Int64[Tensor, "b"]) -> MethodOutput:
        """Logs `loss_minus_floor` in nats. `index` must be in 0..num_samples-1; labels are not read."""
        require_views(views, 1, self.config.kind)
        z = encode_views(self.encoder, views)
        config = self.config
        target = index.repeat(len(views))
        loss = diet_loss(z.flatten(0, 1), self.head.weight, target, config.label_smoothing, config.block_rows)
        return MethodOutput(loss, {"loss_minus_floor": loss.detach() - self.floor})

    def param_group_overrides(self) -> list[tuple[list[Tensor], dict[str, float]]]:
        """Parameters with their own multiples of learning rate and weight decay, for the optimiser's groups."""
        config = self.config
        scales = {"lr_scale": config.head_lr_scale, "weight_decay_scale": config.head_weight_decay_scale}
        return [([self.head.weight], scales)]

    def memory_bytes(self, batch_size: int, num_views: int = 1, optimiser_states: int = 2) -> int:
        """Estimate of what the head adds in training: see `head_memory_bytes`."""
        num_samples, dim = self.head.weight.shape
        block = self.config.block_rows
        return head_memory_bytes(num_samples, dim, batch_size * num_views, block, optimiser_states)

    def get_extra_state(self) -> dict[str, Any]:
        return dict(self.dataset)

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Errors: `InputError` when the rows were trained on another dataset than this method was built for."""
        for name, value in self.dataset.items():
            if state[name] != value:
                raise InputError(
                    f"{name}={state[name]} of the saved DIET head is not the {value} of this dataset; its rows are "
                    "tied to the samples they were trained on: open that dataset, or start anew"
                )


def diet_loss(
    z: Float[Tensor, "b k"],
    weight: Float[Tensor, "n k"],
    target: Int64[Tensor, "b"],
    label_smoothing: float,
    block_rows: int = 16384,
) -> Float[Tensor, ""]:
    """Cross-entropy of the logits z W' against the smoothed one-hot target, in nats, mean over b; at least `floor`.

    Equals `torch.nn.functional.cross_entropy(z @ weight.T, target, label_smoothing=...)` without the b x n matrix.
    """
    z, weight = at_least_float32(z), at_least_float32(weight)
    return _StreamedCrossEntropy.apply(z, weight, target, label_smoothing, block_rows)  # pyright: ignore


def floor(num_samples: int, label_smoothing: float) -> float:
    """Least possible loss in nats: the entropy of the smoothed target."""
    off_target = label_smoothing / num_samples
    on_target = 1 - label_smoothing + off_target
    counts = ((1, on_target), (num_samples - 1, off_target))
    return -sum(count * share * math.log(share) for count, share in counts if share > 0)


def head_memory_bytes(
    num_samples: int, dim: int, num_embeddings: int, block_rows: int, optimiser_states: int = 2
) -> int:
    """Bytes in training: the float32 head, its gradient and the optimiser's states, and three blocks of logits."""
    rows = num_samples * dim * (2 + optimiser_states)
    return 4 * (rows + 3 * num_embeddings * min(block_rows, num_samples))


class _StreamedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, weight: Tensor, target: Tensor, eps: float, block_rows: int) -> Tensor:
        with without_autocast(z):
            log_sum = _streamed_logsumexp(z, weight, block_rows)
            on_target = (z * weight[target]).sum(1)
            mean_logit = z @ weight.mean(0)
        ctx.save_for_backward(z, weight, target, log_sum)
        ctx.eps, ctx.block_rows = eps, block_rows
        return (log_sum - (1 - eps) * on_target - eps * mean_logit).mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:  # pyright: ignore
        z, weight, target, log_sum = ctx.saved_tensors
        scale, eps = grad / len(z), ctx.eps
        with without_autocast(z):
            dz = -scale * ((1 - eps) * weight[target] + eps * weight.mean(0))
            dweight = torch.empty_like(weight)
            for rows, drows in zip(weight.split(ctx.block_rows), dweight.split(ctx.block_rows)):
                softmax = torch.exp(z @ rows.T - log_sum[:, None]) * scale
                dz += softmax @ rows
                drows.copy_(softmax.T @ z)
            dweight -= scale * eps / len(weight) * z.sum(0)
            dweight.index_add_(0, target, -scale * (1 - eps) * z)
        return dz, dweight, None, None, None


def _streamed_logsumexp(z: Tensor, weight: Tensor, block_rows: int) -> Tensor:
    largest = z.new_full((len(z),), -torch.inf)
    total = z.new_zeros(len(z))
    for rows in weight.split(block_rows):
        logits = z @ rows.T
        new = torch.maximum(largest, logits.amax(1))
        total = total * torch.exp(largest - new) + torch.exp(logits - new[:, None]).sum(1)
        largest = new
    return largest + total.log()
