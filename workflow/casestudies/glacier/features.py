"""Predictors of mass balance: named sets, computed once from climate and topography alone.

No set looks at the mass balance, so a set may be computed on the whole table before it is split.
The climate of every glacier and year is known, test rows included; what is held out is the label.
"""

from collections.abc import Callable

import numpy as np
import pandas as pd

from casestudies.errors import InputError, nearest

MONTHS = ("oct", "nov", "dec", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep")
CLIMATE = ("cpdd", "winter_snow", "summer_snow")
TOPOGRAPHY = ("mean_altitude", "max_altitude", "slope20", "area", "longitude", "latitude")
MONTHLY = tuple(f"{name}_{month}" for name in ("temperature", "snow") for month in MONTHS)
MEMORY_YEARS = 5

REGIONAL_GROUPS: dict[str, tuple[str, ...]] = {
    "season": tuple(f"regional_{name}" for name in CLIMATE),
    "month": tuple(f"regional_{name}" for name in MONTHLY),
    "local": tuple(f"local_{name}" for name in CLIMATE),
    "previous": ("previous_cpdd", "previous_winter_snow"),
    "memory": ("memory_cpdd", "memory_winter_snow"),
    "topography": (*TOPOGRAPHY, "aspect_cosine", "aspect_sine", "log_area"),
}
"""The columns of the set ``regional``, by what they stand for."""


def features(prepared: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return a named set of predictors.

    Parameters
    ----------
    prepared
        The prepared table: one row per glacier and year, whole (the regional means need every
        glacier), in any order.
    name
        ``absolute`` (3: absolute CPDD and snow), ``seasonal`` (10: seasonal anomalies and
        topography), ``monthly`` (34: and monthly anomalies; the predictors and the order of
        Bolibar et al. 2020, doi:10.5194/tc-14-565-2020), ``monthly_published`` (the same with
        their cosine of the aspect), ``lasso`` (55: seasonal, products of seasonal climate and
        topography, monthly), ``regional`` (the year's regional signal apart from the local
        deviation, with the memory of former years; see ``REGIONAL_GROUPS``), ``complete``
        (``monthly`` and what ``regional`` adds).

    Returns
    -------
    DataFrame
        Rows as in ``prepared``, floats without missing values, indexed by (glacier, year).

    Raises
    ------
    InputError
        If the set is unknown or its predictors are not finite.
    """
    if name not in _SETS:
        raise InputError(f"unknown set of predictors {name!r}; {nearest(name, _SETS)}")
    frame = _SETS[name](prepared.reset_index(drop=True)).astype(float)
    bad = ~np.isfinite(frame.to_numpy()).all(axis=0)
    if bad.any():
        raise InputError(
            f"prepared table: predictor {frame.columns[bad.argmax()]!r} has missing or infinite "
            "values; every glacier and year needs climate and topography (area above 0)."
        )
    frame.index = pd.MultiIndex.from_frame(prepared[["glacier", "year"]])
    return frame


def _absolute(prepared: pd.DataFrame) -> pd.DataFrame:
    return prepared[list(CLIMATE)]


def _seasonal(prepared: pd.DataFrame) -> pd.DataFrame:
    frame = prepared[[f"{name}_anomaly" for name in CLIMATE] + list(TOPOGRAPHY)]
    return frame.assign(aspect_cosine=np.cos(np.deg2rad(prepared["aspect"])))


def _months(prepared: pd.DataFrame) -> pd.DataFrame:
    return prepared[[f"{name}_anomaly_{m}" for name in ("temperature", "snow") for m in MONTHS]]


def _monthly(prepared: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([_seasonal(prepared), _months(prepared)], axis=1)


def _monthly_published(prepared: pd.DataFrame) -> pd.DataFrame:
    # The published code takes the cosine of the number of degrees as if it were radians. Only
    # the audit of the published networks needs this: their weights were fitted to it.
    return _monthly(prepared).assign(aspect_cosine=np.cos(prepared["aspect"]))


def _lasso(prepared: pd.DataFrame) -> pd.DataFrame:
    seasonal = _seasonal(prepared)
    # Centred and scaled, or a product would mostly repeat its factors.
    scaled = (seasonal - seasonal.mean()) / seasonal.std(ddof=0).replace(0, 1)
    climate, topography = seasonal.columns[: len(CLIMATE)], seasonal.columns[len(CLIMATE) :]
    products = {f"{c} × {t}": scaled[c] * scaled[t] for c in climate for t in topography}
    return pd.concat([seasonal, pd.DataFrame(products), _months(prepared)], axis=1)


def _regional(prepared: pd.DataFrame) -> pd.DataFrame:
    """Separate what all glaciers share in a year from how a glacier deviates from it.

    The year explains most of the variance of mass balance, and a local predictor alone must
    serve for both. Memory: the balance also depends on the surface that former years left (firn,
    dust, exposed ice), hence last year's regional climate and the mean of the last years'.
    """
    year = prepared["year"]
    anomalies = prepared[[f"{name}_anomaly" for name in CLIMATE]].set_axis(CLIMATE, axis=1)
    months = _months(prepared).set_axis(MONTHLY, axis=1)
    both = pd.concat([anomalies, months], axis=1)
    by_year = both.groupby(year).mean()
    regional = by_year.loc[year].reset_index(drop=True)
    local = anomalies - regional[list(CLIMATE)]

    # On the full range of years, so that a gap in the record is not taken for the previous year.
    # A year without a past gets the mean, that is, no information.
    span = np.arange(by_year.index.min(), by_year.index.max() + 1)
    past = by_year[["cpdd", "winter_snow"]].reindex(span).shift(1)
    memory = past.rolling(MEMORY_YEARS, min_periods=1).mean()
    before = {
        "previous": past.fillna(by_year.mean()),
        "memory": memory.fillna(by_year.mean()),
    }
    aspect = np.deg2rad(prepared["aspect"])
    with np.errstate(divide="ignore", invalid="ignore"):
        topography = prepared[list(TOPOGRAPHY)].assign(
            aspect_cosine=np.cos(aspect),
            aspect_sine=np.sin(aspect),
            log_area=np.log(prepared["area"]),
        )
    return pd.concat(
        [
            regional.add_prefix("regional_"),
            local.add_prefix("local_"),
            *(
                part.loc[year].reset_index(drop=True).add_prefix(f"{key}_")
                for key, part in before.items()
            ),
            topography,
        ],
        axis=1,
    )[[column for group in REGIONAL_GROUPS.values() for column in group]]


def _complete(prepared: pd.DataFrame) -> pd.DataFrame:
    monthly, regional = _monthly(prepared), _regional(prepared)
    return pd.concat([monthly, regional.drop(columns=monthly.columns, errors="ignore")], axis=1)


_SETS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
    "absolute": _absolute,
    "seasonal": _seasonal,
    "monthly": _monthly,
    "monthly_published": _monthly_published,
    "lasso": _lasso,
    "regional": _regional,
    "complete": _complete,
}
