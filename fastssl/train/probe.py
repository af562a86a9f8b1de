"""What the encoder has learnt so far: features of train and test through one plain view, then every probe on them."""

import dataclasses

import torch
from torch import Tensor

from fastssl.augment import Drawer, make_views
from fastssl.data.open import open_loader
from fastssl.errors import InputError
from fastssl.evals import Features, evaluate, protocol
from fastssl.evals.features import extract
from fastssl.evals.health import health
from fastssl.train.floor import untrained_health
from fastssl.train.setup import Parts
from fastssl.types import Batch, Loader

EVAL_BATCH = 500


class Prober:
    """Holds the two loaders a probe needs. Nothing here touches weights, buffers or random state of the run.

    The probe's training labels are those of the whole train split (but for what `holdout` keeps), also when the run
    itself learns from a fraction of the images or from noisy labels: arms that see different fractions are then
    compared by one and the same probe.
    """

    def __init__(self, parts: Parts) -> None:
        self.parts, self.recipe = parts, parts.recipe
        view = parts.specs[0]
        self.spec = dataclasses.replace(self.recipe.plain_view, mean=view.mean, std=view.std)
        self.skipped = 0
        """Damaged images that the last probe did without."""
        self.train_loader, self.test_loader = self._open("train"), self._open(self.recipe.probe.test_split)
        self._require_same_classes()
        self.untrained: dict[str, float] = {}
        """Health of the encoder before its first step, once `look_at_untrained` was called."""

    def look_at_untrained(self) -> None:
        """Measures what every probe's health stands beside; the same in a run and in its resumption."""
        self.untrained = untrained_health(self)

    @property
    def protocol(self) -> str:
        """The measurement in words; two numbers with different protocols do not belong on one axis."""
        probe = self.recipe.probe
        words = protocol(knn_k=probe.knn_k, knn_temperature=probe.knn_temperature)
        return f"{words}{probe.plain_words}; {probe.test_split} split"

    def __call__(self) -> dict[str, float]:
        """Metrics of the encoder as it stands, by name: accuracies as fractions of one, and the health of the test
        features (`evals.health`), beside the untrained encoder's."""
        self.skipped = 0
        encoder, dtype = self.parts.trainable.encoder, self.parts.dtype
        train_x, train_y = extract(encoder, self.train_loader, self.prepare, dtype)
        test_x, test_y = extract(encoder, self.test_loader, self.prepare, dtype)
        features = Features(train_x, train_y, test_x, test_y, self.train_loader.info.num_classes)
        probe = self.recipe.probe
        return {
            **evaluate(features, knn_k=probe.knn_k, knn_temperature=probe.knn_temperature),
            **health(test_x),
            **self.untrained,
        }

    def _require_same_classes(self) -> None:
        """A probe fitted on one numbering of the classes and scored on another would be wrong without a word."""
        train, test = self.train_loader.info, self.test_loader.info
        if (train.num_classes, train.class_names) != (test.num_classes, test.class_names):
            raise InputError(
                f"dataset={self.recipe.data.dataset} has {train.num_classes} classes in train and {test.num_classes} "
                f"in {self.recipe.probe.test_split}, or other names; write both splits from one copy"
            )

    def close(self) -> None:
        self.train_loader.close()
        self.test_loader.close()

    def prepare(self, batch: Batch) -> Tensor:
        """The plain view of a batch, normalised, on the run's device; counts the images that it did without."""
        self.skipped += batch.skipped
        return make_views(batch, (self.spec,), self.parts.probe_backend, seed=0, epoch=0, dtype=torch.float32)[0]

    def _open(self, split: str) -> Loader:
        data = self.recipe.data
        return open_loader(
            self.parts.facts["loader"],
            data.dataset,
            split,
            batch_size=EVAL_BATCH,
            order="sequential",
            holdout=data.holdout if split in ("train", "val") else 0.0,
            subset_seed=data.subset_seed,
            drop_last=False,
            num_workers=data.workers,
            device=str(self.parts.device),
            views=Drawer((self.spec,), seed=0),
            on_error=data.on_error,
        )
