"""Whether two runs of one configuration came to the same: everything but what was measured."""

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from safetensors.numpy import load_file

from casestudies.tables import read_metadata

# Measured anew by every run: times, energy, and what follows from them.
MEASURED = {"seconds", "joules", "kwh", "co2e_kg", "method", "break_even"}
# Where a step ran, which must not matter for what it found.
PLACE = {"threads", "device_name"}
# These tell of the run itself: commit, platform, times.
_OF_THE_RUN = {"provenance.json"}
_KINDS = {".parquet", ".csv", ".tsv", ".nc", ".zarr", ".safetensors", ".json"}


def results(folder: Path) -> dict[str, Path]:
    """Return the tables, grids and models below ``folder`` by their path in it.

    Figures, texts and the report are drawn from these; hidden folders belong to Snakemake.
    """

    def walk(path: Path) -> Iterator[Path]:
        if path.name.startswith("."):
            return
        if path.is_dir() and path.suffix != ".zarr":
            for inner in sorted(path.iterdir()):
                yield from walk(inner)
        elif path.suffix in _KINDS and path.name not in _OF_THE_RUN:
            yield path

    return {
        path.relative_to(folder).as_posix(): path
        for inner in sorted(Path(folder).iterdir())
        for path in walk(inner)
    }


def differences(one: Path, other: Path, tolerance: float = 0.0) -> list[str]:
    """Return a line for each result in which two folders of results differ.

    Parameters
    ----------
    tolerance
        Relative and absolute difference of two numbers that counts as none (digests of files are
        then passed over); 0: equal to the last bit.
    """
    first, second = results(one), results(other)
    lines = [f"{name}: only in {one}" for name in sorted(first.keys() - second.keys())]
    lines += [f"{name}: only in {other}" for name in sorted(second.keys() - first.keys())]
    for name in sorted(first.keys() & second.keys()):
        try:
            _compare(first[name], second[name], tolerance)
        except (AssertionError, pd.errors.ParserError) as error:  # raw files of other formats
            lines.append(f"{name}: {' '.join(str(error).split())[:300]}")
    return lines


def same_tables(one: Path, other: Path, tolerance: float = 0.0) -> None:
    """Assert that two folders of results agree in all but what was measured (see above)."""
    assert results(one), f"{one}: no results"
    lines = differences(one, other, tolerance)
    assert not lines, f"{len(lines)} of {len(results(one))} differ:\n" + "\n".join(lines)


def _compare(one: Path, other: Path, tolerance: float) -> None:
    if one.is_file() and one.read_bytes() == other.read_bytes():
        return
    if one.suffix in (".parquet", ".csv", ".tsv"):
        first, second = _table(one), _table(other)
        within = {"check_exact": not tolerance, "rtol": tolerance, "atol": tolerance}
        pd.testing.assert_frame_equal(first, second, **within)
        whole = {"exclude": "floating"}
        first, second = first.select_dtypes(**whole), second.select_dtypes(**whole)
        pd.testing.assert_frame_equal(first, second, check_exact=True)
    if one.suffix == ".parquet":
        _same(_unmeasured(read_metadata(one)), _unmeasured(read_metadata(other)), tolerance)
    if one.suffix == ".json":
        first, second = (json.loads(path.read_text(encoding="utf-8")) for path in (one, other))
        _same(_unmeasured(first), _unmeasured(second), tolerance)
    if one.suffix == ".safetensors":
        _same(load_file(one), load_file(other), tolerance)
    if one.suffix in (".nc", ".zarr"):
        engine = {".nc": "h5netcdf", ".zarr": "zarr"}[one.suffix]
        options = {"consolidated": False} if engine == "zarr" else {}
        with (
            warnings.catch_warnings(action="ignore"),  # of Snakemake's timestamp in a folder
            xr.open_dataset(one, engine=engine, **options) as first,
            xr.open_dataset(other, engine=engine, **options) as second,
        ):
            _same(_grids(first), _grids(second), tolerance)
            _same(_unmeasured(first.attrs), _unmeasured(second.attrs), tolerance)


def _table(path: Path) -> pd.DataFrame:
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
    else:
        table = pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",")
    return table.drop(columns=MEASURED & set(table.columns))


def _grids(dataset: xr.Dataset) -> dict[str, np.ndarray]:
    return {
        str(name): variable.values
        for name, variable in dataset.variables.items()
        if name not in MEASURED
    }


def _unmeasured(value: Any) -> Any:
    """Drop what was measured, and where, from nested JSON."""
    if isinstance(value, dict):
        return {k: _unmeasured(v) for k, v in value.items() if k not in MEASURED | PLACE}
    if isinstance(value, list):
        return [_unmeasured(item) for item in value]
    return value


def _same(one: Any, other: Any, tolerance: float, where: str = "") -> None:
    """Assert that nested values agree, numbers within ``tolerance``."""
    if isinstance(one, dict) and isinstance(other, dict):
        assert one.keys() == other.keys(), f"{where}: {set(one) ^ set(other)} in one of them only"
        for key in one:
            if not (tolerance and key in ("sha256", "digest")):
                _same(one[key], other[key], tolerance, f"{where}.{key}".lstrip("."))
    elif isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        assert (one.dtype, one.shape) == (other.dtype, other.shape), where
        if tolerance and one.dtype.kind == "f":
            np.testing.assert_allclose(one, other, tolerance, tolerance, err_msg=where)
        else:
            np.testing.assert_array_equal(one, other, err_msg=where)
    elif isinstance(one, list) and isinstance(other, list):
        assert len(one) == len(other), f"{where}: {len(one)} and {len(other)} items"
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            _same(left, right, tolerance, f"{where}[{number}]")
    elif tolerance and isinstance(one, float) and isinstance(other, float):
        np.testing.assert_allclose(one, other, tolerance, tolerance, err_msg=where)
    else:
        assert type(one) is type(other) and one == other, f"{where}: {one!r} and {other!r}"
