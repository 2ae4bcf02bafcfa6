"""Labels of one place: from soundings, from a station's series, or from a table."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from casestudies.errors import InputError
from casestudies.satellite.readers import ames
from casestudies.satellite.readers.soundings import Sounding, partial_column, total_column
from casestudies.tables import read_table

Layer = Literal["total"] | tuple[float, float]
"""The whole column, or that between two pressures (hPa), bottom and top."""

VALID_HOURS = 12
"""Valid hours that a daily mean needs."""
_SPREAD = 0.5  # degrees that the soundings of one station may lie apart


@dataclass(frozen=True)
class Labels:
    """Labels of one place, before they meet the frames.

    Attributes
    ----------
    times
        datetime64[s], UTC, shape (n,), in any order.
    values
        Shape (n,), NaN for a sounding that gives none, such as one that burst too early.
    latitude, longitude
        Of the station, degrees.
    long_name, units
        What the values are.
    """

    times: np.ndarray
    values: np.ndarray
    latitude: float
    longitude: float
    long_name: str
    units: str


def balloon_labels(soundings: Iterable[Sounding], layer: Layer) -> Labels:
    """Return the columns of ozone (DU) of soundings of one station.

    Raises
    ------
    InputError
        If the soundings are of several places, or none gives a column.
    """
    flown = list(soundings)
    place = np.array([(one.latitude, one.longitude) for one in flown])
    middle = np.median(place, axis=0)
    far = np.abs(place - middle).max(axis=1)
    if far.max() > _SPREAD:
        one = flown[int(far.argmax())]
        raise InputError(
            f"{one.source}: station {one.station} at {one.latitude:g}, {one.longitude:g} is not "
            f"where the others are, {middle[0]:g}, {middle[1]:g}; a data set needs the soundings "
            "of one station."
        )
    if layer == "total":
        values = np.array([total_column(one) for one in flown])
        long_name = "total column of ozone"
    else:
        values = np.array([partial_column(one, *layer) for one in flown])
        long_name = f"ozone between {layer[0]:g} and {layer[1]:g} hPa"
    if np.isnan(values).all():
        raise InputError(
            f"{flown[0].source.parent}: none of {len(flown)} soundings covers {long_name}."
        )
    times = np.array([one.time for one in flown])
    return Labels(times, values, *middle.tolist(), long_name, "DU")


def station_labels(paths: Iterable[Path], component: str, units: str, daily: bool) -> Labels:
    """Return a station's series, or its daily means at noon UTC.

    Raises
    ------
    InputError
        If the files are of several places or hold no valid value.
    """
    read = [ames.read_ames(path, component, units) for path in paths]
    places = np.array([place for _, *place in read])
    if np.ptp(places, axis=0).max() > _SPREAD:
        raise InputError("soundings: the NASA Ames files are of several stations; choose one.")
    table = pd.concat([frame for frame, *_ in read]).dropna().sort_values("time")
    if table.empty:
        raise InputError(f"soundings: no file holds a valid value of {component}.")
    long_name = component
    if daily:
        days = table.groupby(table["time"].dt.floor("D"))["value"].agg(["mean", "size"])
        days = days[days["size"] >= VALID_HOURS]
        times, values = days.index.to_numpy() + np.timedelta64(12, "h"), days["mean"]
        long_name = f"{component}, daily mean"
    else:
        times, values = table["time"].to_numpy(), table["value"]
    return Labels(
        times.astype("datetime64[s]"), values.to_numpy(), *places[0].tolist(), long_name, units
    )


def table_labels(
    path: Path, long_name: str, units: str, latitude: float, longitude: float
) -> Labels:
    """Return labels from a table with columns time (ISO 8601; UTC, or with an offset) and value.

    Raises
    ------
    InputError
        If a column is missing, or a time or value is not one.
    """
    frame = read_table(path, complete=["time", "value"])
    try:
        times = (
            pd.to_datetime(frame["time"], utc=True, format="ISO8601")
            .dt.tz_localize(None)
            .to_numpy()
        )
        values = frame["value"].astype(float).to_numpy()
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: column time or value: {error}.") from error
    return Labels(
        times.astype("datetime64[s]"),
        values,
        latitude,
        longitude,
        long_name,
        units,
    )
