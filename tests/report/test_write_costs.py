"""Writers: seconds and megabytes per 10,000 images."""

import pytest
from test_loader_tables import CODE, SOFTWARE, timing

from fastssl.errors import InputError
from fastssl.report.write_costs import load_writes, write_tables


def written(contestant, ms, *, keeps=True, outcome="ok", reason=""):
    record = timing(contestant, ms, outcome=outcome, reason=reason)
    metrics = {"bytes_per_image": 50_000.0} if outcome == "ok" else {}
    return {**record, "suite": "write", "scope": ["write"], "case": {**record["case"], "keeps_bytes": keeps},
            "metrics": metrics, "software": SOFTWARE, "code": CODE}  # fmt: skip


CAMPAIGN = [
    written("beton", 2.0),
    written("webdataset", 0.4),
    written("ffcv", 8.0, keeps=False),
    written("copy", 0.1),
    written("litdata", 0, outcome="wrong", reason="12 of 1024 images are not there"),
]


def test_times_are_of_ten_thousand_images_and_losses_stand_with_wins(write):
    (table,) = write_tables(load_writes([write(CAMPAIGN)]))
    names = ["files appended to one file (ceiling)", "WebDataset", "ours: beton, bytes kept"]
    assert [row[0] for row in table.rows[:4]] == [*names, "FFCV's writer, encodes again"]
    assert table.rows[2][1:] == ("10.0 (10.0 to 10.0)", "20.0 (20.0 to 20.0)", "", "500")
    assert table.rows[1][3] == "0.20 times (0.20 to 0.20)"
    assert table.rows[4][0].startswith("LitData: wrong (12 of 1024")


def test_records_of_another_suite_are_refused(write, fake):
    with pytest.raises(InputError, match="hold no writers"):
        load_writes([write(fake.run("simclr"))])
