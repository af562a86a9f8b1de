"""The leaderboard: a miss counts, harder targets come first."""

from fastssl.report.speedruns import leaderboard


def record(name, seed, ridge, seconds, final=True):
    recipe = {"views": 2, "spec": {"size": 24}, "batch_size": 128, "epochs": 2,
              "method": {"kind": "simclr"}, "model": {"arch": "nano"}}  # fmt: skip
    return {
        "case": {"name": name, "seed": seed, "final": final, "recipe": recipe},
        "clock": {"train_s": seconds, "data_s": 1.0},
        "metrics": {"ridge": ridge},
        "device": {"kind": "cpu", "name": "Chip"},
        "host": {"cores": 2},
        "code": {"commit": "abcdef0123"},
    }


def test_rows_hold_all_that_is_needed_to_run_them_again():
    records = [
        *(record("cifar10-speedrun-cpu-50", seed, r, 20.0) for seed, r in enumerate((0.51, 0.499, 0.52))),
        *(record("cifar10-speedrun-cpu-60", seed, r, 120.0) for seed, r in enumerate((0.61, 0.61, 0.61))),
        record("cifar10-speedrun-cpu-50", 0, 0.9, 1.0, final=False),
        record("cifar10-simclr", 0, 0.9, 1.0),
    ]
    lines = leaderboard(records).splitlines()[2:]
    assert [line.split(" | ")[0] for line in lines] == ["| 60", "| 50"]
    assert "| 2 of 3 |" in lines[1]
    assert "| 21.0 |" in lines[1]
    assert "abcdef0" in lines[1]
    assert "`fastssl speedrun cifar10 --target 50 --on cpu`" in lines[1]


def test_no_records_no_table():
    assert leaderboard([]) == ""
