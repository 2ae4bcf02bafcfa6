"""The simulator of the glacier study: physics, observation, files."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casestudies.errors import InputError
from casestudies.glacier import alpgm
from casestudies.glacier.balance import (
    Forcing,
    History,
    equilibrate,
    make_glaciers,
    melt_year,
    radiation_ratio,
    run,
)
from casestudies.glacier.climate import (
    MASSIFS,
    Climate,
    Predictors,
    make_climate,
    predict_from,
    reanalyse,
)
from casestudies.glacier.parameters import PARAMETERS, REFERENCES, VALUES
from casestudies.glacier.simulate import observed_cells, simulate
from casestudies.tables import read_metadata

SMALL = {"glaciers": 3, "first_year": 2000, "last_year": 2009}
FILES = {
    "SMB_raw_temporal.csv",
    "GLIMS_Rabatel_30_2015.csv",
    "GLIMS_1967.csv",
    "GLIMS_1985.csv",
    "GLIMS_2003.csv",
    "season_meteo_SMB.txt",
    "monthly_meteo_SMB.txt",
    "season_raw_meteo_anomalies_SMB.txt",
    "monthly_meteo_anomalies_SMB.txt",
    "truth.parquet",
    "parameters.json",
}
INVENTORY = (
    "Area;Perimeter;Glacier;Annee;Massif;MEAN_Pixel;MIN_Pixel;MAX_Pixel;MEDIAN_Pix;Length;Aspect;"
    "x_coord;y_coord;"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("simulated")
    simulate(output=path, **SMALL)
    return path


def digests(path: Path) -> dict[str, str]:
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in path.iterdir()}


def setting(seed: int = 0) -> tuple:
    """Three glaciers, five years without warming, no local factors."""
    rng = np.random.default_rng(seed)
    glaciers = make_glaciers(3, rng)
    climate = make_climate("1998-09-01", "2004-12-31", np.ones(len(MASSIFS)), rng, warming=False)
    ones = np.ones((5, 3))
    return glaciers, climate, range(2000, 2005), Forcing(ones * 1.4, ones)


def mean_balance(climate: Climate, glaciers, years, forcing, **options) -> np.ndarray:
    return run(glaciers, climate, years, forcing, **options).balance.mean(axis=0)


# Physics --------------------------------------------------------------------------------------


def melt_by_day(temperature, precipitation, sunlight, exposure):
    """Do what melt_year does, one day and one band after the other."""
    days, bands = temperature.shape
    total = {name: np.zeros(bands) for name in ("gain", "snow", "bare", "left")}
    for b in range(bands):
        snow, age = 0.0, 0
        for d in range(days):
            t = temperature[d, b]
            solid = min(max((VALUES["snow_threshold"] + 1 - t) / 2, 0), 1)
            fall = precipitation[d, b] * solid
            age = 0 if fall >= VALUES["fresh_snow"] or d == 0 else age + 1
            fresh, old = VALUES["degree_day_fresh_snow"], VALUES["degree_day_old_snow"]
            factor = fresh + (old - fresh) * (1 - np.exp(-age / VALUES["snow_ageing"]))
            degrees = max(t, 0) * sunlight[d, b]
            melted = min(snow + fall, degrees * factor)
            snow += fall - melted
            firn, ice = VALUES["degree_day_firn"], VALUES["degree_day_ice"]
            total["gain"][b] += fall
            total["snow"][b] += melted
            total["bare"][b] += (degrees - melted / factor) * (firn + (ice - firn) * exposure[b])
        total["left"][b] = snow
    return total


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), warm=st.floats(-15, 15), wet=st.floats(0, 40))
def test_mass_is_conserved_and_the_closed_form_is_the_daily_loop(seed, warm, wet):
    rng = np.random.default_rng(seed)
    temperature = warm + 6 * rng.standard_normal((80, 4))
    precipitation = wet * rng.exponential(size=(80, 4)) * (rng.random((80, 4)) < 0.4)
    sunlight, exposure = rng.uniform(0.6, 1.4, (80, 4)), rng.random(4)
    result = melt_year(temperature, precipitation, sunlight, exposure)
    close = {"rtol": 1e-9, "atol": 1e-7}
    np.testing.assert_allclose(result.accumulation - result.snow_melt, result.snow_left, **close)
    np.testing.assert_allclose(
        result.balance, result.accumulation - result.snow_melt - result.bare_melt, **close
    )
    loop = melt_by_day(temperature, precipitation, sunlight, exposure)
    for name, values in zip(
        loop,
        (result.accumulation, result.snow_melt, result.bare_melt, result.snow_left),
        strict=True,
    ):
        np.testing.assert_allclose(values, loop[name], **close)
    assert (result.snow_left >= -1e-7).all() and (result.bare_melt >= 0).all()


def test_glacier_balance_is_accumulation_minus_melt():
    glaciers, climate, years, forcing = setting()
    history = run(glaciers, climate, years, forcing)
    np.testing.assert_allclose(history.balance, history.accumulation - history.melt, atol=1e-12)
    assert (history.areas > 0).all()


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), warmer=st.floats(0.3, 3))
def test_warmer_is_more_negative(seed, warmer):
    glaciers, climate, years, forcing = setting(seed)
    hot = replace(climate, temperature=climate.temperature + warmer)
    before, after = (
        mean_balance(c, glaciers, years, forcing, evolve=False) for c in (climate, hot)
    )
    assert (after < before).all()


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), wetter=st.floats(1.05, 2))
def test_more_precipitation_is_more_positive(seed, wetter):
    glaciers, climate, years, forcing = setting(seed)
    wet = replace(climate, precipitation=climate.precipitation * wetter)
    before, after = (
        mean_balance(c, glaciers, years, forcing, evolve=False) for c in (climate, wet)
    )
    assert (after > before).all()


def test_a_band_long_exposed_melts_more_bare_ground():
    temperature, dry = np.full((30, 2), 4.0), np.zeros((30, 2))
    result = melt_year(temperature, dry, np.ones((30, 2)), np.array([0.0, 1.0]))
    np.testing.assert_allclose(
        result.bare_melt, 120 * np.array([VALUES["degree_day_firn"], VALUES["degree_day_ice"]])
    )
    assert (result.bare_share == 1).all()


def test_radiation_on_slopes_is_the_daily_integral_and_symmetric():
    latitude, slope = np.full(3, 45.0), np.array([0, 20, 20.0])
    flat, north, south = radiation_ratio(latitude, slope, np.array([0, 0, 180.0])).T
    np.testing.assert_allclose(flat, 1)
    assert (south > north).all()
    # A slope of 20 deg to the south at 45 deg is parallel to flat ground at 25 deg, but the sun
    # does not reach it before it rises over the horizon at 45 deg.
    day = 15 + 30.4 * np.arange(12)
    delta = np.radians(23.45) * np.sin(2 * np.pi * (284 + day) / 365)

    def daily(tilted: float) -> np.ndarray:
        sunset = np.minimum(
            *(np.arccos(-np.tan(np.radians(x)) * np.tan(delta)) for x in (45, tilted))
        )
        phi = np.radians(tilted)
        return sunset * np.sin(phi) * np.sin(delta) + np.cos(phi) * np.cos(delta) * np.sin(sunset)

    np.testing.assert_allclose(south, daily(25) / daily(45), rtol=5e-3)
    east, west = radiation_ratio(latitude[:2], slope[1:], np.array([90.0, 270.0])).T
    np.testing.assert_allclose(east, west)


def test_glaciers_shrink_from_the_tongue_when_they_lose_mass():
    glaciers, climate, years, forcing = setting()
    hot = replace(climate, temperature=climate.temperature + 3)
    history = run(glaciers, hot, years, forcing)
    first, last = glaciers.total(history.areas[0]), glaciers.total(history.areas[-1])
    assert (history.balance < 0).all() and (last < first).all()
    height = glaciers.altitude
    before, after = (glaciers.total(a * height) / glaciers.total(a) for a in history.areas[[0, -1]])
    assert (after > before).all()


def test_area_starts_in_step_with_volume_and_relaxes_slowly():
    glaciers, climate, years, forcing = setting()
    history = run(glaciers, climate, years, forcing)
    before, after = glaciers.total(history.areas[:2])
    volume = VALUES["volume_factor"] * before ** VALUES["volume_exponent"]
    volume = volume + history.balance[0] * before / 1000 / VALUES["ice_density"]
    target = (volume / VALUES["volume_factor"]) ** (1 / VALUES["volume_exponent"])
    np.testing.assert_allclose(after - before, (target - before) / VALUES["area_response"])


def test_calibration_brings_the_mean_balance_to_its_target():
    glaciers, climate, years, forcing = setting(3)
    target = np.full(3, -0.3)
    factor = equilibrate(glaciers, climate, years, target)
    calibrated = Forcing(np.ones((5, 3)) * factor, forcing.melt)
    within = (factor > 0.5) & (factor < 3.5)
    reached = mean_balance(climate, glaciers, years, calibrated, evolve=False)
    assert within.any()
    np.testing.assert_allclose(reached[within], target[within], atol=0.1)


# Climate --------------------------------------------------------------------------------------


def test_climate_has_its_mean_cycle_trend_and_shared_signal():
    rng = np.random.default_rng(1)
    climate = make_climate("1960-01-01", "2019-12-31", np.ones(len(MASSIFS)), rng)
    annual = climate.precipitation.mean() * 365.25
    assert annual == pytest.approx(VALUES["precipitation_annual"], rel=0.1)
    wet = (climate.precipitation > 0).mean()
    assert wet == pytest.approx(VALUES["wet_days"], abs=0.03)
    july, january = (climate.temperature[climate.month == m].mean() for m in (6, 0))
    assert 11 < july - january < 16
    late = climate.temperature[climate.between("2010-01-01", "2019-12-31")].mean()
    early = climate.temperature[climate.between("1960-01-01", "1979-12-31")].mean()
    assert 0.6 < late - early < 2.2
    weather = climate.temperature - climate.temperature.mean(axis=0)
    assert np.corrcoef(weather.T).min() > 0.9


def test_reanalysis_differs_from_the_climate_but_follows_it():
    rng = np.random.default_rng(2)
    climate = make_climate("1990-01-01", "1999-12-31", np.ones(len(MASSIFS)), rng)
    seen = reanalyse(climate, rng)
    error = seen.temperature - climate.temperature
    assert 0.8 < error.std() < 2
    assert ((seen.precipitation > 0) == (climate.precipitation > 0)).all()
    assert not np.allclose(seen.precipitation, climate.precipitation)


def steady_predictors(temperature: float, precipitation: float, altitude: float) -> Predictors:
    dates = np.arange(np.datetime64("1999-09-01"), np.datetime64("2001-01-01"))
    shape = (len(dates), 1)
    climate = Climate(dates, np.full(shape, temperature), np.full(shape, precipitation))
    return predict_from(climate, np.zeros(1, int), np.array([[altitude]]), range(2000, 2001))


def test_predictors_keep_the_conventions_of_the_published_set():
    cold = steady_predictors(-5.0, 1.0, VALUES["reference_altitude"])
    assert cold.cpdd[0, 0] == 0
    # 2000 is a leap year: October first, February fifth.
    np.testing.assert_allclose(cold.snow[0, 0], [31, 30, 31, 31, 29, 31, 30, 31, 30, 31, 31, 30])
    assert cold.winter_snow[0, 0] == 214  # 26 September to 26 April
    assert cold.summer_snow[0, 0] == 150  # 28 April to 24 September
    warm = steady_predictors(3.0, 1.0, VALUES["reference_altitude"])
    assert (warm.snow == 0).all()  # rain from 2 degC
    # 366 equal days: those whose running sum is in (1/30, 9/10] of the whole: 13th to 329th.
    assert warm.cpdd[0, 0] == pytest.approx(3 * 317)
    higher = steady_predictors(3.0, 1.0, VALUES["reference_altitude"] + 500)
    np.testing.assert_allclose(higher.temperature, 0.0, atol=1e-9)  # 6 K per km


# Observation ----------------------------------------------------------------------------------


def test_gaps_have_the_structure_of_the_published_record():
    years = range(1959, 2016)
    observed = observed_cells(32, years, 1984, 0.96, np.random.default_rng(0))
    per_year = observed.sum(axis=0)
    assert per_year[:25].tolist() == [2] * 17 + [3] * 4 + [4] * 4
    assert observed[:, 25:].sum() == 32 * 32 - round(0.04 * 32 * 32)
    assert per_year[-1] < per_year[25:-4].min()
    assert (observed.all(axis=1)).sum() == 2


@settings(max_examples=50, deadline=None)
@given(
    glaciers=st.integers(1, 12),
    first=st.integers(1970, 1995),
    length=st.integers(2, 30),
    fraction=st.floats(0.01, 1),
)
def test_observed_cells_exist_whatever_the_options(glaciers, first, length, fraction):
    years = range(first, first + length)
    rng = np.random.default_rng(0)
    observed = observed_cells(glaciers, years, 1984, fraction, rng)
    assert observed.shape == (glaciers, length)
    assert observed.any()


def read_balances(path: Path) -> np.ndarray:
    return pd.read_csv(path / "SMB_raw_temporal.csv", sep=";", header=None).to_numpy(float)


def test_without_noise_or_gaps_the_record_is_the_truth_to_rounding(tmp_path):
    simulate(output=tmp_path, **SMALL, dense_from=2000, observed_fraction=1, observation_noise=0)
    truth = pd.read_parquet(tmp_path / "truth.parquet")
    written = read_balances(tmp_path)
    assert np.isfinite(written).all()
    assert np.abs(written.ravel() - truth["mass_balance"]).max() <= 0.005 + 1e-9
    np.testing.assert_allclose(truth["accumulation"] - truth["melt"], truth["mass_balance"])


def test_noise_has_the_size_asked_for_and_leaves_the_truth_alone(tmp_path):
    options = {"glaciers": 8, "first_year": 1990, "last_year": 2014, "observed_fraction": 1}
    simulate(output=tmp_path / "a", **options, observation_noise=0)
    simulate(output=tmp_path / "b", **options, observation_noise=0.5)
    assert digests(tmp_path / "a")["truth.parquet"] == digests(tmp_path / "b")["truth.parquet"]
    error = read_balances(tmp_path / "b") - read_balances(tmp_path / "a")
    assert error.std() == pytest.approx(0.5, rel=0.15)
    assert abs(error.mean()) < 0.12


# Files ----------------------------------------------------------------------------------------


def test_layout_is_that_of_the_published_set(folder):
    assert {path.name for path in folder.iterdir()} == FILES
    for year in (1967, 1985):
        header = (folder / f"GLIMS_{year}.csv").read_text().splitlines()[0]
        assert header == INVENTORY + "GLIMS_ID"
    header = (folder / "GLIMS_2003.csv").read_text().splitlines()[0]
    assert header == INVENTORY + "GLIMS_ID;Massif_SAFRAN;Aspect_num;ID"
    header = (folder / "GLIMS_Rabatel_30_2015.csv").read_text().splitlines()[0]
    assert header == INVENTORY + "slope20;GLIMS_ID;Massif_SAFRAN;Aspect_num;slope20_evo"
    lines = (folder / "SMB_raw_temporal.csv").read_text().splitlines()
    assert len(lines) == 3 and all(line.count(";") == 9 for line in lines)
    fields = [field for line in lines for field in line.split(";") if field]
    assert all(len(field.rsplit(".", 1)[1]) == 2 for field in fields)


def test_climate_files_have_the_published_keys(folder):
    season = alpgm.read_numpy(folder / "season_meteo_SMB.txt")
    assert list(season) == ["CPDD", "winter_snow", "summer_snow"]
    entry = season["CPDD"][0]
    assert list(entry) == ["Glacier", "GLIMS_ID", "CPDD", "Mean"]
    assert list(season["summer_snow"][0]) == ["Glacier", "GLIMS_ID", "snow", "Mean"]
    assert entry["CPDD"][::2].tolist() == list(range(2000, 2010))
    assert entry["Mean"] == pytest.approx(entry["CPDD"][1::2].mean())
    raw = alpgm.read_numpy(folder / "season_raw_meteo_anomalies_SMB.txt")
    np.testing.assert_allclose(raw["CPDD"][0], entry["CPDD"][1::2] - entry["Mean"])
    for name in ("monthly_meteo_SMB.txt", "monthly_meteo_anomalies_SMB.txt"):
        monthly = alpgm.read_numpy(folder / name)
        assert list(monthly) == ["temp", "snow"]
        for key, field in (("temp", "mon_temp"), ("snow", "mon_snow")):
            entry = monthly[key][0]
            assert list(entry) == ["Glacier", "GLIMS_ID", field, "mon_means", "years"]
            assert np.shape(entry[field]) == (10, 12) and len(entry["mon_means"]) == 12


def test_the_reader_of_the_published_set_reads_it(folder):
    frame = alpgm.read(folder)
    assert len(frame) == 30
    assert not frame.drop(columns="mass_balance").isna().any().any()
    anomalies = [column for column in frame if "_anomaly" in column]
    means = frame.groupby("glacier")[anomalies].mean()
    np.testing.assert_allclose(means, 0, atol=1e-9)  # shorter than 32 years: all years count
    snow = frame[[column for column in frame if column.startswith("snow_") and "ano" not in column]]
    assert (snow >= 0).all().all() and (frame["cpdd"] >= 0).all()
    assert (frame["max_altitude"] > frame["mean_altitude"]).all()


def test_anomalies_refer_to_the_last_32_years(tmp_path):
    simulate(output=tmp_path, glaciers=1, first_year=1970, last_year=2009)
    anomalies = alpgm.read_numpy(tmp_path / "season_raw_meteo_anomalies_SMB.txt")["CPDD"]
    assert abs(anomalies[0, -32:].mean()) < 1e-9 < abs(anomalies[0].mean())


def test_same_seed_same_bytes_other_seed_other_data(folder, tmp_path):
    simulate(output=tmp_path / "again", **SMALL)
    simulate(output=tmp_path / "other", **SMALL, seed=1)
    first, again, other = (digests(p) for p in (folder, tmp_path / "again", tmp_path / "other"))
    assert first == again
    assert all(first[name] != other[name] for name in FILES)


def test_every_parameter_is_documented(folder):
    stored = json.loads((folder / "parameters.json").read_text(encoding="utf-8"))
    assert stored["options"]["glaciers"] == 3 and "output" not in stored["options"]
    assert {name: entry["value"] for name, entry in stored["parameters"].items()} == VALUES
    bases = {"literature", "unchecked", "gross", "adjusted", "assumption", "convention"}
    cited = " ".join(parameter.source for parameter in PARAMETERS.values())
    for name, parameter in PARAMETERS.items():
        assert parameter.unit and parameter.basis in bases, name
        # Whoever reads an adjusted value sees from where it was moved.
        assert parameter.basis != "adjusted" or parameter.source.startswith("was "), name
        assert parameter.basis not in ("literature", "unchecked") or parameter.source, name
    assert stored["references"] == list(REFERENCES)
    for word in ("Hock 2003", "Rolland 2003", "Beaumet et al. 2021"):
        assert word in cited and any(entry.startswith(word) for entry in REFERENCES)
    assert read_metadata(folder / "truth.parquet")["units"]["mass_balance"] == "m w.e. a-1"


def test_names_and_ids_stay_unique_for_many_glaciers():
    glaciers = make_glaciers(80, np.random.default_rng(0))
    assert len(set(glaciers.name)) == len(set(glaciers.glims_id)) == 80


def test_history_after_drops_the_first_years():
    history = History(*(np.arange(6.0).reshape(3, 2) for _ in range(3)), np.zeros((4, 5)))
    assert history.after(1).balance.shape == (2, 2) and history.after(1).areas.shape == (3, 5)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"glaciers": 0}, "--glaciers"),
        ({"first_year": 2010, "last_year": 2000}, "--last-year"),
        ({"first_year": 2000, "last_year": 2000}, "--last-year"),
        ({"first_year": 2300, "last_year": 2310}, "1800-2200"),
        ({"observed_fraction": 0.0}, "--observed-fraction"),
        ({"observed_fraction": 1.1}, "--observed-fraction"),
        ({"observation_noise": -0.1}, "--observation-noise"),
        ({"observation_noise": float("nan")}, "--observation-noise"),
        ({"seed": -1}, "--seed"),
    ],
)
def test_bad_options_are_refused_before_anything_is_written(wrong, named, tmp_path):
    with pytest.raises(InputError, match=named):
        simulate(output=tmp_path / "raw", **{**SMALL, **wrong})
    assert not (tmp_path / "raw").exists()
