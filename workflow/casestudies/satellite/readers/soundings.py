"""Ozone soundings: what every reader returns, and columns of ozone from a profile.

The column of a layer follows from hydrostatic balance: a layer between pressures p and p + dp holds
dp / (g M) moles of air per area, of which the fraction P / p is ozone of partial pressure P, so

    column = N_A / (g M) ∫ P d(ln p),

in Dobson units 7.891 DU for 1 mPa over one e-fold of pressure. P is taken as linear in ln p between
levels (Smit et al. 2021, Ozonesonde Measurement Principles and Best Operational Practices, WMO/GAW
report 268, and its predecessor, report 201).

Above the highest level the residual assumes a constant mixing ratio, so it is 7.891 DU per mPa of
the partial pressure there. That is sound only for a balloon that passed the ozone layer: its burst
must be above 30 hPa, else there is no total column. (Of the soundings of Melbourne the header's
residual is the same to 0.07 DU in the median; a climatology would be an alternative.) The total
column from a ground instrument that some headers give is left alone: a label is what the balloon
measured. At Melbourne it exceeds the Dobson instrument's by 7 DU in the median (sd of the
difference 15, correlation 0.89, 440 flights).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.errors import InputError
from casestudies.satellite.readers.units import AVOGADRO, DOBSON

GRAVITY = 9.80665
"""Standard acceleration of free fall (m s-2)."""
AIR = 0.0289644
"""Molar mass of dry air (kg mol-1), US Standard Atmosphere 1976."""
DU_PER_MPA = 1e-3 * AVOGADRO / (GRAVITY * AIR) / DOBSON
"""Dobson units of a layer with 1 mPa of ozone over one e-fold of pressure: 7.891."""

BURST = 30.0
"""Lowest burst (hPa) of a sounding that yields a total column."""
GAP = np.log(1.5)
"""Widest gap between levels (of ln p) that is bridged."""
GROUND = 0.85
"""A layer may reach below the first level of a profile if that is at 0.85 of its bottom or more:
it then starts at the ground."""
LOST = 0.05
"""Share of the header's column that may be missing from the profile's."""
COLUMNS = ("pressure", "ozone", "temperature", "altitude")

_HIGHEST = 60.0  # mPa; the ozone layer has at most 30


@dataclass(frozen=True)
class Sounding:
    """One balloon.

    Attributes
    ----------
    station
        Its name.
    latitude, longitude
        Degrees north and east, of the station.
    time
        Launch, datetime64[s], UTC.
    profile
        Levels of the ascent, pressure falling: pressure (hPa), ozone (partial pressure, mPa),
        temperature (K) and altitude (m), the last two with gaps.
    integrated
        Column up to the burst by the header (DU), NaN if not given.
    residual
        Column above the burst by the header (DU), NaN if not given.
    total
        Total column of a ground instrument by the header (DU), NaN if not given.
    source
        The file, for messages.
    """

    station: str
    latitude: float
    longitude: float
    time: np.datetime64
    profile: pd.DataFrame
    integrated: float
    residual: float
    total: float
    source: Path


def ascent(frame: pd.DataFrame, source: Path) -> pd.DataFrame:
    """Return the levels that can be used: complete, and higher than all before them.

    Parameters
    ----------
    frame
        Columns of COLUMNS, numbers or NaN, in the order of time.

    Raises
    ------
    InputError
        If fewer than ten levels remain or ozone is impossibly high.
    """
    frame = frame[list(COLUMNS)].astype(float)
    usable = (frame["pressure"] > 0) & (frame["pressure"] < 1100) & (frame["ozone"] >= 0)
    frame = frame[usable]
    pressure = frame["pressure"].to_numpy()
    higher = np.ones(len(pressure), dtype=bool)
    higher[1:] = pressure[1:] < np.minimum.accumulate(pressure)[:-1]
    frame = frame[higher].reset_index(drop=True)
    if len(frame) < 10:
        raise InputError(
            f"{source}: the profile has {len(frame)} levels with pressure and ozone; at least 10 "
            "are needed: is the file cut short?"
        )
    if (highest := frame["ozone"].max()) > _HIGHEST:
        raise InputError(
            f"{source}: an ozone partial pressure of {highest:g} mPa is impossible; the column is "
            "not in mPa."
        )
    return frame


def partial_column(sounding: Sounding, bottom: float, top: float) -> float:
    """Return the column of ozone between two pressures (DU), NaN if the profile does not cover it.

    Parameters
    ----------
    bottom, top
        Pressures (hPa), bottom above top. A bottom below the ground starts there.
    """
    if not bottom > top > 0:
        raise InputError(
            f"option 'layer': [{bottom:g}, {top:g}] is not [bottom, top] in hPa, bottom the higher."
        )
    logs = -np.log(sounding.profile["pressure"].to_numpy())  # rising
    ozone = sounding.profile["ozone"].to_numpy()
    start, end = -np.log(bottom), -np.log(top)
    if start < logs[0] <= start - np.log(GROUND):
        start = logs[0]
    if start < logs[0] or end > logs[-1]:
        return float("nan")
    inner = (logs > start) & (logs < end)
    at = np.concatenate([[start], logs[inner], [end]])
    first, last = np.searchsorted(logs, start, "right") - 1, np.searchsorted(logs, end)
    if np.diff(logs[first : last + 1]).max(initial=0) > GAP:
        return float("nan")
    return float(DU_PER_MPA * np.trapezoid(np.interp(at, logs, ozone), at))


def integrated_column(sounding: Sounding) -> float:
    """Return the column of ozone from the ground to the burst (DU)."""
    logs = -np.log(sounding.profile["pressure"].to_numpy())
    return float(DU_PER_MPA * np.trapezoid(sounding.profile["ozone"].to_numpy(), logs))


def total_column(sounding: Sounding) -> float:
    """Return the total column of ozone (DU): up to the burst, and a constant mixing ratio above.

    NaN if the balloon burst below 30 hPa, levels are too far apart, or the column up to the burst
    is more than 5 % below the header's: then part of the profile is lost. (The other way round is
    no fault of the profile: SHADOZ's headers leave out what lies between levels without ozone.)
    """
    pressure = sounding.profile["pressure"].to_numpy()
    if pressure[-1] > BURST or np.diff(-np.log(pressure)).max() > GAP:
        return float("nan")
    column = integrated_column(sounding)
    if column < (1 - LOST) * sounding.integrated:
        return float("nan")
    return column + DU_PER_MPA * float(sounding.profile["ozone"].iloc[-1])
