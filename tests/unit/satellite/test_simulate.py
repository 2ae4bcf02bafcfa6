"""The simulator of the satellite study: statistics, scenarios, files."""

import hashlib
import json
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casestudies.errors import InputError
from casestudies.satellite.images import Images
from casestudies.satellite.simulate import (
    DOBSON_PER_MPA,
    HOURS,
    LAYER,
    PARAMETERS,
    SCENARIOS,
    STATION,
    VALUES,
    Sensor,
    Walk,
    centres,
    frames,
    kernel,
    ozone_at,
    pressure_at,
    simulate,
    sounding,
)

START = np.datetime64("2019-01-01T00", "h")
CLEAR = {"noise": 0.0, "cloud": 0.13, "swath_gap": 0.3, "gap_radius": 0.14}
SENSOR = Sensor(pixels=24, **{**CLEAR, "noise": 0.05})
SMALL = {"pixels": 16, "days": 3, "device": "cpu"}


def series(scenario="plume", days=5, sensor=SENSOR, seed=0):
    """Times, states, labels and images, each stacked."""
    rows = list(frames(scenario, START, days, sensor, "cpu", seed))
    return (
        np.array([row.time for row in rows]),
        np.array([row.states for row in rows]),
        np.array([row.label for row in rows]),
        np.array([row.image for row in rows]),
    )


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def profile(text: str) -> pd.DataFrame:
    lines = text.split("#PROFILE\n")[1].splitlines()
    table = pd.DataFrame([line.split(",") for line in lines[1:]], columns=lines[0].split(","))
    return table.drop(columns="LevelCode").astype(float)


def layer_column(table: pd.DataFrame) -> float:
    """Ozone of the layer, DU, from a profile; NaN if the balloon burst below its top."""
    log = np.log(table["Pressure"].to_numpy()[::-1])
    if log[0] > np.log(LAYER[1]):
        return np.nan
    inside = np.linspace(np.log(LAYER[1]), np.log(LAYER[0]), 400)
    ozone = np.interp(inside, log, table["O3PartialPressure"].to_numpy()[::-1])
    return DOBSON_PER_MPA * np.trapezoid(ozone, inside)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("simulated")
    simulate(output=path, **SMALL)
    return path


# Fields ---------------------------------------------------------------------------------------


def test_walks_are_stationary_with_their_memory():
    walk = Walk(np.array([12.0, 60.0]), np.random.default_rng(0))
    values = []
    for _ in range(60_000):
        walk.step()
        values.append(walk.value)
    values = np.array(values)
    np.testing.assert_allclose(values.std(axis=0), 1, atol=0.06)
    for k, memory in enumerate((12, 60)):
        lagged = np.corrcoef(values[:-memory, k], values[memory:, k])[0, 1]
        assert lagged == pytest.approx(np.exp(-1), abs=0.07)


@settings(max_examples=30, deadline=None)
@given(pixels=st.integers(1, 100), cells=st.integers(2, 60), width=st.floats(0.01, 0.2))
def test_kernels_make_fields_of_unit_variance(pixels, cells, width):
    weights = kernel(centres(pixels), cells, max(width, 0.5 / cells))
    np.testing.assert_allclose((weights**2).sum(axis=1), 1)


# Images ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_scene_does_not_depend_on_the_number_of_pixels(scenario):
    def scene(pixels):
        return series(scenario, days=2, sensor=Sensor(pixels, **CLEAR))

    times, states, labels, small = scene(48)
    same_times, same_states, same_labels, large = scene(96)
    assert (times == same_times).all()
    np.testing.assert_array_equal(states, same_states)
    np.testing.assert_array_equal(labels, same_labels)
    coarse = large.reshape(len(large), 4, 48, 2, 48, 2).mean(axis=(3, 5))
    both = np.isfinite(small) & np.isfinite(coarse)
    assert both.mean() > 0.85
    for k in range(4):
        a, b = (x[:, k][both[:, k]] for x in (small, coarse))
        assert np.corrcoef(a, b)[0, 1] > 0.98  # cloud edges are finer than a pixel of 48


def test_daylight_hours_and_nothing_else():
    times = series(days=3)[0]
    assert len(times) == 3 * len(HOURS)
    hours = (times - times.astype("datetime64[D]")).astype(int)
    assert set(hours.tolist()) == set(HOURS)
    # The sun is up over the station at these hours on the shortest day.
    latitude, decline = np.radians(STATION[0]), np.radians(-23.44)
    angle = np.radians(15 * (np.array([HOURS[0], HOURS[-1]]) - 12) + STATION[1])
    height = np.sin(latitude) * np.sin(decline) + np.cos(latitude) * np.cos(decline) * np.cos(angle)
    assert np.degrees(np.arcsin(height)).min() > 4


def test_other_hours_add_images_and_change_none():
    times, states, labels, images = series(days=3)
    whole = list(frames("plume", START, 3, SENSOR, "cpu", 0, (0, 23)))
    assert len(whole) == 72
    mine = [frame for frame in whole if frame.time in times]
    np.testing.assert_array_equal(states, [frame.states for frame in mine])
    np.testing.assert_allclose(labels, [frame.label for frame in mine], rtol=1e-12)
    missing = np.isnan(images)
    np.testing.assert_array_equal(missing, np.isnan([frame.image for frame in mine]))


def test_gaps_swaths_and_the_surroundings_of_the_station():
    images = series(days=60)[3]
    missing = np.isnan(images)
    assert (missing == missing[:, :1]).all(), "all channels miss the same pixels"
    axis = centres(24)
    distance = np.hypot(*np.meshgrid(axis - 0.4, axis - 0.55, indexing="ij"))
    assert missing[:, 0][:, distance < 0.14].all()
    swath = missing[:, 0][:, distance >= 0.14]
    assert swath.any(axis=1).mean() == pytest.approx(0.3, abs=0.07)
    columns = missing[:, 0, 0]  # the station is not in the upper row
    assert set(columns.sum(axis=1).tolist()) <= {0, 3, 4}
    seen = series("tracer", sensor=Sensor(24, **{**CLEAR, "swath_gap": 0.0}))[3]
    assert np.isfinite(seen).all()


def test_noise_and_cloud_have_the_size_asked_for():
    still = series(days=4, sensor=Sensor(24, **CLEAR))[3]
    noisy = series(days=4)[3]
    np.testing.assert_allclose(np.nanstd(noisy - still, axis=(0, 2, 3)), 0.05, rtol=0.05)
    for share in (0.1, 0.5):
        visible = series(days=20, sensor=Sensor(24, **{**CLEAR, "cloud": share}))[3][:, 1]
        visible = visible[np.isfinite(visible)]
        # Half of cloud over ground of 0.25 reflects 0.425.
        assert (visible > 0.425).mean() == pytest.approx(share, abs=0.05)


def test_frames_come_one_by_one_however_many_there_are():
    first, second = islice(frames("plume", START, 10**9, SENSOR, "cpu", 0), 2)
    assert second.time - first.time == np.timedelta64(1, "h")
    assert first.image.shape == (4, 24, 24) and first.image.dtype == np.float32


def test_options_of_the_sensor_leave_the_truth_alone():
    one = series(days=2, sensor=Sensor(16, 0.2, 0.5, 1.0, 0.0))
    other = series(days=2, sensor=Sensor(16, 0.0, 0.1, 0.0, 0.2))
    for a, b in zip(one[:3], other[:3], strict=True):
        np.testing.assert_array_equal(a, b)


# Labels ---------------------------------------------------------------------------------------


def test_labels_vary_as_columns_of_ozone_do():
    _, states, labels, _ = series(days=400, sensor=Sensor(8, **CLEAR))
    daily = labels[HOURS.index(12) :: len(HOURS)]
    assert 0.4 < daily.std() / daily.mean() < 0.75
    assert 8 < np.median(daily) < 15
    log = np.log(daily)
    lagged = [np.corrcoef(log[:-k], log[k:])[0, 1] for k in (1, 7)]
    assert 0.35 < lagged[0] < 0.75 and abs(lagged[1]) < 0.3, "the gap of the folds is 7 days"
    noon = states[HOURS.index(12) :: len(HOURS)]
    day = [np.corrcoef(s[:-1], s[1:])[0, 1] for s in noon.T]
    np.testing.assert_allclose(day, np.exp(-24 / np.array([60, 60, 36, 36, 72, 48])), atol=0.15)


@settings(max_examples=25, deadline=None)
@given(column=st.floats(1.5, 60), seed=st.integers(0, 1000))
def test_a_sounding_without_error_integrates_to_the_label(column, seed):
    grid = np.exp(np.linspace(np.log(LAYER[1]), np.log(LAYER[0]), 2000))
    exact = DOBSON_PER_MPA * np.trapezoid(ozone_at(grid, column), np.log(grid))
    assert exact == pytest.approx(column, rel=1e-4)
    rng = np.random.default_rng(seed)
    table = profile(sounding(np.datetime64("2019-05-01"), 1, column, 0.0, rng))
    found = layer_column(table)
    # Errors of single levels and the file's two decimals remain.
    assert np.isnan(found) or found == pytest.approx(column, rel=0.03)


def test_balloons_err_burst_and_drift():
    rng = np.random.default_rng(0)
    day = np.datetime64("2019-05-01")
    tables = [profile(sounding(day, k, 12.0, 0.05, rng)) for k in range(250)]
    found = np.array([layer_column(table) for table in tables])
    assert 0.01 < np.isnan(found).mean() < 0.06
    error = np.log(found[np.isfinite(found)] / 12)
    assert error.std() == pytest.approx(0.05, rel=0.15) and abs(error.mean()) < 0.01
    burst = np.array([table["Pressure"].iloc[-1] for table in tables])
    assert (burst[np.isfinite(found)] < 40).all() and (burst > 3).all()
    for table in tables[:20]:
        assert (table["Pressure"].diff()[1:] <= 0).all() and (
            table["Duration"].diff()[1:] > 0
        ).all()
        assert (table["O3PartialPressure"] > 0).all() and (table["O3PartialPressure"] < 30).all()
        assert (table["Latitude"].iloc[0], table["Longitude"].iloc[0]) == STATION
    drift = [table["Longitude"].iloc[-1] for table in tables]
    # Within the footprint over which the label is a mean, mostly eastward.
    assert 0.2 < np.median(drift) < VALUES["footprint"] * (VALUES["east"] - VALUES["west"])


def test_the_atmosphere_is_the_standard_one():
    np.testing.assert_allclose(
        pressure_at(np.array([0.0, 5000.0, 11_000.0, 20_000.0, 30_000.0])),
        [1013.25, 540.2, 226.3, 54.75, 11.72],
        rtol=3e-3,
    )
    grid = np.exp(np.linspace(np.log(5), np.log(1000), 4000))
    total = DOBSON_PER_MPA * np.trapezoid(ozone_at(grid, 11.0), np.log(grid))
    assert 240 < total < 340


# Scenarios ------------------------------------------------------------------------------------


def skills(scenario: str, days: int, seed: int) -> dict[str, dict[str, float]]:
    """R² of ridge on log labels at noon: pixels at the station, leading components, states."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import RidgeCV

    _, states, labels, images = series(scenario, days, SENSOR, seed)
    mean, spread = (f(images, axis=(0, 2, 3), keepdims=True) for f in (np.nanmean, np.nanstd))
    images = np.nan_to_num((images - mean) / spread)
    flat = images.reshape(len(images), -1)
    row, column = (int(VALUES[f"station_{axis}"] * 24) for axis in "yx")
    station = images[:, :, row - 1 : row + 2, column - 1 : column + 2]
    pairs = np.einsum("ni,nj->nij", states, states)[:, *np.triu_indices(states.shape[1])]
    noon = np.arange(HOURS.index(12), len(labels), len(HOURS))
    inputs = {
        "station": station.reshape(len(images), -1),
        "components": PCA(24, svd_solver="randomized", random_state=0).fit_transform(flat),
        "states": np.hstack([states, pairs]),
    }
    target = np.log(labels[noon])
    day = np.arange(days)
    folds = {
        "random": np.random.default_rng(0).permutation(day) % 4,
        "blocked": day * 4 // days,
    }
    result: dict[str, dict[str, float]] = {}
    for name, values in inputs.items():
        values = values[noon] / (values.std() or 1.0)  # nothing is seen: zeros
        result[name] = {}
        for scheme, fold in folds.items():
            predicted = np.empty(days)
            for k in range(4):
                test = fold == k
                train = ~test
                if scheme == "blocked":
                    train &= (day < day[test][0] - 7) | (day > day[test][-1] + 7)
                model = RidgeCV(np.logspace(-3, 4, 15)).fit(values[train], target[train])
                predicted[test] = model.predict(values[test])
            result[name][scheme] = 1 - np.mean((target - predicted) ** 2) / target.var()
    return result


def test_plume_is_seen_in_few_components_and_not_at_the_station():
    skill = skills("plume", 200, 1)
    assert skill["states"]["blocked"] > 0.8
    assert skill["components"]["blocked"] > 0.4
    assert skill["station"]["blocked"] < 0.1


def test_tracer_is_seen_at_the_station_and_not_in_few_components():
    skill = skills("tracer", 200, 1)
    assert skill["station"]["blocked"] > 0.6
    assert skill["components"]["blocked"] < skill["station"]["blocked"] - 0.2


def test_null_shows_nothing_and_is_as_slow_as_the_plume():
    skill = skills("null", 200, 1)
    assert max(value for row in skill.values() for value in row.values()) < 0.1
    slow = []
    for scenario in ("plume", "null"):
        log = np.log(series(scenario, 300, Sensor(8, **CLEAR))[2][4 :: len(HOURS)])
        slow.append(np.corrcoef(log[:-1], log[1:])[0, 1])
    assert slow[0] == pytest.approx(slow[1], abs=0.15)


def test_leak_fools_random_folds_and_not_blocked_ones():
    skill = [skills("leak", 200, seed)["components"] for seed in (0, 1, 2)]
    assert min(row["random"] for row in skill) > 0.35
    assert np.mean([row["blocked"] for row in skill]) < 0.05


# Files ----------------------------------------------------------------------------------------


def test_layout_and_truth(folder):
    names = {path.name for path in folder.iterdir()}
    assert names == {"images.zarr", "soundings", "states.csv", "parameters.json"}
    soundings = sorted(path.name for path in (folder / "soundings").iterdir())
    assert soundings == ["20190101.csv", "20190102.csv", "20190103.csv"]
    images = Images(folder / "images.zarr")
    assert images.shape == (27, 4, 16, 16)
    names = [channel.name for channel in images.channels]
    assert names == ["ultraviolet", "visible", "infrared", "water_vapour"]
    states = pd.read_csv(folder / "states.csv", parse_dates=["time"])
    assert (states["time"].to_numpy() == images.times).all()
    assert list(states) == ["time", *(f"state_{k}" for k in range(6)), "label"]
    for day, path in enumerate(sorted((folder / "soundings").iterdir())):
        found = layer_column(profile(path.read_text()))
        assert found == pytest.approx(states["label"][9 * day + 4], rel=0.25)


def test_coordinates_lead_to_the_station(folder):
    xarray = pytest.importorskip("xarray")
    with xarray.open_zarr(folder / "images.zarr", consolidated=False) as data:
        assert (data["y"].units, data["x"].units) == ("degrees_north", "degrees_east")
        assert data["ultraviolet"].dims == ("time", "y", "x")
        row = int(np.abs(data["y"].to_numpy() - STATION[0]).argmin())
        column = int(np.abs(data["x"].to_numpy() - STATION[1]).argmin())
    assert (row, column) == (int(0.4 * 16), int(0.55 * 16))
    text = (folder / "soundings" / "20190101.csv").read_text()
    line = text.split("#LOCATION\nLatitude,Longitude,Height\n")[1].splitlines()[0]
    assert tuple(map(float, line.split(",")))[:2] == STATION


def test_soundings_have_the_tables_of_published_files(folder):
    text = (folder / "soundings" / "20190102.csv").read_text()
    blocks = {block.splitlines()[0]: block.splitlines()[1:] for block in text.split("#")[1:]}
    assert list(blocks) == [
        "CONTENT",
        "DATA_GENERATION",
        "PLATFORM",
        "INSTRUMENT",
        "LOCATION",
        "TIMESTAMP",
        "FLIGHT_SUMMARY",
        "AUXILIARY_DATA",
        "PROFILE",
    ]
    assert blocks["CONTENT"][:2] == ["Class,Category,Level,Form", "WOUDC,OzoneSonde,1.0,1"]
    assert blocks["TIMESTAMP"][1] == "+00:00:00,2019-01-02,12:00:00"
    for lines in blocks.values():
        rows = [line for line in lines[1:] if line and not line.startswith("*")]
        assert all(row.count(",") == lines[0].count(",") for row in rows)


def test_same_seed_same_bytes_other_seed_other_data(folder, tmp_path):
    (tmp_path / "again" / "soundings").mkdir(parents=True)
    (tmp_path / "again" / "soundings" / "20180101.csv").write_text("of an earlier run")
    simulate(output=tmp_path / "again", **SMALL, threads=2)
    simulate(output=tmp_path / "other", **SMALL, seed=1)
    first, again, other = (digests(p) for p in (folder, tmp_path / "again", tmp_path / "other"))
    assert first == again
    assert first["states.csv"] != other["states.csv"]
    assert all(first[name] != other[name] for name in first if name.endswith(".csv"))


def test_every_parameter_is_documented(folder):
    stored = json.loads((folder / "parameters.json").read_text(encoding="utf-8"))
    assert stored["options"]["pixels"] == 16 and "output" not in stored["options"]
    assert set(PARAMETERS) == set(stored["parameters"])
    for name, entry in stored["parameters"].items():
        assert entry["unit"] and entry["basis"] in {"adjusted", "gross", "assumption"}, name
    assert list(stored["states"]) == [f"state_{k}" for k in range(6)]
    assert stored["label"]["units"] == "DU"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"scenario": "plumes"}, "did you mean 'plume'"),
        ({"pixels": 2}, "--pixels"),
        ({"days": 0}, "--days"),
        ({"hours": (13, 16)}, "--hours"),
        ({"hours": (8, 24)}, "--hours"),
        ({"start": "January"}, "--start"),
        ({"noise": -1.0}, "--noise"),
        ({"noise": float("nan")}, "--noise"),
        ({"cloud": 1.0}, "--cloud"),
        ({"swath_gap": 1.5}, "--swath-gap"),
        ({"gap_radius": 0.9}, "--gap-radius"),
        ({"label_error": -0.1}, "--label-error"),
        ({"seed": -1}, "--seed"),
        ({"device": "gpu"}, "device 'gpu'"),
        ({"threads": 0}, "threads"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(wrong, named, tmp_path):
    with pytest.raises(InputError, match=named):
        simulate(output=tmp_path / "raw", **{**SMALL, **wrong})
    assert not (tmp_path / "raw").exists()
