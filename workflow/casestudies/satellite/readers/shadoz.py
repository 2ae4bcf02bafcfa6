"""SHADOZ soundings, formats 5 and 6 (tropo.gsfc.nasa.gov/shadoz).

The first line says how many lines the header has; the last two of them name the columns and their
units. The columns begin alike in both versions: time (s), pressure (hPa), altitude (km),
temperature (°C), humidity, and ozone in mPa and in ppmv.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.errors import InputError
from casestudies.satellite.readers.opening import read_text
from casestudies.satellite.readers.soundings import Sounding, ascent

PATTERNS = ("*.dat",)
_UNITS = ["sec", "hPa", "km", "C", "%", "mPa", "ppmv"]
_MISSING = "Missing or bad values"


def read_shadoz(path: Path) -> Sounding:
    """Read one sounding.

    Raises
    ------
    InputError
        If the file is empty, cut short, no SHADOZ file, or its two columns of ozone contradict each
        other, which shows that one of them is something else.
    """
    lines = read_text(path).splitlines()
    if not lines[0].strip().isdigit() or "SHADOZ" not in "".join(lines[1:3]):
        raise InputError(f"{path}: no SHADOZ file: it begins with {lines[0][:40]!r}.")
    count = int(lines[0])
    if len(lines) <= count:
        raise InputError(f"{path}: cut short: {len(lines)} lines, of which {count} are header.")
    header = {}
    for line in lines[1 : count - 2]:
        key, _, value = line.partition(":")
        header.setdefault(key.strip(), value.strip())
    if lines[count - 1].split()[:7] != _UNITS:
        raise InputError(
            f"{path}: line {count}: the columns' units do not begin with {' '.join(_UNITS)}."
        )
    rows = [line.split() for line in lines[count:] if line.strip()]
    if not rows or len(rows[-1]) != len(rows[0]):
        raise InputError(f"{path}: cut short: the last line has not the fields of the first.")
    table = pd.DataFrame(rows).iloc[:, :7].apply(pd.to_numeric, errors="coerce")
    table = table.mask(table == _number(header, _MISSING))
    table.columns = ["time", "pressure", "altitude", "temperature", "humidity", "ozone", "ppmv"]
    # 1 ppmv at 1 hPa is 0.1 mPa; both columns are rounded.
    ratio = (table["ozone"] / (0.1 * table["ppmv"] * table["pressure"])).median()
    if not 0.9 < ratio < 1.1:
        raise InputError(
            f"{path}: ozone in mPa is {ratio:.3g} times what its column in ppmv gives; one of the "
            "two is another quantity: fetch the file again."
        )
    table["temperature"] += 273.15
    table["altitude"] *= 1000
    return Sounding(
        station=_text(header, "STATION", path),
        latitude=_degrees(header, "Latitude", path),
        longitude=_degrees(header, "Longitude", path),
        time=_time(header, path),
        profile=ascent(table, path),
        integrated=_number(header, "Integrated O3"),
        residual=_number(header, "Sonde/Sage Climatology"),
        total=float("nan"),
        source=path,
    )


def _text(header: dict[str, str], key: str, path: Path) -> str:
    if not header.get(key):
        raise InputError(f"{path}: the header lacks {key!r}.")
    return header[key]


def _number(header: dict[str, str], start: str) -> float:
    """Return the number of the first line of the header that begins so, NaN if there is none."""
    for key, value in header.items():
        if key.startswith(start) and re.fullmatch(r"[-+.\deE]+", value):
            return float(value)
    return float("nan")


def _degrees(header: dict[str, str], name: str, path: Path) -> float:
    value = _number(header, name)
    if not abs(value) <= 360:
        raise InputError(f"{path}: the header gives no {name} in degrees.")
    return value


def _time(header: dict[str, str], path: Path) -> np.datetime64:
    date, time = _text(header, "Launch Date", path), _text(header, "Launch Time (UT)", path)
    try:
        return np.datetime64(f"{date[:4]}-{date[4:6]}-{date[6:8]}T{time}", "s")
    except ValueError as error:
        raise InputError(f"{path}: launch of {date} {time} is not a time.") from error
