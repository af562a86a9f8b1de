"""lightly as its users run it: LightlyDataset, MultiViewTransform, torch's DataLoader."""

from lightly.data import LightlyDataset
from lightly.transforms.multi_view_transform import MultiViewTransform
from torch.utils.data import DataLoader

from benchmarks.load.contestant import Task
from benchmarks.load.iterated import Iterated
from benchmarks.load.workers import pil_view


def open_contestant(name: str, task: Task) -> Iterated:
    transform = MultiViewTransform([pil_view(spec) for spec in task.specs])
    loader = DataLoader(
        LightlyDataset(str(task.stored.folder), transform=transform), batch_size=task.batch, shuffle=True,
        drop_last=True, num_workers=task.threads, persistent_workers=True, prefetch_factor=2,
    )  # fmt: skip

    def batches(epoch: int):
        for views, labels, _ in loader:
            yield views, labels

    regime = (
        "LightlyDataset and MultiViewTransform, each view RandomResizedCrop, RandomHorizontalFlip and PILToTensor on "
        "PIL images; DataLoader, four batches ahead"
    )
    return Iterated(task, regime, batches, antialiased=True)
