"""What the encoder has learnt so far: features of train and test through one plain view, then every probe on them."""

import dataclasses

import torch
from torch import Tensor, nn

from fastssl.augment import make_views
from fastssl.data.open import open_loader
from fastssl.evals import Features, evaluate, protocol
from fastssl.evals.features import extract
from fastssl.recipe import Recipe
from fastssl.types import AugmentBackend, Batch, DatasetInfo, Loader
from fastssl.views import ViewSpec

EVAL_BATCH = 500


class Prober:
    """Holds the two loaders a probe needs. Nothing here touches weights, buffers or random state of the run.

    The probe's training labels are those of the whole train split, also when the run itself learns from a fraction of
    the images: arms that see different fractions are then compared by one and the same probe.
    """

    def __init__(self, recipe: Recipe, info: DatasetInfo, backend: AugmentBackend, device: torch.device) -> None:
        self.recipe, self.backend, self.device = recipe, backend, device
        view = recipe.specs(info.mean, info.std)[0]
        self.spec = dataclasses.replace(ViewSpec.plain(view.size), mean=view.mean, std=view.std)
        self.train_loader, self.test_loader = self._open("train"), self._open(recipe.probe.test_split)

    @property
    def protocol(self) -> str:
        """The measurement in words; two numbers with different protocols do not belong on one axis."""
        probe = self.recipe.probe
        return f"{protocol(knn_k=probe.knn_k, knn_temperature=probe.knn_temperature)}; {probe.test_split} split"

    def __call__(self, encoder: nn.Module, dtype: torch.dtype) -> dict[str, float]:
        """Metrics by name, accuracies as fractions of one."""
        train_x, train_y = extract(encoder, self.train_loader, self._prepare, dtype)
        test_x, test_y = extract(encoder, self.test_loader, self._prepare, dtype)
        features = Features(train_x, train_y, test_x, test_y, self.train_loader.info.num_classes)
        return evaluate(features, knn_k=self.recipe.probe.knn_k, knn_temperature=self.recipe.probe.knn_temperature)

    def close(self) -> None:
        self.train_loader.close()
        self.test_loader.close()

    def _prepare(self, batch: Batch) -> Tensor:
        return make_views(batch, (self.spec,), self.backend, seed=0, epoch=0, dtype=torch.float32)[0]

    def _open(self, split: str) -> Loader:
        data = self.recipe.data
        return open_loader(
            data.loader,
            data.dataset,
            split,
            batch_size=EVAL_BATCH,
            order="sequential",
            drop_last=False,
            num_workers=data.workers,
            device=str(self.device),
        )
