"""Rules of the house that a reader would otherwise have to remember."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted((ROOT / "fastssl").rglob("*.py"))


def code_of(path: Path) -> str:
    """The file without comments and docstrings' prose about what it does not do."""
    text = re.sub(r'"""(?:.|\n)*?"""', "", path.read_text())
    return re.sub(r"#.*", "", text)


def test_randomness_has_one_home():
    pattern = re.compile(r"\b(?:torch|np|numpy|random)\.(?:random|rand|randn|randint|randperm|normal|multinomial)\b")
    guilty = [str(p.relative_to(ROOT)) for p in SOURCES if pattern.search(code_of(p))]
    assert guilty == []


@pytest.mark.parametrize("room", ["methods", "optim", "augment"])
def test_the_training_line_never_waits_for_the_device(room):
    pattern = re.compile(r"\.(?:item|cpu|tolist)\(\)")
    offline = {"sheet.py"}  # draws pictures, outside the line
    guilty = [p.name for p in SOURCES if p.parent.name == room and p.name not in offline and pattern.search(code_of(p))]
    assert guilty == []


def test_no_file_has_outgrown_its_room():
    assert [f"{p.name} {n}" for p in SOURCES if (n := len(p.read_text().splitlines())) > 400] == []


def test_tracked_files_name_no_machine_path():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:  # an sdist has no repository; its files are those in the tree
        names = [str(p.relative_to(ROOT)) for p in SOURCES]
    else:
        names = listed.stdout.split()
    pattern = re.compile(r"(?:^|[\s\"'(=])/(?:home|root|work|Users)/\w")
    paths = [ROOT / name for name in names if name != "tests/test_house.py" and (ROOT / name).is_file()]
    assert [path.name for path in paths if pattern.search(path.read_text(errors="ignore"))] == []
