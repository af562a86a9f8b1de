"""solo-learn's way, rebuilt on torchvision: its wheel pins a torch of 2021, so it cannot run beside the others."""

from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder

from benchmarks.load.contestant import Task
from benchmarks.load.iterated import Iterated
from benchmarks.load.workers import pil_view


class _Crops:
    """As its FullTransformPipeline of NCropAugmentations: a list of views of one PIL image."""

    def __init__(self, task: Task) -> None:
        self.changes = [pil_view(spec) for spec in task.specs]

    def __call__(self, image):
        return [change(image) for change in self.changes]


class _WithIndex(ImageFolder):
    def __getitem__(self, index: int):
        return index, *super().__getitem__(index)


def open_contestant(name: str, task: Task) -> Iterated:
    loader = DataLoader(
        _WithIndex(str(task.stored.folder), transform=_Crops(task)), batch_size=task.batch, shuffle=True,
        drop_last=True, num_workers=task.threads, persistent_workers=True, prefetch_factor=2,
    )  # fmt: skip

    def batches(epoch: int):
        for _, views, labels in loader:
            yield views, labels

    regime = (
        "as solo-learn's pretraining data: ImageFolder with the index, one crop pipeline per view on PIL images "
        "(RandomResizedCrop, RandomHorizontalFlip, PILToTensor), DataLoader, four batches ahead; rebuilt, not run"
    )
    return Iterated(task, regime, batches, antialiased=True)
