"""What the documents claim is what the records and the code say."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fastssl.cli import COMMANDS
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
    assert set(re.findall(r"fastssl train ([a-z][a-z0-9-]+)", text)) <= set(RECIPES)
