"""Which samples of a file are served, and under which labels: by position, the file stays as it is."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64, UInt64

from fastssl.data.draws import HELD_OUT, JPG, NOISE, NOISY, SUBSET, draw_bits
from fastssl.data.options import WriteOptions
from fastssl.errors import InputError
from fastssl.kernels.philox import uniform


@dataclass(frozen=True, kw_only=True)
class Subset:
    """A choice among the samples of one file, in this order: held-out part, list of positions, class-balanced share.

    The held-out part depends on labels, `holdout` and `seed` alone, so no `fraction` or list ever reaches into it. The
    samples that stay keep their order and are counted 0, 1, 2, ... anew.
    """

    holdout: float = 0.0
    """Class-balanced share of the file held out for validation, in [0, 1)."""
    held_out: bool = False
    """Serve the held-out part instead of the rest."""
    indices: str = ""
    """A .npy or .txt file of positions in the beton: serve these alone, as far as `holdout` leaves them."""
    fraction: float = 1.0
    """Class-balanced share of what is left, in (0, 1]; for one seed a smaller share is part of a larger one."""
    label_noise: float = 0.0
    """Share of all labels of the file replaced by another class, in [0, 1]."""
    seed: int = 0
    """Decides held-out part, fraction and label noise."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.holdout < 1.0:
            raise InputError(f"holdout={self.holdout} is not a share of the samples; give a number in [0, 1)")
        if self.held_out and not self.holdout:
            raise InputError("holdout=0.0 holds nothing out that could be served; give a share above 0")
        if not 0.0 < self.fraction <= 1.0:
            raise InputError(f"fraction={self.fraction} is not a share of the samples; give a number in (0, 1]")
        if not 0.0 <= self.label_noise <= 1.0:
            raise InputError(f"label_noise={self.label_noise} is not a share of the labels; give a number from 0 to 1")

    def positions(self, labels: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "m"]:
        """Increasing positions of the samples chosen among those with these labels.

        Errors: `InputError` for a list that cannot be read or does not fit the file, and when nothing is left.
        """
        kept = np.arange(len(labels), dtype=np.int64)
        if self.holdout:
            held_out = held_out_indices(labels, self.holdout, self.seed, "holdout")
            kept = held_out if self.held_out else np.setdiff1d(kept, held_out)
        if self.indices:
            kept = np.intersect1d(kept, load_indices(self.indices, len(labels)))
            if len(kept) == 0:
                raise InputError(f"indices={self.indices} lists no sample of the part that is served; give others")
        return kept[subset_indices(labels[kept], self.fraction, self.seed)]

    def served_labels(self, labels: Int64[np.ndarray, "n"], num_classes: int) -> Int64[np.ndarray, "n"]:
        """The labels of the whole file with the noise in them: one sample's does not depend on the rest of the choice.

        Errors: `InputError` when there is no other class to take, or a sample has no label.
        """
        if not self.label_noise:
            return labels
        if num_classes < 2 or np.min(labels, initial=0) < 0:
            raise InputError(f"label_noise={self.label_noise} needs two classes and a label on each sample; leave it 0")
        noisy = noisy_indices(len(labels), self.label_noise, self.seed)
        word = draw_bits(self.seed, 0, noisy, NOISE) >> np.uint64(32)
        step = 1 + ((word * np.uint64(num_classes - 1)) >> np.uint64(32)).astype(np.int64)
        changed = labels.copy()
        changed[noisy] = (labels[noisy] + step) % num_classes
        return changed


def noisy_indices(num_samples: int, share: float, seed: int) -> Int64[np.ndarray, "m"]:
    """Sorted positions of the labels that noise replaces; for one seed a smaller share is part of a larger one."""
    bits = draw_bits(seed, 0, np.arange(num_samples, dtype=np.int64), NOISY)
    return np.sort(np.argsort(bits, kind="stable")[: int(np.floor(share * num_samples + 0.5))]).astype(np.int64)


def load_indices(path: str | Path, num_samples: int) -> Int64[np.ndarray, "m"]:
    """Sorted positions from a .npy file (one row of integers) or a .txt file (one integer per line, # comments).

    Errors: `InputError` for a file that is missing or holds anything else, and for a position that occurs twice or is
    none of 0..num_samples-1.
    """
    path = Path(path)
    if path.suffix not in (".npy", ".txt"):
        raise InputError(f"indices={path} is neither a .npy nor a .txt file; give one of positions")
    try:
        found = np.load(path, allow_pickle=False) if path.suffix == ".npy" else _load_lines(path)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"indices={path} cannot be read ({reason}); give a list of integers") from error
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer) or len(found) == 0:
        raise InputError(f"indices={path} holds {found.dtype} of shape {found.shape}; give one row of integers")
    outside = found[(found < 0) | (found >= num_samples)]
    if len(outside):
        raise InputError(f"indices={path} lists {outside[0]}; the file's samples are 0 to {num_samples - 1}")
    listed, counts = np.unique(found.astype(np.int64), return_counts=True)
    if (counts > 1).any():
        raise InputError(f"indices={path} lists {listed[counts > 1][0]} twice; give each position once")
    return listed


def _load_lines(path: Path) -> Int64[np.ndarray, "m"]:
    lines = (line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines())
    return np.array([int(line) for line in lines if line], dtype=np.int64)


def subset_indices(labels: Int64[np.ndarray, "n"], fraction: float, seed: int = 0) -> Int64[np.ndarray, "m"]:
    """Sorted positions of a class-balanced share of the samples: of each class, its share rounded to the nearest.

    For one seed the subsets are nested: the samples of a smaller fraction are all in a larger one. A class that
    would be left without a sample raises `InputError`.
    """
    if not 0.0 < fraction <= 1.0:
        raise InputError(f"fraction={fraction} is not a share of the samples; give a number above 0, at most 1")
    labels = np.asarray(labels)
    bits = draw_bits(seed, 0, np.arange(len(labels), dtype=np.int64), SUBSET)
    classes, counts = np.unique(labels, return_counts=True)
    num_kept = np.floor(fraction * counts + 0.5).astype(np.int64)
    for label, count in zip(classes[num_kept < 1], counts[num_kept < 1]):
        raise InputError(
            f"fraction={fraction} keeps none of the {count} samples of class {label}; give at least {1 / count:.2g}"
        )
    return _first_per_class(labels, num_kept, bits)


def held_out_indices(
    labels: Int64[np.ndarray, "n"], amount: float, seed: int, field: str = "val"
) -> Int64[np.ndarray, "m"]:
    """Sorted positions of the validation samples: `amount` below 1 is a share, else a number.

    Every class gives in proportion; what rounding leaves over goes to the classes with the largest remainders. Raises
    `InputError`, naming `field`, when nothing, or nothing else, would be left.
    """
    wanted = round(amount * len(labels)) if amount < 1 else int(amount)
    if not 0 < wanted < len(labels):
        raise InputError(f"{field}={amount} holds out {wanted} of {len(labels)} samples; give some and leave some")
    shares = np.unique(labels, return_counts=True)[1] * (wanted / len(labels))
    taken = np.floor(shares).astype(np.int64)
    remainders_first = np.argsort(taken - shares, kind="stable")
    taken[remainders_first[: wanted - int(taken.sum())]] += 1
    bits = draw_bits(seed, 0, np.arange(len(labels), dtype=np.int64), HELD_OUT)
    return _first_per_class(labels, taken, bits)


def choose_jpg(num_samples: int, options: WriteOptions) -> Bool[np.ndarray, "n"]:
    """Which samples a writer stores as JPEGs."""
    if options.mode != "proportion":
        return np.full(num_samples, options.mode == "jpg")
    bits = draw_bits(options.subset_seed, 0, np.arange(num_samples, dtype=np.int64), JPG)
    return np.asarray(uniform((bits >> np.uint64(32)).astype(np.int64))) < options.jpg_proportion


def _first_per_class(
    labels: Int64[np.ndarray, "n"], counts: Int64[np.ndarray, "c"], bits: UInt64[np.ndarray, "n"]
) -> Int64[np.ndarray, "m"]:
    """Sorted positions of the `counts[k]` samples with the lowest bits of the k-th class in order of label."""
    kept = [np.empty(0, dtype=np.int64)]
    for label, count in zip(np.unique(labels), counts, strict=True):
        members = np.flatnonzero(labels == label)
        kept.append(members[np.argsort(bits[members], kind="stable")[:count]])
    return np.sort(np.concatenate(kept)).astype(np.int64)
