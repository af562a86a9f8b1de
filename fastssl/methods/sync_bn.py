"""BatchNorm whose statistics are those of the global batch, over the processes of a run.

With x the values of one channel, of n per rank on R ranks, and m_r, v_r the mean and biased variance on rank r

    mean = mean_r m_r,    variance = mean_r v_r + mean_r (m_r - mean)^2,    y = (x - mean) / sqrt(variance + eps) w + b

which is what one process computes on the R n values; no difference of large sums is taken. The running variance is the
unbiased one, variance x R n / (R n - 1), as torch's. Gradients flow through the statistics of all ranks
(`gather.gather`), so the contract of that module holds for layers as it does for losses.

`torch.nn.SyncBatchNorm` computes the same, in fused kernels, and takes CUDA tensors alone; so it is what CUDA gets, and
the layer here is what a CPU gets: the tests, and whoever debugs without a GPU. Both keep the names of a state dict.

Source: Ioffe, Szegedy 2015, arXiv 1502.03167, over all ranks.
Cost: one gather of 2 x channels numbers per layer forward, one sum of R times as many backward.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from fastssl.methods.gather import gather, world_size
from fastssl.methods.precision import at_least_float32


def sync_batch_norm(network: nn.Module, device: torch.device | str) -> nn.Module:
    """The network with every BatchNorm in it, at any depth, exchanged for a synchronised one; call it before `to`.

    Parameters and buffers stay the same objects under the same names; `network` is changed, and given back unless it is
    itself a BatchNorm. In one process its outputs stay the same to the bit.
    """
    if torch.device(device).type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    if isinstance(network, _BatchNorm):
        return _synced(network)
    for name, child in network.named_children():
        setattr(network, name, sync_batch_norm(child, device))
    return network


class BatchNormOverRanks(_BatchNorm):
    """Takes (n, c) or (n, c, ...); the same n on every rank. Computes in float32 also under autocast."""

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ValueError(f"input of {input.ndim} dimensions has no batch of channels; give (n, c) or (n, c, ...)")

    def forward(self, input: Float[Tensor, "n c *space"]) -> Float[Tensor, "n c *space"]:
        """In evaluation, and in one process, torch's own BatchNorm."""
        own = not self.training and self.running_mean is not None
        return super().forward(input) if own or world_size() == 1 else self._over_ranks(input)  # pyright: ignore

    @torch.compiler.disable  # what goes between processes is nothing that a compiled graph could hold
    def _over_ranks(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        x = at_least_float32(input)
        over = [d for d in range(x.ndim) if d != 1]
        parts = torch.stack([x.mean(over), x.var(over, correction=0)])
        means, variances = gather(parts[None]).unbind(1)
        mean, variance = means.mean(0), variances.mean(0) + means.var(0, correction=0)
        self._follow(mean.detach(), variance.detach(), count=world_size() * x.numel() // len(mean))
        as_channels = lambda values: values.view(-1, *[1] * (x.ndim - 2))
        y = (x - as_channels(mean)) * as_channels(torch.rsqrt(variance + self.eps))
        if self.weight is not None:
            y = y * as_channels(self.weight)
        return (y if self.bias is None else y + as_channels(self.bias)).to(input.dtype)

    def _follow(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), share)
        self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var.dtype), share)


def _synced(layer: _BatchNorm) -> BatchNormOverRanks:
    """A synchronised layer around the very parameters and buffers of `layer`."""
    synced = BatchNormOverRanks(
        layer.num_features, layer.eps, layer.momentum, layer.affine, layer.track_running_stats, device="meta"
    )  # without memory of its own
    synced._parameters, synced._buffers, synced.training = layer._parameters, layer._buffers, layer.training
    return synced
