"""The prepared table from files of one's own, and the checks that every reader's table passes."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casestudies.errors import InputError
from casestudies.glacier import IDENTIFIERS, MONTHS, UNITS, prepare
from casestudies.tables import read_metadata

GLACIERS = ["007", "Argentière", "b"]  # not in alphabetical order in the file
ORDER = ["b", "007", "Argentière"]
YEARS = [2000, 2001, 2002]


def write(folder: Path, years: dict[str, list[int]] | None = None) -> Path:
    """Write the three files; ``years`` are those of each glacier's climate."""
    years = years or dict.fromkeys(ORDER, YEARS)
    rng = np.random.default_rng(3)
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(
        {
            "glacier": ORDER,
            "name": ["Glacier b", "Bond", "Argentière"],
            "massif": ["Ecrins", "Ecrins", "Mont Blanc"],
            "longitude": [6.3, 6.4, 7.0],
            "latitude": [44.9, 44.8, 45.9],
            "aspect": [0, 90, 315],
            "slope20": [10, 20.5, 15],
            "max_altitude": [3500, 3600, 4000],
            "mean_altitude": [3000, 3100, 2900],
            "area": [1.5, 0.2, 12],
            "remark": ["", "small", ""],
        }
    ).to_csv(folder / "glaciers.csv", index=False)
    rows = [
        (glacier, year, month)
        for glacier in ORDER
        for year in years[glacier]
        for month in range(1, 13)
    ]
    climate = pd.DataFrame(rows, columns=["glacier", "year", "month"])
    climate["temperature"] = rng.normal(-2, 6, len(rows)).round(2)
    climate["snow"] = rng.gamma(2, 50, len(rows)).round(1)
    climate["cpdd"] = (climate["temperature"].clip(lower=0) * 30).round(1)
    climate = climate.sample(frac=1, random_state=0)  # in any order
    climate.to_csv(folder / "climate.csv", index=False)
    pd.DataFrame(
        {
            "glacier": ["b", "b", "007", "Argentière"],
            "year": [2000, 2002, 2001, 2001],
            "mass_balance": [-1.5, 0.25, "", -0.5],
        }
    ).to_csv(folder / "mass_balance.csv", index=False)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "raw")


def test_the_table_has_the_columns_and_order_of_all_prepared_tables(folder: Path) -> None:
    frame = prepare.read_csv(folder)
    assert list(frame.columns) == [*IDENTIFIERS, *UNITS]
    assert frame["sample"].tolist() == [f"{glacier}_{year}" for glacier in ORDER for year in YEARS]
    assert frame["year"].dtype == "int64"
    assert frame.set_index("sample")["mass_balance"].dropna().to_dict() == {
        "b_2000": -1.5,
        "b_2002": 0.25,
        "Argentière_2001": -0.5,
    }
    prepare.validate(frame, folder)


def test_the_seasons_are_sums_of_their_months(folder: Path) -> None:
    frame = prepare.read_csv(folder).set_index("sample")
    climate = pd.read_csv(folder / "climate.csv", dtype={"glacier": str})
    rows = climate[(climate["glacier"] == "007") & (climate["year"] == 2001)].set_index("month")
    got = frame.loc["007_2001"]
    assert got["winter_snow"] == pytest.approx(rows.loc[[10, 11, 12, 1, 2, 3, 4], "snow"].sum())
    assert got["summer_snow"] == pytest.approx(rows.loc[[5, 6, 7, 8, 9], "snow"].sum())
    assert got["cpdd"] == pytest.approx(rows["cpdd"].sum())
    assert got["temperature_oct"] == rows.loc[10, "temperature"]
    assert got["snow_sep"] == rows.loc[9, "snow"]


def test_anomalies_are_from_the_years_that_all_glaciers_have(tmp_path: Path) -> None:
    folder = write(
        tmp_path / "raw",
        {"b": [1999, 2000, 2001], "007": [2000, 2001, 2002, 2003], "Argentière": [2000, 2001]},
    )
    frame = prepare.read_csv(folder)
    common = frame["year"].isin([2000, 2001])
    for name in UNITS:
        if "_anomaly" not in name:
            continue
        value = frame[name.replace("_anomaly", "")]
        mean = value[common].groupby(frame["glacier"]).mean()
        np.testing.assert_allclose(frame[name], value - frame["glacier"].map(mean), atol=1e-9)
        assert frame[name][common].groupby(frame["glacier"]).mean().abs().max() < 1e-9


@settings(max_examples=25, deadline=None)
@given(
    shift=st.floats(-20, 20),
    factor=st.floats(0.1, 3),
)
def test_anomalies_do_not_see_a_shift_and_scale_with_the_climate(
    tmp_path_factory: pytest.TempPathFactory, shift: float, factor: float
) -> None:
    folder = write(tmp_path_factory.mktemp("raw"))
    before = prepare.read_csv(folder)
    climate = pd.read_csv(folder / "climate.csv", dtype={"glacier": str})
    climate["temperature"] += shift
    climate["snow"] *= factor
    climate.to_csv(folder / "climate.csv", index=False)
    after = prepare.read_csv(folder)
    for month in MONTHS:
        name = f"temperature_anomaly_{month}"
        np.testing.assert_allclose(after[name], before[name], atol=1e-9)
    for name in ("winter_snow", "winter_snow_anomaly", "summer_snow_anomaly", "snow_anomaly_jul"):
        np.testing.assert_allclose(after[name], before[name] * factor, atol=1e-9)


def test_the_step_writes_the_table_with_its_units(folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "results" / "prepared.parquet"
    prepare.prepare(raw=folder, reader="csv", output=output)
    pd.testing.assert_frame_equal(pd.read_parquet(output), prepare.read_csv(folder))
    units = read_metadata(output)["units"]
    assert units == UNITS and set(units) == set(pd.read_parquet(output)) - set(IDENTIFIERS)


def test_the_command_ends_in_one_message(folder: Path, tmp_path: Path) -> None:
    (folder / "climate.csv").unlink()
    output = tmp_path / "prepared.parquet"
    arguments = ["--raw", str(folder), "--reader", "csv", "--output", str(output)]
    done = subprocess.run(
        [sys.executable, "-m", "casestudies.glacier.prepare", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == f"error: {folder}/climate.csv: no such file.\n"
    assert not output.exists()


def test_observations_without_climate_are_said_to_be_left_out(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (folder / "mass_balance.csv").open("a") as stream:
        stream.write("b,1950,-1\n")
    assert len(prepare.read_csv(folder)) == 9
    assert "1 observations have no climate" in caplog.text


def edit(name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        frame = pd.read_csv(folder / name, dtype={"glacier": str})
        change(frame).to_csv(folder / name, index=False)

    return apply


def put(column: str, value: object, row: int = 1) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        frame[column] = frame[column].astype(object)
        frame.loc[row, column] = value
        return frame

    return change


def again(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame.iloc[[0]]])


def later(frame: pd.DataFrame) -> pd.DataFrame:
    """Make the glaciers share no year."""
    return frame.assign(
        year=frame["year"] + frame["glacier"].map({"b": 0, "007": 5, "Argentière": 9})
    )


def calendar(frame: pd.DataFrame) -> pd.DataFrame:
    """Count October to December to the year before, and have no January of the first year."""
    return frame.assign(year=frame["year"] - (frame["month"] >= 10))


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "no glaciers": (lambda folder: (folder / "glaciers.csv").unlink(), "glaciers.*no such file"),
    "no climate": (lambda folder: (folder / "climate.csv").unlink(), "climate.*no such file"),
    "no balance": (lambda folder: (folder / "mass_balance.csv").unlink(), "balance.*no such file"),
    "empty file": (lambda folder: (folder / "climate.csv").write_text(""), "not a readable table"),
    "only a header": (edit("glaciers.csv", lambda frame: frame[:0]), "holds no row"),
    "no column": (
        edit("climate.csv", lambda frame: frame.rename(columns={"snow": "snow_mm"})),
        "climate.*'snow' is missing.*did you mean 'snow_mm'",
    ),
    "no balance column": (
        edit("mass_balance.csv", lambda frame: frame.rename(columns={"mass_balance": "b"})),
        "'mass_balance' is missing",
    ),
    "gap in climate": (edit("climate.csv", put("cpdd", None, 4)), "'cpdd' has 1 missing.* row 5"),
    "gap in geometry": (edit("glaciers.csv", put("area", None)), "'area' has 1 missing"),
    "no name": (edit("glaciers.csv", put("name", None)), "'name' has 1 missing"),
    "gap in a year": (edit("mass_balance.csv", put("year", None)), "'year' has 1 missing"),
    "words": (edit("climate.csv", put("snow", "much", 2)), "'snow', row 3.*'much' is not a number"),
    "words for a balance": (
        edit("mass_balance.csv", put("mass_balance", "?")),
        r"'mass_balance', row 2.*'\?' is not a number",
    ),
    "half a year": (edit("climate.csv", put("year", 2000.5)), "'year', row 2.*not a whole number"),
    "month 13": (edit("climate.csv", put("month", 13)), "'month', row 2.*13 is not a calendar"),
    "month 0": (edit("climate.csv", put("month", 0)), "'month', row 2.*0 is not a calendar"),
    "month twice": (edit("climate.csv", again), "climate.*year 200.*month .* is there twice"),
    "glacier twice": (edit("glaciers.csv", again), "glacier b is there twice"),
    "balance twice": (edit("mass_balance.csv", again), "glacier b, year 2000 is there twice"),
    "unknown in balance": (
        edit("mass_balance.csv", put("glacier", "c")),
        "mass_balance.*'c' is not in glaciers.csv",
    ),
    "unknown in climate": (edit("climate.csv", put("glacier", "7")), "climate.*'7' is not in"),
    "no climate for one": (
        edit("climate.csv", lambda frame: frame[frame["glacier"] != "007"]),
        "no row for glacier '007'",
    ),
    "a month less": (edit("climate.csv", lambda frame: frame[:-1]), "has 11 months, not 12"),
    "calendar years": (edit("climate.csv", calendar), "months, not 12. The year is the hydro"),
    "no common year": (edit("climate.csv", later), "no year has climate for all 3"),
}


@pytest.mark.parametrize("fault, message", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_named(folder: Path, fault: Callable[[Path], None], message: str) -> None:
    fault(folder)
    with pytest.raises(InputError, match=message) as caught:
        prepare.read_csv(folder)
    assert str(folder) in str(caught.value)


WRONG_VALUES = {
    "mass balance in mm": ("mass_balance", -1500.0, "mass_balance of b_2000 is -1500 m w.e."),
    "a code for missing": ("mass_balance", -9999.0, "how missing values are written"),
    "kelvin": ("temperature_jul", 275.0, "temperature_jul of b_2000 is 275 °C"),
    "negative snow": ("snow_jan", -0.1, "snow_jan of b_2000"),
    "snow in no bounds": ("snow_jan", np.inf, "snow_jan of b_2000 is inf"),
    "an infinite anomaly": ("cpdd_anomaly", -np.inf, "cpdd_anomaly of b_2000"),
    "no area": ("area", 0.0, "area of b_2000"),
    "latitude and longitude exchanged": ("latitude", 95.0, "latitude of b_2000"),
    "a gap": ("cpdd", np.nan, "cpdd of b_2000 is missing; only mass_balance may be"),
    "no massif": ("massif", None, "massif of b_2000 is missing"),
    "a year of two digits": ("year", 99, "year of b_2000 is 99"),
    "twice": ("sample", "b_2001", "b_2001 is there twice"),
}


@pytest.mark.parametrize("column, value, message", WRONG_VALUES.values(), ids=WRONG_VALUES.keys())
def test_values_out_of_all_bounds_are_refused(
    folder: Path, column: str, value: object, message: str
) -> None:
    frame = prepare.read_csv(folder)
    frame.loc[0, column] = value
    with pytest.raises(InputError, match=message):
        prepare.validate(frame, folder)


def test_a_table_without_observations_is_refused(folder: Path) -> None:
    frame = prepare.read_csv(folder).assign(mass_balance=np.nan)
    with pytest.raises(InputError, match="nothing to learn from"):
        prepare.validate(frame, folder)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        prepare.prepare(raw=tmp_path / "none", reader="csv", output=tmp_path / "out.parquet")


@pytest.mark.published
def test_the_two_readers_agree_where_their_definitions_do(mirror: Path, tmp_path: Path) -> None:
    """ALPGM's monthly climate, written in the format csv, gives ALPGM's table."""
    published = prepare.READERS["alpgm"](mirror / "alpgm-corrected")
    recent = published[published["year"] >= 1984].reset_index(drop=True)  # its reference period
    columns = ["glacier", "name", "massif", "longitude", "latitude", "aspect", "slope20"]
    columns += ["max_altitude", "mean_altitude", "area"]
    recent.groupby("glacier", sort=False).last().reset_index()[columns].to_csv(
        tmp_path / "glaciers.csv", index=False
    )
    recent[["glacier", "year", "mass_balance"]].to_csv(tmp_path / "mass_balance.csv", index=False)
    pd.concat(
        recent[["glacier", "year"]].assign(
            month=(position + 9) % 12 + 1,
            temperature=recent[f"temperature_{month}"],
            snow=recent[f"snow_{month}"],
            cpdd=recent[f"temperature_{month}"].clip(lower=0) * 30.4,
        )
        for position, month in enumerate(MONTHS)
    ).to_csv(tmp_path / "climate.csv", index=False)
    own = prepare.read_csv(tmp_path)
    for column in recent:
        if column.startswith(("temperature", "snow")) or column == "mass_balance":
            np.testing.assert_allclose(own[column], recent[column], atol=1e-6)
        elif column in ("winter_snow", "summer_snow", "cpdd"):
            assert np.corrcoef(own[column], recent[column])[0, 1] > 0.95
        elif column in ("sample", *columns) and column not in ("mean_altitude", "area"):
            assert (own[column] == recent[column]).all()
