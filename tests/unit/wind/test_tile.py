"""Tiles of elevation models: turned rightly, apart, and refused with one clear message."""

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import from_origin
from rasterio.warp import transform

from casestudies.errors import InputError
from casestudies.wind.simulate import simulate
from casestudies.wind.terrain import interior, read_terrains, slopes
from casestudies.wind.tile import downwind, find_rasters, open_model, tile, tiles

WEST, NORTH = 561_000.0, 5_194_000.0
UTM = "EPSG:32632"
OPTIONS = {"cells": 16, "spacing": 60.0, "fringe": 0.25}
KEY = np.random.SeedSequence(0)


def write(path, values, resolution=30.0, crs=UTM, origin=(WEST, NORTH), unit=None, nodata=None):
    size = {"height": values.shape[0], "width": values.shape[1], "count": 1}
    place = from_origin(*origin, resolution, resolution)
    options = {"dtype": values.dtype, "crs": crs, "transform": place, "nodata": nodata}
    with rasterio.open(path, "w", driver="GTiff", **size, **options) as file:
        file.write(values, 1)
        if unit:
            file.set_band_unit(1, unit)
    return path


def plane(rows, columns, east=0.2, north=-0.1, resolution=30.0):
    """Return elevations at the centres of pixels of a plane that is 1000 m high at the origin."""
    x = (np.arange(columns) + 0.5) * resolution
    y = -(np.arange(rows)[:, None] + 0.5) * resolution
    return (1000 + east * x + north * y).astype(np.float32)


def hills(rows=100, columns=100, resolution=30.0, seed=0):
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(columns) * resolution, np.arange(rows) * resolution)
    value = sum(
        20 * np.sin(x / a + p) * np.cos(y / b + q)
        for a, b, p, q in rng.uniform([150, 150, 0, 0], [400, 400, 6, 6], (4, 4))
    )
    return (1500 + value).astype(np.float32)


def all_tiles(path, most=40, steepest=1.0, relief=700.0, cells=16, spacing=60.0):
    with open_model(path) as model:
        return tiles(model, cells, spacing, 0.25, steepest, relief, most, (0.01, 0.1), KEY)


def test_the_wind_blows_along_x():
    for direction, along, left in (
        (270, (1, 0), (0, 1)),
        (0, (0, -1), (1, 0)),
        (90, (-1, 0), (0, -1)),
        (225, (0.5**0.5, 0.5**0.5), (-(0.5**0.5), 0.5**0.5)),
    ):
        found = downwind(direction)
        np.testing.assert_allclose(found[0], along, atol=1e-12)
        np.testing.assert_allclose(found[1], left, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(direction=st.floats(0, 360), spacing=st.floats(20, 60))
def test_a_plane_is_turned_and_placed(direction, spacing, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "plane.tif"
    if not path.exists():
        write(path, plane(100, 100))
    x, y = WEST + 1400.0, NORTH - 1600.0
    with open_model(path) as model:
        found = model.cut(x, y, direction, (10, 12), spacing)
    assert found.shape == (11, 13)
    # The kernel that widens when it averages is not quite even about a point.
    assert found[5, 6] == pytest.approx(1000 + 0.2 * 1400 + 0.1 * 1600, abs=0.6)
    along, left = downwind(direction)
    gradient = np.array([0.2, -0.1])
    for part, axis in zip(slopes(found, spacing), (along, left), strict=True):
        assert part.mean() == pytest.approx(gradient @ axis, abs=2e-3)
        assert part.std() < 0.02


def test_a_tile_on_the_grid_of_the_model_has_its_values(tmp_path):
    values = hills()
    path = write(tmp_path / "hills.tif", values)
    with open_model(path) as model:
        # Centres of pixels: node (0, 0) is that of row 60, column 30; y runs to the north.
        x, y = WEST + 30 * (30.5 + 8), NORTH - 30 * (60.5 - 5)
        found = model.cut(x, y, 270.0, (10, 16), 30.0)
        turned = model.cut(x, y, 180.0, (16, 10), 30.0)
    wanted = values[50:61, 30:47][::-1]
    np.testing.assert_allclose(found, wanted, atol=0.05)
    # Wind from the south: x runs to the north, y to the west.
    np.testing.assert_allclose(turned, wanted.T[::-1], atol=0.05)


def test_a_finer_model_is_averaged(tmp_path):
    noise = np.random.default_rng(0).normal(0, 10, (400, 400))
    path = write(tmp_path / "fine.tif", (1000 + noise).astype(np.float32), resolution=5.0)
    spread = []
    with open_model(path) as model:
        for direction in (270.0, 315.0):
            found = model.cut(WEST + 1000, NORTH - 1000, direction, (20, 20), 50.0)
            spread.append(found.std())
    # A mean of 10 × 10 pixels has a tenth of the noise; nearest or narrow kernels keep most of it.
    assert max(spread) < 2.0
    assert spread[0] == pytest.approx(spread[1], rel=0.3), "whatever the direction"


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(60, 160), columns=st.integers(60, 160))
def test_tiles_never_overlap_and_lie_in_the_model(seed, rows, columns, tmp_path_factory):
    path = tmp_path_factory.mktemp("dem") / "hills.tif"
    write(path, hills(rows, columns))
    with open_model(path) as model:
        found = tiles(
            model, 16, 60.0, 0.25, 9, 9e9, 99, (0.01, 0.1), np.random.SeedSequence(seed)
        ).table
    along, left = downwind(found["direction"].iloc[0])
    assert (found["direction"] % 90).nunique() == 1, "one lattice, wind from any of its sides"
    centre = found[["x", "y"]].to_numpy()
    corners = 480 * np.array([along + left, along - left, -along + left, -along - left])
    x, y = (centre[:, None] + corners).reshape(-1, 2).T
    assert (x >= WEST - 1e-6).all() and (x <= WEST + 30 * columns + 1e-6).all()
    assert (y <= NORTH + 1e-6).all() and (y >= NORTH - 30 * rows - 1e-6).all()
    apart = centre[:, None] - centre
    apart = np.maximum(np.abs(apart @ along), np.abs(apart @ left))
    assert (apart[~np.eye(len(centre), dtype=bool)] >= 960 - 1e-6).all()


def test_the_table_says_where_a_tile_is_from(tmp_path):
    path = write(tmp_path / "davos.tif", hills())
    found = all_tiles(path)
    one = found.table.iloc[0]
    massif, number, direction = one["terrain"].split("-")
    assert massif == one["massif"] == "davos" and int(direction) == one["direction"]
    assert len(number) == 3 and one["real"] == 1 and np.isnan(one["slope_rms"])
    assert 0.01 <= one["roughness"] <= 0.1
    with open_model(path) as model:
        again = model.cut(one["x"], one["y"], one["direction"], (16, 16), 60.0)
    inside = interior((17, 17), 0.25)
    np.testing.assert_allclose(found.elevation[0][inside], again[inside])


def test_a_model_in_degrees_goes_through_its_utm_zone(tmp_path):
    # Elevation rises to the east by 0.3 in UTM; pixels of 2″.
    longitude = 10.8 + (np.arange(120) + 0.5) / 1800
    latitude = 46.9 - (np.arange(90) + 0.5) / 1800
    grid = np.meshgrid(longitude, latitude)
    x, y = transform("EPSG:4326", UTM, *(part.ravel() for part in grid))
    values = (1000 + 0.3 * (np.array(x) - x[0])).reshape(90, 120).astype(np.float32)
    path = write(tmp_path / "degrees.tif", values, 1 / 1800, "EPSG:4326", (10.8, 46.9))
    with open_model(path) as model:
        assert model.crs.to_epsg() == 32632
        assert model.resolution == pytest.approx((42.4 * 61.8) ** 0.5, rel=0.02)
        found = model.cut(x[0] + 1200, y[0] - 1200, 270.0, (16, 16), 60.0)
    east, north = slopes(found, 60.0)
    assert east.mean() == pytest.approx(0.3, abs=2e-3) and abs(north.mean()) < 2e-3
    assert found[8, 8] == pytest.approx(1000 + 0.3 * 1200, abs=1)
    table = all_tiles(path, relief=9e9).table
    assert table["x"].between(10.8, 10.87).all() and table["y"].between(46.85, 46.9).all()
    south = write(tmp_path / "south.tif", values, 1 / 1800, "EPSG:4326", (-70.0, -33.0))
    with open_model(south) as model:
        assert model.crs.to_epsg() == 32719


def test_steep_tiles_are_on_record(tmp_path):
    values = hills(200, 200)
    values[:, 100:] += 30 * 1.5 * np.arange(100)  # a steep east
    path = write(tmp_path / "half.tif", values)
    found = all_tiles(path)
    rejected = found.table["rejected"] != ""
    assert 0 < rejected.sum() < len(found) and found.names == sorted(found.names)
    assert (rejected == ((found.table["slope_p95"] > 1) | (found.table["relief"] > 700))).all()
    some = all_tiles(path, most=5)
    assert len(some) == 5 and set(some.names) < set(found.names)


def test_tiles_with_gaps_are_left_out(tmp_path):
    values = hills(120, 120)
    whole = all_tiles(write(tmp_path / "hills.tif", values))
    values[:60] = -9999
    gaps = all_tiles(
        write(tmp_path / "declared", values, nodata=-9999.0).rename(tmp_path / "hills.tif")
    )
    assert 0 < len(gaps) < len(whole) and set(gaps.names) <= set(whole.names)
    undeclared = all_tiles(write(tmp_path / "hills.tif", values))
    assert undeclared.names == gaps.names
    values[:] = -9999
    with pytest.raises(InputError, match=r"each of its .* tiles lacks values"):
        all_tiles(write(tmp_path / "hills.tif", values, nodata=-9999.0))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"crs": None}, "no coordinate reference system"),
        ({"unit": "ft"}, "its elevations are in 'ft'"),
        ({"crs": "EPSG:2263"}, "its coordinates are in 'US survey foot'"),
    ],
)
def test_a_model_that_cannot_be_used_is_refused(options, named, tmp_path):
    path = write(tmp_path / "dem.tif", hills(), **options)
    with pytest.raises(InputError, match=named) as error:
        tile(rasters=[path], output=tmp_path / "out" / "terrains.nc", **OPTIONS)
    assert str(path) in str(error.value)
    assert not (tmp_path / "out").exists()


def test_metres_by_any_name_will_do(tmp_path):
    with open_model(write(tmp_path / "dem.tif", hills(), unit="Metre")) as model:
        assert model.resolution == pytest.approx(30)


def test_models_that_are_small_missing_or_no_raster(tmp_path):
    small = write(tmp_path / "small.tif", hills(30, 30))
    with pytest.raises(InputError, match=r"small.tif: is smaller than a tile of 0.96 × 0.96 km"):
        all_tiles(small)
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(InputError, match="cannot be read as GeoTIFF"):
        all_tiles(tmp_path / "text.tif")
    with pytest.raises(InputError, match="no such file"):
        all_tiles(tmp_path / "none.tif")
    two = np.stack([hills(), hills()])
    size = {"count": 2, "height": 100, "width": 100, "dtype": "float32", "crs": UTM}
    with rasterio.open(tmp_path / "two.tif", "w", transform=from_origin(0, 0, 30, 30), **size) as f:
        f.write(two)
    with pytest.raises(InputError, match="has 2 bands"):
        all_tiles(tmp_path / "two.tif")


def test_models_are_files_and_folders_of_distinct_names(tmp_path):
    (tmp_path / "folder").mkdir()
    for name in ("folder/b.tif", "folder/notes.txt", "a.TIFF"):
        (tmp_path / name).touch()
    found = find_rasters([tmp_path / "folder", tmp_path / "a.TIFF"])
    assert [path.name for path in found] == ["a.TIFF", "b.tif"]
    (tmp_path / "b.tif").touch()
    with pytest.raises(InputError, match="one name"):
        find_rasters([tmp_path / "folder", tmp_path / "b.tif"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no GeoTIFF"):
        find_rasters([tmp_path / "empty"])


def test_random_fields_come_first_and_share_the_grid(tmp_path):
    simulate(output=tmp_path, terrains=3, cells=16)
    models = [
        write(tmp_path / "b.tif", hills(seed=1)),
        write(tmp_path / "a.tif", hills(seed=2)),
    ]
    options = {"output": tmp_path / "all.nc", "fields": tmp_path / "terrains.nc"}
    tile(rasters=models, **options, **OPTIONS)
    found = read_terrains(tmp_path / "all.nc")
    assert found.table["massif"].drop_duplicates().tolist() == ["random field", "a", "b"]
    assert found.table["real"].tolist() == [0] * 3 + [1] * (len(found) - 3)
    tile(rasters=models[:1], output=tmp_path / "one.nc", **OPTIONS)
    alone, among = read_terrains(tmp_path / "one.nc").table, found.table
    among = among[among["massif"] == "b"].reset_index(drop=True)
    assert alone.equals(among), "the tiles of a massif do not depend on the others"
    with pytest.raises(InputError, match=r"terrains.nc: cells, spacing and fringe are"):
        tile(rasters=models, **options, **{**OPTIONS, "spacing": 50.0})


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"cells": 4}, "--cells"),
        ({"spacing": -1.0}, "--spacing"),
        ({"fringe": 0.6}, "--fringe"),
        ({"per_massif": 0}, "--per-massif"),
        ({"roughness": (0.1, 0.01)}, "--roughness"),
        ({"seed": -1}, "--seed"),
        ({"rasters": []}, "--rasters"),
    ],
)
def test_bad_options_are_refused(wrong, named, tmp_path):
    options = {"rasters": [write(tmp_path / "a.tif", hills())], **OPTIONS}
    with pytest.raises(InputError, match=named):
        tile(output=tmp_path / "out" / "terrains.nc", **{**options, **wrong})
    assert not (tmp_path / "out").exists()


@pytest.mark.published
def test_published_elevation_models_give_tiles(mirror, tmp_path):
    tile(rasters=[mirror / "dem"], output=tmp_path / "terrains.nc")
    table = read_terrains(tmp_path / "terrains.nc").table
    assert set(table["massif"]) == {"davos", "aletsch", "big_butte", "oetztal"}
    accepted = table[table["rejected"] == ""].groupby("massif").size()
    assert (accepted >= 5).all() and (table.groupby("massif").size() <= 40).all()
    assert table.loc[table["massif"] == "oetztal", "x"].between(10.6, 11.2).all()
    assert table.loc[table["massif"] == "davos", "y"].between(5_172_000, 5_195_000).all()
