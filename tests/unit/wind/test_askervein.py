"""Askervein: the map and the masts are read right, and what is wrong in them is named by line."""

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st

from casestudies.errors import InputError
from casestudies.wind import askervein
from casestudies.wind.askervein import (
    CENTRE,
    MAP,
    MASTS,
    NORTH,
    POSITIONS,
    Grid,
    elevation,
    read_contours,
    read_masts,
    stations,
    write_dem,
)
from casestudies.wind.terrain import read_terrains

HEADER = "a hill\n 0.0 0.0 0.0 0.0\n 1.0 0.0 1.0 0.0\n 1.0 0.0\n"
CONTOURS = """ 10.0 3
 0.0 0.0 10.0 0.0
 20.0 5.0
 0.03 0.0 2
 5.0 5.0 6.0 6.0

 0.03 0.0002 0.0 1
 7.0 8.0
"""
TABLE = """Name,Sensor,X(m),Y(m),Z(m),H(m),S(m/s),tke(m^2/s^2),FSR,FSRmin,FSRmax,TKE*
RS,cup,74300,20980,4.75,10,8.9,1.4,0,-999,-999,0.01
HT,gill uvw,75387,23735,124.61,10,16.2,1.3,0.884,0.065,0.065,0.017
HT (10m_t),cup,75381,23745,124.98,10,16.8,-999,0.864,0.071,0.067,-999
HT,cups,75387,23735,124.61,5,16.5,1.8,0.862,-999,-999,0.025
ANE40,gill,75661,24017,41.26,10,3,4.3,-0.651,0.083,0.073,0.05
AANE50,cup,76006,23813,30.29,10,-999,-999,-999,-999,-999,-999
ASW85,gill,74813,23122,10.73,10,7.8,1.1,-0.093,0.045,0.045,0.01
"""


@pytest.fixture
def masts(tmp_path):
    path = tmp_path / MASTS
    path.write_text(TABLE)
    return path


# The map ----------------------------------------------------------------------------------------


def write(tmp_path, text):
    path = tmp_path / MAP
    path.write_text(text, encoding="latin-1")
    return path


def test_contours_are_read_and_mere_roughness_is_left_out(tmp_path):
    points = read_contours(write(tmp_path, HEADER + CONTOURS))
    assert points.tolist() == [[0, 0, 10], [10, 0, 10], [20, 5, 10], [7, 8, 0]]


def test_heights_are_scaled(tmp_path):
    text = (HEADER + CONTOURS).replace(" 1.0 0.0\n 10.0", " 0.5 2.0\n 10.0")
    assert read_contours(write(tmp_path, text))[:, 2].tolist() == [6, 6, 6, 1]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (" 20.0 5.0\n", "", r"line 5: the polyline should have 3 points, that is 6 numbers"),
        (" 20.0 5.0", " 20.0 five", r"line 7: not numbers: '20\.0 five'"),
        (" 20.0 5.0", " 20.0 nan", r"line 7: not numbers"),
        (" 10.0 3", " 3", r"line 5: a polyline starts with 2 to 4 numbers.*found '3'"),
        (" 10.0 3", " 10.0 2.5", r"line 5: a polyline starts"),
        (" 10.0 3", " 10.0 -3", r"line 5: a polyline starts"),
        (" 7.0 8.0\n", " 7.0\n", r"line 11: the polyline should have 1 points"),
        (" 1.0 0.0 1.0 0.0", " 1.0 5.0 1.0 0.0", "must be metres"),
        ("\n 1.0 0.0\n 10.0", "\n 0.0 0.0\n 10.0", "line 4: needs the scale"),
        (CONTOURS, " 0.03 0.0 1\n 5.0 5.0\n", "holds no contour"),
        (HEADER + CONTOURS, "a hill\n", "too few"),
    ],
)
def test_what_is_wrong_in_a_map_is_named(tmp_path, before, after, message):
    text = HEADER + CONTOURS
    assert before in text
    path = write(tmp_path, text.replace(before, after))
    with pytest.raises(InputError, match=message) as caught:
        read_contours(path)
    assert str(path) in str(caught.value)


def test_a_missing_map(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_contours(tmp_path / MAP)


# The frame --------------------------------------------------------------------------------------


def test_the_wind_comes_from_210_degrees():
    east, north = Grid((10, 20), 50.0).nodes
    assert (east[5, 10], north[5, 10]) == pytest.approx(CENTRE)
    # x is downwind, towards 30 degrees; y is to the left of it.
    along = (east[5, 11] - east[5, 10], north[5, 11] - north[5, 10])
    across = (east[6, 10] - east[5, 10], north[6, 10] - north[5, 10])
    assert along == pytest.approx((25.0, 50 * np.sqrt(3) / 2))
    assert across == pytest.approx((-50 * np.sqrt(3) / 2, 25.0))


@given(
    direction=st.floats(0, 360),
    spacing=st.floats(5, 100),
    row=st.integers(0, 8),
    column=st.integers(0, 12),
)
def test_cells_are_found_again(direction, spacing, row, column):
    grid = Grid((9, 13), spacing, direction)
    centres = [
        (part[1:, 1:] + part[1:, :-1] + part[:-1, 1:] + part[:-1, :-1]) / 4 for part in grid.nodes
    ]
    found = grid.cells(*(part[row, column] for part in centres))
    assert found == pytest.approx((row, column), abs=1e-6)


# Elevation --------------------------------------------------------------------------------------


def plane(step: float = 100.0) -> np.ndarray:
    """Return points of a plane around the hill top, (n, 3)."""
    x, y = np.meshgrid(np.arange(-1000, 1001, step), np.arange(-1000, 1001, step))
    place = np.column_stack([CENTRE[0] + x.ravel(), CENTRE[1] + y.ravel()])
    return np.column_stack([place, 50 + 0.02 * x.ravel() - 0.03 * y.ravel()])


def test_a_plane_is_interpolated_as_a_plane():
    points = plane()
    east, north = Grid((10, 12), 60.0).nodes
    twice = np.concatenate([points, points[:30]])
    expected = 50 + 0.02 * (east - CENTRE[0]) - 0.03 * (north - CENTRE[1])
    assert elevation(twice, east, north) == pytest.approx(expected)


def test_a_grid_beyond_the_map_is_refused():
    with pytest.raises(InputError, match="do not reach as far as the grid"):
        elevation(plane(), *Grid((40, 40), 60.0).nodes)


def test_the_elevation_model_ends_where_the_map_does(tmp_path):
    points = plane()
    points = points[points[:, 0] < CENTRE[0] + 500]
    write_dem(points, tmp_path / "hill.tif", 800.0, 50.0)
    with rasterio.open(tmp_path / "hill.tif") as model:
        assert model.crs.to_epsg() == 27700
        assert model.shape == (32, 24)
        assert tuple(model.bounds) == pytest.approx(
            (CENTRE[0] - 800, CENTRE[1] + NORTH - 800, CENTRE[0] + 400, CENTRE[1] + NORTH + 800)
        )
        x, y = CENTRE[0] - 310.0, CENTRE[1] + NORTH + 220.0
        height = next(model.sample([(x, y)]))[0]
    # Of the middle of the pixel in which the place lies.
    assert height == pytest.approx(50 - 0.02 * 325 - 0.03 * 225, abs=0.01)


# The masts --------------------------------------------------------------------------------------


def test_masts_are_read_with_bounds(masts):
    table = read_masts(masts)
    assert table["mast"].tolist()[:3] == ["RS", "HT", "HT (10m_t)"]
    lee = table[table["mast"] == "ANE40"].iloc[0]
    assert (lee["lower"], lee["upper"]) == pytest.approx((-0.734, -0.578))
    assert table["speed_up"].isna().sum() == 1 and table["lower"].isna().sum() == 3


def test_instruments_of_a_mast_are_one_station(masts):
    found = stations(read_masts(masts)).set_index("station")
    assert found.index.tolist() == ["HT", "ANE40", "ASW85"]
    assert found["position"].tolist() == ["ridge", "lee", "windward"]
    assert found["instruments"].tolist() == [2, 1, 1]
    top = found.loc["HT"]
    assert (top["x"], top["y"], top["speed_up"]) == pytest.approx((75384, 23740, 0.874))
    assert (top["lower"], top["upper"]) == pytest.approx((0.806, 0.940))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("0.884", "fast", r"line 3: FSR is 'fast'; a number is needed\."),
        ("-0.651", "", "line 6: FSR is"),
        ("75661", "-999", r"line 6: X\(m\) is .*a number is needed of every instrument"),
        ("FSRmin", "FSRlow", "column 'FSRmin' is missing.*did you mean 'FSR"),
    ],
)
def test_what_is_wrong_in_a_table_is_named(masts, before, after, message):
    masts.write_text(TABLE.replace(before, after))
    with pytest.raises(InputError, match=message) as caught:
        read_masts(masts)
    assert str(masts) in str(caught.value)


def test_a_mast_of_no_line_is_refused(masts):
    masts.write_text(TABLE.replace("ASW85", "XSW85"))
    with pytest.raises(InputError, match="'XSW85' is of none of the lines of masts, ASW, "):
        stations(read_masts(masts))


# The step, and published data -------------------------------------------------------------------


def test_a_grid_that_makes_no_sense_is_refused(tmp_path):
    with pytest.raises(InputError, match="--fringe from 0 to below"):
        askervein.askervein(data=tmp_path, output=tmp_path / "terrains.nc", fringe=0.5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.published
def test_the_published_hill(mirror, tmp_path):
    folder = mirror / "askervein"
    contours = read_contours(folder / MAP)
    assert contours.shape == (75308, 3) and contours[:, 2].max() == 370
    found = stations(read_masts(folder / MASTS))
    assert len(found) == 36
    assert found.groupby("position").size().to_dict() == dict(
        zip(POSITIONS, (12, 16, 8), strict=True)
    )
    # The map agrees with the heights of the masts.
    error = elevation(contours, found[["x"]].to_numpy(), found[["y"]].to_numpy())[:, 0]
    error -= found["elevation"]
    assert abs(error.mean()) < 0.2 and np.sqrt((error**2).mean()) < 1.0

    askervein.askervein(data=folder, output=tmp_path / "terrains.nc", spacing=80.0, cells=(60, 48))
    hill = read_terrains(tmp_path / "terrains.nc")
    assert hill.names == ["askervein-210"] and hill.shape == (48, 60) and hill.fringe == 0
    assert 115 < hill.elevation[0, 24, 30] < 125
    assert hill.table.loc[0, "roughness"] == 0.03 and hill.table.loc[0, "direction"] == 210
