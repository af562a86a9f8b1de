"""Same work, checked before any clock runs: what a loader's batches must be, whoever made them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from benchmarks.contract import NUM_PROBES, PROBE_SIZE, ramp_breaches
from benchmarks.load.contestant import Contestant, Delivered, Task
from fastssl.data.beton import BetonFile
from fastssl.views import ViewSpec

PROBE_BATCH = 64
NUM_COMPARED = 24
"""Images of the first batch whose views are compared with torchvision's."""
ONE_LEVEL, ROUGHLY = 1.01, 8.0
"""Of 255: how far a view may be from torchvision's antialiased one, and the mean of an eighth of the side of one of 224
px if it is not antialiased."""
FLAT = 2
"""Levels between a view's darkest and brightest value, below which it shows nothing: a failed decode, as zeros."""
MOST_FLAT = 0.02
"""Share of the views of a batch that may: a small crop of a white background is honest. Of the ramps, none is flat."""


def epoch_breaches(opened: Contestant, task: Task) -> list[str]:
    """What is wrong with two blocks of batches of the case's own set, a line each; empty when nothing is."""
    beton, served, orders = BetonFile(task.stored.beton), _Served(), []
    for block in range(2):  # what is wrong with the second shows only beside the first
        labels: list[int] = []
        for number, batch in enumerate(opened.block(block)):
            wrong = list(_shape_breaches(batch, task))
            wrong = wrong or list(_flat_breaches(batch)) + list(_label_breaches(batch, beton))
            if not wrong and number == block == 0 and batch.crops is not None:
                wrong = list(_view_breaches(batch, beton, opened.antialiased))
            if wrong := wrong or list(served.breaches(batch)):
                return [f"batch {number}: {line}" for line in wrong]
            labels += np.asarray(batch.labels).tolist()
        if wrong := list(_census_breaches(labels, beton, task)):
            return wrong
        orders.append(labels)
    return list(_order_breaches(orders, beton))


class _Served:
    """Remembers the views of earlier batches: one that comes again was kept, not made."""

    def __init__(self) -> None:
        self.known: set[bytes] = set()

    def breaches(self, batch: Delivered) -> Iterator[str]:
        for v, view in enumerate(batch.views):
            pixels = torch.as_tensor(view).flatten(1).numpy()
            prints = [blake2b(row.tobytes(), digest_size=16).digest() for row in pixels]
            again = sum(one in self.known for one in prints)
            self.known.update(prints)
            if again > MOST_FLAT * len(prints):
                yield f"view {v}: {again} of {len(prints)} were served before, or as another view"


def _order_breaches(orders: list[list[int]], beton: BetonFile) -> Iterator[str]:
    """Labels tell the order well enough: of a class more than one, the chance of the same again is nil."""
    first, second = orders
    if first == beton.labels[: len(first)].tolist():
        yield "images were served in the file's order, not shuffled"
    elif first == second:
        yield "two epochs were served in one order"


def probe_task(task: Task, ramps) -> Task:
    """The same work on `ramps`, at the probes' size."""
    specs = [replace(spec, size=PROBE_SIZE) for spec in task.specs]
    different = tuple(dict.fromkeys(specs))
    again = different[:1] if len(specs) > len(different) else ()  # of views alike, two tell as much as eight
    return replace(task, stored=ramps, specs=(*again, *different), batch=PROBE_BATCH, epochs=1)


def crop_breaches(opened: Contestant, task: Task) -> list[str]:
    """What is wrong with the crops of ramps: boxes and flips against torchvision's distribution, image beside label."""
    batches = list(_copies(opened.block(0)))
    labels = torch.cat([batch.labels for batch in batches])
    if len(labels) != NUM_PROBES:
        return [f"{len(labels)} of {NUM_PROBES} ramps were served"]
    wrong: list[str] = []
    views = [torch.cat([channels_last(batch.views[v]) for batch in batches]) for v in range(len(task.specs))]
    for v, (view, spec) in enumerate(zip(views, task.specs)):
        if spec not in task.specs[:v]:
            wrong += [f"view {v}: {line}" for line in ramp_breaches(view.permute(0, 3, 1, 2) / 255, labels, spec)]
        elif torch.equal(view, views[task.specs.index(spec)]):
            wrong.append(f"view {v} is view {task.specs.index(spec)}: one draw served both")
    return wrong


def image_breaches(opened: Contestant, task: Task) -> list[str]:
    """What is wrong with the pixels under the crops, of a loader that decodes and leaves the views to a GPU."""
    beton = BetonFile(task.stored.beton)
    for number, batch in enumerate(opened.block(0)):
        assert batch.index is not None
        assert batch.crops is not None
        wrong = list(_label_breaches(batch, beton))
        for place in range(min(NUM_COMPARED, len(batch.index)) if number == 0 else 0):
            want = torch.from_numpy(beton.decode(int(batch.index[place]))).permute(2, 0, 1)
            for v, crops in enumerate(batch.crops):
                top, left, tall, wide = (int(edge) for edge in crops[place][:4])
                part = slice(None), slice(top, top + tall), slice(left, left + wide)
                if not torch.equal(batch.images[place][part], want[part]):
                    wrong.append(f"image {place} is not as stored under the crop of view {v}")
        if wrong:
            return [f"batch {number}: {line}" for line in wrong]
    return []


def _copies(batches: Iterator[Delivered]) -> Iterator[Delivered]:
    """Some loaders write to their buffers again."""
    for batch in batches:
        views = tuple(channels_last(view).clone() for view in batch.views)
        yield Delivered(views, torch.as_tensor(batch.labels).clone())


def channels_last(view) -> Tensor:
    """(b, s, s, 3), whichever way round it was delivered; shares memory."""
    tensor = torch.as_tensor(view)
    return tensor.permute(0, 2, 3, 1) if tensor.shape[1] == 3 else tensor


def _shape_breaches(batch: Delivered, task: Task) -> Iterator[str]:
    if len(batch.views) != len(task.specs):
        yield f"{len(batch.views)} views, not {len(task.specs)}"
        return
    for v, (view, spec) in enumerate(zip(batch.views, task.specs)):
        tensor, allowed = torch.as_tensor(view), _shapes(task.batch, spec)
        if tuple(tensor.shape) not in allowed:
            yield f"view {v}: shape {tuple(tensor.shape)}, not {allowed[0]} or {allowed[1]}"
        elif tensor.dtype != torch.uint8:
            yield f"view {v}: {tensor.dtype}, not torch.uint8"


def _shapes(batch: int, spec: ViewSpec) -> Sequence[tuple[int, ...]]:
    return (batch, spec.size, spec.size, 3), (batch, 3, spec.size, spec.size)


def _flat_breaches(batch: Delivered) -> Iterator[str]:
    for v, view in enumerate(batch.views):
        pixels = torch.as_tensor(view).flatten(1)
        flat = int((pixels.amax(1).int() - pixels.amin(1).int() < FLAT).sum())
        if flat > MOST_FLAT * len(pixels):
            yield f"view {v}: {flat} of {len(pixels)} images show nothing"


def _label_breaches(batch: Delivered, beton: BetonFile) -> Iterator[str]:
    labels = np.asarray(batch.labels)
    if batch.index is not None and not np.array_equal(labels, beton.labels[batch.index]):
        yield "labels are not those of the images served"


def _census_breaches(labels: list[int], beton: BetonFile, task: Task) -> Iterator[str]:
    """As many images of each label as the set has, per epoch; where its end does not fill a batch, no more."""
    found = np.bincount(labels, minlength=int(beton.labels.max()) + 1)
    most = np.bincount(beton.labels, minlength=len(found)) * task.epochs
    whole = len(beton) // task.batch * task.batch * task.epochs
    if len(labels) != whole:
        yield f"{len(labels)} images in a block, not {whole}"
    elif len(found) > len(most) or (found > most).any():
        yield f"labels were served {found.tolist()} times, not {most.tolist()}"


def _view_breaches(batch: Delivered, beton: BetonFile, antialiased: bool) -> Iterator[str]:
    """Views of known crops beside torchvision's of the whole decoded image."""
    assert batch.index is not None
    assert batch.crops is not None
    for place in range(min(NUM_COMPARED, len(batch.index))):
        image = torch.from_numpy(beton.decode(int(batch.index[place]))).permute(2, 0, 1)
        for v, view in enumerate(batch.views):
            got = channels_last(view)[place].permute(2, 0, 1).float()
            error = _distance(got, image, batch.crops[v][place], antialiased)
            if error > (bound := ONE_LEVEL if antialiased else roughly(got.shape[1])):
                yield f"view {v} of image {place}: {error:.1f} levels from torchvision's, not within {bound:.3g}"


def roughly(side: int) -> float:
    """Levels by which the mean of an eighth of the side may be off without antialias: of a smaller view it is the mean
    of fewer samples, so it strays further."""
    return ROUGHLY * min(2.5, max(1.0, 224 / side))


def _distance(got: Tensor, image: Tensor, crop: np.ndarray, antialiased: bool) -> float:
    top, left, tall, wide, flip = (int(number) for number in crop[:5])
    want = functional.resized_crop(image.float(), top, left, tall, wide, list(got.shape[1:]), antialias=True)
    difference = got - (want.flip(2) if flip else want)
    if not antialiased:
        difference = torch.nn.functional.adaptive_avg_pool2d(difference, 8)
    return float(difference.abs().max())
