"""RANS by OpenFOAM: right over flat ground and a hill; whatever goes wrong is on record."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casestudies.config.wind import OpenFoam
from casestudies.errors import InputError
from casestudies.files import WriteError
from casestudies.wind import openfoam
from casestudies.wind.flow import log_profile

HEIGHTS = [10.0, 50.0]
SPACING = 60.0


def hill(cells: int = 16, height: float = 60.0, width: float = 150.0) -> np.ndarray:
    """Return a Gaussian hill in the middle of flat ground, (cells + 1, cells + 1) m."""
    x = SPACING * (np.arange(cells + 1) - cells / 2)
    return height * np.exp(-(x**2 + x[:, None] ** 2) / (2 * width**2))


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which cases are made; nothing is left in it."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []


# The mesh ---------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 2**32 - 1),
    relief=st.floats(0, 900),
    levels=st.integers(10, 40),
    grading=st.floats(2, 200),
)
@settings(max_examples=30, deadline=None)
def test_the_mesh_follows_the_ground_and_is_flat_on_top(seed, relief, levels, grading):
    shape = (7, 9)
    elevation = 300 + relief * np.random.default_rng(seed).random(shape)
    chosen = OpenFoam(levels=levels, grading=grading)
    grid = openfoam.mesh(elevation, SPACING, chosen)
    assert grid.points.shape == (levels + 1, *shape, 3)
    z = grid.points[..., 2]
    assert z[0] == pytest.approx(elevation - elevation.min())
    assert z[-1] == pytest.approx(chosen.top)
    thickness = np.diff(z, axis=0)
    assert (thickness > 0).all()
    assert thickness[-1] / thickness[0] == pytest.approx(grading)
    assert grid.above_ground.shape == (levels, 6, 8) and grid.inlet.shape == (levels, 6)
    assert (np.diff(grid.above_ground, axis=0) > 0).all() and (grid.above_ground > 0).all()
    assert grid.points[0, 3, 5, :2] == pytest.approx([5 * SPACING, 3 * SPACING])


# Errors and rejections --------------------------------------------------------------------------


def test_without_openfoam_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("WM_PROJECT_DIR", raising=False)
    monkeypatch.setattr(openfoam, "_BASHRC", ())
    monkeypatch.setattr(openfoam, "environment", openfoam.environment.__wrapped__)
    with pytest.raises(InputError, match=r"apt-get install openfoam.*conda-forge openfoam"):
        openfoam.solve(hill(), SPACING, 0.03, HEIGHTS, {})


def test_a_wrong_setting_is_named():
    with pytest.raises(InputError, match=r"wind\.openfoam: levls: .*did you mean 'levels'"):
        openfoam.solve(hill(), SPACING, 0.03, HEIGHTS, {"levls": 20})
    with pytest.raises(InputError, match=r"wind\.openfoam: levels: "):
        openfoam.solve(hill(), SPACING, 0.03, HEIGHTS, {"levels": 1})


def rejected(flow: openfoam.Flow, reason: str) -> None:
    assert reason in flow.reason and not flow.converged
    assert flow.u.shape == (2, 16, 16) and np.isnan([flow.u, flow.v, flow.w]).all()


MESHED = "mkdir -p constant/polyMesh\n"
ONE = (
    "echo 'Time = 1'\n"
    "echo 'GAMG:  Solving for p, Initial residual = 0.25, Final residual = 0.01, No Iterations 3'\n"
)
ENDINGS = {
    "a signal": (ONE + "kill -FPE $$", "simpleFoam ended with SIGFPE", 1, 0.25),
    "a fatal error": (
        "echo '--> FOAM FATAL ERROR:'\necho 'unknown patch'\nexit 1",
        "simpleFoam ended with status 1: unknown patch",
        0,
        np.nan,
    ),
    "not converged": (ONE * 2, "not converged after 2 iterations", 2, 0.25),
    "too long": ("sleep 20", "simpleFoam took more than 1 s", 0, np.nan),
    "no velocity": (
        ONE + "echo 'SIMPLE solution converged in 1 iterations'\nmkdir 1\necho nothing > 1/U",
        "simpleFoam wrote no velocity of every cell",
        1,
        0.25,
    ),
}


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """Puts a script in the place of simpleFoam."""

    def install(script: str) -> None:
        programs = tmp_path / "bin"
        programs.mkdir()
        for name, content in (("blockMesh", MESHED), ("simpleFoam", script)):
            (programs / name).write_text(f"#!/bin/sh\n{content}\n")
            (programs / name).chmod(0o755)
        environment = {"PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
        monkeypatch.setattr(openfoam, "environment", lambda: environment)

    return install


@pytest.mark.parametrize(
    ("script", "reason", "iterations", "residual"), ENDINGS.values(), ids=ENDINGS
)
def test_what_goes_wrong_is_on_record(
    tmp_path, monkeypatch, stand_in, script, reason, iterations, residual
):
    stand_in(script)
    if reason.endswith("1 s"):
        monkeypatch.setattr(openfoam, "PATIENCE", -59 / (16 * 16 * 20 * 600))
    flow = openfoam.solve(hill(), SPACING, 0.03, HEIGHTS, {}, tmp_path / "logs")
    rejected(flow, reason)
    assert flow.iterations == iterations
    assert flow.residual == pytest.approx(residual, nan_ok=True)
    kept = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert kept == ["blockMesh.log", "simpleFoam.log"]


@pytest.mark.parametrize("name", ["KILL", "TERM"])
def test_a_kill_does_not_count_as_a_flow_that_fails(stand_in, name):
    stand_in(f"{ONE}kill -{name} $$")
    with pytest.raises(InputError, match=f"simpleFoam was ended by SIG{name} from outside"):
        openfoam.solve(hill(), SPACING, 0.03, HEIGHTS, {})


@pytest.mark.parametrize(
    "script",
    ["head -c 9000000 /dev/zero > U", "head -c 9000000 /dev/zero > U; exit 0", "exit 1"],
    ids=["noticed", "not noticed", "before"],
)
def test_a_full_disk_does_not_count_as_a_flow_that_fails(
    tmp_path, monkeypatch, stand_in, mount, script
):
    stand_in(script)
    size = "100k" if script == "exit 1" else "3m"
    disk = mount(tmp_path / "disk", "-t", "tmpfs", "-o", f"size={size}", "tmpfs")
    monkeypatch.setattr(openfoam.tempfile, "tempdir", str(disk))
    with pytest.raises(WriteError, match=r"disk/openfoam-\w+: cannot be written: the disk is full"):
        openfoam.solve(hill(), SPACING, 0.03, HEIGHTS, {}, tmp_path / "logs")
    assert not list(disk.iterdir()) and not (tmp_path / "logs").exists()


def test_terrain_that_reaches_the_top_is_rejected(monkeypatch, tmp_path):
    monkeypatch.setattr(openfoam, "environment", dict)
    flow = openfoam.solve(hill(height=500.0), SPACING, 0.03, HEIGHTS, {"top": 600}, tmp_path / "l")
    rejected(flow, "relief of 500 m, too much below a top at 600 m")
    assert not (tmp_path / "l").exists()  # nothing ran


# With OpenFOAM ----------------------------------------------------------------------------------


@pytest.mark.parametrize("roughness", [0.005, 0.03, 0.5])
def test_flat_ground_keeps_the_inflow(openfoam_installed, roughness):
    flow = openfoam.solve(np.full((9, 33), 420.0), SPACING, roughness, HEIGHTS, {})
    assert flow.converged and not flow.reason and flow.residual < 1e-4 and flow.seconds > 0
    inflow = log_profile(np.array(HEIGHTS), roughness)[:, None, None]
    assert np.abs(flow.u / inflow - 1).max() < 0.02
    assert max(np.abs(flow.v).max(), np.abs(flow.w).max()) < 1e-3


def test_a_hill_speeds_up_the_wind_and_shelters_its_lee(openfoam_installed, tmp_path):
    flow = openfoam.solve(hill(), SPACING, 0.03, HEIGHTS, {"levels": 10}, tmp_path / "logs")
    assert flow.converged and 10 < flow.iterations < 300
    assert not (tmp_path / "logs").exists()
    u, v, w = flow.u[0], flow.v[0], flow.w[0]
    assert u[7:9, 7:9].min() > 1.2  # on top
    assert u[7:9, 10:12].max() < 1 < u[7:9, 7:9].max()  # in the lee
    assert w[7:9, 5].min() > 0.05 and w[7:9, 10].max() < 0  # up the hill and down
    # A hill that is its own mirror image has such a flow.
    assert u == pytest.approx(u[::-1], abs=5e-3) and v == pytest.approx(-v[::-1], abs=5e-3)
    assert flow.u[1].max() < 2 and np.isfinite([flow.u, flow.v, flow.w]).all()


def test_a_speed_up_that_is_not_physical_is_rejected(openfoam_installed, tmp_path):
    flow = openfoam.solve(
        hill(), SPACING, 0.03, HEIGHTS, {"levels": 10, "fastest": 1.1}, tmp_path / "logs"
    )
    rejected(flow, "above 1.1")
    assert "speed-up of 1." in flow.reason and flow.iterations > 10 and flow.residual < 1e-4
    assert "SIMPLE solution converged" in (tmp_path / "logs/simpleFoam.log").read_text()


def test_too_few_iterations_are_on_record(openfoam_installed, tmp_path):
    steep = hill(height=500.0, width=100.0)
    flow = openfoam.solve(
        steep, SPACING, 0.03, HEIGHTS, {"levels": 10, "iterations": 10}, tmp_path / "logs"
    )
    rejected(flow, "not converged after 10 iterations")
    assert flow.iterations == 10 and flow.residual > 1e-4 and flow.seconds > 0
