"""Series on a grid that xarray opens as they are: CF NetCDF and Zarr, and SEVIRI in Zarr.

``grid`` serves whatever holds variables (time, y, x): reanalyses, daily or monthly level 3 products
such as OMI's, and the stores of this study. ``seviri`` serves stores with a dimension ``channels``
and a geostationary grid, as made by satpy and published for nowcasting.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import yaml

from casestudies.errors import InputError, nearest
from casestudies.satellite.readers.frames import Axis, Frame
from casestudies.satellite.readers.opening import open_dataset, reading
from casestudies.satellite.readers.units import check_plausible, standard

PATTERNS = ("*.nc", "*.nc4", "*.zarr")
_BLOCK_BYTES = 1 << 26  # read at once, so that a chunk of many frames is not decoded for each


def read_grid(
    paths: Sequence[Path],
    *,
    channels: Sequence[str] = (),
    units: Mapping[str, str] | None = None,
) -> Iterator[Frame]:
    """Yield the frames of CF files: variables of a time and two horizontal dimensions.

    Parameters
    ----------
    channels
        Variables; by default all of the right dimensions.
    units
        Channel -> its true units, where the file's attribute is mistaken.

    Raises
    ------
    InputError
        If a file is damaged, has no such variable or no time, or values are impossible in the units
        stated.
    """
    for path in paths:
        with open_dataset(path) as dataset:
            time = _time(dataset, path)
            if time not in dataset.dims:
                dataset = dataset.expand_dims(time)
            able = [
                str(name)
                for name, variable in dataset.data_vars.items()
                if time in variable.dims and variable.ndim == 3 and variable.dtype.kind in "fiu"
            ]
            names = list(channels) or able
            for name in names:
                if name not in able:
                    raise InputError(
                        f"{path}: no variable {name!r} of time and two dimensions; "
                        f"{nearest(name, able)}"
                    )
            if not names:
                raise InputError(f"{path}: holds no variable of time and two dimensions.")
            arrays = {name: _rows_first(dataset[name], time) for name in names}
            for name in names:
                _check_chunks(path, name)
            yield from _frames(path, arrays, units or {}, {})


def read_seviri(
    paths: Sequence[Path],
    *,
    channels: Sequence[str] = (),
    units: Mapping[str, str] | None = None,
) -> Iterator[Frame]:
    """Yield the frames of SEVIRI Zarr stores: one variable (time, y, x, channels).

    Parameters
    ----------
    channels
        Names in the coordinate ``channels``; by default all.
    units
        Channel -> units. Such stores state none: "1" unless said here (a store for nowcasting
        holds reflectance or brightness temperature rescaled to 10 bits).

    Raises
    ------
    InputError
        If a store is damaged, is laid out otherwise or lacks a channel.
    """
    for path in paths:
        with open_dataset(path) as dataset:
            held = [name for name, array in dataset.data_vars.items() if "channels" in array.dims]
            if len(held) != 1 or dataset[held[0]].ndim != 4 or "time" not in dataset[held[0]].dims:
                raise InputError(
                    f"{path}: no SEVIRI store: it needs one variable of time, y, x and channels."
                )
            array = dataset[held[0]]
            there = [str(name) for name in dataset["channels"].to_numpy()]
            for name in channels:
                if name not in there:
                    raise InputError(f"{path}: no channel {name!r}; {nearest(name, there)}")
            _check_chunks(path, str(held[0]))
            others = [str(dim) for dim in array.dims if dim not in ("time", "channels")]
            others.sort(key=lambda dim: not dim.startswith("y"))
            arrays = {
                name: array.isel(channels=there.index(name)).transpose("time", *others)
                for name in (channels or there)
            }
            for name in arrays:
                # The attributes are those of the first channel that was written.
                arrays[name].attrs = {"long_name": f"SEVIRI {name}", "units": "1"}
            yield from _frames(path, arrays, units or {}, _view(str(array.attrs.get("area", ""))))


def _frames(
    path: Path, arrays: dict[str, xr.DataArray], units: Mapping[str, str], view: dict[str, Any]
) -> Iterator[Frame]:
    first = next(iter(arrays.values()))
    time, rows, columns = first.dims
    stated = {
        name: standard(units.get(name, str(array.attrs.get("units", "1"))))
        for name, array in arrays.items()
    }
    names = {name: str(array.attrs.get("long_name", name)) for name, array in arrays.items()}
    y, x = _axis(first, str(rows)), _axis(first, str(columns))
    times = first[time].to_numpy().astype("datetime64[s]")
    block = max(1, _BLOCK_BYTES // (8 * first.shape[1] * first.shape[2] * len(arrays)))
    for start in range(0, len(times), block):
        with reading(path):
            values = {
                name: array.isel({time: slice(start, start + block)}).to_numpy().astype(np.float32)
                for name, array in arrays.items()
            }
        for name in arrays:
            check_plausible(values[name], stated[name], f"{path}: {name}")
        for k, moment in enumerate(times[start : start + block]):
            yield Frame(
                time=moment,
                values={name: values[name][k] for name in arrays},
                units=stated,
                names=names,
                y=y,
                x=x,
                source=path,
                view=view,
            )


def _time(dataset: xr.Dataset, path: Path) -> str:
    """Return the name of the coordinate of time."""
    for name, coordinate in dataset.coords.items():
        if coordinate.dtype.kind == "M" and coordinate.ndim <= 1:
            return str(name)
    raise InputError(
        f"{path}: has no coordinate of time that can be decoded; give it one in CF units such as "
        "'hours since 2020-01-01' and the standard calendar."
    )


def _rows_first(array: xr.DataArray, time: str) -> xr.DataArray:
    """Return the array as (time, y, x): y is the northward dimension, by units, axis or name."""
    one, other = (dim for dim in array.dims if dim != time)

    def eastward(dim: Any) -> bool:
        attrs = array[dim].attrs if dim in array.coords else {}
        return (
            str(attrs.get("units", "")).startswith("degrees_e")
            or attrs.get("axis") == "X"
            or str(dim).lower() in ("x", "lon", "longitude")
        )

    return array.transpose(time, other, one) if eastward(one) else array.transpose(time, one, other)


def _axis(array: xr.DataArray, dim: str) -> Axis:
    if dim not in array.coords:
        return Axis(np.arange(array.sizes[dim], dtype=float), {"units": "1", "long_name": dim})
    coordinate = array[dim]
    kept = {
        key: str(coordinate.attrs[key])
        for key in ("units", "long_name", "standard_name", "axis")
        if key in coordinate.attrs
    }
    return Axis(coordinate.to_numpy().astype(float), kept)


def _check_chunks(path: Path, name: str) -> None:
    """Refuse a Zarr array with chunks missing that would be read as ordinary numbers."""
    if not path.is_dir():
        return
    import zarr

    with reading(path):
        array = zarr.open_group(path, mode="r")[name]
        lost = array.nchunks - array.nchunks_initialized if array.shards is None else 0
        fill = array.fill_value
        stated = array.attrs.get("_FillValue", np.nan)
    filled = fill is not None and (np.isnan(float(fill)) or float(fill) == _number(stated))
    if lost and not filled:
        raise InputError(
            f"{path}: variable {name!r} lacks {lost} of {array.nchunks} chunks, which would be "
            "read as ordinary numbers; copy the store again."
        )


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):  # xarray writes a NaN to Zarr in base 64
        return np.nan


def _view(area: str) -> dict[str, Any]:
    """Return the geostationary view that satpy describes in YAML, empty if it is none."""
    try:
        described = next(iter(yaml.safe_load(area).values()))["projection"]
        major = float(described["a"])
        minor = float(described["b"]) if "b" in described else major * (1 - 1 / described["rf"])
        return {
            "height": float(described["h"]),
            "semi_major": major,
            "semi_minor": minor,
            "longitude": float(described["lon_0"]),
            "sweep": str(described.get("sweep", "y")),
        }
    except (yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError):
        return {}
