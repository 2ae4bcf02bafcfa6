"""Whatever happens on the way, a run comes back right: kills, locks, disks; one core or several."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.comparison import same_tables

pytestmark = pytest.mark.workflow
GLACIER = "results/glacier/simulated"
NETWORK = f"{GLACIER}/predictions/loyo/deep_ensemble.parquet"

# Of each kind of step that fits or draws at random, one: fits, permutations in two processes,
# encoders, networks, the model that is kept, a label curve.
FITTED = [
    f"{GLACIER}/predictions/loyo/lasso.parquet",
    f"{GLACIER}/predictions/loyo/deep_ensemble.parquet",
    f"{GLACIER}/responses.parquet",
    "results/mwas/simulated/predictions/cv/random_forest.parquet",
    "results/mwas/simulated/permutations.parquet",
    "results/satellite/simulated/features/blocked/temporal_autoencoder.parquet",
    "results/satellite/simulated/predictions/blocked/cnn.parquet",
    "results/satellite/simulated/curves/pca.parquet",
    "results/wind/simulated/flows/mass_consistent.nc",
    "results/wind/simulated/predictions/terrain/unet.parquet",
    "results/wind/simulated/learning.csv",
    "results/wind/simulated/model/model.json",
    "results/lecture/starts.parquet",
]


def start(checkout, *arguments: str) -> subprocess.Popen:
    """Start snakemake, leader of a group of processes."""
    return subprocess.Popen(
        [sys.executable, "-m", "snakemake", *arguments, "--configfile", "small.yaml"],
        cwd=checkout.folder,
        env=checkout.environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def wait_for(condition, process: subprocess.Popen) -> None:
    while not condition():
        assert process.poll() is None, "ended before it could be disturbed"
        time.sleep(0.05)


def half_written(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if ".part" in path.name]


def test_two_runs_in_one_folder_and_a_killed_one(rerun, finished):
    (rerun.folder / NETWORK).unlink()
    log = rerun.folder / "logs/glacier/simulated/train_loyo_deep_ensemble.log"
    log.unlink()
    first = start(rerun, NETWORK)
    checkpoints = Path(f"{rerun.folder / NETWORK}.checkpoints")
    try:
        wait_for(lambda: any(checkpoints.rglob("[!.]*.safetensors")), first)
        group = os.getpgid(first.pid)
        os.killpg(group, signal.SIGSTOP)  # neither ends nor goes on while the second one tries
        second = rerun.snakemake(NETWORK, "--configfile", "small.yaml")
        refused = second.stdout + second.stderr
        assert second.returncode != 0 and not (rerun.folder / NETWORK).exists()
        assert "Directory cannot be locked" in refused and str(rerun.folder) in refused
        assert "no other Snakemake process" in refused and "--unlock" in refused
        first.kill()  # snakemake alone: its step is left, and will go on beside the next run
        first.wait()
        stale = rerun.snakemake(NETWORK, "--configfile", "small.yaml")
        assert stale.returncode != 0
        assert "kill signal or a power loss. It can be removed with the --unlock argument" in (
            " ".join((stale.stdout + stale.stderr).split())
        )
        rerun.run("--unlock")
        os.killpg(group, signal.SIGCONT)
        rerun.run(NETWORK)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGKILL)
    same_tables(finished.folder / "results", rerun.folder / "results")
    assert not checkpoints.exists() or not any(checkpoints.rglob("*"))


def test_a_step_killed_with_its_snakemake_resumes(rerun, finished):
    (rerun.folder / NETWORK).unlink()
    log = rerun.folder / "logs/glacier/simulated/train_loyo_deep_ensemble.log"
    log.unlink()
    process = start(rerun, NETWORK)
    checkpoints = Path(f"{rerun.folder / NETWORK}.checkpoints")
    wait_for(lambda: any(checkpoints.rglob("[!.]*.safetensors")), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not (rerun.folder / NETWORK).exists()
    rerun.run("--unlock")
    rerun.run(NETWORK)
    assert "resum" in log.read_text()
    same_tables(finished.folder / "results", rerun.folder / "results")
    assert not half_written(rerun.folder / "results")


def test_a_full_disk_stops_the_step_with_one_message(rerun, mount):
    folder = rerun.folder / "data/raw/simulated/glacier"
    shutil.rmtree(folder)
    mount(folder, "-t", "tmpfs", "-o", "size=100k", "tmpfs")
    (folder / "mine").touch()  # or Snakemake would delete the folder as well
    target = "data/raw/simulated/glacier/truth.parquet"
    done = rerun.snakemake(target, "--configfile", "small.yaml")
    output = done.stdout + done.stderr
    assert done.returncode != 0
    (line,) = [line for line in output.splitlines() if line.strip().startswith("error:")]
    assert "data/raw/simulated/glacier/" in line
    assert "cannot be written: the disk is full; free space and run again" in line
    assert "Traceback" not in output
    # What the step had finished is deleted by Snakemake.
    assert [path.name for path in folder.iterdir()] == ["mine"]


def test_raw_data_that_must_not_be_written(rerun, finished, read_only):
    raw = rerun.folder / "data/raw"
    folder = raw / "simulated/lecture"
    shutil.rmtree(rerun.folder / "results/lecture/simulated/splits")
    (rerun.folder / "results/lecture/simulated/prepared.parquet").unlink()
    (raw / "askervein").mkdir()
    read_only(raw)
    # All that is needed is there: the run reads it.
    rerun.run("results/lecture/simulated/splits/kfold.parquet")
    same_tables(finished.folder / "results", rerun.folder / "results")
    # A file is missing, and cannot be put there.
    missing = "data/raw/askervein/askervein_validation1.txt"
    done = rerun.snakemake(missing, "--configfile", "small.yaml")
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert f"{missing}: cannot be written: its disk is read-only" in output
    assert "run where you may write (snakemake --directory)" in output
    assert "Traceback" not in output
    assert folder.is_dir() and not list((raw / "askervein").iterdir())


def test_on_one_core_the_tables_are_the_same(rerun, finished):
    for name in FITTED:
        (rerun.folder / name).unlink()
    rerun.run(*FITTED, "--cores", "1")
    same_tables(finished.folder / "results", rerun.folder / "results")
    same_tables(finished.folder / "data/raw", rerun.folder / "data/raw")
