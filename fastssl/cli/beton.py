"""Write, inspect, verify and export .beton dataset files."""

from collections.abc import Sequence
from dataclasses import dataclass, field, make_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import tyro

from fastssl.cli.console import Console
from fastssl.data.beton import BetonFile
from fastssl.data.cards import card_names
from fastssl.data.dataset import default_options, write_dataset
from fastssl.data.export import export_folder
from fastssl.data.inspect import contact_sheet, inspect_beton, verify_beton
from fastssl.data.options import WriteOptions

EXAMPLE = "fastssl beton write folder --archive images.tar.zst --split train --out images-train.beton"

BetonPath = Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE")]


@dataclass(frozen=True)
class Write:
    """Write a dataset's betons. NAME is a card in datasets/ (demo, cifar10, imagenet, ...) or a kind of storage:
    folder, webdataset, numpy. Options not given are those of the card.

    Example: fastssl beton write cifar10 --archive cifar10.tar.zst
    """

    name: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="NAME")]
    root: Path | None = None
    """Folder to read: class folders, <split>/<class>/<image>, or where torchvision keeps its copy."""
    archive: Path | None = None
    """.tar, .tar.gz, .tar.zst or .zip to read without unpacking it (webdataset: a shard, or a pattern of shards)."""
    split: str | None = None
    """Only this split: train, val, test, unlabeled."""
    out: Path | None = None
    """The file to write, when it is one; else NAME-SPLIT.beton below datasets/betons ($FASTSSL_BETONS)."""
    storage: WriteOptions = field(default_factory=WriteOptions)

    def run(self, console: Console) -> dict[str, Any]:
        with console.progress(f"writing {self.name}", "images") as update:
            results = write_dataset(
                self.name,
                self.storage,
                root=self.root,
                archive=self.archive,
                split=self.split,
                out=self.out,
                progress=update,
            )
        for result in results:
            console.say(
                f"wrote {result['path']}: {result['samples']:,} images, {result['bytes'] / 1e6:,.1f} MB, "
                f"{result['seconds']:.1f} s, fingerprint {result['fingerprint'][:12]}"
            )
            for warning in result["warnings"]:
                console.error(f"warning: {warning}")
        total = {key: sum(result[key] for result in results) for key in ("samples", "bytes", "seconds")}
        return {**total, "fingerprint": results[0]["fingerprint"], "files": results}


@dataclass(frozen=True)
class Inspect:
    """Header, fields, sizes, class counts and sidecar of a beton; refuses a truncated or foreign file.

    Example: fastssl beton inspect datasets/betons/demo-train.beton --sheet sheet.png
    """

    file: BetonPath
    sheet: Path | None = None
    """Also draw a contact sheet (PNG) here."""

    def run(self, console: Console) -> dict[str, Any]:
        facts = inspect_beton(self.file)
        console.table(("what", "value"), [(name, _shown(value)) for name, value in facts.items()])
        _draw(self.file, self.sheet, console)
        return facts


@dataclass(frozen=True)
class Verify:
    """Decode every sample, check the structure, and compare the fingerprint with the sidecar's.

    Example: fastssl beton verify datasets/betons/demo-train.beton
    """

    file: BetonPath
    sheet: Path | None = None
    """Also draw a contact sheet (PNG) here."""

    def run(self, console: Console) -> dict[str, Any]:
        with console.progress(f"verifying {self.file.name}", "images") as update:
            facts = verify_beton(self.file, progress=update)
        console.say(
            f"{self.file}: {facts['samples']:,} samples decode, "
            f"fingerprint {facts['fingerprint'][:12]} compared with {facts['compared']}"
        )
        _draw(self.file, self.sheet, console)
        return facts


@dataclass(frozen=True)
class Export:
    """Unpack a beton into class folders of images, for other programs to read.

    Example: fastssl beton export datasets/betons/demo-train.beton demo-images
    """

    file: BetonPath
    out: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]

    def run(self, console: Console) -> dict[str, Any]:
        with console.progress(f"exporting {self.file.name}", "images") as update:
            export_folder(BetonFile(self.file), self.out, progress=update)
        console.say(f"wrote {self.out}")
        return {"out": str(self.out)}


def command_for(arguments: Sequence[str]) -> type:
    """`Command`, its write options those of the dataset that `arguments` name, so that help shows what will happen."""
    options = WriteOptions()
    names = [a for before, a in pairwise(arguments) if a in card_names() and not before.startswith("--")]
    if arguments[:1] == ["write"] and names:
        options = default_options(names[0])
    write = make_dataclass("Write", [("storage", WriteOptions, field(default=options))], bases=(Write,), frozen=True)
    write.__doc__ = Write.__doc__
    return make_dataclass("Command", [("action", write | Inspect | Verify | Export)], bases=(_Command,), frozen=True)


class _Command:
    action: Any

    def run(self, console: Console) -> dict[str, Any]:
        return self.action.run(console)


def _draw(beton: Path, sheet: Path | None, console: Console) -> None:
    if sheet is not None:
        contact_sheet(beton, sheet)
        console.say(f"wrote {sheet}")


def _shown(value: Any) -> str:
    """One cell: a long list by its beginning."""
    text = ", ".join(f"{k} {_shown(v)}" for k, v in value.items()) if isinstance(value, dict) else str(value)
    return text if len(text) <= 200 else text[:197] + "..."
