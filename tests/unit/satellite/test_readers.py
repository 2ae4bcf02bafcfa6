"""Readers of images and soundings: what they return, and what they refuse with one message."""

import os
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import example, given
from hypothesis import strategies as st

from casestudies.errors import InputError
from casestudies.satellite.readers import IMAGE_READERS, SOUNDING_READERS, ames, toms, tropomi
from casestudies.satellite.readers.frames import Axis, Frame, Series, gaps, pixel, scan_angles
from casestudies.satellite.readers.soundings import (
    DU_PER_MPA,
    Sounding,
    integrated_column,
    partial_column,
    total_column,
)
from casestudies.satellite.readers.units import check_plausible, convert, standard

GOES = {
    "height": 35786023.0,
    "semi_major": 6378137.0,
    "semi_minor": 6356752.31414,
    "longitude": -75.0,
    "sweep": "x",
}
HOUR = np.timedelta64(1, "h")
START = np.datetime64("2020-06-01T00", "s")


# Units ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value, given_units, wanted, expected",
    [
        (20.0, "degC", "K", 293.15),
        (293.15, "Kelvin", "celsius", 20.0),
        (1.0, "mol m-2", "DU", 2241.47),
        (300.0, "DU", "molec/cm2", 8.06e18),
        (9.0, "10^15molec/cm2", "molecules cm-2", 9e15),
        (9.0, "1e15 molec cm-2", "molecules cm-2", 9e15),
        (1013.25, "mbar", "Pa", 101325.0),
        (40.0, "ppb", "mol mol-1", 4e-8),
    ],
)
def test_units_convert(value: float, given_units: str, wanted: str, expected: float) -> None:
    assert convert(np.array(value), given_units, wanted, "a") == pytest.approx(expected, rel=1e-4)


@given(st.floats(-100, 1000), st.sampled_from([("degC", "K"), ("DU", "mol m-2"), ("hPa", "Pa")]))
def test_a_conversion_can_be_undone(value: float, pair: tuple[str, str]) -> None:
    there = convert(np.array(value), *pair, "a")
    assert convert(there, pair[1], pair[0], "a") == pytest.approx(value, abs=1e-9)


@pytest.mark.parametrize("pair", [("K", "DU"), ("furlong", "m"), ("mPa", "nmol mol-1")])
def test_units_that_do_not_convert(pair: tuple[str, str]) -> None:
    with pytest.raises(InputError, match=f"file: a is in '{pair[0]}', which does not convert"):
        convert(np.zeros(1), *pair, "file: a")
    assert standard("degK") == "K" and standard("furlong") == "furlong"


def test_impossible_values_are_refused_and_the_likely_units_named() -> None:
    with pytest.raises(InputError, match=r"the values fit 'molec/cm2'.*option 'units'"):
        check_plausible(np.array([7e14, 9e15]), "10^15molec/cm2", "f: no2")
    with pytest.raises(InputError, match="physically impossible for a temperature"):
        check_plausible(np.array([15.0, 20.0]), "K", "f: t")
    for values, units in (
        ([9e15], "molec/cm2"),
        ([250, np.nan], "K"),
        ([1e9], "m"),
        ([np.nan], "K"),
    ):
        check_plausible(np.array(values), units, "f")


# Series -----------------------------------------------------------------------------------------


def frame(hour: int, value: float = 1.0, size: int = 3, name: str = "a", units: str = "K") -> Frame:
    axis = Axis(np.arange(size, dtype=float), {"units": "degrees_north"})
    return Frame(
        START + hour * HOUR,
        {name: np.full((size, size), value, np.float32)},
        {name: units},
        {name: name},
        axis,
        axis,
        Path(f"{hour}.nc"),
    )


def test_a_series_passes_and_counts_empty_frames() -> None:
    series = Series([frame(0), frame(1, np.nan), frame(2)])
    assert [one.time for one in series] == [START, START + 2 * HOUR]
    assert series.dropped == 1 and len(series.times) == 2


def test_units_follow_the_first_frame() -> None:
    first, second = Series([frame(0, 280.0), frame(1, 7.0, units="degC")])
    assert second.units == first.units == {"a": "K"}
    assert second.values["a"][0, 0] == pytest.approx(280.15)


@pytest.mark.parametrize(
    "frames, message",
    [
        ([frame(0), frame(1, size=4)], r"1\.nc: frame of 4 × 4 pixels, where 0\.nc has 3 × 3"),
        ([frame(1), frame(0)], r"0\.nc: its frame of .* is before that of .* in 1\.nc"),
        ([frame(1), frame(1)], "is the same time as"),
        ([frame(0), frame(1, name="b")], "channels b, where 0.nc has a"),
        ([frame(0), frame(1, units="DU")], "1.nc: a is in 'DU', which does not convert to 'K'"),
    ],
)
def test_what_is_no_series(frames: list[Frame], message: str) -> None:
    with pytest.raises(InputError, match=message):
        list(Series(frames))


def test_another_grid_of_the_same_shape_is_refused() -> None:
    other = frame(1)
    other.y.values[:] += 0.5
    with pytest.raises(InputError, match=r"coordinate 'y' is not that of 0.nc"):
        list(Series([frame(0), other]))


def test_missing_hours_are_counted() -> None:
    times = START + np.array([0, 1, 2, 5, 6, 7, 8, 20]) * HOUR
    assert gaps(times) == (HOUR, 2 + 11, 12 * HOUR)


# Where a station is -----------------------------------------------------------------------------


def test_the_pixel_of_a_place_on_a_grid_of_degrees() -> None:
    y = Axis(np.arange(80.0, -81, -10), {"units": "degrees_north"})
    x = Axis(np.arange(-180.0, 180, 22.5), {"units": "degrees_east"})
    assert pixel(y, x, {}, -37.7, 144.95) == (12, 14)
    assert pixel(y, x, {}, 0.0, 179.0) == (8, 0)  # over the date line
    east = Axis(np.arange(200.0, 331, 2.5), {"units": "degrees_east"})
    assert pixel(y, east, {}, 0.0, -113.5)[1] == 19
    with pytest.raises(InputError, match="outside the images"):
        pixel(y, east, {}, 0.0, 10.0)
    with pytest.raises(InputError, match="option 'pixel'"):
        pixel(Axis(y.values, {}), Axis(x.values, {}), {}, 0.0, 0.0)


def test_scan_angles_agree_with_the_worked_example_of_the_users_guide() -> None:
    # GOES-R Product Definition and Users' Guide, volume 3, 5.1.2.8: one point, seen from 75° W.
    up, right = scan_angles(GOES, 33.846162, -84.690932)
    assert (up, right) == (pytest.approx(0.095340, abs=1e-6), pytest.approx(-0.024052, abs=1e-6))
    assert scan_angles(GOES, 0.0, -75.0) == (0.0, 0.0)
    assert np.isnan(scan_angles(GOES, 0.0, 105.0)).all()  # the far side of the Earth
    seviri = scan_angles({**GOES, "sweep": "y"}, 33.846162, -84.690932)
    assert seviri != (up, right) and seviri == pytest.approx((up, right), abs=1e-3)


# Swaths -----------------------------------------------------------------------------------------

pixels = st.lists(
    st.tuples(st.floats(-90, 90), st.floats(-180, 180), st.floats(0, 1)), min_size=1, max_size=60
)


@given(pixels)
@example([(90.0, 0.0, 0.0)])
def test_averages_conserve_what_falls_in_the_region(points: list[tuple[float, ...]]) -> None:
    lat, lon, values = np.array(points).T
    latitudes, longitudes = tropomi.grid((-90, 90, -180, 180), 30)
    mean = tropomi.average(lat, lon, values, latitudes, longitudes, 30)
    number = tropomi.average(lat, lon, np.ones_like(values), latitudes, longitudes, 30)
    assert mean.shape == (6, 12)
    assert (np.isnan(mean) == np.isnan(number)).all()
    assert np.nanmin(mean) >= values.min() - 1e-12 and np.nanmax(mean) <= values.max() + 1e-12


def test_cells_hold_the_mean_and_regions_may_cross_the_date_line() -> None:
    latitudes, longitudes = tropomi.grid((0, 2, 179, -179), 1)
    np.testing.assert_allclose(longitudes, [179.5, 180.5])
    lat = np.array([0.5, 0.6, 1.5, 1.5, 5.0])
    lon = np.array([179.2, 179.4, -179.5, 179.5, 179.5])
    values = np.array([1.0, 3.0, 7.0, np.nan, 9.0])
    mean = tropomi.average(lat, lon, values, latitudes, longitudes, 1)
    np.testing.assert_array_equal(mean, [[2.0, np.nan], [np.nan, 7.0]])
    for region, step in (((10, 5, 0, 1), 1), ((0, 1, 0, 1), 5)):
        with pytest.raises(InputError, match="option"):
            tropomi.grid(region, step)


# Files of images --------------------------------------------------------------------------------


def cf(path: Path, hours: int = 3, units: str = "K", value: float = 280.0) -> Path:
    """Write a small CF file or store, longitude before latitude."""
    values = value + np.arange(hours * 8, dtype=np.float32).reshape(hours, 4, 2)
    values[0, 1, 1] = np.nan
    dataset = xr.Dataset(
        {"t2": (("time", "lon", "lat"), values, {"units": units, "long_name": "temperature"})},
        {
            "time": START + np.arange(hours) * HOUR,
            "lon": ("lon", np.arange(4.0), {"units": "degrees_east"}),
            "lat": ("lat", [50.0, 49.0], {"units": "degrees_north"}),
        },
    )
    if path.suffix == ".zarr":
        dataset.to_zarr(path, consolidated=False, zarr_format=2)
    else:
        dataset.to_netcdf(path, engine="h5netcdf" if path.suffix == ".nc4" else "scipy")
    return path


@pytest.mark.parametrize("name", ["a.nc", "a.nc4", "a.zarr"])
def test_cf_files_of_every_kind(tmp_path: Path, name: str) -> None:
    frames = list(IMAGE_READERS["grid"][0]([cf(tmp_path / name)]))
    assert [one.time for one in frames] == list(START + np.arange(3) * HOUR)
    assert frames[0].shape == (2, 4) and frames[0].y.units == "degrees_north"
    assert frames[0].units == {"t2": "K"} and frames[0].names == {"t2": "temperature"}
    assert np.isnan(frames[0].values["t2"][1, 1]) and frames[1].values["t2"][1, 2] == 293.0


@pytest.mark.parametrize("reader", ["goes", "tropomi", "seviri", "grid", "toms"])
def test_an_empty_file_is_named(tmp_path: Path, reader: str) -> None:
    path = tmp_path / "a.nc"
    path.touch()
    with pytest.raises(InputError, match=r"a\.nc: the file is empty \(zero bytes\)"):
        list(IMAGE_READERS[reader][0]([path]))


@pytest.mark.parametrize("reader", ["goes", "tropomi", "seviri", "grid"])
def test_a_file_that_is_something_else(tmp_path: Path, reader: str) -> None:
    page, folder = tmp_path / "a.nc", tmp_path / "a.zarr"
    page.write_text("<html>403 Forbidden</html>")
    folder.mkdir()
    with pytest.raises(InputError, match=r"not a NetCDF file.*error page"):
        list(IMAGE_READERS[reader][0]([page]))
    with pytest.raises(InputError, match="no Zarr store"):
        list(IMAGE_READERS[reader][0]([folder]))
    with pytest.raises(InputError, match="no such file"):
        list(IMAGE_READERS[reader][0]([tmp_path / "b.nc"]))


@pytest.mark.parametrize("name", ["a.nc", "a.nc4"])
def test_a_file_cut_short(tmp_path: Path, name: str) -> None:
    path = cf(tmp_path / name, hours=200)
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(InputError, match="cut short or damaged"):
        list(IMAGE_READERS["grid"][0]([path]))


def test_a_corrupt_chunk_and_a_lost_one(tmp_path: Path) -> None:
    path = cf(tmp_path / "a.zarr", hours=200)
    chunk = path / "t2" / "0.0.0"
    chunk.write_bytes(chunk.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"a\.zarr: cannot be read"):
        list(IMAGE_READERS["grid"][0]([path]))
    chunk.unlink()
    assert all(one.empty for one in IMAGE_READERS["grid"][0]([path]))  # NaN by the store's own word
    xr.Dataset({"n": (("time", "y", "x"), np.ones((1, 2, 2), "i2"))}, {"time": [START]}).to_zarr(
        tmp_path / "b.zarr", mode="w", consolidated=False, zarr_format=2
    )
    (tmp_path / "b.zarr" / "n" / "0.0.0").unlink()
    with pytest.raises(InputError, match="lacks 1 of 1 chunks, which would be read as ordinary"):
        list(IMAGE_READERS["grid"][0]([tmp_path / "b.zarr"]))


def test_wrong_units_are_refused_unless_the_user_states_the_true_ones(tmp_path: Path) -> None:
    path = cf(tmp_path / "a.nc", units="10^15molec/cm2", value=5e15)
    read = IMAGE_READERS["grid"][0]
    with pytest.raises(InputError, match="as if the power were counted twice"):
        list(read([path]))
    (first, *_) = read([path], units={"t2": "molec/cm2"})
    assert first.units == {"t2": "molecules cm-2"}


def test_a_variable_that_is_not_there(tmp_path: Path) -> None:
    path = cf(tmp_path / "a.nc")
    with pytest.raises(InputError, match=r"no variable 't3'.*valid names: t2"):
        list(IMAGE_READERS["grid"][0]([path], channels=["t3"]))
    with pytest.raises(InputError, match="no ABI level 2 product"):
        list(IMAGE_READERS["goes"][0]([path]))
    with pytest.raises(InputError, match="no SEVIRI store"):
        list(IMAGE_READERS["seviri"][0]([path]))


def test_a_file_without_a_time(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    xr.Dataset({"a": (("t", "y", "x"), np.ones((1, 2, 2)))}).to_netcdf(path, engine="scipy")
    with pytest.raises(InputError, match="no coordinate of time"):
        list(IMAGE_READERS["grid"][0]([path]))


TOMS = """yeardate     latitude\t180.0Z\t090.0W\t000.0Z\t090.0E
1979.003\t80\t-1\t300\t310\t320
1979.003\t-80\t1\t2\t3\t-1
1980.166\t80\t301\t302\t303\t304
1980.166\t-80\t1\t2\t3\t4
"""


def test_toms_tables(tmp_path: Path) -> None:
    path = tmp_path / "OMI.dat"
    path.write_text(TOMS)
    first, second = toms.read_toms([path])
    assert (str(first.time), str(second.time)) == ("1979-01-01T12:00:00", "1980-03-01T12:00:00")
    np.testing.assert_array_equal(first.x.values, [-180, -90, 0, 90])
    np.testing.assert_array_equal(
        first.values["total_ozone"], [[np.nan, 300, 310, 320], [1, 2, 3, np.nan]]
    )
    for text, message in (
        (TOMS[:-4], "line 5 has 4 fields, not 6"),
        ("\n".join(TOMS.splitlines()[:-1]), "cut short"),
        (TOMS.replace("300", "3oo"), "not a number"),
        ("date,value\n", "no table of TOMS/OMI"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=message):
            list(toms.read_toms([path]))


@given(st.dates(pd.Timestamp("1979-01-01").date(), pd.Timestamp("2013-12-31").date()))
def test_a_decimal_year_gives_back_its_day(day: object) -> None:
    moment = pd.Timestamp(day)
    decimal = round(moment.year + moment.day_of_year / (365 + moment.is_leap_year), 3)
    assert toms.date(decimal) == (moment + pd.Timedelta(hours=12)).to_datetime64()


def abi(path: Path, flag: np.ndarray, **attributes: object) -> Path:
    """Write a small ABI level 2 file with one product of a flag each."""
    with h5py.File(path, "w") as file:
        rows, columns = flag.shape
        for name, size, slope in (("y", rows, -1e-4), ("x", columns, 1e-4)):
            file[name] = (np.arange(size) * slope).astype("f4")
            file[name].attrs["units"] = "rad"
            file[name].make_scale(name)
        data = {
            "AOD": (np.full(flag.shape, 1000, "i2"), {"scale_factor": 1e-4, "units": "1"}),
            "DQF": (flag.astype("u1"), {"_FillValue": np.uint8(255), **attributes}),
        }
        for name, (values, attrs) in data.items():
            file[name] = values
            file[name].attrs.update(attrs)
            for k, dim in enumerate("yx"):
                file[name].dims[k].attach_scale(file[dim])
        file["AOD"].attrs["ancillary_variables"] = "DQF"
        file["t"] = 6.4e8
        file["t"].attrs["units"] = "seconds since 2000-01-01 12:00:00"
        file["goes_imager_projection"] = 0
        file["goes_imager_projection"].attrs.update(
            {
                "perspective_point_height": GOES["height"],
                "semi_major_axis": GOES["semi_major"],
                "semi_minor_axis": GOES["semi_minor"],
                "longitude_of_projection_origin": GOES["longitude"],
                "sweep_angle_axis": "x",
            }
        )
    return path


def test_goes_takes_the_quality_asked_for(tmp_path: Path) -> None:
    flag = np.array([[0, 1, 2], [3, 255, 0]])
    path = abi(tmp_path / "a.nc", flag)
    read = IMAGE_READERS["goes"][0]
    (one,) = read([path])
    assert one.view == GOES and one.units == {"AOD": "1"}
    assert one.time == np.datetime64("2020-04-12T21:46:40")
    np.testing.assert_array_equal(np.isfinite(one.values["AOD"]), flag == 0)
    (medium,) = read([path], quality=1)
    assert np.isfinite(medium.values["AOD"]).sum() == 3
    (part,) = read([path], window=(0, 1, 1, 3))
    assert part.shape == (1, 2) and part.x.values[0] == one.x.values[1] and part.empty
    with pytest.raises(InputError, match="option 'window'"):
        list(read([path], window=(1, 0, 0, 2)))


def test_goes_flags_of_bits_and_frames_all_of_fill(tmp_path: Path) -> None:
    masks = {"flag_masks": np.array([22, 2], "u1"), "flag_values": np.array([0, 2], "u1")}
    path = abi(tmp_path / "a.nc", np.array([[0, 1, 8, 2, 4, 16]]), **masks)
    (one,) = IMAGE_READERS["goes"][0]([path])
    assert np.isfinite(one.values["AOD"]).tolist() == [[True, True, True, False, False, False]]
    (night,) = IMAGE_READERS["goes"][0]([abi(tmp_path / "b.nc", np.full((2, 2), 255))])
    assert night.empty


# Soundings --------------------------------------------------------------------------------------


def sounding(pressure: list[float], ozone: list[float], integrated: float = np.nan) -> Sounding:
    profile = pd.DataFrame({"pressure": pressure, "ozone": ozone})
    return Sounding("A", 0.0, 0.0, START, profile, integrated, np.nan, np.nan, Path("a.csv"))


LEVELS = np.geomspace(1000, 10, 60)


def test_a_column_of_constant_mixing_ratio_is_the_textbooks() -> None:
    # 1 ppmv through the whole atmosphere of 1000 hPa is 789 DU: 0.789 DU per ppmv and hPa.
    balloon = sounding(list(LEVELS), list(0.1 * LEVELS))  # 0.1 mPa per hPa is 1 ppmv
    fine = sounding(list(np.geomspace(1000, 10, 2000)), list(0.1 * np.geomspace(1000, 10, 2000)))
    assert abs(DU_PER_MPA - 7.891) < 1e-3
    assert integrated_column(fine) == pytest.approx(0.7891 * 990, rel=1e-4)
    assert total_column(fine) == pytest.approx(0.7891 * 1000, rel=1e-4)
    assert partial_column(fine, 500, 200) == pytest.approx(0.7891 * 300, rel=1e-4)
    assert integrated_column(balloon) == pytest.approx(integrated_column(fine), rel=1e-3)


@given(
    st.lists(st.floats(0, 20), min_size=60, max_size=60),
    st.lists(st.floats(11, 990), min_size=3, max_size=3, unique=True),
)
def test_partial_columns_add_up(ozone: list[float], bounds: list[float]) -> None:
    balloon = sounding(list(LEVELS), ozone)
    top, middle, bottom = sorted(bounds)
    both = partial_column(balloon, bottom, middle) + partial_column(balloon, middle, top)
    assert both == pytest.approx(partial_column(balloon, bottom, top), rel=1e-9, abs=1e-9)
    assert both >= 0
    whole = partial_column(balloon, 1000, 10)
    assert whole == pytest.approx(integrated_column(balloon), rel=1e-9, abs=1e-9)


def test_a_profile_that_does_not_hold_a_column_gives_none() -> None:
    balloon = sounding(list(LEVELS), [5.0] * 60)
    assert np.isnan(partial_column(balloon, 500, 5))  # burst at 10 hPa
    assert partial_column(balloon, 1100, 500) == partial_column(balloon, 1000, 500)  # the ground
    assert np.isnan(partial_column(balloon, 1200, 500))
    low = sounding(list(LEVELS[:40]), [5.0] * 40)
    assert np.isnan(total_column(low))  # burst at 48 hPa
    holes = np.delete(LEVELS, np.arange(20, 30))
    gap = sounding(list(holes), [5.0] * 50)
    assert np.isnan(total_column(gap)) and np.isnan(partial_column(gap, 900, 100))
    assert np.isfinite(partial_column(gap, 900, 300))  # below the gap
    column = integrated_column(balloon)
    assert np.isnan(total_column(sounding(list(LEVELS), [5.0] * 60, column / 0.9)))
    assert np.isfinite(total_column(sounding(list(LEVELS), [5.0] * 60, column * 1.01)))
    with pytest.raises(InputError, match="bottom the higher"):
        partial_column(balloon, 200, 500)


def woudc(path: Path, time: str = "+00:00:00,2004-01-08,00:42:00", levels: int = 30) -> Path:
    pressure = np.geomspace(1000, 8, 30)[:levels]
    rows = "".join(
        f"{p:.2f},{2 + k / 10:.2f},{10 - k},,,,{k},{100 * k},,\n" for k, p in enumerate(pressure)
    )
    path.write_text(
        "#CONTENT\nClass,Category,Level,Form\nWOUDC,OzoneSonde,1.0,1\n\n* a comment, of words\n"
        "#PLATFORM,,,\nType,ID,Name,Country,GAW_ID\nSTN,394,Broadmeadows,AUS,94867,,,\n"
        "#LOCATION\nLatitude,Longitude,Height\n-37.69,144.94,109.0\n"
        f"#TIMESTAMP\nUTCOffset,Date,Time\n{time}\n"
        "#FLIGHT_SUMMARY\nIntegratedO3,CorrectionCode,SondeTotalO3,CorrectionFactor,TotalO3\n"
        "80.0,2,110.5,,\n"
        "#PROFILE\nPressure,O3PartialPressure,Temperature,WindSpeed,WindDirection,LevelCode,"
        f"Duration,GPHeight,RelativeHumidity,SampleTemperature\n{rows},,,,,,,,,\n",
        encoding="latin-1",
    )
    return path


def test_woudc_soundings(tmp_path: Path) -> None:
    read = SOUNDING_READERS["woudc"][0]
    one = read(woudc(tmp_path / "a.csv"))
    assert (one.station, one.latitude, one.longitude) == ("Broadmeadows", -37.69, 144.94)
    assert one.time == np.datetime64("2004-01-08T00:42:00") and len(one.profile) == 30
    assert one.residual == pytest.approx(30.5) and np.isnan(one.total)
    assert one.profile["temperature"][0] == pytest.approx(283.15)
    assert one.profile["altitude"].iloc[-1] == 2900
    local = read(woudc(tmp_path / "b.csv", "+10:00:00,2004-01-08,00:42:00"))
    assert local.time == np.datetime64("2004-01-07T14:42:00")


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("OzoneSonde", "TotalOzone", "holds 'TotalOzone', not a sounding"),
        ("#PROFILE", "*", "table #PROFILE is missing; is the file cut short"),
        ("O3PartialPressure", "Ozone", "column O3PartialPressure is missing"),
        ("-37.69,", "south,", "table #LOCATION"),
        ("2004-01-08", "8 January", "is not a time"),
        ("+00:00:00", "UTC", "UTCOffset 'UTC'"),
        ("Broadmeadows", "", "field Name is missing"),
        (",2.00,", ",200.0,", "200 mPa is impossible"),
    ],
)
def test_what_is_no_woudc_sounding(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = woudc(tmp_path / "a.csv")
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match=message) as caught:
        SOUNDING_READERS["woudc"][0](path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("reader", SOUNDING_READERS)
def test_soundings_that_are_empty_short_or_something_else(tmp_path: Path, reader: str) -> None:
    read, path = SOUNDING_READERS[reader][0], tmp_path / "a.csv"
    for content, message in (
        (b"", "zero bytes"),
        (b"\n\n", "blank lines only"),
        (b"a,b\n1,2\n", "no "),
        (b"\x89HDF\0\0", "binary"),
    ):
        path.write_bytes(content)
        with pytest.raises(InputError, match=message):
            read(path)
    with pytest.raises(InputError, match="3 levels"):
        SOUNDING_READERS["woudc"][0](woudc(path, levels=3))


def shadoz(path: Path, factor: float = 1.0) -> Path:
    header = [
        "NASA/GSFC/SHADOZ Archive : https://tropo.gsfc.nasa.gov/shadoz",
        "SHADOZ Version           : 06",
        "STATION                  : Hilo, Hawaii",
        "Latitude (deg)           : 19.43",
        "Longitude (deg)          : -155.04",
        "Launch Date              : 20160223",
        "Launch Time (UT)         : 23:18:37",
        "Integrated O3 until EOF (DU)     : ******",
        "Missing or bad values    : 9000",
        "Time  Press  Alt  Temp  RH  O3  O3  O3",
        "sec   hPa    km   C     %   mPa ppmv du",
    ]
    rows = [
        f"{k} {p:.3f} {k / 10:.2f} {9000 if k == 3 else 20 - k} 50.0 "
        f"{3 * factor:.3f} {30 / p:.4f} 0.0"
        for k, p in enumerate(np.geomspace(1000, 10, 40))
    ]
    path.write_text("\n".join([str(len(header) + 1), *header, *rows]) + "\n")
    return path


def test_shadoz_soundings(tmp_path: Path) -> None:
    read = SOUNDING_READERS["shadoz"][0]
    path = shadoz(tmp_path / "a.dat")
    one = read(path)
    assert one.time == np.datetime64("2016-02-23T23:18:37") and one.longitude == -155.04
    assert np.isnan(one.integrated) and np.isnan(one.profile["temperature"][3])
    assert integrated_column(one) == pytest.approx(3 * DU_PER_MPA * np.log(100), rel=1e-4)
    with pytest.raises(InputError, match="10 times what its column in ppmv gives"):
        read(shadoz(path, factor=10))
    text = shadoz(path).read_text()
    for content, message in (
        (text[:-9], "cut short"),
        (text.replace("hPa", "mb"), "units do not begin"),
        (text.replace("19.43", "north"), "no Latitude"),
        (text.replace("20160223", "Tuesday."), "is not a time"),
        ("\n".join(text.splitlines()[:9]), "cut short"),
    ):
        path.write_text(content)
        with pytest.raises(InputError, match=message):
            read(path)


def nasa_ames(path: Path) -> Path:
    comments = [
        "Station latitude: 19.5",
        "Station longitude: -155.6",
        "starttime endtime O3 O3 flag",
    ]
    header = [
        "Someone",
        "A house",
        "Someone",
        "A project",
        "1 1",
        "2013 01 01 2018 11 19",
        "0.041667",
        "days from file reference point",
        "4",
        "1 1 1 1",
        "999.999999 999.99 9999.9 9.9",
        "end_time of measurement, days from the file reference point",
        "ozone, nmol/mol, Statistics=arithmetic mean",
        "ozone, ug/m3, Statistics=arithmetic mean",
        "numflag, no unit",
        "0",
        str(len(comments)),
        *comments,
    ]
    rows = [f"{k / 24:.6f} {(k + 1) / 24:.6f} {30 + k} {60 + k} 0.0" for k in range(48)]
    rows[1] = rows[1].replace(" 31 ", " 999.99 ")
    path.write_text("\n".join([f"{len(header) + 1} 1001", *header, *rows]) + "\n")
    return path


def test_nasa_ames_series(tmp_path: Path) -> None:
    path = nasa_ames(tmp_path / "a.nas")
    table, latitude, longitude = ames.read_ames(path)
    assert (latitude, longitude) == (19.5, -155.6) and len(table) == 48
    assert table["time"][0] == pd.Timestamp("2013-01-01T00:30")
    assert table["value"][0] == 30 and table["value"].isna().tolist()[:3] == [False, True, False]
    assert ames.read_ames(path, units="ug/m3")[0]["value"][1] == 61
    text = path.read_text()
    for content, message in (
        (text[:-10], "line 69 has 3 fields, not 5"),
        (text.replace("1001", "2110"), "no NASA Ames file"),
        (text.replace("nmol/mol", "ppm"), "no arithmetic mean of 'ozone'"),
        (text.replace("Station latitude", "Latitude"), "lacks 'Station latitude'"),
        ("\n".join(text.splitlines()[:5]), "cut short"),
        ("", "zero bytes"),
    ):
        path.write_text(content)
        with pytest.raises(InputError, match=message):
            ames.read_ames(path)


# Published files --------------------------------------------------------------------------------


@pytest.fixture
def real(mirror: Path) -> Path:
    if not (mirror / "readers").is_dir():
        lacking = "the mirror has no folder readers/: no published data set holds these files"
        if os.environ.get("CI"):
            pytest.fail(lacking)
        pytest.skip(lacking)
    return mirror / "readers"


@pytest.mark.published
def test_real_images(real: Path) -> None:
    window = (2500, 3500, 3500, 4500)
    day, night = IMAGE_READERS["goes"][0](
        sorted(real.glob("goes/*AODF*")), quality=1, window=window
    )
    assert str(day.time) == "2019-03-22T10:05:55" and night.empty and not day.empty
    (land,) = IMAGE_READERS["goes"][0](sorted(real.glob("goes/*LST*")))
    assert 270 < np.nanmean(land.values["LST"]) < 330
    # The file's own good fraction, of the pixels that it holds.
    assert np.isfinite(land.values["LST"]).mean() == pytest.approx(0.186768, abs=1e-5)
    centre = pixel(land.y, land.x, land.view, 32.990486, -98.80021)  # by the file's own word
    assert np.abs(np.array(centre) - 249.5).max() < 1
    (swath,) = IMAGE_READERS["tropomi"][0](sorted(real.glob("tropomi/*")))
    ozone = convert(swath.values[tropomi.OZONE], "mol m-2", "DU", "")
    assert 250 < np.nanmean(ozone) < 400
    frames = list(IMAGE_READERS["seviri"][0](sorted(real.glob("seviri/*.zarr"))))
    assert len(frames) == 9 and frames[0].shape == (298, 615)
    pixel(frames[0].y, frames[0].x, frames[0].view, 51.5, -0.1)  # London is in it
    omi = sorted(real.glob("omi/*.nc"))
    with pytest.raises(InputError, match="as if the power were counted twice"):
        list(IMAGE_READERS["grid"][0](omi))
    assert len(list(IMAGE_READERS["grid"][0](omi, units={"no2": "molec/cm2"}))) == 7


@pytest.mark.published
def test_a_quality_of_exactly_the_limit_is_taken(real: Path) -> None:
    path = next(real.glob("tropomi/*"))
    with h5py.File(path) as file:
        limit = file["PRODUCT/qa_value"][:] == 50
        lat, lon = (file[f"PRODUCT/{name}"][:][limit][0] for name in ("latitude", "longitude"))
    region = (lat - 0.5, lat + 0.5, lon - 0.5, lon + 0.5)
    read = IMAGE_READERS["tropomi"][0]
    counts = []
    for qa in (0.5, 0.51):
        (one,) = read([path], step=0.02, region=region, qa=qa)
        counts.append(np.isfinite(one.values[tropomi.OZONE]).sum())
    assert counts[0] > counts[1]


@pytest.mark.published
def test_real_soundings(real: Path) -> None:
    read = SOUNDING_READERS["shadoz"][0]
    one = read(next(real.glob("shadoz/*V06.dat")))
    assert one.station == "Ascension Island" and 200 < total_column(one) < 330
    with pytest.raises(InputError, match="one of the two is another quantity"):
        read(next(real.glob("shadoz/*V05*.dat")))  # its ozone columns hold the wind's direction
