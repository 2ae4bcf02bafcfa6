"""The real plan on a real SLURM of one node: the same tables, GPUs, limits, a node that is lost."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from tests.checkout import Checkout, copy_checkout
from tests.cluster.slurm import GPUS, run
from tests.comparison import same_tables

pytestmark = [pytest.mark.cluster, pytest.mark.workflow, pytest.mark.timeout(1800)]

# Beside the profile only what this cluster lacks (a database) and needs not (minutes of patience).
# The GPUs are pretended, so the steps that hold one compute on the CPU.
ON_SLURM = [
    *("--workflow-profile", "profiles/slurm"),
    *("--slurm-status-command", "squeue"),
    *("--slurm-init-seconds-before-status-checks", "1"),
    *("--latency-wait", "5"),
    *("--config", "training={gpu: 1, device: cpu}"),
]
WITH_GPU = {
    "simulate_satellite",
    "train_glacier",
    "explain_glacier",
    "encode_satellite",
    "train_satellite",
    "curve_satellite_cnn",
    "train_wind",
    "save_wind",
    "learn_wind",
    "train_lecture",
}
SPLIT = "results/glacier/simulated/splits/logo.parquet"
TRAINED = "results/glacier/simulated/predictions/loyo/deep_ensemble.parquet"
TRAINING_LOG = "logs/glacier/simulated/train_loyo_deep_ensemble.log"


def submitted(output: str) -> dict[str, str]:
    """Return the rule or group of every job that was sent to SLURM, by SLURM's number."""
    pattern = r"submitted with SLURM jobid (\d+) \(log: \S+?/slurm_logs/((?:rule|group)_[^/]+)/"
    return dict(re.findall(pattern, output))


@pytest.fixture(scope="module")
def clustered(cluster, tmp_path_factory) -> tuple[Checkout, dict[str, str]]:
    """A checkout in which the default workflow has run on SLURM, and what was sent there."""
    checkout = copy_checkout(tmp_path_factory.mktemp("clustered"))
    return checkout, submitted(checkout.run(*ON_SLURM))


def test_every_job_runs_on_slurm_in_few_submissions(cluster, clustered):
    checkout, jobs = clustered
    ended = {job["JobId"]: job["JobState"] for job in cluster.completed()}
    assert {ended[number] for number in jobs} == {"COMPLETED"}
    names = set(jobs.values())
    assert {f"rule_{rule}" for rule in WITH_GPU} <= names
    for group in ("prepare", "results"):
        assert any(name.startswith(f"group_{group}_") for name in names)
    benchmarks = list((checkout.folder / "logs").rglob("*.tsv"))
    assert len(jobs) < 0.6 * len(benchmarks)
    assert not checkout.planned(*ON_SLURM)


def test_training_steps_hold_a_gpu_and_no_other_job_does(cluster, clustered):
    _, jobs = clustered
    held = {}
    for number, name in jobs.items():
        text = run("scontrol", "--details", "show", "job", number)
        held[number] = "TresPerJob=gres:gpu:1" in text
        assert held[number] == (name.removeprefix("rule_") in WITH_GPU), text
    times = [job for job in cluster.completed() if held.get(job["JobId"])]
    for one in times:
        beside = [job for job in times if job["StartTime"] <= one["StartTime"] < job["EndTime"]]
        assert len(beside) <= GPUS


def test_results_are_those_of_a_local_run(clustered, finished):
    checkout, _ = clustered
    same_tables(finished.folder / "results", checkout.folder / "results")


def lower(checkout: Checkout, rule: str, resource: str, value: int) -> None:
    """Let a rule of this checkout ask for less than it needs."""
    (path,) = (
        path
        for path in (checkout.folder / "workflow/rules").glob("*.smk")
        if f"rule {rule}:\n" in path.read_text()
    )
    before, opening, rest = path.read_text().partition(f"rule {rule}:\n")
    declared, lowered = rf"{resource}=growing\(\d+\)", f"{resource}=growing({value})"
    changed, count = re.subn(declared, lowered, rest, count=1)
    assert count == 1
    path.write_text(before + opening + changed)


def attempts(cluster, output: str) -> list[dict[str, str]]:
    """Return what became of the jobs of a run with a single step, first attempt first."""
    numbers = submitted(output)
    return [job for job in cluster.completed() if job["JobId"] in numbers]


def wait_until(ready: Callable[[], object], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.1)


def train_disturbed(checkout: Checkout, disturb: Callable[[], None]) -> str:
    """Train a network on SLURM, disturb it after its first checkpoint, return what was printed.

    Holds that the run ends well, that the step went on from its checkpoint, and that it predicts
    what the undisturbed one did.
    """
    target = checkout.folder / TRAINED
    before = pd.read_parquet(target)
    target.unlink()
    (checkout.folder / TRAINING_LOG).unlink()
    checkpoints = Path(f"{target}.checkpoints")
    command = [sys.executable, "-m", "snakemake", TRAINED, *ON_SLURM, "--configfile", "small.yaml"]
    printed = checkout.folder / "printed.txt"
    with printed.open("w") as file:
        process = subprocess.Popen(
            command, cwd=checkout.folder, env=checkout.environment, stdout=file, stderr=file
        )
    try:
        wait_until(
            lambda: any(checkpoints.rglob("[!.]*.safetensors")) or process.poll() is not None
        )
        assert process.poll() is None, printed.read_text()
        disturb()
        assert process.wait(600) == 0, printed.read_text()
    finally:
        process.kill()
    assert "resum" in (checkout.folder / TRAINING_LOG).read_text()
    pd.testing.assert_frame_equal(before, pd.read_parquet(target))
    return printed.read_text()


def test_a_job_over_its_memory_is_tried_again_with_more(cluster, rerun):
    before = pd.read_parquet(rerun.folder / SPLIT)
    (rerun.folder / SPLIT).unlink()
    lower(rerun, "split", "mem_mb", 150)
    tried = attempts(cluster, rerun.run(SPLIT, *ON_SLURM))
    assert [job["JobState"] for job in tried][:1] == ["FAILED"]
    assert tried[-1]["JobState"] == "COMPLETED"
    memory = [int(re.search(r"mem=(\d+)M", job["Tres"])[1]) for job in tried]
    assert memory == [150, 300, 600][: len(memory)] and len(memory) > 1
    pd.testing.assert_frame_equal(before, pd.read_parquet(rerun.folder / SPLIT))


def test_a_job_that_hangs_is_ended_at_its_limit_and_tried_again(cluster, rerun):
    lower(rerun, "train_glacier", "runtime", 1)

    def hang() -> None:
        for path in Path("/proc").glob("[0-9]*"):
            try:
                words = (path / "cmdline").read_bytes().split(b"\0")
                if b"casestudies.glacier.train" in words and (path / "cwd").samefile(rerun.folder):
                    os.kill(int(path.name), signal.SIGSTOP)
            except OSError:  # it has ended meanwhile
                continue

    first, second = attempts(cluster, train_disturbed(rerun, hang))
    assert (first["JobState"], first["TimeLimit"]) == ("TIMEOUT", "1")
    assert (second["JobState"], second["TimeLimit"]) == ("COMPLETED", "2")


def test_a_run_survives_the_loss_of_a_node(cluster, rerun):
    def lose() -> None:
        cluster.stop_node()
        wait_until(lambda: "down" in run("sinfo", "--noheader", "--format=%T"))
        cluster.start_node()

    first, second = attempts(cluster, train_disturbed(rerun, lose))
    assert (first["JobState"], second["JobState"]) == ("NODE_FAIL", "COMPLETED")
