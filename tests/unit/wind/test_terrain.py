"""Random fields have the statistics asked for; the fringe is flat; files are checked."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from casestudies.errors import InputError
from casestudies.wind.terrain import (
    COLUMNS,
    Terrains,
    blend,
    guard,
    interior,
    random_field,
    read_terrains,
    slopes,
    taper,
)


def field(seed=0, cells=48, spacing=60.0, length=400.0, slope=0.2, exponent=4.0):
    return random_field(cells, spacing, length, slope, exponent, np.random.default_rng(seed))


def terrains(count=3, cells=16):
    elevation = np.stack([blend(field(k, cells), 0.25) for k in range(count)])
    percentile, relief, rejected = guard(elevation, 60.0, 1.0, 700.0)
    table = pd.DataFrame({name: np.full(count, np.nan) for name in COLUMNS})
    table.insert(0, "terrain", [f"field-{k:04d}" for k in range(count)])
    table = table.assign(roughness=0.05, massif="random field", real=0, rejected=rejected)
    table = table.assign(slope_p95=percentile, relief=relief)
    return Terrains(elevation, table, 60.0, 0.25)


def test_slopes_of_a_plane():
    y, x = np.meshgrid(np.arange(4) * 10.0, np.arange(6) * 10.0, indexing="ij")
    along, across = slopes(np.stack([0.3 * x - 0.1 * y, 0.5 * y]), 10.0)
    assert along.shape == (2, 3, 5)
    np.testing.assert_allclose(along[0], 0.3)
    np.testing.assert_allclose(across, np.array([-0.1, 0.5])[:, None, None] * np.ones((3, 5)))


@pytest.mark.parametrize(("cells", "fringe", "inside"), [(48, 0.25, 24), (10, 0.1, 8), (7, 0.4, 1)])
def test_the_interior_lies_outside_the_fringe(cells, fringe, inside):
    found = interior((cells, cells), fringe)
    assert found.shape == (cells, cells) and found.sum() == inside**2
    assert (found == found[::-1]).all() and (found == found.T).all()


@settings(deadline=None)
@given(
    seed=st.integers(0, 1000),
    fringe=st.floats(0.1, 0.4),
    cells=st.integers(16, 40),
    level=st.floats(-100, 4000),
)
def test_a_fringe_is_flat_at_the_edge_smooth_and_leaves_the_interior(seed, fringe, cells, level):
    before = field(seed, cells) + level
    after = blend(before, fringe)
    edge = np.concatenate([after[0], after[-1], after[:, 0], after[:, -1]])
    np.testing.assert_allclose(edge, edge[0], atol=1e-9)
    assert before.min() - 1e-9 <= after.min() and after.max() <= before.max() + 1e-9
    whole = taper(cells + 1, fringe) == 1
    np.testing.assert_allclose(after[whole][:, whole], before[whole][:, whole], rtol=0, atol=1e-9)
    # What blending adds is at most (z − level) times the slope of the taper.
    rise = np.hypot(*slopes(after, 60.0)).max() - np.hypot(*slopes(before, 60.0)).max()
    assert rise <= np.sqrt(2) * 1.5 / (fringe * cells * 60.0) * np.abs(before - edge[0]).max()


def test_the_level_of_the_flat_ground_makes_blending_least_steep():
    before = field(3) + 0.1 * 60.0 * np.arange(49)  # a slope: the edge's mean is not its middle
    weight = np.outer(taper(49, 0.25), taper(49, 0.25))
    steep = np.hypot(*np.gradient(weight)) ** 2

    def added(level: float) -> float:
        return float((steep * (before - level) ** 2).sum())

    level = blend(before, 0.25)[0, 0]
    assert added(level) < min(added(level - 1), added(level + 1))


@settings(max_examples=20, deadline=None)
@given(slope=st.floats(0.01, 1), length=st.floats(150, 900), exponent=st.floats(2.5, 5.5))
def test_a_random_field_has_its_slope_exactly(slope, length, exponent):
    along, across = slopes(field(1, 32, 60.0, length, slope, exponent), 60.0)
    assert np.sqrt(np.mean(along**2 + across**2)) == pytest.approx(slope, rel=1e-9)


@pytest.mark.parametrize("exponent", [3.0, 5.0])
@pytest.mark.parametrize("length", [300.0, 600.0])
def test_correlation_falls_to_1_over_e_at_its_length(length, exponent):
    lag = int(length / 20)
    products, squares = [], []
    for seed in range(60):
        one = field(seed, 200, 20.0, length, 0.2, exponent)
        products += [(one[:, :-lag] * one[:, lag:]).mean(), (one[:-lag] * one[lag:]).mean()]
        squares.append((one**2).mean())
    # A field's own mean is out of it, so that far points are slightly anticorrelated.
    assert np.mean(products) / np.mean(squares) == pytest.approx(np.exp(-1), abs=0.06)


@pytest.mark.parametrize("exponent", [3.0, 4.0, 5.0])
def test_the_spectrum_falls_off_by_its_exponent(exponent):
    size, spacing = 256, 10.0
    window = np.outer(np.hanning(size), np.hanning(size))
    power = 0.0
    for seed in range(12):
        one = field(seed, size - 1, spacing, 300.0, 0.2, exponent)
        power = power + np.abs(np.fft.fft2(one * window)) ** 2
    k = 2 * np.pi * np.fft.fftfreq(size, spacing)
    length = np.hypot(k, k[:, None])
    # Well inside the outer scale, and clear of the damped waves.
    chosen = (length > 8 / 300) & (length < 0.5 * np.pi / 2 / spacing)
    fitted = np.polyfit(np.log(length[chosen]), np.log(power[chosen]), 1)[0]
    assert -fitted == pytest.approx(exponent, abs=0.25)


def test_short_waves_are_damped_and_opposite_edges_are_strangers():
    one = field(0, 128, 60.0, 300.0, 0.3, 3.0)
    power = np.abs(np.fft.fft2(one * np.outer(np.hanning(129), np.hanning(129)))) ** 2
    k = np.abs(np.fft.fftfreq(129, 60.0))
    short = np.hypot(k, k[:, None]) > 1 / 150  # 2.5 cells
    assert power[short].sum() < 1e-4 * power.sum()
    left, right = np.stack([(f[:, 0], f[:, -1]) for f in (field(s) for s in range(40))], axis=1)
    assert abs((left * right).mean() / left.std() / right.std()) < 0.25


def test_guard_rails_give_each_reason():
    flat = np.zeros((17, 17))
    steep = np.tile(1.5 * 60 * np.abs(np.arange(17) - 8.0), (17, 1))
    tall = np.tile(0.9 * 60 * np.arange(17.0), (17, 1))
    percentile, relief, rejected = guard(np.stack([flat, steep, tall]), 60.0, 1.0, 720.0)
    np.testing.assert_allclose(percentile, [0, 1.5, 0.9])
    np.testing.assert_allclose(relief, [0, 720, 864])
    assert rejected[0] == ""
    assert rejected[1] == "95th percentile of slope 1.50 above 1"
    assert rejected[2] == "relief 864 m above 720 m"


def test_terrains_come_back_from_their_file(tmp_path):
    before = terrains()
    before.table.loc[1, "rejected"] = "relief 900 m above 700 m"
    before.write(tmp_path / "terrains.nc")
    after = read_terrains(tmp_path / "terrains.nc")
    np.testing.assert_allclose(after.elevation, before.elevation, rtol=1e-6, atol=1e-5)
    assert after.elevation.dtype == np.float64
    assert after.names == before.names and len(after) == 3
    assert (after.spacing, after.fringe, after.shape) == (60.0, 0.25, (16, 16))
    pd.testing.assert_frame_equal(after.table, before.table, check_dtype=False)
    assert after.interior.sum() == 64
    with xr.open_dataset(tmp_path / "terrains.nc", engine="h5netcdf") as stored:
        assert stored["elevation"].dtype == np.float32 and stored["elevation"].units == "m"
        assert stored["elevation"].dims == ("terrain", "y_node", "x_node")
    both = Terrains.join([before, after])
    assert len(both) == 6 and both.table.index.tolist() == list(range(6))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda d: d.drop_vars("roughness"), "roughness missing"),
        (lambda d: d.drop_attrs(), "fringe, spacing missing"),
        (lambda d: d.assign(roughness=d["roughness"] * 0), "roughness of terrain 'field-0000'"),
        (lambda d: d.assign(elevation=d["elevation"].where(d["x_node"] > 0)), "is not finite"),
        (lambda d: d.assign(relief=d["relief"] * np.nan), "relief of terrain 'field-0000' is miss"),
        (lambda d: d.assign(real=d["real"] + 2), "real of terrain 'field-0000' must be 0 or 1"),
        (lambda d: d.assign_coords(terrain=["a", "b", "a"]), "terrain 'a' is there twice"),
        (lambda d: d.assign_attrs(spacing=-1.0), "spacing must be above 0"),
    ],
)
def test_a_wrong_file_is_refused_by_name_and_field(change, named, tmp_path):
    terrains().write(tmp_path / "good.nc")
    with xr.open_dataset(tmp_path / "good.nc", engine="h5netcdf") as dataset:
        change(dataset.load()).to_netcdf(tmp_path / "bad.nc", engine="h5netcdf")
    with pytest.raises(InputError, match=named) as error:
        read_terrains(tmp_path / "bad.nc")
    assert "bad.nc" in str(error.value)


def test_a_missing_file_and_one_that_is_no_netcdf(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_terrains(tmp_path / "terrains.nc")
    (tmp_path / "terrains.nc").write_text("<html>")
    with pytest.raises(InputError, match="cannot be read as NetCDF-4"):
        read_terrains(tmp_path / "terrains.nc")
