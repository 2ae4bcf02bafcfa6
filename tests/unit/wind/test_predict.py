"""Wind over elevation models: directions, joins, gaps, files, and clear refusals."""

import json
import logging
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import rasterio
import torch
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin
from rasterio.warp import transform
from safetensors.torch import save_file

from casestudies.config.wind import Training
from casestudies.errors import InputError
from casestudies.files import digest, write_json
from casestudies.wind.flow import log_profile
from casestudies.wind.flows import Grid
from casestudies.wind.networks import Surrogate
from casestudies.wind.predict import LAYERS, Frame, Mosaic, predict, starts
from casestudies.wind.save import (
    MODEL,
    NETWORKS,
    FittedSurrogate,
    GridFacts,
    SavedModel,
    read_surrogate,
)
from casestudies.wind.tile import open_model

PIXEL, SIDE = 50.0, 60
GRID = Grid((16, 16), ((4, 12), (4, 12)), (10.0, 50.0), 60.0, 0.25)


def make_model(folder, name="unet", silent=True):
    """Write a surrogate that adds nothing to the inflow or the linear flow, unless not silent."""
    tensors = {}
    for number in range(2):
        torch.manual_seed(number)
        network = Surrogate(name, GRID, 4)
        if silent:
            torch.nn.init.zeros_(network.core.head.weight)
        tensors |= {f"{number}.{k}": v.contiguous() for k, v in network.state_dict().items()}
    folder.mkdir()
    save_file(tensors, folder / NETWORKS)
    about = SavedModel(
        network=name,
        networks=2,
        settings=Training(width=4),
        grid=GridFacts(**vars(GRID)),
        solver="mass_consistent",
        cheap="linear" if name.endswith("corrected") else "",
        cheap_settings={},
        slope_p95=0.3,
        relief=200.0,
        roughness=(0.01, 0.2),
        terrains=20,
        coverage=0.9,
        half_width=0.05,
        rmse=0.02,
        sha256=digest(folder / NETWORKS),
    )
    write_json(about.model_dump(mode="json"), folder / MODEL)
    return folder


def write_dem(path, values, crs="EPSG:32632", origin=None, nodata=-9999.0):
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=values.shape[1],
        height=values.shape[0],
        count=1,
        dtype="float32",
        crs=crs,
        transform=origin or from_origin(400_000, 5_100_000, PIXEL, PIXEL),
        nodata=nodata,
    ) as target:
        target.write(values.astype(np.float32), 1)
    return path


def hills():
    y, x = np.mgrid[:SIDE, :SIDE] * PIXEL
    return 500 + 40 * np.sin(x / 300) * np.cos(y / 400) + 0.02 * x


def read(path):
    with rasterio.open(path) as source:
        return dict(zip(source.descriptions, source.read(), strict=True)), source.profile


@pytest.fixture(scope="module")
def silent(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("silent") / "model")


@pytest.mark.parametrize("direction", [0, 45, 90, 180, 213.5, 270, 360])
def test_flat_ground_has_the_inflow_from_where_it_comes(silent, tmp_path, direction):
    dem = write_dem(tmp_path / "flat.tif", np.full((SIDE, SIDE), 800.0))
    out = tmp_path / "wind.tif"
    predict(model=silent, dem=dem, speed=8, direction=direction, output=out)
    found, profile = read(out)
    covered = np.isfinite(found["speed"])
    assert 0.15 < covered.mean() < 1
    assert covered[SIDE // 2, SIDE // 2]
    angle = np.radians(direction)
    expected = {"speed": 8, "u": -8 * np.sin(angle), "v": -8 * np.cos(angle), "w": 0, "spread": 0}
    for name, value in expected.items():
        np.testing.assert_allclose(found[name][covered], value, atol=1e-4, err_msg=name)
    turned = (found["direction"][covered] - direction + 180) % 360 - 180
    np.testing.assert_allclose(turned, 0, atol=1e-3)
    assert profile["crs"].to_epsg() == 32632
    assert (profile["width"], profile["height"]) == (SIDE, SIDE)


def test_the_wind_from_the_west_blows_to_the_east_and_up_the_slope(tmp_path):
    """Linear theory, which the surrogate adds nothing to: up to windward, fast on the summit."""
    model = make_model(tmp_path / "model", "unet_corrected")
    y, x = (np.mgrid[:SIDE, :SIDE] - SIDE // 2) * PIXEL
    dem = write_dem(tmp_path / "hill.tif", 500 + 60 * np.exp(-(x**2 + y**2) / (2 * 300**2)))
    middle, step = SIDE // 2, 6
    for direction, windward in ((270, (0, -step)), (0, (-step, 0)), (90, (0, step))):
        out = tmp_path / f"{direction}.tif"
        predict(model=model, dem=dem, speed=10, direction=direction, output=out)
        found, _ = read(out)
        row, column = middle + windward[0], middle + windward[1]
        assert found["w"][row, column] > 0.5
        assert found["w"][2 * middle - row, 2 * middle - column] < -0.5
        assert found["speed"][middle, middle] > 1.1 * found["speed"][row, column]
        if direction == 270:
            assert found["u"][middle, middle] > 10


def test_the_upper_height_has_the_faster_inflow(silent, tmp_path):
    dem = write_dem(tmp_path / "flat.tif", np.full((SIDE, SIDE), 800.0))
    given = {"model": silent, "dem": dem, "speed": 8, "direction": 270, "roughness": "0.1"}
    predict(**given, height=50, output=tmp_path / "wind.tif")
    found, _ = read(tmp_path / "wind.tif")
    assert np.nanmax(found["u"]) == pytest.approx(8 * log_profile(50.0, 0.1), rel=1e-5)
    with pytest.raises(InputError, match="at 10, 50 m"):
        predict(**given, height=20, output=tmp_path / "other.tif")


def test_windows_that_differ_are_joined_without_a_seam():
    """Each window is one above that before it; the joined field rises evenly, in no step."""
    mosaic = Mosaic(1, (24, 132), (24, 24))
    columns = starts(132, 24, 12)
    for number, column in enumerate(columns):
        mosaic.add(0, column, np.full((1, 24, 24), float(number)))
    rise = np.diff(mosaic.mean()[0], axis=1)
    assert rise.min() >= -1e-6
    assert rise.max() < np.pi / 24
    assert rise.sum() == pytest.approx(24 * (len(columns) - 1), rel=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(16, 90), st.integers(2, 16), st.data())
def test_windows_cover_a_side_without_a_gap(cells, window, data):
    step = data.draw(st.integers(1, window))
    found = starts(cells, window, step)
    assert found[0] == 0
    assert found[-1] == cells - window
    assert all(0 < b - a <= step for a, b in pairwise(found))
    assert starts(window - 1, window, step) == []


def test_a_mosaic_of_parts_of_a_field_is_the_field():
    field = np.random.default_rng(0).normal(size=(2, 30, 26))
    mosaic = Mosaic(2, (30, 26), (8, 6))
    for row in starts(30, 8, 4):
        for column in starts(26, 6, 3):
            mosaic.add(row, column, field[:, row : row + 8, column : column + 6])
    np.testing.assert_allclose(mosaic.mean(), field, atol=1e-5)
    assert np.isnan(Mosaic(1, (4, 4), (2, 2)).mean()).all()


def test_the_frame_finds_its_cells_again(tmp_path):
    path = write_dem(tmp_path / "hills.tif", hills())
    with open_model(path) as dem:
        frame = Frame.around(dem, 200.0, 60.0)
    for row, column in ((0.5, 0.5), (10.5, 3.5)):
        x, y = frame.middle(row, column)
        np.testing.assert_allclose(
            frame.cell(np.array(x), np.array(y)), [row - 0.5, column - 0.5], atol=1e-6
        )


def test_gaps_leave_gaps_and_are_told(silent, tmp_path, caplog):
    land = hills()
    land[30, 55] = -9999.0
    dem = write_dem(tmp_path / "gap.tif", land)
    with caplog.at_level(logging.INFO):
        predict(model=silent, dem=dem, speed=8, direction=270, output=tmp_path / "wind.tif")
    found, _ = read(tmp_path / "wind.tif")
    assert np.isnan(found["speed"][25:35, 50:]).all()
    assert np.isfinite(found["speed"][30, 25])
    without = 100 * np.isnan(found["speed"]).mean()
    assert f"no wind at {without:.0f} % of the pixels" in caplog.text


def test_terrain_beyond_what_was_learned_is_told_with_numbers(silent, tmp_path, caplog):
    dem = write_dem(tmp_path / "steep.tif", 4 * (hills() - 500) + 500)
    with caplog.at_level(logging.WARNING):
        predict(
            model=silent,
            dem=dem,
            speed=8,
            direction=270,
            roughness="0.5",
            output=tmp_path / "a.tif",
        )
    assert "beyond what was learned from" in caplog.text
    assert "roughness 0.5 to 0.5 m (learned 0.01 to 0.2 m)" in caplog.text
    caplog.clear()
    gentle = write_dem(tmp_path / "gentle.tif", 500 + 0.3 * (hills() - 500))
    with caplog.at_level(logging.WARNING):
        predict(model=silent, dem=gentle, speed=8, direction=270, output=tmp_path / "b.tif")
    assert "beyond" not in caplog.text


def test_a_map_of_roughness_is_averaged_in_its_logarithm(silent, tmp_path):
    dem = write_dem(tmp_path / "flat.tif", np.full((SIDE, SIDE), 800.0))
    # In another projection, and larger than the elevation model.
    x, y = transform("EPSG:32632", "EPSG:3035", [400_000], [5_100_000])
    rough = write_dem(
        tmp_path / "roughness.tif",
        np.full((80, 80), 0.1),
        "EPSG:3035",
        from_origin(x[0] - 20_000, y[0] + 20_000, 500, 500),
    )
    given = {"model": silent, "dem": dem, "speed": 8, "direction": 250, "height": 50}
    predict(**given, roughness=str(rough), output=tmp_path / "map.tif")
    predict(**given, roughness="0.1", output=tmp_path / "number.tif")
    maps = [read(tmp_path / f"{name}.tif")[0]["speed"] for name in ("map", "number")]
    np.testing.assert_allclose(*maps, rtol=1e-4)


def test_degrees_are_projected_and_given_back(silent, tmp_path):
    degrees = from_origin(9.0, 46.6, 0.0006, 0.0004)
    dem = write_dem(tmp_path / "degrees.tif", np.full((90, 90), 300.0), "EPSG:4326", degrees)
    predict(model=silent, dem=dem, speed=8, direction=270, output=tmp_path / "wind.nc")
    with xr.open_dataset(tmp_path / "wind.nc") as found:
        assert found["x"].attrs["standard_name"] == "longitude"
        assert float(found["x"][0]) == pytest.approx(9.0003)
        assert float(found["u"].max()) == pytest.approx(8, abs=1e-4)
        assert set(LAYERS) <= set(found.data_vars)
        assert found["speed"].attrs["units"] == "m s-1"
        assert found.attrs["interval_half_width"] == pytest.approx(0.4)
        assert "WGS 84" in found["crs"].attrs["crs_wkt"]


def test_netcdf_and_geotiff_agree(tmp_path):
    model = make_model(tmp_path / "model", silent=False)
    dem = write_dem(tmp_path / "hills.tif", hills())
    given = {"model": model, "dem": dem, "speed": 8, "direction": 200}
    predict(**given, output=tmp_path / "wind.tif")
    predict(**given, output=tmp_path / "wind.nc")
    found, profile = read(tmp_path / "wind.tif")
    with xr.open_dataset(tmp_path / "wind.nc") as other:
        for name, values in found.items():
            np.testing.assert_array_equal(other[name], values)
        assert float(other["y"][0]) == profile["transform"].f - PIXEL / 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"speed": 0.0}, "speed above 0"),
        ({"speed": float("nan")}, "speed above 0"),
        ({"direction": 361.0}, "0 to 360"),
        ({"direction": -1.0}, "0 to 360"),
        ({"roughness": "0"}, "length above 0"),
        ({"roughness": "no.tif"}, "no such file"),
        ({"dem": "no.tif"}, "no such file"),
        ({"output": "wind.png"}, "written as .tif or .nc"),
        ({"model": "."}, "give the folder that the study writes"),
    ],
)
def test_what_cannot_be_used_is_refused(silent, tmp_path, change, message):
    dem = write_dem(tmp_path / "hills.tif", hills())
    chosen = {"model": silent, "dem": dem, "speed": 8.0, "direction": 270.0, "output": "wind.tif"}
    chosen |= change
    for name in ("dem", "output", "model"):
        chosen[name] = tmp_path / chosen[name]
    with pytest.raises(InputError, match=message):
        predict(**chosen)
    assert sorted(tmp_path.iterdir()) == [dem]


def test_elevation_models_that_cannot_be_used_are_refused(silent, tmp_path):
    def refused(message, *args, **kwargs):
        path = write_dem(tmp_path / "dem.tif", *args, **kwargs)
        with pytest.raises(InputError, match=message):
            predict(model=silent, dem=path, speed=8, direction=270, output=tmp_path / "wind.tif")
        assert not (tmp_path / "wind.tif").exists()

    refused("no coordinate reference system", hills(), crs=None)
    refused("less than a window of the surrogate, 0.96 × 0.96 km", hills()[:15])
    refused("lacks values", np.full((SIDE, SIDE), -9999.0))


def test_a_cheap_model_that_fails_leaves_a_gap(tmp_path, monkeypatch, caplog):
    model = make_model(tmp_path / "model", "unet_corrected")
    dem = write_dem(tmp_path / "hills.tif", hills())
    original = FittedSurrogate.predict

    def predicted(self, elevation, roughness):
        flow, spread = original(self, elevation, roughness)
        flow[0] = np.nan
        return flow, spread

    monkeypatch.setattr(FittedSurrogate, "predict", predicted)
    predict(model=model, dem=dem, speed=8, direction=270, output=tmp_path / "wind.tif")
    assert "the cheap model failed in" in caplog.text


def test_members_differ_and_their_spread_is_given(tmp_path):
    model = make_model(tmp_path / "model", silent=False)
    dem = write_dem(tmp_path / "hills.tif", hills())
    predict(model=model, dem=dem, speed=8, direction=270, output=tmp_path / "wind.tif")
    found, _ = read(tmp_path / "wind.tif")
    assert np.nanmin(found["spread"]) > 0
    surrogate = read_surrogate(model)
    one = replace(surrogate, networks=surrogate.networks[:1])
    _, spread = one.predict(np.zeros((1, 17, 17)), np.array([0.1]))
    assert not spread.any()
    assert json.loads((model / MODEL).read_text())["networks"] == 2
