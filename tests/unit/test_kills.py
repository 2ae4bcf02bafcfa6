"""Every step that trains: killed and resumed, on one thread and on two, it writes the same tables.

Steps run in processes forked from one that has the package loaded, so that they can be killed.
"""

import importlib
import logging
import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from casestudies.evaluation.splits import folds_to_table
from casestudies.tables import write_table
from tests.comparison import differences, same_tables
from tests.unit.satellite import tiny as satellite
from tests.unit.wind import tiny as wind

TABLES = ("output", "inner", "choices", "curves")
processes = multiprocessing.get_context("forkserver")
processes.set_forkserver_preload(
    [f"casestudies.{name}.train" for name in ("glacier", "lecture", "satellite", "wind")]
    + [f"casestudies.{name}" for name in ("satellite.networks", "wind.learn", "wind.save")]
    + ["codecarbon", "tests.unit.test_kills"]
)


def tables(folder: Path) -> dict[str, Path]:
    return {name: folder / f"{name}.parquet" for name in TABLES}


# The steps: the module, and its arguments given the study's folder and that of the results --------


def glacier(study: Path, out: Path) -> dict[str, Any]:
    given = {name: study / f"{name}.parquet" for name in ("prepared", "splits")}
    return {**given, "units": ["year"], **tables(out)}


def images(study: Path) -> dict[str, Path]:
    return {"images": study / "images.zarr", "prepared": study / "prepared.parquet"}


def terrains(study: Path) -> dict[str, Any]:
    names = {"prepared": "prepared.nc", "samples": "prepared.parquet", "splits": "splits.parquet"}
    return {name: study / path for name, path in names.items()}


STEPS: dict[str, tuple[str, str, Callable[[Path, Path], dict[str, Any]]]] = {
    "deep ensemble": (
        "glacier.train",
        "train",
        lambda study, out: (
            glacier(study, out)
            | {
                "model": "deep_ensemble",
                "settings": '{"steps": 30, "evaluate_every": 10, "batch": 16, "members": 2}',
            }
        ),
    ),
    "paper network": (
        "glacier.train",
        "train",
        lambda study, out: (
            glacier(study, out) | {"model": "paper_network", "settings": '{"new_year_epochs": 6}'}
        ),
    ),
    "experiment": (
        "lecture.train",
        "train",
        lambda _, out: {
            "experiment": "starts",
            "settings": '{"widths": [2, 8], "starts": 8, "points": 20, "steps": 30}',
            "output": out / "starts.parquet",
        },
    ),
    "autoencoder": (
        "satellite.encode",
        "encode",
        lambda study, out: (
            images(study)
            | {
                "splits": study / "blocked.parquet",
                "gap": 2.0,
                "encoders": ["slow_features", "autoencoder"],
                "settings": '{"autoencoder": {"latent": 3, "width": 4, "steps": 20, "batch": 8},'
                ' "slow_features": {"latent": 3}}',
                "features": out,
                "weights": out,
            }
        ),
    ),
    "cnn": (
        "satellite.train",
        "train",
        lambda study, out: (
            images(study)
            | {
                "splits": study / "blocked.parquet",
                "units": ["block"],
                "settings": '{"width": 4, "features": 8, "steps": 10}',
                **tables(out),
            }
        ),
    ),
    "wind networks": (
        "wind.train",
        "train",
        lambda study, out: (
            terrains(study)
            | {
                "model": "fno_corrected",
                "settings": '{"width": 4, "epochs": 3, "batch": 6}',
                "units": ["sample"],
                **tables(out),
            }
        ),
    ),
    "wind surrogate": (
        "wind.save",
        "save",
        lambda study, out: (
            terrains(study)
            | {
                "predictions": [study / "unet.parquet"],
                "chosen": study / "unet.parquet",
                "settings": '{"unet": {"width": 4, "epochs": 4, "batch": 6}}',
                "units": ["sample"],
                "output": out,
            }
        ),
    ),
    "wind learning curve": (
        "wind.learn",
        "learn",
        lambda study, out: (
            terrains(study)
            | {
                "model": "unet",
                "settings": '{"width": 4, "epochs": 3, "batch": 6}',
                "sizes": [6],
                "resamples": 50,
                "output": out / "learning.csv",
            }
        ),
    ),
}


@pytest.fixture(scope="module")
def studies(tmp_path_factory) -> dict[str, Path]:
    """Tiny inputs by study."""
    root = tmp_path_factory.mktemp("studies")
    wind.make_study(root / "wind")
    table = pd.DataFrame({"observed": [1.0, 1.2], "predicted": [1.0, 1.0]})
    write_table(table, root / "wind/unet.parquet")
    satellite.make_study(root / "satellite")
    from tests.unit.glacier.test_networks import folds, make_prepared

    samples = make_prepared()
    write_table(samples, root / "glacier/prepared.parquet")
    write_table(folds_to_table(folds(samples, "year"), samples), root / "glacier/splits.parquet")
    return {path.name: path for path in root.iterdir()} | {"lecture": root}


class Run:
    """A step on its study, results in a folder of its own, in a process of its own."""

    def __init__(self, step: str, studies: dict[str, Path], folder: Path) -> None:
        self.module, self.function, given = STEPS[step]
        self.out, self.log = folder / "results", folder / "log"
        self.checkpoints = folder / "checkpoints"
        study = studies[self.module.split(".")[0]]
        self.given = given(study, self.out) | {"checkpoint": self.checkpoints, "seed": 3}

    def __call__(self, threads: int = 1, kill: bool = False, **changes: Any) -> int:
        """Run; return the exit status, negative after a signal.

        Parameters
        ----------
        kill
            Checkpoints are written all the time, and a kill comes halfway through the third.
        """
        given = {**self.given, "threads": threads, **changes}
        given["checkpoint_every"] = 0.0 if kill else 60.0
        arguments = (self.module, self.function, given, self.log, kill)
        process = processes.Process(target=_step, args=arguments)
        process.start()
        process.join()
        return process.exitcode

    def checkpoints_left(self) -> list[Path]:
        """Return the checkpoints, the newest first."""
        found = [path for path in self.checkpoints.rglob("[!.]*") if path.is_file()]
        return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


def _step(module: str, function: str, given: dict[str, Any], log: Path, kill: bool) -> None:
    """Run a step as its command line does; what is not held to one thread takes all it may."""
    import torch
    from threadpoolctl import threadpool_limits

    from casestudies.training import checkpoint

    logging.basicConfig(filename=log, level=logging.INFO)
    torch.set_num_threads(given["threads"])
    threadpool_limits(given["threads"])
    saved = []

    def save(tensors: Any, path: Path, header: Any, original=checkpoint.save_file) -> None:
        saved.append(path)
        if len(saved) < 3:
            return original(tensors, path, header)
        path.write_bytes(b"half")
        return os.kill(os.getpid(), signal.SIGKILL)

    if kill:
        checkpoint.save_file = save
    getattr(importlib.import_module(f"casestudies.{module}"), function)(**given)


@pytest.fixture(scope="module")
def whole(studies, tmp_path_factory) -> Callable[[str], Path]:
    """Returns the results of a step that nothing has disturbed."""
    known: dict[str, Path] = {}

    def results(step: str) -> Path:
        if step not in known:
            run = Run(step, studies, tmp_path_factory.mktemp("whole"))
            assert run() == 0, run.log.read_text()
            known[step] = run.out
        return known[step]

    return results


@pytest.mark.parametrize("step", STEPS)
def test_killed_on_one_thread_and_resumed_on_two_a_step_writes_the_same_tables(
    step, studies, whole, tmp_path
):
    run = Run(step, studies, tmp_path)
    assert run(kill=True) == -signal.SIGKILL
    if run.out.exists():  # nothing but what is whole
        assert all("only in" in line for line in differences(whole(step), run.out))
    newest = run.checkpoints_left()[0]
    newest.write_bytes(newest.read_bytes()[:-100])
    run.log.write_text("")
    assert run(threads=2) == 0, run.log.read_text()
    log = run.log.read_text()
    assert f"{newest}: damaged checkpoint, not used" in log
    same_tables(whole(step), run.out)
    assert not run.checkpoints.exists()
    assert not [path for path in run.out.rglob("*") if ".part" in path.name]


def test_without_a_usable_checkpoint_a_step_starts_over_and_says_so(studies, whole, tmp_path):
    run = Run("wind surrogate", studies, tmp_path)
    assert run(kill=True) == -signal.SIGKILL
    kept = shutil.copytree(run.checkpoints, tmp_path / "kept")
    for path in run.checkpoints_left():
        path.write_bytes(path.read_bytes()[:-1])
    run.log.write_text("")
    assert run() == 0
    assert "damaged checkpoint, not used" in run.log.read_text()
    assert "no usable checkpoint; starting from the beginning" in run.log.read_text()
    same_tables(whole("wind surrogate"), run.out)
    shutil.copytree(kept, run.checkpoints)
    run.log.write_text("")
    assert run(seed=4) == 0
    assert "checkpoint of other settings or data, not used" in run.log.read_text()
    assert "no usable checkpoint; starting from the beginning" in run.log.read_text()
    assert differences(whole("wind surrogate"), run.out)
