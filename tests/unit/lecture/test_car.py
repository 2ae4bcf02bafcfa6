"""The simulated car: physics, files, and what prepare refuses."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casestudies.config.lecture import Simulation
from casestudies.errors import InputError
from casestudies.lecture.car import PARAMETERS, VALUES, consumption, measure
from casestudies.lecture.models import Model, least_squares
from casestudies.lecture.prepare import prepare, read
from casestudies.lecture.simulate import simulate


def test_consumption_is_the_fuel_power_over_the_speed():
    v = VALUES
    speed = 90 / 3.6  # m/s
    force = v["rolling_resistance"] * v["mass"] * v["gravity"]
    force += 0.5 * v["air_density"] * v["drag_area"] * speed**2
    litres_a_second = (v["idle_power"] + force * speed / v["efficiency"]) / v["fuel_heat"]
    assert consumption(np.array(90.0)) == pytest.approx(litres_a_second / speed * 1e5, rel=1e-12)


@given(st.floats(5, 40), st.floats(150, 300))
def test_crawling_and_racing_cars_consume_most(slow: float, fast: float):
    assert consumption(np.array(60.0)) < min(consumption(np.array([slow, fast])))


def test_the_physical_law_fits_the_truth_to_the_last_digits_beyond_the_measurements_too():
    model = Model("physics")
    speed = np.linspace(10, 130, 12)[None]
    ends = np.array([10.0]), np.array([130.0])
    coefficients = least_squares(model.design(speed, *ends), consumption(speed))
    far = np.array([[180.0]])
    predicted = (model.design(far, *ends) @ coefficients[..., None])[0, 0, 0]
    assert predicted == pytest.approx(consumption(far)[0, 0], rel=1e-10)


def test_measurements_scatter_about_the_truth_as_asked():
    speed, observed = measure(Simulation(noise=0.5), 400, np.random.default_rng(0), 20)
    residual = observed - consumption(speed)
    assert residual.std() == pytest.approx(0.5, rel=0.03) and abs(residual.mean()) < 0.02
    assert speed.min() >= 10 and speed.max() <= 130


def test_the_simulation_is_reproducible_and_documented(tmp_path: Path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        simulate(seed=seed, output=tmp_path / name)
    files = ("measurements.csv", "truth.csv", "parameters.json")
    one, same, other = ([(tmp_path / n / f).read_bytes() for f in files] for n in "abc")
    assert one == same and one[0] != other[0] and one[1] == other[1]
    stored = json.loads(one[2])
    assert stored["options"]["measurements"] == 60
    assert {name: entry["value"] for name, entry in stored["parameters"].items()} == VALUES
    assert all(p.source or p.basis == "convention" for p in PARAMETERS.values())
    assert len(read(tmp_path / "a")) == 60


def write(folder: Path, table: pd.DataFrame) -> Path:
    folder.mkdir()
    table.to_csv(folder / "measurements.csv", index=False)
    return folder


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame({"speed": np.linspace(20, 120, 15), "consumption": 5.0, "note": "dry"})


def test_a_users_own_table_is_prepared(tmp_path: Path, table):
    prepare(raw=write(tmp_path / "mine", table), output=tmp_path / "prepared.parquet")
    found = pd.read_parquet(tmp_path / "prepared.parquet")
    assert list(found) == ["sample", "speed", "consumption"] and found["sample"].is_unique
    np.testing.assert_array_equal(found["speed"], table["speed"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.drop(columns="speed"), ["'speed' is missing"]),
        (lambda t: t.assign(speed=[np.nan, *t["speed"][1:]]), ["'speed'", "row 1"]),
        (lambda t: t.assign(consumption=["five", *["5"] * 14]), ["'consumption'", "five", "row 1"]),
        (lambda t: t.assign(consumption=[5.0, -1.0, *[5.0] * 13]), ["row 2", "above 0", "L/100"]),
        (lambda t: t.assign(speed=t["speed"] * 1000), ["'speed'", "km/h", "at most 500"]),
        (lambda t: t.assign(speed=[np.inf, *t["speed"][1:]]), ["'speed'", "row 1"]),
        (lambda t: t.head(11), ["11 measurements", "at least 12"]),
        (lambda t: t.assign(speed=50.0), ["different values"]),
    ],
)
def test_a_bad_table_is_refused_with_file_field_and_remedy(tmp_path: Path, table, change, words):
    folder = write(tmp_path / "mine", change(table))
    with pytest.raises(InputError) as caught:
        prepare(raw=folder, output=tmp_path / "prepared.parquet")
    assert all(word in str(caught.value) for word in [*words, "measurements.csv"])
    assert not (tmp_path / "prepared.parquet").exists()
