"""stable-pretraining as its users run it: its transforms on samples that are dictionaries, torch's DataLoader."""

from stable_pretraining.data import transforms
from torch.utils.data import DataLoader, Dataset
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks.load.contestant import Task
from benchmarks.load.iterated import Iterated
from fastssl.views import ViewSpec


class _Samples(Dataset):
    def __init__(self, task: Task) -> None:
        self.files = ImageFolder(str(task.stored.folder))
        self.change = transforms.MultiViewTransform([_view(spec) for spec in task.specs])

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int):
        image, label = self.files[index]
        return self.change({"image": image, "label": label})


def _view(spec: ViewSpec):
    return transforms.Compose(
        transforms.RandomResizedCrop((spec.size, spec.size), scale=spec.crop_scale, ratio=spec.crop_ratio),
        transforms.RandomHorizontalFlip(p=spec.flip_p),
        transforms.WrapTorchTransform(v2.PILToTensor()),
    )


def open_contestant(name: str, task: Task) -> Iterated:
    loader = DataLoader(
        _Samples(task), batch_size=task.batch, shuffle=True, drop_last=True, num_workers=task.threads,
        persistent_workers=True, prefetch_factor=2,
    )  # fmt: skip

    def batches(epoch: int):
        for batch in loader:
            views = batch["views"] if isinstance(batch, dict) else batch
            yield [view["image"] for view in views], views[0]["label"]

    regime = (
        "MultiViewTransform of its RandomResizedCrop and RandomHorizontalFlip on PIL images in dictionaries, "
        "PILToTensor; DataLoader, four batches ahead"
    )
    return Iterated(task, regime, batches, antialiased=True)
