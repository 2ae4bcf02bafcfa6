"""The step that runs flow models: all terrains or one, rejected ones on record, clear errors."""

import json

import numpy as np
import pytest
import xarray as xr

from casestudies.errors import InputError
from casestudies.wind import mass_consistent
from casestudies.wind.flow import Flow
from casestudies.wind.simulate import simulate
from casestudies.wind.solve import solve
from casestudies.wind.terrain import read_terrains

HEIGHTS = [10.0, 50.0]


@pytest.fixture(scope="module")
def terrains(tmp_path_factory):
    """Six terrains of 16 × 16 cells, some of which have too much relief."""
    folder = tmp_path_factory.mktemp("raw")
    simulate(output=folder, terrains=6, cells=16, relief=50.0)
    return folder / "terrains.nc"


def opened(path):
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        return dataset.load()


@pytest.mark.parametrize("solver", ["linear", "mass_consistent"])
def test_every_terrain_has_its_flow_or_its_reason(solver, terrains, tmp_path):
    solve(terrains=terrains, solver=solver, output=tmp_path / "flows.nc", heights=HEIGHTS)
    land, flows = read_terrains(terrains), opened(tmp_path / "flows.nc")
    assert flows["terrain"].values.tolist() == land.names
    assert flows["u"].dims == ("terrain", "height", "y", "x") and flows["u"].dtype == np.float32
    assert flows["u"].shape == (6, 2, 16, 16) and flows["height"].values.tolist() == HEIGHTS
    rejected = (land.table["rejected"] != "").to_numpy()
    assert 0 < rejected.sum() < 6
    assert flows["reason"].values.tolist() == land.table["rejected"].tolist()
    for name in "uvw":
        np.testing.assert_array_equal(
            np.isnan(flows[name].values).all(axis=(1, 2, 3)), rejected, name
        )
        assert np.isfinite(flows[name].values[~rejected]).all()
    assert (flows["converged"].values == ~rejected).all()
    assert (flows["seconds"].values[~rejected] > 0).all()
    assert flows.attrs["solver"] == solver
    assert {flows[name].units for name in ("u", "height", "x", "seconds")} == {"1", "m", "s"}


def test_one_terrain_alone_is_as_among_all(terrains, tmp_path):
    kept = int((read_terrains(terrains).table["rejected"] == "").to_numpy().argmax())
    options = {"terrains": terrains, "solver": "mass_consistent", "heights": HEIGHTS}
    settings = json.dumps({"levels": 8})
    solve(**options, settings=settings, output=tmp_path / "all.nc")
    solve(**options, settings=settings, output=tmp_path / "one.nc", number=kept)
    one, whole = opened(tmp_path / "one.nc"), opened(tmp_path / "all.nc").isel(terrain=[kept])
    np.testing.assert_array_equal(one["terrain"], whole["terrain"])
    np.testing.assert_array_equal(one["u"], whole["u"])
    assert json.loads(one.attrs["settings"]) == {"levels": 8}


def test_a_job_beyond_the_last_terrain_writes_a_file_without_terrains(terrains, tmp_path):
    for number in (4, 5, 6):
        solve(
            terrains=terrains,
            solver="linear",
            output=tmp_path / f"{number}.nc",
            heights=HEIGHTS,
            number=number,
        )
    parts = [opened(tmp_path / f"{number}.nc") for number in (4, 5, 6)]
    assert [part.sizes["terrain"] for part in parts] == [1, 1, 0]
    whole = xr.concat(parts, "terrain", combine_attrs="override")
    names = read_terrains(terrains).names
    assert whole["terrain"].values.tolist() == names[4:]
    np.testing.assert_array_equal(whole.sel(terrain=names[4:])["u"][0], parts[0]["u"][0])
    assert whole["reason"].values.tolist()[1] == parts[1]["reason"].values[0]


def test_a_flow_that_does_not_converge_is_on_record(terrains, tmp_path, monkeypatch):
    monkeypatch.setattr(mass_consistent, "MOST_ITERATIONS", 2)
    solve(
        terrains=terrains,
        solver="mass_consistent",
        output=tmp_path / "flows.nc",
        heights=HEIGHTS,
    )
    flows = opened(tmp_path / "flows.nc")
    assert (flows["converged"] == 0).all() and np.isnan(flows["u"]).all()
    reasons = flows["reason"].values.tolist()
    assert any(reason.endswith("after 2 iterations") for reason in reasons)


def test_openfoam_is_given_a_terrain_and_a_folder_for_its_logs(terrains, tmp_path, monkeypatch):
    given = []

    def fake(elevation, spacing, roughness, heights, settings, folder):
        given.append((elevation.shape, spacing, settings, folder))
        return Flow.failed((len(heights), 16, 16), "speed-up of 3.1", 2.0)

    monkeypatch.setattr("casestudies.wind.openfoam.solve", fake)
    kept = int((read_terrains(terrains).table["rejected"] == "").to_numpy().argmax())
    solve(
        terrains=terrains,
        solver="openfoam",
        output=tmp_path / f"{kept}.nc",
        heights=HEIGHTS,
        settings='{"iterations": 20}',
        number=kept,
    )
    assert given == [((17, 17), 60.0, {"iterations": 20}, tmp_path / f"{kept}.logs")]
    assert opened(tmp_path / f"{kept}.nc")["reason"].values.tolist() == ["speed-up of 3.1"]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"solver": "masconsistent"}, "did you mean 'mass_consistent'"),
        ({"settings": "{levels: 8}"}, "--settings is no JSON"),
        ({"settings": "[8]"}, "must be a JSON object"),
        ({"settings": '{"level": 8}'}, "did you mean 'levels'"),
        ({"solver": "linear", "settings": '{"levels": 8}'}, "has no settings"),
        ({"number": -1}, "--number is -1"),
        ({"heights": []}, "--heights"),
        ({"heights": [0.0]}, "--heights"),
        ({"threads": 0}, "--threads"),
        ({"device": "gpu"}, "device 'gpu'"),
    ],
)
def test_wrong_options_leave_nothing_behind(wrong, named, terrains, tmp_path):
    options = {"terrains": terrains, "solver": "mass_consistent", "heights": HEIGHTS}
    with pytest.raises(InputError, match=named):
        solve(**{**options, "output": tmp_path / "out" / "flows.nc", **wrong})
    assert not (tmp_path / "out").exists()


def test_an_error_in_the_middle_keeps_what_was_there(terrains, tmp_path, monkeypatch):
    (tmp_path / "flows.nc").write_text("before")

    def broken(*_):
        raise RuntimeError("stopped")

    monkeypatch.setattr(mass_consistent, "solve_many", broken)
    with pytest.raises(RuntimeError):
        solve(
            terrains=terrains,
            solver="mass_consistent",
            output=tmp_path / "flows.nc",
            heights=HEIGHTS,
        )
    assert (tmp_path / "flows.nc").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["flows.nc"]
