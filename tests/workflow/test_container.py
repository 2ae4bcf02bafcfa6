"""Every step runs in the container that is asked for: with a stand-in for Apptainer, which logs."""

import os

import pytest

pytestmark = pytest.mark.workflow
APPTAINER = """#!/bin/bash
if [ "$1" = --version ]; then echo "apptainer version 1.3.4"; exit; fi
printf '%s\\n' "$*" >> "${0%/*}/calls"
while [[ "$1" != *.sif ]]; do shift; done
shift
exec "$@"
"""


def test_every_step_runs_in_the_image(checkout):
    bin_folder = checkout.folder / "bin"
    bin_folder.mkdir()
    for name in ("apptainer", "singularity"):
        (bin_folder / name).write_text(APPTAINER)
        (bin_folder / name).chmod(0o755)
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    (checkout.folder / "envs/casestudies.sif").touch()
    target = "results/lecture/simulated/splits/kfold.parquet"
    planned = sum(checkout.planned("--cores", "1", target).values())
    checkout.run(target, "--sdm", "apptainer", "--apptainer-args=--nv", PATH=path)
    assert (checkout.folder / target).is_file()
    calls = (bin_folder / "calls").read_text().splitlines()
    assert len(calls) == planned > 2
    for call in calls:
        assert call.startswith(f"exec --home {checkout.folder} --nv ")
        assert "envs/casestudies.sif" in call and "python -m casestudies." in call
