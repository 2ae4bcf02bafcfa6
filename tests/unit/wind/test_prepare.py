import numpy as np
import pandas as pd
import pytest
import xarray as xr

from casestudies.errors import InputError
from casestudies.tables import read_metadata
from casestudies.wind.prepare import POSITIONS, prepare, slope_position
from casestudies.wind.simulate import simulate
from casestudies.wind.solve import solve


@pytest.fixture
def folder(tmp_path):
    simulate(output=tmp_path, terrains=3, cells=16, spacing=100.0, seed=1)
    for solver in ("linear", "mass_consistent"):
        solve(
            terrains=tmp_path / "terrains.nc",
            solver=solver,
            output=tmp_path / f"{solver}.nc",
            heights=[10.0, 40.0],
        )
    return tmp_path


def gather(folder, flows="mass_consistent.nc", cheap="linear.nc"):
    prepare(
        terrains=folder / "terrains.nc",
        flows=[folder / flows],
        cheap=[folder / cheap],
        fields=folder / "prepared.nc",
        output=folder / "prepared.parquet",
    )
    with xr.open_dataset(folder / "prepared.nc", engine="h5netcdf") as fields:
        return fields.load(), pd.read_parquet(folder / "prepared.parquet")


def change(path, first=0, **values):
    with xr.open_dataset(path, engine="h5netcdf") as opened:
        dataset = opened.load()
    for name, value in values.items():
        changed = dataset[name].to_numpy().astype(object)
        changed[first] = value
        dataset[name] = (dataset[name].dims, changed)
    dataset.to_netcdf(path, engine="h5netcdf")


def test_terrains_and_flows_are_gathered_with_units(folder):
    fields, table = gather(folder)
    assert table["sample"].tolist() == ["field-0000", "field-0001", "field-0002"]
    assert fields["u"].dims == ("terrain", "height", "y", "x")
    assert fields["interior"].sum() == 8 * 8 and not fields["interior"][0].any()
    inside = fields["interior"].to_numpy().astype(bool)
    speed = np.hypot(fields["u"], fields["v"])[:, 0].to_numpy()[:, inside].mean(axis=1)
    assert table["speed"].to_numpy() == pytest.approx(speed)
    assert all("units" in fields[name].attrs for name in ("u", "linear_w", "elevation", "x"))
    assert read_metadata(folder / "prepared.parquet")["solver"] == "mass_consistent"


def test_a_refused_terrain_keeps_its_reason_and_has_no_speed(folder):
    change(folder / "terrains.nc", rejected="too steep")
    change(folder / "mass_consistent.nc", reason="a reason of the solver")
    fields, table = gather(folder)
    assert table["reason"].tolist() == ["too steep", "", ""]
    assert table["speed"].isna().tolist() == [True, False, False]
    assert np.isnan(fields["u"][0]).all() and not np.isnan(fields["u"][1]).any()


def test_flows_of_other_terrains_or_heights_are_refused(folder):
    solve(
        terrains=folder / "terrains.nc",
        solver="linear",
        output=folder / "low.nc",
        heights=[5.0],
    )
    with pytest.raises(InputError, match=r"low\.nc.*5.* m.*delete"):
        gather(folder, cheap="low.nc")
    solve(
        terrains=folder / "terrains.nc",
        solver="linear",
        output=folder / "one.nc",
        heights=[10.0, 40.0],
        number=1,
    )
    with pytest.raises(InputError, match="no flow over 2 of 3 terrains, the first field-0000"):
        gather(folder, flows="one.nc")
    assert not (folder / "prepared.parquet").exists()


def test_nothing_usable_is_an_error(folder):
    change(folder / "mass_consistent.nc", slice(None), reason="diverged")
    with pytest.raises(InputError, match=r"none of the 3 terrains can be used.*diverged"):
        gather(folder)


def test_places_on_a_slope():
    nodes = np.arange(41) * 50.0
    ridge = 200 * np.exp(-(((nodes - 1000) / 250) ** 2))
    places = slope_position(np.broadcast_to(ridge, (1, 41, 41)), 50.0)[0]
    name = [POSITIONS[code] for code in places[20]]
    assert name[0] == name[-1] == "level"
    assert name[14] == "windward" and name[25] == "lee" and name[19] == name[20] == "ridge"
    assert (places == places[0]).all()
    flat = slope_position(np.zeros((1, 41, 41)), 50.0)
    assert (flat == POSITIONS.index("level")).all()
