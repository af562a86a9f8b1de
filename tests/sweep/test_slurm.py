"""A sweep as a Slurm array, as far as a machine without Slurm can tell: what is asked for, and that tasks run."""

import sys

import pytest
from tiny_runs import tiny

from fastssl.errors import InputError
from fastssl.sweep import slurm


def test_array_without_submitit_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(slurm.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="needs submitit"):
        slurm.submit([tiny()], tmp_path, tmp_path, minutes=1, at_once=1)


def test_tasks_of_an_array_train(tiny_dataset, tmp_path):
    pytest.importorskip("submitit")
    recipes = [tiny(epochs=1), tiny(epochs=1, seed=1)]
    jobs = slurm.submit(recipes, tmp_path / "runs", tmp_path / "slurm", minutes=5, at_once=2, gpus=0, cores=1,
                        cluster="debug")  # fmt: skip
    results = [job.result() for job in jobs]
    assert len({result["run"] for result in results}) == 2
    assert all((tmp_path / "runs" / result["run"] / "finished").is_file() for result in results)


def test_script_asks_for_one_array_of_so_many_at_a_time(tmp_path, monkeypatch):
    submitit = pytest.importorskip("submitit")
    folder, asked = tmp_path / "slurm", tmp_path / "asked.txt"
    sbatch = tmp_path / "bin" / "sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(f"#!{sys.executable}\nimport sys\nopen({str(asked)!r}, 'w').write(open(sys.argv[-1]).read())\n"
                      "print('Submitted batch job 77')\n")  # fmt: skip
    sbatch.chmod(0o755)
    (sbatch.parent / "srun").symlink_to(sbatch)
    monkeypatch.setenv("PATH", f"{sbatch.parent}:/usr/bin:/bin")
    assert submitit
    jobs = slurm.submit([tiny(), tiny(seed=1), tiny(seed=2)], tmp_path / "runs", folder, minutes=90, at_once=2,
                        gpus=1, cores=6, partition="small")  # fmt: skip
    assert [job.job_id for job in jobs] == ["77_0", "77_1", "77_2"]
    script = asked.read_text()
    for line in ("--array=0-2%2", "--cpus-per-task=6", "--gpus-per-node=1", "--partition=small", "--time=90"):
        assert f"#SBATCH {line}" in script
