"""What the page is made of: groups that are never mixed, names that stay text, bytes that repeat."""

import json
import re

import pytest

from fastssl.cli import main
from fastssl.report.page import write_page
from fastssl.report.page.data import page_data


def embedded(path):
    return json.loads(re.search(r'id="data">(.*?)</script>', path.read_text(), re.DOTALL).group(1))


def test_same_records_same_bytes_and_nothing_from_elsewhere(write, fake, tmp_path):
    path = write(fake.campaign(seeds=2))
    for name in ("a", "b"):
        write_page([path], tmp_path / f"{name}.html")
    text = (tmp_path / "a.html").read_text()
    assert text == (tmp_path / "b.html").read_text()
    assert not re.search(r"(?:src|href)=[\"']?(?!data:)\w", text.replace("src: run.sheet", ""))
    assert "default-src 'none'" in text
    assert "@@" not in text


def test_other_protocols_devices_and_contents_are_other_groups(write, fake):
    records = [*fake.run("simclr"), *fake.run("simclr", 1, case={"protocol": "another"})]
    other = fake.run("simclr", 2, dataset={"id": "demo", "fingerprint": "ffff"})
    groups = page_data([write([*records, *other])])["groups"]
    assert len(groups) == 3
    assert all(len(arm["runs"]) == 1 for group in groups for arm in group["arms"])


def test_names_cannot_break_out(write, fake, tmp_path):
    hostile = "</script><script>alert(1)</script><!--"
    path = write(fake.run("simclr", case={"run": hostile, "name": hostile}))
    write_page([path], tmp_path / "p.html")
    assert (tmp_path / "p.html").read_text().count("<script") == 2
    assert embedded(tmp_path / "p.html")["groups"][0]["arms"][0]["runs"][0]["run"] == hostile


def test_arms_carry_what_tells_them_apart(write, fake):
    records = [*fake.run("simclr"), *fake.run("barlow_twins", recipe={"views": 4})]
    (group,) = page_data([write(records)])["groups"]
    assert {arm["name"]: arm["differs"].get("views") for arm in group["arms"]} == {"SimCLR": "2", "Barlow Twins": "4"}
    assert "views" not in group["shared"]


@pytest.mark.parametrize(
    ("arguments", "needle"), [(["nothing"], "does not exist"), (["--out", "page.txt"], "ends in .html")]
)
def test_bad_input_is_one_line(write, fake, tmp_path, monkeypatch, capsys, arguments, needle):
    monkeypatch.chdir(tmp_path)
    path = write(fake.run("simclr"))
    given = arguments if arguments[0] == "nothing" else [str(path), *arguments]
    assert main(["report", "page", *given]) == 1
    assert needle in capsys.readouterr().err


def test_cards_carry_the_last_look_of_each_kind(write, fake, tmp_path):
    path = write(fake.run("simclr"))
    case = {**fake.point("simclr")["case"], "weights": "trained", "weights_hash": "ab", "layer": "encoder", "views": 0,
            "kind": "ridge", "dataset": "demo", "transfer": False}  # fmt: skip
    for accuracy in (0.5, 0.6):
        look = fake.point("simclr", metrics={"ridge": accuracy, "ridge_se": 0.01})
        kept = {name: look["metrics"][name] for name in ("ridge", "ridge_se")}
        with path.open("a") as handle:
            handle.write(
                json.dumps({**look, "suite": "probe", "case": case, "metrics": kept, "id": f"{accuracy}"}) + "\n"
            )
    (group,) = page_data([path])["groups"]
    (probe,) = group["arms"][0]["runs"][0]["probes"]
    assert probe["rows"] == [("ridge", 0.6, 0.01)]
