"""Prepare the glacier data: raw files to one checked table, a row per glacier and year.

The year is the hydrological year, October to September, named by its end: October 1999 to September
2000 is 2000. Two readers make the same table: ``alpgm`` (see :mod:`casestudies.glacier.alpgm`) and
``csv``, for data of one's own.

The format ``csv``
------------------
A folder with three comma-separated files in UTF-8, each with a header line. Columns may come in any
order; others are ignored. ``glacier`` is any identifier, the same in all three files.

``glaciers.csv``, one row per glacier, no gaps:

============= ======= ==============================================================
column        unit    meaning
============= ======= ==============================================================
glacier               identifier
name                  name for tables and maps
massif                mountain group, a grouping for maps
longitude     °       of the glacier's centre, east positive
latitude      °       of the glacier's centre, north positive
aspect        °       mean exposition, clockwise from north, 0 to 360
slope20       °       mean slope of the lowest 20 % of the glacier
max_altitude  m       highest point
mean_altitude m       mean surface altitude
area          km²     area
============= ======= ==============================================================

``mass_balance.csv``, one row per glacier and year; leave out, or leave empty, what is not observed:

============= ========== ===========================================================
glacier                  identifier
year                     hydrological year
mass_balance  m w.e. a⁻¹ annual surface mass balance, averaged over the glacier
============= ========== ===========================================================

``climate.csv``, twelve rows per glacier and year, no gaps, best at the glacier's mean altitude:

============= ======= ==============================================================
glacier               identifier
year                  hydrological year (not the calendar year: October 1999 has 2000)
month                 calendar month, 1 (January) to 12
temperature   °C      mean of the month
snow          mm w.e. solid precipitation of the month
cpdd          K d     positive degree days: sum over the days of the month of the
                      mean temperature where it is above 0 °C
============= ======= ==============================================================

From these, ``winter_snow`` is the sum of October to April, ``summer_snow`` of May to September and
``cpdd`` the sum of all twelve months. An anomaly is the difference from the glacier's own mean over
the years for which every glacier has climate; that of a month, from the mean of that month. ALPGM's
seasons begin and end a few days earlier than these months, its degree days cover the ablation
season only, and its reference is 1984–2015: a model trained on one is not for the other.

Rows are prepared for every glacier and year with climate, observed or not.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from casestudies.datasets import find, verify
from casestudies.errors import InputError
from casestudies.glacier import IDENTIFIERS, MONTHS, RAW_FILES, UNITS, alpgm
from casestudies.glacier.alpgm import numeric
from casestudies.steps import main
from casestudies.tables import read_table, write_table

log = logging.getLogger("casestudies")

_CALENDAR = (10, 11, 12, 1, 2, 3, 4, 5, 6, 7, 8, 9)  # the calendar months of MONTHS
_WINTER = 7  # months of the hydrological year that count as winter: October to April

# Values outside these bounds are mistakes (a wrong unit, a wrong sign, a code for missing data).
_BOUNDS: dict[str, tuple[float, float]] = {
    "year": (1800, 2200),
    "mass_balance": (-20, 15),
    "mean_altitude": (0, 9000),
    "max_altitude": (0, 9000),
    "slope20": (0, 90),
    "area": (1e-6, 20000),
    "longitude": (-180, 180),
    "latitude": (-90, 90),
    "aspect": (0, 360),
    "cpdd": (0, 10000),
    "winter_snow": (0, 20000),
    "summer_snow": (0, 20000),
    **{f"temperature_{month}": (-70, 40) for month in MONTHS},
    **{f"snow_{month}": (0, 5000) for month in MONTHS},
}
_ANOMALY_BOUNDS = (-20000.0, 20000.0)
_TEXTS = ("sample", "glacier", "name", "massif")


def read_csv(folder: Path) -> pd.DataFrame:
    """Read a folder in the format ``csv`` of this module as the prepared table.

    Raises
    ------
    InputError
        If a file or column is missing, a value is missing where none may be or is not a number, a
        row is there twice, a glacier is unknown, or a year has not its twelve months.
    """
    folder = Path(folder)
    glaciers = _read(folder / "glaciers.csv", ["glacier", "name", "massif"], _STATIC)
    _once(glaciers, ["glacier"], folder / "glaciers.csv")
    order = pd.Index(glaciers["glacier"])

    path = folder / "climate.csv"
    climate = _read(path, ["glacier"], ["year", "month", *_MONTHLY])
    _known(climate, order, path)
    for column in ("year", "month"):
        _whole(climate, column, path)
    wrong = ~climate["month"].between(1, 12)
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise InputError(
            f"{path}: column 'month', row {row + 1} of the data: {climate['month'].iloc[row]} is "
            "not a calendar month from 1 to 12."
        )
    _once(climate, ["glacier", "year", "month"], path)
    without = order.difference(climate["glacier"])
    if len(without):
        raise InputError(
            f"{path}: has no row for glacier {without[0]!r} of glaciers.csv; add its climate, or "
            "take it out of glaciers.csv."
        )
    months = climate.groupby(["glacier", "year"], sort=False)["month"].size()
    if (months != 12).any():
        glacier, year = months[months != 12].index[0]
        raise InputError(
            f"{path}: glacier {glacier!r}, year {year} has {months[glacier, year]} months, not 12. "
            "The year is the hydrological year: October to December belong to the next one."
        )

    # (glacier, year) x month, in the order of the hydrological year
    wide = climate.pivot(index=["glacier", "year"], columns="month", values=list(_MONTHLY))
    rank = order.get_indexer(wide.index.get_level_values("glacier"))
    wide = wide.iloc[np.lexsort((wide.index.get_level_values("year"), rank))]
    values = {name: wide[name][list(_CALENDAR)].to_numpy() for name in _MONTHLY}
    frame = pd.DataFrame(
        {
            "glacier": wide.index.get_level_values("glacier"),
            "year": wide.index.get_level_values("year"),
            "cpdd": values["cpdd"].sum(axis=1),
            "winter_snow": values["snow"][:, :_WINTER].sum(axis=1),
            "summer_snow": values["snow"][:, _WINTER:].sum(axis=1),
            **{
                f"{name}_{month}": values[name][:, position]
                for name in ("temperature", "snow")
                for position, month in enumerate(MONTHS)
            },
        }
    )
    frame = pd.concat([frame, _anomalies(frame, path)], axis=1)
    frame = frame.merge(glaciers, on="glacier", how="left")
    frame = frame.merge(_observed(folder, order, frame), on=["glacier", "year"], how="left")
    frame["sample"] = frame["glacier"] + "_" + frame["year"].astype(str)
    return frame[[*IDENTIFIERS, *UNITS]]


_STATIC = (
    "longitude",
    "latitude",
    "aspect",
    "slope20",
    "max_altitude",
    "mean_altitude",
    "area",
)
_MONTHLY = ("temperature", "snow", "cpdd")

READERS: dict[str, Callable[[Path], pd.DataFrame]] = {"alpgm": alpgm.read, "csv": read_csv}


def _anomalies(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return the anomaly of each climate column, from means over the years all glaciers have."""
    number = frame["glacier"].nunique()
    common = frame.groupby("year")["glacier"].transform("size") == number
    if not common.any():
        raise InputError(
            f"{path}: no year has climate for all {number} glaciers, so anomalies would have no "
            "common reference; leave out the glaciers that share no year with the others."
        )
    columns = [column for column in frame if column not in ("glacier", "year")]
    means = frame[common].groupby("glacier")[columns].mean()
    anomalies = frame[columns] - means.loc[frame["glacier"]].to_numpy()
    years = frame.loc[common, "year"]
    log.info("anomalies from the means of %d to %d", years.min(), years.max())
    return anomalies.rename(columns=_anomaly_name)


def _anomaly_name(column: str) -> str:
    """Return the name of an anomaly: the month, if any, stays last."""
    name, _, month = column.rpartition("_")
    return f"{name}_anomaly_{month}" if month in MONTHS else f"{column}_anomaly"


def _observed(folder: Path, order: pd.Index, frame: pd.DataFrame) -> pd.DataFrame:
    path = folder / "mass_balance.csv"
    observed = _read(path, ["glacier"], ["year"], gaps=["mass_balance"])
    _known(observed, order, path)
    _whole(observed, "year", path)
    _once(observed, ["glacier", "year"], path)
    observed = observed[["glacier", "year", "mass_balance"]].dropna()
    matched = observed.merge(frame[["glacier", "year"]], on=["glacier", "year"])
    if unused := len(observed) - len(matched):
        log.warning("%s: %d observations have no climate and are left out", path, unused)
    return observed


def _read(
    path: Path,
    texts: list[str],
    numbers: list[str] | tuple[str, ...],
    gaps: list[str] | None = None,
) -> pd.DataFrame:
    """Read a CSV file with complete columns of text and numbers, and of numbers with gaps."""
    gaps = gaps or []
    frame = read_table(path, columns=gaps, complete=[*texts, *numbers])
    if len(frame) == 0:
        raise InputError(f"{path}: holds no row.")
    as_text = pd.read_csv(path, usecols=texts, dtype=str)  # an identifier such as 007 stays one
    for column in texts:
        frame[column] = as_text[column].str.strip()
    for column in [*numbers, *gaps]:
        frame[column] = numeric(frame[column], path)
    return frame[[*texts, *numbers, *gaps]]


def _whole(frame: pd.DataFrame, column: str, path: Path) -> None:
    wrong = (frame[column] % 1 != 0).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{path}: column {column!r}, row {row + 1} of the data: {frame[column].iloc[row]} is "
            "not a whole number."
        )
    frame[column] = frame[column].astype("int64")


def _once(frame: pd.DataFrame, key: list[str], path: Path) -> None:
    twice = frame.duplicated(key)
    if twice.any():
        first = frame.loc[twice, key].iloc[0]
        what = ", ".join(f"{name} {first[name]}" for name in key)
        raise InputError(f"{path}: {what} is there twice; each needs one row.")


def _known(frame: pd.DataFrame, order: pd.Index, path: Path) -> None:
    unknown = frame.loc[~frame["glacier"].isin(order), "glacier"]
    if len(unknown):
        raise InputError(
            f"{path}: column 'glacier': {unknown.iloc[0]!r} is not in glaciers.csv; add it there, "
            "or correct it here."
        )


def validate(frame: pd.DataFrame, source: Path) -> None:
    """Check a prepared table, whichever reader made it.

    Parameters
    ----------
    source
        The folder that was read, for the message.

    Raises
    ------
    InputError
        If a sample is there twice, a value other than a mass balance is missing, a value is out of
        all bounds, or nothing was observed.
    """
    twice = frame["sample"].duplicated()
    if twice.any():
        raise InputError(f"{source}: {frame.loc[twice, 'sample'].iloc[0]} is there twice.")
    for column in (*IDENTIFIERS, *UNITS):
        values = frame[column]
        missing = values.isna().to_numpy()
        if column != "mass_balance" and missing.any():
            sample = frame["sample"].iloc[int(missing.argmax())]
            raise InputError(
                f"{source}: {column} of {sample} is missing; only mass_balance may be."
            )
        if column in _TEXTS:
            continue
        low, high = _BOUNDS.get(column, _ANOMALY_BOUNDS)
        wrong = ~(values.between(low, high).to_numpy() | missing)
        if wrong.any():
            row = int(wrong.argmax())
            raise InputError(
                f"{source}: {column} of {frame['sample'].iloc[row]} is {values.iloc[row]:g} "
                f"{UNITS.get(column, '')}, outside {low:g} to {high:g}; check its unit and how "
                "missing values are written."
            )
    if frame["mass_balance"].isna().all():
        raise InputError(
            f"{source}: no mass balance is observed in a year with climate; there is nothing to "
            "learn from."
        )


def prepare(
    *, raw: Path, reader: Literal["alpgm", "csv"], published: str | None = None, output: Path
) -> None:
    """Read raw glacier data, check it and write the prepared table.

    Parameters
    ----------
    raw
        Folder of the raw data set.
    reader
        Layout of that folder.
    published
        The published data set that it is, whose checksums its files must have.
    output
        Parquet file to write; its metadata holds the unit of every measured column.
    """
    if not raw.is_dir():
        raise InputError(f"{raw}: no such folder; --raw names the folder of a raw data set.")
    if published is not None:
        verify(find(published), raw, RAW_FILES[reader])
    frame = READERS[reader](raw)
    validate(frame, raw)
    write_table(frame, output, metadata={"units": UNITS})
    log.info(
        "%s: %d glaciers, %d to %d, %d rows, %d with a mass balance",
        output,
        frame["glacier"].nunique(),
        frame["year"].min(),
        frame["year"].max(),
        len(frame),
        frame["mass_balance"].notna().sum(),
    )


if __name__ == "__main__":
    main(prepare)
