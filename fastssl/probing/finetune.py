"""Fine-tuning: the whole encoder of a run trained on with labels, and scored on the test split.

A linear head on the encoder, cross-entropy, AdamW at one rate for both with half a cosine down to 0, crops of 35 % to
all of the image and flips; the last epoch is what is scored, through one plain view. Deterministic on a CPU for a seed.
"""

import copy
import dataclasses
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import torch

from fastssl.augment import Drawer, make_views
from fastssl.data.open import open_loader
from fastssl.errors import InputError
from fastssl.evals.features import standard_error
from fastssl.kernels.seeding import seeded
from fastssl.methods.supervised import SupervisedConfig
from fastssl.optim import OptimConfig, set_lr
from fastssl.probing.passes import Look, Pass, show, specs_of
from fastssl.probing.subject import Subject
from fastssl.train.checkpoint import Trainable
from fastssl.train.setup import learn
from fastssl.views import OFF

BATCH = 128


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """How the encoder is trained on."""

    epochs: int = 10
    """Passes over the labelled images; of few labels as many more as make up `min_steps`."""
    min_steps: int = 200
    lr: float = 1e-3
    labels: float = 1.0
    """Class-balanced share of the labels, in (0, 1]."""
    seed: int = 0
    """Of head, order, views and share."""

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise InputError(f"finetune_epochs={self.epochs} trains nothing; give 1 or more")

    @property
    def protocol(self) -> str:
        return (
            f"fine-tuning of the whole encoder and a linear head on {100 * self.labels:g} % of labels, AdamW at "
            f"{self.lr:g}, {self.epochs} epochs (at least {self.min_steps} steps), crops and flips, last epoch, seed "
            f"{self.seed}; scored on a single undistorted view"
        )


def finetune(
    subject: Subject, dataset: str, how: FineTuning, progress: Callable[[int, int], None] | None = None
) -> tuple[dict[str, float], Pass]:
    """Gives `finetune` (test accuracy, 0-1), `finetune_se` and `finetune_steps`, and what it was tested on; the subject
    stays as it is.

    Errors: `InputError` for data that is missing, or a loss that is not finite.
    """
    recipe, device = subject.recipe, subject.device
    look = Look(dataset=dataset, split="train")
    plain = specs_of(subject, look)[0]
    off = {name: value for name, value in OFF.items() if name != "flip_p"}
    spec = dataclasses.replace(plain, **off, central=None, crop_scale=(0.35, 1.0), flip_p=0.5)
    drawn = dataclasses.replace(spec, mean=None, std=None)
    loader = open_loader(
        "auto",
        dataset,
        "train",
        batch_size=BATCH,
        seed=how.seed,
        fraction=how.labels,
        holdout=recipe.data.holdout if dataset == recipe.data.dataset else 0.0,
        subset_seed=how.seed,
        drop_last=False,
        num_workers=recipe.data.workers,
        device=str(device),
        views=Drawer((drawn,), seed=how.seed),
        on_error=recipe.data.on_error,
    )
    with closing(loader):
        if loader.info.num_samples < 2:
            raise InputError(f"labels={how.labels:g} leaves {loader.info.num_samples} image, of which a batch has no "
                             "statistics; give a larger share")  # fmt: skip
        encoder = copy.deepcopy(subject.encoder).requires_grad_(True)
        with seeded(how.seed):
            method = SupervisedConfig().build(encoder, subject.dim, loader.info)
        method.to(device).train()
        optim = OptimConfig(lr=how.lr, weight_decay=1e-2)
        scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "fp16")
        trainable = Trainable(method, optim.build(method), scaler)
        num_steps = max(how.epochs * len(loader), how.min_steps)
        step = epoch = 0
        loss = torch.zeros(())
        while step < num_steps:
            for batch in loader.epoch(epoch):
                if len(batch.index) < 2:  # no statistics of a batch of one
                    continue
                set_lr(trainable.optimizer, optim.lr_scale(step / num_steps))
                views = make_views(batch, (spec,), subject.backend, seed=how.seed, epoch=epoch, dtype=subject.dtype)
                loss = learn(trainable, subject.dtype, views, batch.index, batch.labels).loss
                step += 1
                if progress is not None:
                    progress(step, num_steps)
                if step == num_steps:
                    break
            epoch += 1
        if not bool(torch.isfinite(loss)):
            raise InputError(f"lr={how.lr:g} makes fine-tuning diverge; give a lower --finetune-lr")
    tuned = dataclasses.replace(subject, encoder=method.eval().encoder, projector=None)
    test = show(tuned, Look(dataset=dataset, split=recipe.probe.test_split))
    with torch.inference_mode():
        scores = method.head(test.features["encoder"][:, 0].to(device)).cpu()
    accuracy = float((scores.argmax(1) == test.labels).double().mean())
    error = standard_error(accuracy, len(test.labels))
    return {"finetune": accuracy, "finetune_se": error, "finetune_steps": float(num_steps)}, test
