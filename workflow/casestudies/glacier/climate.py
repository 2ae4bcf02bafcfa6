"""The synthetic climate of the simulated glaciers, and the predictors that a reanalysis gives.

Shapes: D days, M massifs, G glaciers, Y hydrological years.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from casestudies.glacier.parameters import VALUES

Array = NDArray[np.float64]

# Fictitious massifs of the western Alps: name, longitude, latitude (deg).
MASSIFS = (
    ("Aiguilles Grises", 6.95, 45.93),
    ("Hautes Ravieres", 6.80, 45.62),
    ("Val Brunel", 7.05, 45.38),
    ("Mont Sorel", 6.72, 45.30),
    ("Grandes Faugeres", 6.17, 45.14),
    ("Combe Noire", 6.36, 44.93),
)


@dataclass(frozen=True)
class Climate:
    """Daily climate of the massifs at the reference altitude."""

    dates: NDArray[np.datetime64]  # (D,) days
    temperature: Array  # (D, M) degC
    precipitation: Array  # (D, M) mm

    @property
    def month(self) -> NDArray[np.int64]:
        """(D,) month of the year, January = 0."""
        return self.dates.astype("datetime64[M]").astype(np.int64) % 12

    def between(self, first: str, last: str) -> slice:
        """Positions of the days from ``first`` to ``last``, both ISO dates and both included."""
        low, high = np.datetime64(first), np.datetime64(last) + 1
        return slice(int(np.searchsorted(self.dates, low)), int(np.searchsorted(self.dates, high)))


def make_climate(
    first: str,
    last: str,
    wetness: Array,
    rng: np.random.Generator,
    warming: bool = True,
) -> Climate:
    """Draw daily temperature and precipitation of all massifs from ``first`` to ``last``.

    ``wetness`` (M,) is the precipitation of each massif relative to that of all.

    Temperature is a seasonal cycle with a trend, monthly anomalies and first-order autoregressive
    weather. Precipitation is a power of a truncated, autoregressive normal variable (Bardossy and
    Plate 1992) times monthly log-normal anomalies. Every random part has one signal shared by all
    massifs and one that decorrelates with distance.
    """
    dates = np.arange(np.datetime64(first), np.datetime64(last) + 1)
    year = dates.astype("datetime64[Y]")
    day = (dates - year).astype(np.int64)
    month = dates.astype("datetime64[M]").astype(np.int64)
    month = month - month[0]
    days, months = len(dates), int(month[-1]) + 1
    summer = np.cos(2 * np.pi * (day - VALUES["warmest_day"]) / 365.25)  # 1 in summer, -1 in winter
    mix_t = _mixing(VALUES["temperature_shared"])
    mix_p = _mixing(VALUES["precipitation_shared"])
    massifs = len(MASSIFS)

    def normal(size: int, mix: Array) -> Array:
        return rng.standard_normal((size, massifs)) @ mix.T

    wet = _autoregressive(normal(days, mix_p), VALUES["wet_persistence"])
    threshold = NormalDist().inv_cdf(1 - VALUES["wet_days"])
    grid = np.linspace(threshold, threshold + 8, 2001)
    density = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi)
    power = VALUES["precipitation_power"]
    expected = np.sum((grid - threshold) ** power * density) * (grid[1] - grid[0])
    anomaly = lognormal(normal(months, mix_p), VALUES["precipitation_monthly_sd"])[month]
    season = 1 - VALUES["precipitation_winter_excess"] * summer
    precipitation = (
        VALUES["precipitation_annual"] / 365.25 * season[:, None] * wetness * anomaly
        * np.maximum(wet - threshold, 0) ** power / expected
    )  # fmt: skip

    # A cold summer day is more often a wet one, which decides whether summer snow falls.
    link = -VALUES["cold_rain"] * np.maximum(summer, 0)[:, None]
    shock = link * wet + np.sqrt(1 - link**2) * normal(days, mix_t)
    spread = VALUES["weather_temperature_sd"] - VALUES["weather_temperature_sd_amplitude"] * summer
    weather = _autoregressive(shock, VALUES["weather_temperature_persistence"]) * spread[:, None]
    time = year.astype(np.int64) + 1970 + day / 365.25
    elapsed = np.maximum(time - VALUES["warming_start"], 0) / 10 if warming else np.zeros(days)
    trend = VALUES["warming_rate"] * elapsed * (1 + VALUES["warming_summer_excess"] * summer)
    cycle = VALUES["temperature_mean"] + VALUES["temperature_amplitude"] * summer
    slow = VALUES["temperature_monthly_sd"] * normal(months, mix_t)[month]
    return Climate(dates, (cycle + trend)[:, None] + slow + weather, precipitation)


def _mixing(shared: float) -> Array:
    """Cholesky factor (M, M) of the correlation: a shared part, the rest by distance."""
    place = np.array([entry[1:] for entry in MASSIFS]) * (111.2 * np.cos(np.radians(45.4)), 111.2)
    distance = np.linalg.norm(place[:, None] - place[None], axis=-1)
    return np.linalg.cholesky(
        shared + (1 - shared) * np.exp(-distance / VALUES["correlation_length"])
    )


def lognormal(normal: Array, sd: float) -> Array:
    """Log-normal factors of mean one from standard normal values."""
    return np.exp(sd * normal - sd**2 / 2)


def _autoregressive(shocks: Array, persistence: float) -> Array:
    """First-order autoregressive series of unit variance from unit normal shocks (time first)."""
    series = np.empty_like(shocks)
    series[0] = shocks[0]
    scale = np.sqrt(1 - persistence**2)
    for t in range(1, len(shocks)):
        series[t] = persistence * series[t - 1] + scale * shocks[t]
    return series


@dataclass(frozen=True)
class Predictors:
    """The reanalysis at the mean altitude of each glacier, by hydrological year."""

    temperature: Array  # (G, Y, 12) degC, October first
    snow: Array  # (G, Y, 12) mm w.e.
    cpdd: Array  # (G, Y) K d
    winter_snow: Array  # (G, Y) mm w.e.
    summer_snow: Array  # (G, Y) mm w.e.


def reanalyse(climate: Climate, rng: np.random.Generator) -> Climate:
    """Return the climate as a reanalysis gives it: with bias, drift and noise."""
    months = climate.dates.astype("datetime64[M]").astype(np.int64)
    months -= months[0]
    years = climate.dates.astype("datetime64[Y]").astype(np.int64)
    years -= years[0]
    massifs = climate.temperature.shape[1]
    error = VALUES["reanalysis_temperature_bias_sd"] * rng.standard_normal(massifs)
    persistence = VALUES["reanalysis_temperature_drift_persistence"]
    drift = _autoregressive(rng.standard_normal((years[-1] + 1, 1)), persistence)
    mix = _mixing(VALUES["temperature_shared"])
    monthly = rng.standard_normal((months[-1] + 1, massifs)) @ mix.T
    daily = rng.standard_normal(climate.temperature.shape) @ mix.T
    temperature = (
        climate.temperature
        + error
        + VALUES["reanalysis_temperature_drift_sd"] * drift[years]
        + VALUES["reanalysis_temperature_monthly_sd"] * monthly[months]
        + VALUES["reanalysis_temperature_daily_sd"] * daily
    )
    factor = lognormal(
        rng.standard_normal(massifs), VALUES["reanalysis_precipitation_bias_sd"]
    ) * lognormal(
        rng.standard_normal((months[-1] + 1, massifs)),
        VALUES["reanalysis_precipitation_monthly_sd"],
    )
    return Climate(climate.dates, temperature, climate.precipitation * factor[months])


def predict_from(
    climate: Climate,
    massif: NDArray[np.int64],
    altitude: Array,
    years: range,
) -> Predictors:
    """Reduce a daily climate to the predictors of the published set, by its conventions.

    Parameters
    ----------
    massif
        (G,) column of the climate for each glacier.
    altitude
        (G, Y) mean altitude of each glacier in each year, m.

    Notes
    -----
    All precipitation is snow below 2 degC. Winter snow falls from 26 September to 26 April and
    summer snow from 28 April to 24 September. CPDD sums the positive daily temperatures of the
    calendar year over the ablation season: from the day on which their running sum passes one
    thirtieth of the year's to the day on which it passes nine tenths.
    """
    shape = altitude.shape
    temperature, snow = np.empty((*shape, 12)), np.empty((*shape, 12))
    cpdd, winter, summer = np.empty(shape), np.empty(shape), np.empty(shape)
    month = climate.month
    for i, year in enumerate(years):
        z = altitude[:, i] - VALUES["reference_altitude"]
        days = climate.between(f"{year - 1}-09-01", f"{year}-12-31")
        dates = climate.dates[days]
        warmth = climate.temperature[days][:, massif]
        warmth = warmth - VALUES["reanalysis_lapse_rate"] * z / 1000
        gradient = np.maximum(1 + VALUES["precipitation_gradient"] * z / 100, 0)
        snowfall = climate.precipitation[days][:, massif] * gradient
        snowfall = np.where(warmth < VALUES["reanalysis_snow_threshold"], snowfall, 0)

        hydrological = (dates >= np.datetime64(f"{year - 1}-10-01")) & (
            dates < np.datetime64(f"{year}-10-01")
        )
        column = (month[days] - 9) % 12
        for k in range(12):
            chosen = hydrological & (column == k)
            temperature[:, i, k] = warmth[chosen].mean(axis=0)
            snow[:, i, k] = snowfall[chosen].sum(axis=0)
        for season, start, end in (
            (winter, f"{year - 1}-09-26", f"{year}-04-26"),
            (summer, f"{year}-04-28", f"{year}-09-24"),
        ):
            chosen = (dates >= np.datetime64(start)) & (dates <= np.datetime64(end))
            season[:, i] = snowfall[chosen].sum(axis=0)
        positive = np.maximum(warmth[dates >= np.datetime64(f"{year}-01-01")], 0)
        reached = np.cumsum(positive, axis=0)
        full = reached[-1]
        season_days = (reached > full / 30) & (reached <= 0.9 * full)
        cpdd[:, i] = np.where(season_days, positive, 0).sum(axis=0)
    return Predictors(temperature, snow, cpdd, winter, summer)
