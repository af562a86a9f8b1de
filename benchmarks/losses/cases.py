"""What is measured: which loss, on how many views of how many embeddings of which width."""

from dataclasses import dataclass

LOSSES = ("simclr", "spectral", "barlow_twins", "vicreg", "byol", "simsiam", "dino", "swav", "cissl", "dissl", "diet")
BATCH = 512
DIMS = (128, 512, 2048, 8192)
VIEWS = (2, 4, 8)
WIDEST_ON_CPU = 8192
"""At this width a CPU is asked for two views alone: on one core, eight take a peer a minute and a half per call."""
ROWS = (50_000, 1_281_167)
"""Images of CIFAR-10 and of ImageNet: the rows of DIET's head."""
DIET_DIM = 512
"""Width of a ResNet-18's representation."""
NARROW = 128
"""The same where 512 would take a CPU minutes."""
QUICK = {"cpu": {"batch": 128, "dim": 128}, "cuda": {"batch": 512, "dim": 512}}


@dataclass(frozen=True)
class Case:
    loss: str
    dim: int
    views: int
    batch: int = BATCH
    rows: int = 0
    """DIET: rows of the head."""
    device: str = "cpu"

    @property
    def group(self) -> str:
        """Cases of one group take turns: they differ in the number of views alone."""
        return f"{self.loss}-n{self.rows}-d{self.dim}" if self.rows else f"{self.loss}-d{self.dim}"

    @property
    def name(self) -> str:
        return self.group if self.rows else f"{self.group}-a{self.views}"


def cases(device: str, quick: bool) -> list[Case]:
    """Every case, in the order of a campaign."""
    of_each = [_diet(device, quick) if loss == "diet" else _views(loss, device, quick) for loss in LOSSES]
    return [case for found in of_each for case in found]


def _views(loss: str, device: str, quick: bool) -> list[Case]:
    if quick:
        return [Case(loss, views=views, device=device, **QUICK[device]) for views in (2, 8)]
    found = [Case(loss, dim, views, device=device) for dim in DIMS for views in VIEWS]
    return [case for case in found if device != "cpu" or case.dim < WIDEST_ON_CPU or case.views == 2]


def _diet(device: str, quick: bool) -> list[Case]:
    if quick:
        return [Case("diet", views=1, rows=ROWS[0], device=device, **QUICK[device])]
    dims = (DIET_DIM, NARROW if device == "cpu" else DIET_DIM)
    return [Case("diet", dim, 1, rows=rows, device=device) for rows, dim in zip(ROWS, dims, strict=True)]
