"""Prepare measurements of fuel consumption: one checked table, a row per measurement.

The format: a folder with ``measurements.csv``, comma-separated, with a header line; other columns
are ignored.

============= ========= ==============================================================
column        unit      meaning
============= ========= ==============================================================
speed         km/h      constant speed, above 0
consumption   L/100 km  fuel consumed, above 0
============= ========= ==============================================================
"""

from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.errors import InputError
from casestudies.lecture import RAW_FILE
from casestudies.steps import main
from casestudies.tables import read_table, write_table

UNITS = {"speed": "km/h", "consumption": "L/100 km"}
_LARGEST = {"speed": 500.0, "consumption": 200.0}  # beyond is a mistake, such as a wrong unit
_FEWEST = 12  # for three folds with inner folds


def read(folder: Path) -> pd.DataFrame:
    """Read a folder as the prepared table: sample, speed (km/h), consumption (L/100 km).

    Raises
    ------
    InputError
        If the file or a column is missing, a value is missing, not a number or out of bounds, or
        there are too few measurements or speeds.
    """
    path = Path(folder) / RAW_FILE
    raw = read_table(path, complete=list(UNITS))
    if len(raw) < _FEWEST:
        raise InputError(f"{path}: has {len(raw)} measurements; at least {_FEWEST} are needed.")
    table = pd.DataFrame({"sample": [f"m{i + 1:04d}" for i in range(len(raw))]})
    for column, unit in UNITS.items():
        values = pd.to_numeric(raw[column], errors="coerce").to_numpy(dtype=float)
        wrong = ~((values > 0) & (values <= _LARGEST[column]))
        if wrong.any():
            row = int(wrong.argmax())
            raise InputError(
                f"{path}: column {column!r} has {raw[column].iloc[row]!r} in row {row + 1} of the "
                f"data; it must be a number in {unit}, above 0 and at most {_LARGEST[column]:g}."
            )
        table[column] = values
    if len(np.unique(table["speed"])) < _FEWEST // 2:
        raise InputError(
            f"{path}: column 'speed' has fewer than {_FEWEST // 2} different values; measure at "
            "more speeds."
        )
    return table


def prepare(*, raw: Path, output: Path) -> None:
    """Check the measurements and write them as the prepared table.

    Parameters
    ----------
    raw
        Folder with measurements.csv.
    output
        Table (Parquet): sample, speed (km/h), consumption (L/100 km).
    """
    write_table(read(raw), output, {"units": UNITS})


if __name__ == "__main__":
    main(prepare)
