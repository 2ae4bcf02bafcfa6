"""Reader of the files of ALPGM (Bolibar et al. 2020), which the simulator writes as well.

A folder holds

- ``SMB_raw_temporal.csv``: annual mass balance (m w.e.), one line a glacier, one field a year,
  no header, ``;`` between fields, empty where not observed;
- ``GLIMS_Rabatel_30_2015.csv``: the same glaciers in the same order, with their geometry in 2015;
- ``GLIMS_1967.csv``, ``GLIMS_1985.csv``, ``GLIMS_2003.csv``: earlier inventories;
- ``season_meteo_SMB.txt`` and ``monthly_meteo_SMB.txt``: climate of each glacier, same order;
- ``season_raw_meteo_anomalies_SMB.txt`` and ``monthly_meteo_anomalies_SMB.txt``: its anomalies.

The ``.txt`` files are NumPy files that hold pickled dictionaries. Pickle runs whatever code a file
asks for, so they are read by :func:`read_numpy`, which knows plain arrays and nothing else.

What the climate values mean, from the publication's code and checked on its data:

- SAFRAN at the glacier's mean altitude of the year (lapse rate 6 K/km); precipitation is snow below
  2 °C. Months are calendar months, October of the year before to September.
- ``winter_snow`` is summed over about 26 September to 26 April and ``summer_snow`` over 28 April to
  24 September. Their sum is therefore not the sum of the monthly values: the difference has a
  standard deviation of 41 mm w.e. (3 %), at most 258.
- ``cpdd`` sums daily mean temperatures above 0 °C over the ablation season, from where the sum of
  the calendar year passes 1/30 of its total to where it passes 9/10.
- Anomalies are differences from the glacier's own mean over the last 32 years, 1984–2015; those of
  months, from the mean of that month.
"""

import pickle
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from casestudies.errors import InputError
from casestudies.glacier import IDENTIFIERS, MONTHS, UNITS
from casestudies.tables import read_table

BALANCE = "SMB_raw_temporal.csv"
GLACIERS = "GLIMS_Rabatel_30_2015.csv"
SEASONAL = "season_meteo_SMB.txt"
SEASONAL_ANOMALIES = "season_raw_meteo_anomalies_SMB.txt"
MONTHLY = "monthly_meteo_SMB.txt"
MONTHLY_ANOMALIES = "monthly_meteo_anomalies_SMB.txt"

# The authors interpolate an inventory to the next in 25, 19 and 13 steps that include both ends:
# each inventory but the last therefore holds for two years running.
_INVENTORY_YEARS = (1959, 1983, 1984, 2002, 2003, 2015)
_INVENTORIES = ("GLIMS_1967.csv", "GLIMS_1985.csv", "GLIMS_2003.csv")

_ROUNDING = 1e-3  # K, K d or mm w.e.: how far value minus anomaly may wander (float32 included)


def read(folder: Path) -> pd.DataFrame:
    """Read a folder in the layout of ALPGM as the prepared table.

    Returns
    -------
    DataFrame, one row per glacier and year in the order of the files
        With the columns ``IDENTIFIERS`` and ``UNITS`` of :mod:`casestudies.glacier`.

    Raises
    ------
    InputError
        If a file is missing or unreadable, or the files do not describe the same glaciers and
        years.
    """
    folder = Path(folder)
    glaciers = _glaciers(folder / GLACIERS)
    ids = glaciers["GLIMS_ID"].tolist()
    years, climate = _climate(folder, ids)
    shape = (len(ids), len(years))
    constant = {
        "glacier": glaciers["GLIMS_ID"],
        "name": glaciers["Glacier"].astype(str).str.strip(),
        "massif": glaciers["Massif"].astype(str).str.strip(),
        "max_altitude": glaciers["MAX_Pixel"],
        # Where the authors measured the slope of the lowest 20 % anew, they use that.
        "slope20": glaciers["slope20_evo" if "slope20_evo" in glaciers else "slope20"],
        "longitude": glaciers["x_coord"],
        "latitude": glaciers["y_coord"],
        "aspect": glaciers["Aspect_num"],
    }
    cells = {
        **{name: np.repeat(column.to_numpy(), len(years)) for name, column in constant.items()},
        "year": np.tile(years, len(ids)),
        "mass_balance": _balance(folder / BALANCE, shape).ravel(),
        **{name: values.ravel() for name, values in _geometry(folder, glaciers, years).items()},
        **{name: values.ravel() for name, values in climate.items()},
    }
    frame = pd.DataFrame(cells)
    frame["sample"] = frame["glacier"] + "_" + frame["year"].astype(str)
    return frame[[*IDENTIFIERS, *UNITS]]


def published_predictions(folder: Path) -> pd.DataFrame:
    """Read the authors' stored out-of-fold predictions and join them to the observations.

    Leave-one-glacier-out predictions are stored for every observation, glacier by glacier;
    leave-one-year-out predictions for the years from 1984 on, year by year.

    Parameters
    ----------
    folder
        The data set ``alpgm`` (v1.0), with its folder ``published``. No other data set will do:
        a later correction changed the observations.

    Returns
    -------
    DataFrame with columns scheme ("logo" or "loyo"), weights (bool, whether rare mass balances
    were weighted more in training), sample, observed, predicted (m w.e. a⁻¹)

    Raises
    ------
    InputError
        If a file is missing, or has not one finite prediction per observation.
    """
    folder = Path(folder)
    observed = read(folder)[["sample", "year", "mass_balance"]].dropna()
    of_scheme = {
        "logo": observed,
        "loyo": observed[observed["year"] >= 1984].sort_values("year", kind="stable"),
    }
    parts = []
    for scheme, rows in of_scheme.items():
        for weights in (False, True):
            label = "weights" if weights else "no_weights"
            path = folder / "published" / f"{scheme.upper()}_{label}_SMB_nn_all.txt"
            predicted = read_numpy(path)
            if not isinstance(predicted, np.ndarray) or predicted.shape != (len(rows),):
                raise InputError(
                    f"{path}: holds {np.shape(predicted)} predictions, but {folder / BALANCE} has "
                    f"{len(rows)} observations for them; both must be of the data set alpgm."
                )
            if not np.isfinite(predicted).all():
                raise InputError(f"{path}: some predictions are not finite numbers.")
            parts.append(
                pd.DataFrame(
                    {
                        "scheme": scheme,
                        "weights": weights,
                        "sample": rows["sample"],
                        "observed": rows["mass_balance"],
                        "predicted": predicted,
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


# Tables ---------------------------------------------------------------------------------------


def _glaciers(path: Path) -> pd.DataFrame:
    numbers = ["MEAN_Pixel", "MAX_Pixel", "slope20", "Area", "x_coord", "y_coord", "Aspect_num"]
    frame = read_table(
        path, complete=["Glacier", "GLIMS_ID", "Massif", *numbers], separator=";"
    ).reset_index(drop=True)
    frame["GLIMS_ID"] = frame["GLIMS_ID"].astype(str)
    if len(frame) == 0:
        raise InputError(f"{path}: holds no glacier.")
    twice = frame["GLIMS_ID"].duplicated()
    if twice.any():
        raise InputError(
            f"{path}: column 'GLIMS_ID': {frame['GLIMS_ID'][twice].iloc[0]} is there twice; "
            "each glacier needs one row."
        )
    for column in [*numbers, *(["slope20_evo"] if "slope20_evo" in frame else [])]:
        frame[column] = numeric(frame[column], path)
    return frame


def numeric(column: pd.Series, path: Path) -> pd.Series:
    """Return a column as float64; an entry that is not a number is an InputError."""
    values = pd.to_numeric(column, errors="coerce")
    wrong = (values.isna() & column.notna()).to_numpy()
    if wrong.any():
        row = int(wrong.argmax())
        raise InputError(
            f"{path}: column {column.name!r}, row {row + 1} of the data: "
            f"{column.iloc[row]!r} is not a number."
        )
    return values.astype("float64")


def _balance(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Return the observed mass balance (m w.e. a⁻¹), shape (glaciers, years), NaN for gaps."""
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    try:
        frame = pd.read_csv(path, sep=";", header=None)
    except ValueError as error:  # pandas' parse errors are ValueErrors
        raise InputError(f"{path}: not a readable table ({error}).") from error
    if frame.shape != shape:
        raise InputError(
            f"{path}: has {frame.shape[0]} lines of {frame.shape[1]} fields; {GLACIERS} and "
            f"{SEASONAL} want {shape[0]} glaciers of {shape[1]} years."
        )
    frame.columns = [f"field {position + 1}" for position in range(shape[1])]
    return np.column_stack([numeric(frame[column], path) for column in frame])


def _geometry(folder: Path, glaciers: pd.DataFrame, years: Sequence[int]) -> dict[str, np.ndarray]:
    """Return mean altitude (m) and area (km²) of every year, each of shape (glaciers, years)."""
    knots = []  # one table an inventory, rows as in ``glaciers``
    for name in _INVENTORIES:
        path = folder / name
        columns = ["GLIMS_ID", "MEAN_Pixel", "Area"]
        inventory = read_table(path, columns=columns, separator=";")[columns]
        parts = glaciers[["GLIMS_ID", "Area"]].merge(
            inventory, on="GLIMS_ID", how="left", suffixes=("_2015", "")
        )
        missing = parts["Area"].isna() | parts["MEAN_Pixel"].isna()
        if missing.any():
            raise InputError(
                f"{path}: column 'Area' or 'MEAN_Pixel' has no value for glacier "
                f"{parts['GLIMS_ID'][missing].iloc[0]} of {GLACIERS}."
            )
        # A glacier that fell apart has a row for each part: take the one nearest in area to 2015.
        away = (numeric(parts["Area"], path) - parts["Area_2015"]).abs()
        nearest = parts.loc[away.groupby(parts["GLIMS_ID"]).idxmin()]
        knots.append(nearest.set_index("GLIMS_ID").loc[glaciers["GLIMS_ID"]])
    result = {}
    for column, name in (("MEAN_Pixel", "mean_altitude"), ("Area", "area")):
        first, second, third = (
            numeric(knot[column], folder / file).to_numpy()
            for knot, file in zip(knots, _INVENTORIES, strict=True)
        )
        last = glaciers[column].to_numpy()
        at = np.column_stack([first, second, second, third, third, last])
        result[name] = np.stack([np.interp(years, _INVENTORY_YEARS, row) for row in at])
    return result


# Climate --------------------------------------------------------------------------------------


def _climate(folder: Path, ids: Sequence[str]) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the years and every climate column, each of shape (glaciers, years)."""
    path = folder / SEASONAL
    stored = _dictionary(path, ("CPDD", "winter_snow", "summer_snow"))
    season: dict[str, np.ndarray] = {}
    years: np.ndarray | None = None
    for key, field in (("CPDD", "CPDD"), ("winter_snow", "snow"), ("summer_snow", "snow")):
        entries = _entries(path, stored, key, ids)
        pairs = _numbers(path, f"{key}/{field}", [entry.get(field) for entry in entries])
        if pairs.ndim != 2 or pairs.shape[1] % 2 or not pairs.shape[1]:
            raise InputError(f"{path}: {key}/{field} must alternate years and values.")
        if years is None:
            years = pairs[0, ::2]
            if (np.diff(years) != 1).any() or years[0] % 1:
                raise InputError(f"{path}: {key}/{field}: the years must follow one another.")
        if pairs.shape[1] != 2 * len(years) or (pairs[:, ::2] != years).any():
            raise InputError(
                f"{path}: {key}/{field} has not the same years for every glacier "
                f"({int(years[0])} to {int(years[-1])} for the first)."
            )
        season[key.lower()] = pairs[:, 1::2]
    years = years.astype(int)

    month = _monthly(folder / MONTHLY, ids, years)
    month_anomaly = _monthly(folder / MONTHLY_ANOMALIES, ids, years)
    path = folder / SEASONAL_ANOMALIES
    stored = _dictionary(path, ("CPDD", "winter_snow", "summer_snow"))
    season_anomaly = {
        key.lower(): _numbers(path, key, stored[key])
        for key in ("CPDD", "winter_snow", "summer_snow")
    }
    columns = {}
    for name, values in season.items():
        _same_origin(folder, SEASONAL, SEASONAL_ANOMALIES, name, values, season_anomaly[name], ids)
        columns[name] = values
        columns[f"{name}_anomaly"] = season_anomaly[name]
    for name, values in month.items():
        _same_origin(folder, MONTHLY, MONTHLY_ANOMALIES, name, values, month_anomaly[name], ids)
        for position, label in enumerate(MONTHS):
            columns[f"{name}_{label}"] = values[:, :, position]
            columns[f"{name}_anomaly_{label}"] = month_anomaly[name][:, :, position]
    return years, columns


def _monthly(path: Path, ids: Sequence[str], years: np.ndarray) -> dict[str, np.ndarray]:
    """Return temperature and snow, each of shape (glaciers, years, 12)."""
    stored = _dictionary(path, ("temp", "snow"))
    result = {}
    for name, key, field in (("temperature", "temp", "mon_temp"), ("snow", "snow", "mon_snow")):
        entries = _entries(path, stored, key, ids)
        values = _numbers(path, f"{key}/{field}", [entry.get(field) for entry in entries])
        if values.shape != (len(ids), len(years), 12):
            raise InputError(
                f"{path}: {key}/{field} has shape {values.shape} (glaciers, years, months); "
                f"{SEASONAL} wants {(len(ids), len(years), 12)}."
            )
        for entry in entries:  # the authors leave the years of the snow empty
            own = entry.get("years")
            if own is not None and len(own) and list(own) != years.tolist():
                raise InputError(
                    f"{path}: {key}: the years of glacier {entry['GLIMS_ID']} are not those of "
                    f"{SEASONAL}, {years[0]} to {years[-1]}."
                )
        result[name] = values
    return result


def _same_origin(
    folder: Path,
    file: str,
    anomaly_file: str,
    name: str,
    values: np.ndarray,
    anomalies: np.ndarray,
    ids: Sequence[str],
) -> None:
    """Check that anomalies are values minus one number a glacier (and month), else InputError.

    The seasonal anomalies carry no glacier names, so this is also what shows a wrong order.
    """
    path = folder / anomaly_file
    if anomalies.shape != values.shape:
        raise InputError(
            f"{path}: {name} has shape {anomalies.shape}; {file} wants {values.shape}."
        )
    wander = np.ptp(values - anomalies, axis=1).reshape(len(ids), -1).max(axis=1)
    if wander.max() > _ROUNDING:
        raise InputError(
            f"{path}: {name} of glacier {ids[int(wander.argmax())]} does not belong to {file}: "
            f"their difference must be one mean, but varies by {wander.max():.3g}."
        )


def _dictionary(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    stored = read_numpy(path)
    if not isinstance(stored, dict):
        raise InputError(f"{path}: holds a {type(stored).__name__}, not a dictionary.")
    for key in keys:
        if key not in stored:
            raise InputError(
                f"{path}: {key!r} is missing; the file has {', '.join(map(str, stored))}."
            )
    return stored


def _entries(
    path: Path, stored: dict[str, Any], key: str, ids: Sequence[str]
) -> list[dict[str, Any]]:
    """Return one dictionary per glacier, in the order of ``ids``."""
    entries = stored[key]
    if not isinstance(entries, np.ndarray | list) or not all(
        isinstance(entry, dict) for entry in entries
    ):
        raise InputError(f"{path}: {key!r} must hold one dictionary per glacier.")
    found = [str(entry.get("GLIMS_ID")) for entry in entries]
    if found != list(ids):
        differing = next(
            (n for n, (a, b) in enumerate(zip(found, ids, strict=False)) if a != b),
            min(len(found), len(ids)),
        )
        raise InputError(
            f"{path}: {key!r}: GLIMS_ID number {differing + 1} of {len(found)} is "
            f"{found[differing] if differing < len(found) else 'missing'}, in {GLACIERS} "
            f"{ids[differing] if differing < len(ids) else 'missing'} (of {len(ids)}); both files "
            "must hold the same glaciers in the same order."
        )
    return list(entries)


def _numbers(path: Path, field: str, values: Any) -> np.ndarray:
    try:
        array = np.asarray(values, dtype="float64")
    except (ValueError, TypeError) as error:
        raise InputError(
            f"{path}: {field} must hold numbers, equally many for every glacier and year."
        ) from error
    if not np.isfinite(array).all():
        raise InputError(
            f"{path}: {field} has missing or infinite values; the climate has no gaps."
        )
    return array


# NumPy files without pickle's powers ----------------------------------------------------------


def read_numpy(path: Path) -> Any:
    """Read a NumPy file; of pickled content, only plain arrays, scalars and containers.

    Pickle calls whatever the file names. Here every name that may occur stands for a function of
    this module that checks its arguments, so nothing of NumPy or Python is called on behalf of the
    file; not even NumPy's own constructors, which trust a dtype state that lies about its objects.

    Returns
    -------
    ndarray, or for an object array of no dimensions (what ``numpy.save`` makes of a dictionary)
    the object itself

    Raises
    ------
    InputError
        If the file is missing, is not a NumPy file, or asks for anything else.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    with path.open("rb") as stream:
        try:
            return _read_stream(stream)
        except Exception as error:  # a broken pickle can raise nearly anything
            raise InputError(
                f"{path}: not a NumPy file of plain arrays ({type(error).__name__}: {error}). It "
                "was not loaded; take the file from its publisher."
            ) from error


def _read_stream(stream: BinaryIO) -> Any:
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0(stream)  # parses with ast.literal_eval
    elif version == (2, 0):
        header = np.lib.format.read_array_header_2_0(stream)
    else:
        raise ValueError(f"unknown version {version} of the format")
    shape, _, dtype = header
    if not dtype.hasobject:
        stream.seek(0)
        return np.lib.format.read_array(stream, allow_pickle=False)
    if dtype != np.dtype(object):
        raise ValueError(f"dtype {dtype} is not admitted")
    array = _plain(_Unpickler(stream, encoding="latin1").load(), {})
    if not isinstance(array, np.ndarray) or array.shape != shape:
        raise ValueError("the content is not the array that the header announces")
    return array.item() if shape == () else array


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}") from None


class _Call:
    """A function that a pickle may call but not alter."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it tries to alter a constructor")


class _Dtype:
    """A dtype of numbers, text or objects, as pickled: its name and then its byte order."""

    __slots__ = ("code", "dtype")

    def __init__(self, code: Any, *_: Any) -> None:
        if not isinstance(code, str) or not re.fullmatch(r"[fiub][1248]|U\d{1,6}|O8?", code):
            raise pickle.UnpicklingError(f"dtype {code!r} is not admitted")
        self.code = "O" if code.startswith("O") else code
        self.dtype = np.dtype(self.code)

    def __setstate__(self, state: Any) -> None:
        # (version, byte order, subarray, names, fields, …): the rest follows from the name.
        _, order, subarray, names, fields = state[:5]
        if order not in ("<", ">", "|", "=") or (subarray, names, fields) != (None,) * 3:
            raise pickle.UnpicklingError("a structured dtype is not admitted")
        self.dtype = np.dtype(self.code).newbyteorder(order)


class _Array:
    """An array as pickled: filled by ``__setstate__`` after its construction."""

    __slots__ = ("items", "shape")

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, _Dtype) or not all(type(length) is int for length in shape):
            raise pickle.UnpicklingError("an array without a dtype or a shape")
        size = int(np.prod(shape, dtype=object))
        if dtype.code == "O":
            if type(data) is not list or len(data) != size or (fortran and len(shape) > 1):
                raise pickle.UnpicklingError("an object array that is not a list in C order")
            self.items = data
        else:
            if type(data) is not bytes or len(data) != size * dtype.dtype.itemsize:
                raise pickle.UnpicklingError("an array with the wrong number of bytes")
            flat = np.frombuffer(data, dtype.dtype)
            self.items = flat.reshape(shape, order="F" if fortran else "C").copy()
        self.shape = tuple(shape)


def _array(kind: Any, *_: Any) -> _Array:
    if kind is not _NDARRAY:
        raise pickle.UnpicklingError("an array of another type")
    return _Array()


def _scalar(dtype: Any, data: Any = b"") -> Any:
    if not isinstance(dtype, _Dtype) or dtype.code == "O" or type(data) is not bytes:
        raise pickle.UnpicklingError("a scalar of another type")
    return np.frombuffer(data, dtype.dtype, count=1).item()


def _encode(text: Any, encoding: Any) -> bytes:
    if type(text) is not str or encoding != "latin1":
        raise pickle.UnpicklingError("an encoding other than latin1")
    return text.encode("latin1")


def _refuse(*_: Any) -> None:
    raise pickle.UnpicklingError("an array constructed directly")


_NDARRAY = _Call(_refuse)
_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Call(_Dtype),
    ("_codecs", "encode"): _Call(_encode),  # how protocol 2 stores bytes
    **{
        (f"numpy.{core}.multiarray", name): call  # NumPy 2 renamed the module
        for core in ("core", "_core")
        for name, call in (("_reconstruct", _Call(_array)), ("scalar", _Call(_scalar)))
    },
}


def _plain(value: Any, done: dict[int, Any]) -> Any:
    """Replace the stand-ins by arrays; ``done`` keeps what is shared from being done again."""
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, dict):
        result = {_plain(key, done): _plain(item, done) for key, item in value.items()}
    elif isinstance(value, list | tuple):
        result = type(value)(_plain(item, done) for item in value)
    elif isinstance(value, _Array):
        result = value.items
        if isinstance(result, list):
            flat = np.empty(len(result), dtype=object)
            for position, item in enumerate(result):
                flat[position] = _plain(item, done)
            result = flat.reshape(value.shape)
    elif value is None or isinstance(value, str | bytes | int | float):
        result = value
    else:
        raise pickle.UnpicklingError(f"a {type(value).__name__}")
    done[id(value)] = result
    return result
