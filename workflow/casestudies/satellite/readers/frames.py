"""What every image reader yields, one frame at a time, and checks of a whole series."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from casestudies.errors import InputError
from casestudies.satellite.readers.units import convert


@dataclass(frozen=True)
class Axis:
    """One coordinate of a grid: values at the pixels' centres, and their CF attributes."""

    values: np.ndarray
    attributes: Mapping[str, Any]

    @property
    def units(self) -> str:
        return str(self.attributes.get("units", "1"))


@dataclass(frozen=True)
class Frame:
    """An image of one time.

    Attributes
    ----------
    time
        datetime64[s], UTC.
    values
        Channel -> float32 of shape (y, x), NaN where there is no valid observation.
    units
        Channel -> units.
    names
        Channel -> a phrase that says what it is.
    y, x
        The grid: degrees_north and degrees_east, or a geostationary view in rad or m.
    source
        The file, for messages.
    view
        Of a geostationary grid: height (m, above the ellipsoid), semi_major, semi_minor (m),
        longitude (degrees_east) and sweep ("x" for GOES, "y" for Meteosat).
    """

    time: np.datetime64
    values: dict[str, np.ndarray]
    units: dict[str, str]
    names: dict[str, str]
    y: Axis
    x: Axis
    source: Path
    view: dict[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.y.values), len(self.x.values)

    @property
    def empty(self) -> bool:
        return all(np.isnan(values).all() for values in self.values.values())


class Series:
    """The frames of a series, checked while they pass; those without a valid pixel are dropped.

    Attributes
    ----------
    times
        Of the frames that passed.
    dropped
        Number of frames without a valid pixel.

    Raises
    ------
    InputError
        While iterating: if a frame has another shape, grid or set of channels than the first, comes
        no later than the one before, or has units that do not convert to the first's.
    """

    def __init__(self, frames: Iterable[Frame]) -> None:
        self._frames = frames
        self.times: list[np.datetime64] = []
        self.dropped = 0

    def __iter__(self) -> Iterator[Frame]:
        first: Frame | None = None
        before: Frame | None = None
        for frame in self._frames:
            if first is None:
                first = frame
            _same_grid(first, frame)
            if before is not None and frame.time <= before.time:
                again = "the same time as" if frame.time == before.time else "before"
                raise InputError(
                    f"{frame.source}: its frame of {frame.time} is {again} that of {before.time} "
                    f"in {before.source}; frames must go on in time in the order of the file "
                    "names: remove the duplicate, or rename the files."
                )
            before = frame
            if frame.empty:
                self.dropped += 1
                continue
            self.times.append(frame.time)
            yield _in_units_of(first, frame)


def _same_grid(first: Frame, frame: Frame) -> None:
    if frame.shape != first.shape:
        raise InputError(
            f"{frame.source}: frame of {frame.shape[0]} × {frame.shape[1]} pixels, where "
            f"{first.source} has {first.shape[0]} × {first.shape[1]}; all frames of a series need "
            "one grid: cut or resample them, or keep them as two data sets."
        )
    if set(frame.values) != set(first.values):
        raise InputError(
            f"{frame.source}: channels {', '.join(frame.values)}, where {first.source} has "
            f"{', '.join(first.values)}; name those that all files hold in the option 'channels'."
        )
    for name in ("y", "x"):
        one, other = getattr(first, name).values, getattr(frame, name).values
        step = np.abs(np.diff(one)).min() if len(one) > 1 else 1.0
        if np.abs(one - other).max() > 0.01 * step:
            raise InputError(
                f"{frame.source}: coordinate {name!r} is not that of {first.source}; all frames of "
                "a series need one grid."
            )


def _in_units_of(first: Frame, frame: Frame) -> Frame:
    if frame.units == first.units:
        return frame
    values = {
        name: convert(values, frame.units[name], first.units[name], f"{frame.source}: {name}")
        for name, values in frame.values.items()
    }
    return replace(frame, values=values, units=first.units)


def gaps(times: np.ndarray) -> tuple[np.timedelta64, int, np.timedelta64]:
    """Return the usual step of a series, the number of steps missing and the longest step.

    Parameters
    ----------
    times
        datetime64[s], ascending, at least two.
    """
    steps = np.diff(times).astype("timedelta64[s]")
    usual = np.timedelta64(int(np.median(steps.astype(np.int64))), "s")
    missing = np.rint(steps / usual).astype(int) - 1
    return usual, int(missing.clip(min=0).sum()), steps.max()


def pixel(
    y: Axis, x: Axis, view: Mapping[str, Any], latitude: float, longitude: float
) -> tuple[int, int]:
    """Return row and column of the pixel nearest to a place.

    Raises
    ------
    InputError
        If the place is off the grid, not seen by the satellite, or the grid's kind is unknown.
    """
    if y.units.startswith("degree") and x.units.startswith("degree"):
        rows = np.abs(y.values - latitude)
        columns = np.abs((x.values - longitude + 180) % 360 - 180)
    elif view:
        up, right = scan_angles(view, latitude, longitude)
        scale = 1.0 if y.units.startswith("rad") else view["height"]
        rows, columns = np.abs(y.values - up * scale), np.abs(x.values - right * scale)
    else:
        raise InputError(
            f"the images' coordinates are in {y.units!r} and {x.units!r} without a known "
            "projection, so the station cannot be found in them; option 'pixel' names its row and "
            "column."
        )
    row, column = int(rows.argmin()), int(columns.argmin())
    for axis, distance in ((y, rows[row]), (x, columns[column])):
        step = np.abs(np.diff(axis.values)).max() if len(axis.values) > 1 else np.inf
        if not distance <= step:
            raise InputError(
                f"the station at {latitude:g} °N, {longitude:g} °E is outside the images; choose "
                "images that show it, or correct its coordinates."
            )
    return row, column


def scan_angles(view: Mapping[str, Any], latitude: float, longitude: float) -> tuple[float, float]:
    """Return the angles (rad) under which a geostationary satellite sees a place: up, right.

    After the GOES-R Product Definition and Users' Guide, volume 3, 5.1.2.8.2 (sweep x), and the
    CGMS specification LRIT/HRIT Global Specification, 4.4.3.2 (sweep y). NaN if out of sight.
    """
    major, minor = view["semi_major"], view["semi_minor"]
    centre = view["height"] + major
    lat, lon = np.deg2rad(latitude), np.deg2rad(longitude - view["longitude"])
    geocentric = np.arctan((minor / major) ** 2 * np.tan(lat))
    flat = 1 - (minor / major) ** 2
    radius = minor / np.sqrt(1 - flat * np.cos(geocentric) ** 2)
    toward = centre - radius * np.cos(geocentric) * np.cos(lon)
    right = radius * np.cos(geocentric) * np.sin(lon)
    up = radius * np.sin(geocentric)
    if centre * (centre - toward) < right**2 + (major / minor) ** 2 * up**2:
        return np.nan, np.nan
    distance = np.sqrt(toward**2 + right**2 + up**2)
    if view["sweep"] == "x":
        return float(np.arctan(up / toward)), float(np.arcsin(right / distance))
    return float(np.arcsin(up / distance)), float(np.arctan(right / toward))
