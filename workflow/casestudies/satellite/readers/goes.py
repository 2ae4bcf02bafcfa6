"""GOES ABI level 2 on the fixed grid: aerosol optical depth, land surface temperature and others.

One file is one frame. The grid is the ABI fixed grid in radians; ``scan_angles`` of
:mod:`casestudies.satellite.readers.frames` finds a place in it.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from casestudies.errors import InputError
from casestudies.satellite.readers.frames import Axis, Frame
from casestudies.satellite.readers.opening import open_dataset, reading
from casestudies.satellite.readers.units import check_plausible, standard

PATTERNS = ("*.nc",)


def read_goes(
    paths: Sequence[Path],
    *,
    channels: Sequence[str] = (),
    units: Mapping[str, str] | None = None,
    window: Sequence[int] = (),
    quality: int = 0,
) -> Iterator[Frame]:
    """Yield a frame a file, at the middle of its scan.

    Parameters
    ----------
    channels
        Variables; by default the one whose quality DQF describes.
    units
        Channel -> its true units, where the file's attribute is mistaken.
    window
        First row, end of rows, first column, end of columns; the whole image if empty.
    quality
        Highest quality flag taken: 0 is good; for AOD 1 is medium and 2 low. Where the flag is a
        set of bits (LST), a pixel is taken if it is a good retrieval.

    Raises
    ------
    InputError
        If a file is damaged or no ABI level 2 product.
    """
    for path in paths:
        with open_dataset(path) as dataset:
            if "DQF" not in dataset or "goes_imager_projection" not in dataset:
                raise InputError(
                    f"{path}: no ABI level 2 product: it lacks DQF or goes_imager_projection."
                )
            names = list(channels) or [
                str(name)
                for name, variable in dataset.data_vars.items()
                if "DQF" in str(variable.attrs.get("ancillary_variables", ""))
            ]
            if missing := [name for name in names if name not in dataset] or not names:
                raise InputError(f"{path}: has no variable {missing}; state option 'channels'.")
            rows, columns = _window(window)
            part = dataset.isel(y=rows, x=columns)
            with reading(path):
                good = _good(part["DQF"], quality)
                values = {
                    name: np.where(good, part[name].to_numpy(), np.nan).astype(np.float32)
                    for name in names
                }
                time = dataset["t"].to_numpy().astype("datetime64[s]")[()]
            stated = {
                name: standard((units or {}).get(name, str(part[name].attrs.get("units", "1"))))
                for name in names
            }
            for name in names:
                check_plausible(values[name], stated[name], f"{path}: {name}")
            grid = dataset["goes_imager_projection"].attrs
            yield Frame(
                time=time,
                values=values,
                units=stated,
                names={name: str(part[name].attrs.get("long_name", name)) for name in names},
                y=Axis(part["y"].to_numpy().astype(float), dict(_coordinate(part["y"]))),
                x=Axis(part["x"].to_numpy().astype(float), dict(_coordinate(part["x"]))),
                source=path,
                view={
                    "height": float(grid["perspective_point_height"]),
                    "semi_major": float(grid["semi_major_axis"]),
                    "semi_minor": float(grid["semi_minor_axis"]),
                    "longitude": float(grid["longitude_of_projection_origin"]),
                    "sweep": str(grid["sweep_angle_axis"]),
                },
            )


def _window(window: Sequence[int]) -> tuple[slice, slice]:
    if not window:
        return slice(None), slice(None)
    if len(window) != 4 or window[0] >= window[1] or window[2] >= window[3]:
        raise InputError(
            f"option 'window': {list(window)} is not [first row, end row, first column, end column]"
        )
    return slice(window[0], window[1]), slice(window[2], window[3])


def _good(flag: xr.DataArray, quality: int) -> np.ndarray:
    values = flag.to_numpy()  # float, NaN where filled
    known = np.isfinite(values)
    if "flag_masks" in flag.attrs:
        mask = int(np.ravel(flag.attrs["flag_masks"])[0])
        wanted = int(np.ravel(flag.attrs["flag_values"])[0])
        return known & ((np.where(known, values, 0).astype(np.int64) & mask) == wanted)
    return known & (values <= quality)


def _coordinate(coordinate: xr.DataArray) -> Iterator[tuple[str, str]]:
    for key in ("units", "long_name", "standard_name", "axis"):
        if key in coordinate.attrs:
            yield key, str(coordinate.attrs[key])
