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


def test_jobs_of_several_terrains_are_as_one_job_of_all(terrains, tmp_path):
    options = {"terrains": terrains, "solver": "mass_consistent", "heights": HEIGHTS}
    solve(**options, output=tmp_path / "all.nc")
    for number in (0, 1, 2):
        solve(**options, output=tmp_path / f"{number}.nc", number=number, per_job=4)
    parts = [opened(tmp_path / f"{number}.nc") for number in (0, 1, 2)]
    assert [part.sizes["terrain"] for part in parts] == [4, 2, 0]
    whole = opened(tmp_path / "all.nc").drop_vars("seconds")
    xr.testing.assert_identical(
        xr.concat(parts, "terrain", combine_attrs="override").drop_vars("seconds"), whole
    )


def test_a_killed_job_goes_on_with_the_next_flow(tmp_path, monkeypatch):
    solved, real = [], mass_consistent.solve_many

    def killed(elevation, *rest):
        if len(solved) == 2:
            raise KeyboardInterrupt
        solved.append(elevation.sum())
        return real(elevation, *rest)

    simulate(output=tmp_path, terrains=5, cells=16, slope=(0.05, 0.1))
    terrains = tmp_path / "terrains.nc"
    options = {
        "terrains": terrains,
        "solver": "mass_consistent",
        "heights": HEIGHTS,
        "output": tmp_path / "0.nc",
        "number": 0,
        "per_job": 6,
        "checkpoint": tmp_path / "0.nc.checkpoints",
    }
    solve(**{**options, "output": tmp_path / "whole.nc", "checkpoint": None})
    monkeypatch.setattr(mass_consistent, "solve_many", killed)
    with pytest.raises(KeyboardInterrupt):
        solve(**options)
    kept = sorted((tmp_path / "0.nc.checkpoints").iterdir())
    assert len(kept) == 2 and not (tmp_path / "0.nc").exists()
    seconds = [float(opened(path)["seconds"][0]) for path in kept]
    again = []
    monkeypatch.setattr(
        mass_consistent, "solve_many", lambda *a: again.append(a[0].sum()) or real(*a)
    )
    solve(**options)
    assert len(again) == 3 and not set(again) & set(solved)
    assert not (tmp_path / "0.nc.checkpoints").exists()
    found, whole = opened(tmp_path / "0.nc"), opened(tmp_path / "whole.nc")
    assert set(seconds) <= set(found["seconds"].values.tolist())
    xr.testing.assert_identical(found.drop_vars("seconds"), whole.drop_vars("seconds"))


@pytest.mark.parametrize("change", ["settings", "heights", "damage"])
def test_kept_flows_of_another_run_are_not_used(change, terrains, tmp_path, monkeypatch):
    folder, real = tmp_path / "kept", mass_consistent.solve_many
    options = {
        "terrains": terrains,
        "solver": "mass_consistent",
        "heights": HEIGHTS,
        "output": tmp_path / "flows.nc",
        "checkpoint": folder,
    }
    monkeypatch.setattr("casestudies.wind.solve._Kept.remove", lambda self: None)
    solve(**options)
    kept = sorted(folder.iterdir())
    changed = dict(options)
    if change == "settings":
        changed["settings"] = '{"levels": 8}'
    elif change == "heights":
        changed["heights"] = [20.0]
    else:
        kept[0].write_bytes(kept[0].read_bytes()[:-200])
    again = []
    monkeypatch.setattr(mass_consistent, "solve_many", lambda *a: again.append(1) or real(*a))
    solve(**changed)
    assert len(again) == (1 if change == "damage" else len(kept))


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
    name = read_terrains(terrains).names[kept]
    solve(
        terrains=terrains,
        solver="openfoam",
        output=tmp_path / f"{kept}.nc",
        heights=HEIGHTS,
        settings='{"iterations": 20}',
        number=kept,
    )
    assert given == [((17, 17), 60.0, {"iterations": 20}, tmp_path / f"{kept}.logs" / name)]
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
        ({"number": 0, "per_job": 0}, "--per-job is 0"),
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
