"""DIET: classify every image as itself. One view, no projector, no pairs; the target is the sample's index.

With z_b the representation of image b, W one row per image of the dataset (N x K, no bias), y_b its index and eps the
label smoothing, the cross-entropy against the target q = (1 - eps) onehot(y) + eps / N is

    loss = mean_b( logsumexp_j <z_b, W_j>  -  (1 - eps) <z_b, W_y>  -  eps <z_b, mean_j W_j> )

so the B x N logits are never needed at once: `diet_loss.py` streams blocks of rows of W. What remains of size N is W,
its gradient and the optimiser's state; for large N, `diet_heads.py` has smaller heads, and `diet_sharded.py` splits the
rows over processes.

The loss cannot fall to 0: its minimum is the entropy of q, `floor(N, eps)`, e.g. 9.156 of the initial log N = 10.820 at
N = 50,000 and eps .8. So `loss_minus_floor` is what is logged. At the minimum the logit of the target stands
log(1 + (1 - eps) N / eps) above the others (9.434 there).

Papers: Balestriero 2023, arXiv 2302.10260; Ibrahim, Klindt, Balestriero 2024, arXiv 2406.10743. Authors' code: the
listing in the 2024 paper's appendix C; the repository has no public commit to name.

Deviations:
- the logits are streamed, and in float32 also under autocast: in fp16 without a scaler the off-target gradient,
  (1 - eps) / N / B = 1.6e-8 at N = 50,000 and B = 256, rounds to exactly 0;
- several views are allowed: the loss is the mean over views, all with the same target;
- the head may have its own multiples of learning rate and weight decay;
- heads other than `dense` are ours, for N at which N x K numbers, four times over with AdamW, are too many.
Images that occur twice have conflicting targets; the beton writer reports them.

Cost: forward N K B multiply-adds, backward 2 N K B, and N K B again where the logits are streamed.
"""

from dataclasses import dataclass
from typing import Any, Literal

from jaxtyping import Int64
from torch import Tensor, nn

from fastssl.errors import InputError
from fastssl.methods.diet_heads import ClusterHead, CodeHead, Head, LossOptions, LowRankHead, RowsHead, load_clusters
from fastssl.methods.diet_loss import check_loss_options, diet_loss, floor
from fastssl.methods.encode import encode_views, require_views
from fastssl.methods.gather import world_size
from fastssl.types import DatasetInfo, MethodOutput, Views

__all__ = ["DIET", "DIETConfig", "diet_loss", "floor"]

NEEDED_BY = {"head_rank": "low_rank", "targets": "kmeans", "code_digits": "index_code"}
"""The field that describes each head but `dense`, which needs none."""


@dataclass(frozen=True, kw_only=True)
class DIETConfig:
    """DIET. Defaults are the paper's."""

    kind: Literal["diet"] = "diet"
    label_smoothing: float = 0.8
    """Share of the target spread over all classes, from 0 to 1."""
    head: Literal["dense", "low_rank", "kmeans", "index_code"] = "dense"
    """dense (the paper's) has a row of weights per sample; the others are smaller, for large datasets: see
    `diet_heads.py`."""
    head_rank: int | None = None
    """Of low_rank: the width between representation and rows, 1 or more."""
    targets: str | None = None
    """Of kmeans: a .npy file with the cluster of each sample as served, counted from 0."""
    code_digits: int | None = None
    """Of index_code: digits per sample, 2 or more; 2 digits already take 2 sqrt(N) rows in place of N."""
    head_lr_scale: float = 1.0
    """Multiplies the learning rate of the head alone."""
    head_weight_decay_scale: float = 1.0
    """Multiplies the weight decay of the head alone."""
    block_rows: int | Literal["auto"] = "auto"
    """Rows of the head per block: bounds memory, changes the result by rounding alone. auto keeps all logits where they
    take 256 MiB or less, and streams blocks of 16 MiB beyond."""
    sharded: bool = False
    """Each process of a run holds its part of the rows; see `diet_sharded.py` for what its trainer must know."""

    def __post_init__(self) -> None:
        check_loss_options(self.label_smoothing, self.block_rows)
        for name in ("head_lr_scale", "head_weight_decay_scale"):
            if not getattr(self, name) >= 0:
                raise InputError(f"{name}={getattr(self, name)} is no multiple; give 0 or more")
        for name, head in NEEDED_BY.items():
            value = getattr(self, name)
            if self.head == head and value is None:
                raise InputError(f"head={head} needs {name}; give --{name.replace('_', '-')}")
            if self.head != head and value is not None:
                raise InputError(f"{name}={value} has no effect on head={self.head}; leave it out, or give head={head}")
        if self.head_rank is not None and self.head_rank < 1:
            raise InputError(f"head_rank={self.head_rank} leaves nothing to classify by; give 1 or more")
        if self.code_digits is not None and self.code_digits < 2:
            raise InputError(f"code_digits={self.code_digits} is no code; give 2 or more, or head=dense")
        if self.sharded and self.head == "index_code":
            raise InputError("sharded=True has no effect on head=index_code, which is small; leave it out")

    def build(self, encoder: nn.Module, dim: int, info: DatasetInfo) -> "DIET":
        """Errors: `InputError` when the dataset is empty, or the file of targets does not fit it."""
        if info.num_samples < 1:
            raise InputError(f"num_samples={info.num_samples} in {info.name}/{info.split} gives DIET no class")
        return DIET(self, encoder, dim, info)

    def build_head(self, dim: int, num_samples: int) -> Head:
        options = LossOptions(label_smoothing=self.label_smoothing, block_rows=self.block_rows, sharded=self.sharded)
        if self.head_rank is not None:
            return LowRankHead(dim, num_samples, self.head_rank, options)
        if self.targets is not None:
            return ClusterHead(dim, load_clusters(self.targets, num_samples), options)
        if self.code_digits is not None:
            return CodeHead(dim, num_samples, self.code_digits, options)
        return RowsHead(dim, num_samples, options)


class DIET(nn.Module):
    """Encoder and head; takes one or more views.

    The head belongs to one dataset: its size and fingerprint are in the state dict, with what else tells this head's
    rows from another's of the same shape, and a state that differs is refused.
    """

    def __init__(self, config: DIETConfig, encoder: nn.Module, dim: int, info: DatasetInfo) -> None:
        super().__init__()
        self.config = config
        self.encoder = encoder
        self.head = config.build_head(dim, info.num_samples)
        self.floor = self.head.floor
        self.tied_to: dict[str, Any] = {"num_samples": info.num_samples, "fingerprint": info.fingerprint}
        self.tied_to |= self.head.facts

    def forward(self, views: Views, index: Int64[Tensor, "b"], labels: Int64[Tensor, "b"]) -> MethodOutput:
        """Logs `loss_minus_floor` in nats. `index` must be in 0..num_samples-1; labels are not read."""
        require_views(views, 1, self.config.kind)
        z = encode_views(self.encoder, views)
        loss = self.head(z.flatten(0, 1), index.repeat(len(views)))
        return MethodOutput(loss, {"loss_minus_floor": loss.detach() - self.floor})

    @property
    def facts(self) -> dict[str, str]:
        """The content of the file of targets, of which the config has the name alone: see `types.Method`."""
        return {name: value for name, value in self.head.facts.items() if name == "targets"}

    def param_group_overrides(self) -> list[tuple[list[Tensor], dict[str, float]]]:
        """Parameters with their own multiples of learning rate and weight decay, for the optimiser's groups."""
        config = self.config
        scales = {"lr_scale": config.head_lr_scale, "weight_decay_scale": config.head_weight_decay_scale}
        return [(list(self.head.parameters()), scales)]

    def unreduced_parameters(self) -> list[Tensor]:
        """Parameters that differ between processes: their gradients are whole already and must not be averaged."""
        rows = self.head if isinstance(self.head, RowsHead) else getattr(self.head, "rows", None)
        return [rows.weight] if self.config.sharded and isinstance(rows, RowsHead) else []

    def memory_bytes(self, batch_size: int, num_views: int = 1, optimiser_states: int = 2) -> int:
        """Estimate of what the head takes in training, on this process: weights, their gradient (as large: the softmax
        reaches every row), the optimiser's states per weight (2 for AdamW, 1 for momentum), logits and lookups."""
        num_embeddings = batch_size * num_views * (world_size() if self.config.sharded else 1)
        return self.head.memory_bytes(num_embeddings, optimiser_states)

    def get_extra_state(self) -> dict[str, Any]:
        return dict(self.tied_to)

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Errors: `InputError` when the rows were trained on another dataset than this method was built for."""
        for name in self.tied_to | state:
            saved, mine = state.get(name, "none"), self.tied_to.get(name, "none")
            if saved != mine:
                raise InputError(
                    f"{name}={saved} of the saved DIET head is not the {mine} of this one; its rows are tied to the "
                    "samples they were trained on: open that dataset with that head, or start anew"
                )
