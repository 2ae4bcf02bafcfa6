"""Reading and writing of tables: validated, with metadata."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from casestudies.errors import InputError, nearest
from casestudies.files import write_json, writing  # noqa: F401

_METADATA_KEY = b"casestudies"


def write_table(frame: pd.DataFrame, path: Path, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a table as Parquet or CSV, by the suffix of ``path``.

    Parameters
    ----------
    metadata
        JSON-serialisable facts (units, provenance) stored in the Parquet schema; not for CSV.
    """
    with writing(path) as temporary:
        if temporary.suffix == ".csv":
            frame.to_csv(temporary, index=False)
            return
        table = pa.Table.from_pandas(frame, preserve_index=False)
        if metadata is not None:
            stored = {**(table.schema.metadata or {}), _METADATA_KEY: json.dumps(metadata).encode()}
            table = table.replace_schema_metadata(stored)
        pq.write_table(table, temporary, compression="zstd")


def read_table(
    path: Path, columns: Iterable[str] = (), complete: Iterable[str] = (), separator: str = ","
) -> pd.DataFrame:
    """Read a Parquet or CSV table and check it.

    Parameters
    ----------
    columns
        Columns that must be there; others are kept.
    complete
        Columns that must be there and hold no missing value.
    separator
        Field separator of a CSV file.

    Raises
    ------
    InputError
        If the file is missing, empty or unreadable, a column is missing, or a value is.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:
            frame = pd.read_csv(path, sep=separator)
    except (ValueError, OSError) as error:  # pandas' and pyarrow's parse errors are ValueErrors
        raise InputError(f"{path}: not a readable table ({str(error).splitlines()[0]}).") from error
    complete = list(complete)
    for column in dict.fromkeys([*columns, *complete]):
        if column not in frame.columns:
            raise InputError(
                f"{path}: column {column!r} is missing; the file has "
                f"{', '.join(map(str, frame.columns))}; {nearest(column, map(str, frame.columns))}"
            )
    for column in complete:
        gaps = frame[column].isna().to_numpy()
        if gaps.any():
            raise InputError(
                f"{path}: column {column!r} has {gaps.sum()} missing values, the first in row "
                f"{int(gaps.argmax()) + 1} of the data; every row needs one."
            )
    return frame


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the metadata that :func:`write_table` stored in a Parquet file (empty if none)."""
    stored = pq.read_schema(path).metadata or {}
    return json.loads(stored.get(_METADATA_KEY, b"{}"))
