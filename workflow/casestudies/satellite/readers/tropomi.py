"""TROPOMI level 2 ozone: swaths, filtered by quality and averaged on a regular grid.

One orbit file is one frame, at the mean time of the soundings that fall in the region. A cell holds
the mean of the ground pixels whose centres lie in it, and NaN where there is none.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from casestudies.errors import InputError
from casestudies.satellite.readers.frames import Axis, Frame
from casestudies.satellite.readers.opening import open_dataset, reading
from casestudies.satellite.readers.units import check_plausible, standard

PATTERNS = ("*.nc", "*.nc4")
OZONE = "ozone_total_vertical_column"


def read_tropomi(
    paths: Sequence[Path],
    *,
    channels: Sequence[str] = (OZONE,),
    units: Mapping[str, str] | None = None,
    region: Sequence[float] = (-90, 90, -180, 180),
    step: float = 1.0,
    qa: float = 0.5,
) -> Iterator[Frame]:
    """Yield a frame an orbit.

    Parameters
    ----------
    channels
        Variables of the group PRODUCT.
    units
        Channel -> its true units, where the file's attribute is mistaken.
    region
        South, north, west, east (degrees); west may be above east, across 180°.
    step
        Width of a cell (degrees).
    qa
        Lowest quality taken, 0 to 1; the product's readme recommends 0.5 for ozone.

    Raises
    ------
    InputError
        If a file is damaged or no TROPOMI product, or the region holds no cell.
    """
    latitudes, longitudes = grid(region, step)
    for path in paths:
        with open_dataset(path, "PRODUCT") as dataset:
            if missing := {*channels, "qa_value", "latitude", "longitude"} - set(dataset.variables):
                raise InputError(f"{path}: group PRODUCT lacks {', '.join(sorted(missing))}.")
            with reading(path):
                lat = dataset["latitude"].to_numpy().ravel()
                lon = dataset["longitude"].to_numpy().ravel()
                # Stored in hundredths, which do not survive as floats: 0.50 is read as 0.4999…
                quality = np.rint(100 * dataset["qa_value"].to_numpy().ravel())
                swath = {name: dataset[name].to_numpy().ravel() for name in channels}
                seen = dataset["delta_time"].to_numpy().astype("datetime64[ms]")
                start = dataset["time"].to_numpy().ravel()[0].astype("datetime64[s]")
            good = quality >= round(100 * qa)
            stated = {
                name: standard((units or {}).get(name, str(dataset[name].attrs.get("units", "1"))))
                for name in channels
            }
            for name in channels:
                check_plausible(swath[name][good], stated[name], f"{path}: {name}")
            values = {
                name: average(
                    lat[good], lon[good], swath[name][good], latitudes, longitudes, step
                ).astype(np.float32)
                for name in channels
            }
            seen = np.broadcast_to(
                seen.reshape(seen.shape + (1,) * (3 - seen.ndim)), dataset["latitude"].shape
            ).ravel()
            row, column = _cells(lat, lon, latitudes, longitudes, step)
            inside = good & (row >= 0) & (column >= 0) & ~np.isnat(seen)
            time = start
            if inside.any():
                offset = (seen[inside] - start).astype("timedelta64[ms]").astype(float).mean()
                time = start + np.timedelta64(round(offset / 1000), "s")
            yield Frame(
                time=time,
                values=values,
                units=stated,
                names={name: str(dataset[name].attrs.get("long_name", name)) for name in channels},
                y=Axis(latitudes, {"units": "degrees_north", "standard_name": "latitude"}),
                x=Axis(longitudes, {"units": "degrees_east", "standard_name": "longitude"}),
                source=path,
            )


def grid(region: Sequence[float], step: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the centres of the cells of a region, ascending: latitudes and longitudes.

    Raises
    ------
    InputError
        If the region is no region of the globe or holds no cell.
    """
    south, north, west, east = (float(value) for value in region)
    width = (east - west) % 360 or 360.0
    if not (-90 <= south < north <= 90 and step > 0):
        raise InputError(
            f"option 'region': {list(region)} is not [south, north, west, east] in degrees, or "
            f"'step' {step} is not above 0."
        )
    rows, columns = round((north - south) / step), round(width / step)
    if rows < 1 or columns < 1:
        raise InputError(f"option 'step': {step}° is wider than the region {list(region)}.")
    return south + (np.arange(rows) + 0.5) * step, west + (np.arange(columns) + 0.5) * step


def _cells(
    lat: np.ndarray, lon: np.ndarray, latitudes: np.ndarray, longitudes: np.ndarray, step: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return row and column of each pixel, -1 if outside; the northern edge, a pole, is inside."""
    with np.errstate(invalid="ignore"):
        row = np.floor((lat - (latitudes[0] - step / 2)) / step)
        row = np.where(lat == latitudes[-1] + step / 2, len(latitudes) - 1, row)
        column = np.floor(((lon - (longitudes[0] - step / 2)) % 360) / step)
    row = np.where((row >= 0) & (row < len(latitudes)), row, -1).astype(np.int64)
    column = np.where((column >= 0) & (column < len(longitudes)), column, -1).astype(np.int64)
    return row, column


def average(
    lat: np.ndarray,
    lon: np.ndarray,
    values: np.ndarray,
    latitudes: np.ndarray,
    longitudes: np.ndarray,
    step: float,
) -> np.ndarray:
    """Return the mean of the values in each cell, shape (latitudes, longitudes), NaN if none.

    Parameters
    ----------
    lat, lon, values
        Ground pixels, shape (n,); those with a NaN are left out.
    latitudes, longitudes, step
        Centres and width of the cells (degrees).
    """
    row, column = _cells(lat, lon, latitudes, longitudes, step)
    inside = (row >= 0) & (column >= 0) & np.isfinite(values)
    cell = row[inside] * len(longitudes) + column[inside]
    size = len(latitudes) * len(longitudes)
    number = np.bincount(cell, minlength=size)
    total = np.bincount(cell, weights=values[inside].astype(float), minlength=size)
    mean = np.divide(total, number, out=np.full(size, np.nan), where=number > 0)
    return mean.reshape(len(latitudes), len(longitudes))
