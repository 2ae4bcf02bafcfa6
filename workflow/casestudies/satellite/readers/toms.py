"""Total ozone from TOMS and OMI as one text table, the file OMI.dat of the air quality model CMAQ.

A line holds a decimal year, a latitude and a value (DU) for each of 16 longitudes; 17 lines make a
frame and -1 is missing. The decimal year counts from day 1: 1 January of a year of 365 days is
year + 1/365. (In this reading, and in no other near it, the monthly frames of 1978 to 1996 fall on
the first day of the month.) It is rounded to 0.001 year, which is finer than half a day. A frame is
a daily map; its time is set to noon UTC.
"""

import calendar
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from casestudies.errors import InputError
from casestudies.satellite.readers.frames import Axis, Frame
from casestudies.satellite.readers.opening import read_text
from casestudies.satellite.readers.units import check_plausible

PATTERNS = ("*.dat",)
OZONE = "total_ozone"


def read_toms(paths: Sequence[Path]) -> Iterator[Frame]:
    """Yield the frames of text tables, with one channel, total_ozone (DU).

    Raises
    ------
    InputError
        If a file is empty, cut short or no such table.
    """
    for path in paths:
        lines = read_text(path).splitlines()
        header = lines[0].split()
        if header[:2] != ["yeardate", "latitude"]:
            raise InputError(
                f"{path}: no table of TOMS/OMI ozone: the first line does not begin with "
                "'yeardate latitude'."
            )
        longitudes = np.array([_longitude(name, path) for name in header[2:]])
        rows = [line.split() for line in lines[1:] if line.strip()]
        for number, row in enumerate(rows):
            if len(row) != len(header):
                raise InputError(
                    f"{path}: line {number + 2} has {len(row)} fields, not {len(header)}; the file "
                    "is cut short or damaged: fetch it again."
                )
        try:
            table = np.array(rows, dtype=float)
        except ValueError as error:
            raise InputError(f"{path}: a value is not a number ({error}).") from error
        latitudes = table[table[:, 0] == table[0, 0], 1]
        size = len(latitudes)
        shape = (-1, size, table.shape[1])
        whole = len(table) % size == 0
        if not whole or (table.reshape(shape)[:, :, 1] != latitudes).any():
            raise InputError(
                f"{path}: not every frame has the {size} latitudes of the first; the file is cut "
                "short or damaged: fetch it again."
            )
        order = np.argsort(longitudes)
        for block in table.reshape(shape):
            values = block[:, 2:][:, order].astype(np.float32)
            values[values < 0] = np.nan
            check_plausible(values, "DU", f"{path}: {OZONE}")
            yield Frame(
                time=date(block[0, 0]),
                values={OZONE: values},
                units={OZONE: "DU"},
                names={OZONE: "total column of ozone (TOMS and OMI)"},
                y=Axis(latitudes, {"units": "degrees_north", "standard_name": "latitude"}),
                x=Axis(longitudes[order], {"units": "degrees_east", "standard_name": "longitude"}),
                source=path,
            )


def date(decimal: float) -> np.datetime64:
    """Return noon of the day that a decimal year stands for."""
    year = int(decimal)
    day = round((decimal - year) * (366 if calendar.isleap(year) else 365))
    return np.datetime64(f"{year}-01-01T12", "s") + np.timedelta64(day - 1, "D")


def _longitude(name: str, path: Path) -> float:
    try:
        value, side = float(name[:-1]), name[-1]
        return {"W": -value, "E": value, "Z": -value if value == 180 else value}[side]
    except (ValueError, KeyError) as error:
        raise InputError(f"{path}: column {name!r} is not a longitude such as 157.5W.") from error
