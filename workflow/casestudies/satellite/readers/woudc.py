"""WOUDC extended CSV: ozone soundings (guide.woudc.org, chapter 3).

A file is a sequence of tables, each opened by ``#NAME`` and a line of column names; a line that
begins with ``*`` is a comment. Units are fixed by the standard: hPa, mPa, °C, m, DU. Many files end
their lines in commas without a field.
"""

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.errors import InputError
from casestudies.satellite.readers.opening import read_text
from casestudies.satellite.readers.soundings import Sounding, ascent

PATTERNS = ("*.csv",)
_COLUMNS = {
    "pressure": "Pressure",
    "ozone": "O3PartialPressure",
    "temperature": "Temperature",
    "altitude": "GPHeight",
}


def tables(path: Path) -> dict[str, list[list[str]]]:
    """Return the tables of an extended CSV file: name -> rows of fields, the column names first.

    Of tables that are there twice (#TIMESTAMP, for the start and the end) the first is returned.

    Raises
    ------
    InputError
        If the file is empty or holds no table.
    """
    found: dict[str, list[list[str]]] = {}
    rows: list[list[str]] | None = None
    for line in read_text(path).splitlines():
        text = line.strip()
        if text.startswith("#"):
            rows = []
            found.setdefault(text.strip("#, ").upper(), rows)
        elif rows is not None and text.strip(",") and not text.startswith("*"):
            fields = next(csv.reader([text])) if '"' in text else text.split(",")
            rows.append([field.strip() for field in fields])
    if not found:
        raise InputError(f"{path}: no extended CSV file: it has no table '#NAME'.")
    return found


def read_woudc(path: Path) -> Sounding:
    """Read one sounding.

    Raises
    ------
    InputError
        If the file is empty, cut short, no sounding, or a time or place is missing.
    """
    found = tables(path)

    def optional(table: str, name: str) -> str:
        rows = found.get(table, [])
        first = dict(zip(rows[0], rows[1], strict=False)) if len(rows) > 1 else {}
        return first.get(name, "")

    def field(table: str, name: str) -> str:
        if len(found.get(table, [])) < 2:
            raise InputError(f"{path}: table #{table} is missing; is the file cut short?")
        if not (value := optional(table, name)):
            raise InputError(f"{path}: table #{table}: field {name} is missing.")
        return value

    def number(table: str, name: str) -> float:
        try:
            return float(optional(table, name))
        except ValueError:
            return float("nan")

    category = field("CONTENT", "Category")
    if category.lower() != "ozonesonde":
        raise InputError(f"{path}: holds {category!r}, not a sounding of category OzoneSonde.")
    field("PROFILE", "Pressure")
    names, *rows = found["PROFILE"]
    for name in ("Pressure", "O3PartialPressure"):
        if name not in names:
            raise InputError(f"{path}: table #PROFILE: column {name} is missing.")
    profile = pd.DataFrame(
        {
            column: _column(rows, names.index(name) if name in names else len(names))
            for column, name in _COLUMNS.items()
        }
    )
    profile["temperature"] += 273.15
    place = {name: number("LOCATION", name) for name in ("Latitude", "Longitude")}
    if not (abs(place["Latitude"]) <= 90 and abs(place["Longitude"]) <= 360):
        raise InputError(f"{path}: table #LOCATION: {place} is not a place in degrees.")
    integrated = number("FLIGHT_SUMMARY", "IntegratedO3")
    return Sounding(
        station=field("PLATFORM", "Name"),
        latitude=place["Latitude"],
        longitude=place["Longitude"],
        time=_time(
            field("TIMESTAMP", "Date"),
            field("TIMESTAMP", "Time"),
            optional("TIMESTAMP", "UTCOffset") or "+00:00:00",
            path,
        ),
        profile=ascent(profile, path),
        integrated=integrated,
        residual=number("FLIGHT_SUMMARY", "SondeTotalO3") - integrated,
        total=number("FLIGHT_SUMMARY", "TotalO3"),
        source=path,
    )


def _column(rows: list[list[str]], place: int) -> np.ndarray:
    """Return a column as numbers, NaN where there is none."""

    def number(row: list[str]) -> float:
        try:
            return float(row[place])
        except (ValueError, IndexError):
            return np.nan

    return np.array([number(row) for row in rows])


def _time(date: str, time: str, offset: str, path: Path) -> np.datetime64:
    """Return the launch in UTC: local time less its offset."""
    sign = re.fullmatch(r"([+-]?)(\d\d?):(\d\d)(?::(\d\d))?", offset)
    try:
        local = np.datetime64(f"{date}T{time}", "s")
    except ValueError as error:
        raise InputError(f"{path}: table #TIMESTAMP: {date} {time} is not a time.") from error
    if sign is None:
        raise InputError(f"{path}: table #TIMESTAMP: UTCOffset {offset!r} is not ±HH:MM:SS.")
    seconds = int(sign[2]) * 3600 + int(sign[3]) * 60 + int(sign[4] or 0)
    return local - np.timedelta64(-seconds if sign[1] == "-" else seconds, "s")
