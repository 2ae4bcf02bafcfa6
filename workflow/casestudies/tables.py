"""Reading and writing of files: atomic, validated, with metadata.

A file takes its final name only when it is complete, so that an interrupted step leaves nothing
that could be taken for a result.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from casestudies.errors import InputError, nearest

_METADATA_KEY = b"casestudies"


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` that becomes ``path`` if the block succeeds.

    The temporary name keeps the suffix, since many writers choose the format by it. On any error,
    a full disk included, the temporary file is removed and ``path`` is left as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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


def write_json(value: Any, path: Path) -> None:
    """Write ``value`` as indented JSON, atomically."""
    with writing(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
