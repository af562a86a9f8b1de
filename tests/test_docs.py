"""What the documents claim is what the records and the code say."""

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastssl.cli import COMMANDS
from fastssl.methods import METHODS
from fastssl.recipes import RECIPES
from fastssl.telemetry.records import read_records

ROOT = Path(__file__).parent.parent
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
RECORDS = sorted((ROOT / "results").glob("*/*/*.jsonl"))


def test_tables_of_the_documents_are_those_of_the_records():
    done = subprocess.run([sys.executable, ROOT / "tools" / "plots.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_there_are_committed_records():
    assert RECORDS


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_committed_records_are_valid_and_of_committed_code(path):
    records = read_records([path])
    assert records
    assert all(record["code"]["commit"] and not record["code"]["dirty"] for record in records)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_and_named_files_exist(document):
    text = document.read_text()
    targets = [t for t in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in t]
    missing = [t for t in targets if not (document.parent / t).exists()]
    assert missing == []


def test_commands_in_the_readme_exist():
    text = (ROOT / "README.md").read_text()
    named = set(re.findall(r"^fastssl (\w+)", text, re.MULTILINE))
    assert named
    assert named <= set(COMMANDS)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_recipes_named_in_a_command_exist(document):
    named = re.findall(r"fastssl train ([a-z][a-z0-9-]+)", document.read_text())
    assert set(named) <= set(RECIPES)


def page(kind: str) -> str:
    return (ROOT / "docs" / "methods" / f"{kind}.md").read_text()


def test_every_method_has_a_page_and_every_page_a_method():
    pages = {path.stem for path in (ROOT / "docs" / "methods").glob("*.md")} - {"README"}
    assert pages == set(METHODS)


@pytest.mark.parametrize("kind", METHODS)
def test_page_of_a_method_has_its_parts_and_its_generated_tables(kind):
    text = page(kind)
    parts = re.findall(r"^(?:## .*|\*\*\w+\.\*\*)", text, re.MULTILINE)
    assert parts == ["**Idea.**", "**Equation.**", "## Recipes", "## Cost", "## Known results", "## Our results",
                     "## Traps"]  # fmt: skip
    assert all(f"| `{name}` |" in text for name, make in RECIPES.items() if make().method.kind == kind)
    for table in (f"recipes {kind}", f"method {kind}"):
        assert text.count(f"<!-- table: {table} -->") == text.count(f"<!-- end: {table} -->") == 1, table


@pytest.mark.parametrize("kind", METHODS)
def test_settings_on_a_page_are_fields_with_these_defaults(kind):
    defaults = {field.name: repr(field.default) for field in dataclasses.fields(METHODS[kind])}
    _, header, rows = page(kind).partition("| setting | default | why |\n")
    named = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", rows.split("\n\n")[0], re.MULTILINE))
    assert bool(named) == bool(header) == (set(defaults) != {"kind"})
    assert named == {name: defaults[name] for name in named}
