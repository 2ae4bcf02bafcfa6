"""Station series in NASA Ames format 1001, as EBAS exports them (ebas.nilu.no).

The header gives its own length, the reference date, and for each variable a scale factor, the code
of missing values and a line "component, unit, Statistics=…" (Gaines and Hipskind 1998, Format
Specification for Data Exchange, version 1.3). Times are days from the reference, start and end.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.errors import InputError
from casestudies.satellite.readers.opening import read_text
from casestudies.satellite.readers.units import standard

PATTERNS = ("*.nas",)


def read_ames(
    path: Path, component: str = "ozone", units: str = "nmol mol-1"
) -> tuple[pd.DataFrame, float, float]:
    """Read the arithmetic mean of one component.

    Returns
    -------
    tuple
        A table with time (datetime64[s], UTC, the middle of the sample) and value (NaN where
        missing), and the station's latitude and longitude (degrees).

    Raises
    ------
    InputError
        If the file is empty, cut short, another format, or lacks the component in these units.
    """
    lines = read_text(path).splitlines()
    start = lines[0].split()
    if len(start) != 2 or start[1] != "1001":
        raise InputError(f"{path}: no NASA Ames file of format 1001.")
    length = int(start[0])
    if len(lines) <= length:
        raise InputError(f"{path}: cut short: {len(lines)} lines, of which {length} are header.")
    try:
        reference = np.datetime64("-".join(lines[6].split()[:3]), "s")
        count = int(lines[9])
        scale = np.array(lines[10].split(), dtype=float)
        missing = np.array(lines[11].split(), dtype=float)
        names = lines[12 : 12 + count]
        rows = [line.split() for line in lines[length:] if line.strip()]
    except (ValueError, IndexError) as error:
        raise InputError(f"{path}: its NASA Ames header cannot be read ({error}).") from error
    for number, row in enumerate(rows):
        if len(row) != count + 1:
            raise InputError(
                f"{path}: line {length + number + 1} has {len(row)} fields, not {count + 1}; the "
                "file is cut short or damaged: fetch it again."
            )
    described = [[part.strip() for part in name.split(",")] for name in names]
    chosen = [
        k
        for k, parts in enumerate(described)
        if parts[0] == component
        and len(parts) > 1
        and standard(parts[1]) == standard(units)
        and (not any("Statistics=" in p for p in parts) or "Statistics=arithmetic mean" in parts)
    ]
    if len(chosen) != 1:
        there = "; ".join(f"{parts[0]}, {parts[1]}" for parts in described if len(parts) > 1)
        raise InputError(
            f"{path}: no arithmetic mean of {component!r} in {units!r}; it has {there}."
        )
    try:
        table = np.array(rows, dtype=float)
    except ValueError as error:
        raise InputError(f"{path}: a value is not a number ({error}).") from error
    value = table[:, 1 + chosen[0]]
    value = np.where(value == missing[chosen[0]], np.nan, value * scale[chosen[0]])
    ends = table[:, 1] if described[0][0].startswith("end_time") else table[:, 0]
    seconds = np.rint((table[:, 0] + ends) / 2 * 86400).astype("timedelta64[s]")
    frame = pd.DataFrame({"time": reference + seconds, "value": value})
    place = [
        _comment(lines[:length], f"Station {name}", path) for name in ("latitude", "longitude")
    ]
    return frame, place[0], place[1]


def _comment(lines: list[str], key: str, path: Path) -> float:
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == key:
            try:
                return float(value)
            except ValueError:
                break
    raise InputError(f"{path}: the header lacks {key!r}.")
