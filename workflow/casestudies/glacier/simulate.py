"""Simulate glaciers, their climate and their mass balance: the data set that needs no download.

A stochastic daily climate drives a distributed degree-day model on fictitious glaciers of the
western Alps. What is written is only what an observer would have: balances with an error and
gaps, inventories of four years, and the climate of a reanalysis that differs from the climate
that melted the ice. The files have the layout of the published ALPGM set, so that simulated and
published data go through the same steps.

The table of parameters says what each value rests on. Many were set or moved until gross
statistics (means, spreads, shares of variance, correlations) came near those of the published set;
the two sets are therefore not independent. No value was chosen by the score of a statistical model.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casestudies.errors import InputError
from casestudies.steps import main
from casestudies.tables import write_json, write_table, writing

Array = NDArray[np.float64]

# ------------------------------------------------------------------------------- parameters


@dataclass(frozen=True)
class Parameter:
    """A number of the simulation, with what it rests on.

    ``basis`` is "literature" (the source was looked up), "unchecked" (literature cited from memory:
    look it up before quoting it), "gross" (set to gross statistics of the published ALPGM set),
    "adjusted" (begun from another value, then moved to the gross statistics), "assumption" or
    "convention".
    """

    value: float
    unit: str
    basis: str
    source: str


# fmt: off
PARAMETERS: dict[str, Parameter] = {
    # Temperature of the free slopes
    "reference_altitude": Parameter(3000.0, "m", "convention", ""),
    "temperature_mean": Parameter(-2.0, "degC", "gross", "mean of the monthly temperatures"),
    "temperature_amplitude": Parameter(6.8, "K", "gross", "mean seasonal cycle"),
    "warmest_day": Parameter(211.0, "day of year", "gross", "mean seasonal cycle"),
    "warming_start": Parameter(1982.0, "year", "adjusted", "was 1985"),
    "warming_rate": Parameter(
        0.4, "K per decade", "assumption", "data sets disagree: Beaumet et al. 2021"),
    "warming_summer_excess": Parameter(
        0.25, "1", "assumption", "high slopes warm most in summer: Beaumet et al. 2021"),
    "lapse_rate_mean": Parameter(5.7, "K km-1", "literature", "5.4 to 5.8: Rolland 2003"),
    "lapse_rate_amplitude": Parameter(
        0.8, "K km-1", "assumption", "steeper in summer: Rolland 2003"),
    "temperature_monthly_sd": Parameter(0.7, "K", "adjusted", "was 0.9"),
    "weather_temperature_sd": Parameter(3.5, "K", "gross", "degree days against monthly means"),
    "weather_temperature_sd_amplitude": Parameter(
        0.8, "K", "adjusted", "was 0.5; larger in winter"),
    "weather_temperature_persistence": Parameter(
        0.68, "1", "adjusted", "was 0.75; Wilks and Wilby 1999"),
    "temperature_shared": Parameter(0.94, "1", "adjusted", "was 0.9; correlation between glaciers"),
    # Precipitation
    "precipitation_annual": Parameter(1650.0, "mm a-1", "gross", "seasonal snow"),
    "precipitation_winter_excess": Parameter(0.15, "1", "adjusted", "was 0.1; seasonal snow"),
    "precipitation_gradient": Parameter(
        0.015, "per 100 m", "literature", "0.01 to 0.025: Huss and Hock 2015, after PyGEM"),
    "precipitation_massif_sd": Parameter(
        0.12, "1", "gross", "spread of mean snow between glaciers"),
    "precipitation_monthly_sd": Parameter(0.28, "1", "adjusted", "was 0.35"),
    "precipitation_shared": Parameter(0.7, "1", "gross", "correlation between glaciers"),
    "wet_days": Parameter(0.45, "1", "assumption", "Wilks and Wilby 1999"),
    "wet_persistence": Parameter(0.5, "1", "assumption", "Wilks and Wilby 1999"),
    "precipitation_power": Parameter(
        1.7, "1", "assumption", "power of a truncated normal: Bardossy and Plate 1992"),
    "cold_rain": Parameter(0.3, "1", "assumption", "wet summer days are cold"),
    "correlation_length": Parameter(60.0, "km", "assumption", ""),
    # Surface balance
    "snow_threshold": Parameter(
        1.5, "degC", "literature", "0 to 2: Huss and Hock 2015, after PyGEM"),
    "snow_transition": Parameter(
        1.0, "K", "literature", "rain to snow over 2 K: Huss and Hock 2015, after PyGEM"),
    "melt_threshold": Parameter(0.0, "degC", "unchecked", "Hock 2003"),
    "degree_day_fresh_snow": Parameter(
        2.8, "mm K-1 d-1", "unchecked", "low end for snow: Hock 2003"),
    "degree_day_old_snow": Parameter(
        4.6, "mm K-1 d-1", "unchecked", "Hock 2003; Vincent and Vallon 1997: 3.8"),
    "degree_day_firn": Parameter(
        5.3, "mm K-1 d-1", "unchecked", "between snow and ice: Huss and Hock 2015"),
    "degree_day_ice": Parameter(
        7.0, "mm K-1 d-1", "adjusted", "was 6.4; Hock 2003; Vincent and Vallon 1997: 6.2"),
    "snow_ageing": Parameter(21.9, "d", "unchecked", "decay of albedo: Oerlemans and Knap 1998"),
    "fresh_snow": Parameter(3.0, "mm d-1", "assumption", "a fall that renews the albedo"),
    "exposure_memory": Parameter(
        0.5, "1", "assumption", "darkness that ice keeps from year to year"),
    "radiation_share": Parameter(0.4, "1", "assumption", "melt that follows radiation: Hock 1999"),
    "dust_sd": Parameter(
        0.08, "1", "adjusted", "was 0.06; impurities melt 15-19 %: Gabbi et al. 2015"),
    "local_melt_sd": Parameter(0.1, "1", "adjusted", "was 0.08"),
    "local_accumulation_sd": Parameter(
        0.12, "1", "assumption", "not from topography: Reveillet et al. 2017"),
    "balance_before_warming": Parameter(
        -0.2, "m w.e. a-1", "unchecked", "near-steady 1954-1981: Vincent 2002"),
    "balance_before_warming_sd": Parameter(0.15, "m w.e. a-1", "gross", "spread of mean balances"),
    # Geometry
    "band_height": Parameter(50.0, "m", "convention", ""),
    "altitude_mean": Parameter(3040.0, "m", "adjusted", "was 3080"),
    "altitude_sd": Parameter(140.0, "m", "adjusted", "was 120"),
    "altitude_range": Parameter(850.0, "m for 2 km2", "gross", ""),
    "altitude_range_exponent": Parameter(0.25, "1", "assumption", "growth with area"),
    "altitude_range_log_sd": Parameter(0.15, "1", "assumption", ""),
    "hypsometry_least": Parameter(
        1.6, "1", "assumption", "least shape of the beta-like hypsometry"),
    "hypsometry_most": Parameter(2.8, "1", "assumption", "largest shape"),
    "area_median": Parameter(2.8, "km2", "adjusted", "was 2.3"),
    "area_log_sd": Parameter(0.85, "1", "adjusted", "was 0.75"),
    "length_factor": Parameter(1500.0, "m for 1 km2", "gross", "lengths of the inventory"),
    "length_exponent": Parameter(0.62, "1", "gross", "lengths of the inventory"),
    "slope20_log_mean": Parameter(-0.1, "1", "gross", "against the slope of the glacier"),
    "slope20_log_sd": Parameter(0.4, "1", "adjusted", "was 0.3"),
    "volume_factor": Parameter(0.0285, "km3 for 1 km2", "unchecked", "Alps: Chen and Ohmura 1990"),
    "volume_exponent": Parameter(1.357, "1", "unchecked", "Alps: Chen and Ohmura 1990"),
    "area_response": Parameter(20.0, "a", "adjusted", "was 40; areas of the inventories"),
    "area_least": Parameter(0.2, "1", "convention", "share of the first area that always stays"),
    "retreat_exponent": Parameter(
        4.0, "1", "assumption", "loss near the tongue, in the manner of Huss et al. 2010"),
    "ice_density": Parameter(0.9, "1", "convention", "relative to water"),
    # Reanalysis, as the models see it
    "reanalysis_lapse_rate": Parameter(
        6.0, "K km-1", "literature", "the code of the published set"),
    "reanalysis_snow_threshold": Parameter(
        2.0, "degC", "literature", "the code of the published set"),
    "reanalysis_temperature_bias_sd": Parameter(
        0.4, "K", "assumption", "compare Vernay et al. 2022"),
    "reanalysis_temperature_drift_sd": Parameter(
        0.25, "K", "assumption", "stations change with time: Vidal et al. 2010"),
    "reanalysis_temperature_drift_persistence": Parameter(
        0.9, "1", "assumption", "from year to year"),
    "reanalysis_temperature_monthly_sd": Parameter(
        0.5, "K", "assumption", "compare Vernay et al. 2022"),
    "reanalysis_temperature_daily_sd": Parameter(
        1.0, "K", "assumption", "compare Vernay et al. 2022"),
    "reanalysis_precipitation_bias_sd": Parameter(
        0.1, "1", "assumption", "compare Vernay et al. 2022"),
    "reanalysis_precipitation_monthly_sd": Parameter(
        0.15, "1", "assumption", "compare Vernay et al. 2022"),
}
# fmt: on
VALUES: dict[str, float] = {name: parameter.value for name, parameter in PARAMETERS.items()}

REFERENCES = (
    "Bardossy and Plate 1992, Water Resour. Res. 28",
    "Beaumet et al. 2021, Reg. Environ. Change 21",
    "Bolibar et al. 2020, Cryosphere 14",
    "Chen and Ohmura 1990, IAHS Publ. 193",
    "Gabbi et al. 2015, Cryosphere 9",
    "Hock 1999, J. Glaciol. 45",
    "Hock 2003, J. Hydrol. 282",
    "Huss and Hock 2015, Front. Earth Sci. 3",
    "Huss et al. 2010, Hydrol. Earth Syst. Sci. 14",
    "Oerlemans and Knap 1998, J. Glaciol. 44",
    "Rabatel et al. 2016, J. Glaciol. 62",
    "Reveillet et al. 2017, J. Glaciol. 63",
    "Rolland 2003, J. Climate 16",
    "Vernay et al. 2022, Earth Syst. Sci. Data 14",
    "Vidal et al. 2010, Int. J. Climatol. 30",
    "Vincent 2002, J. Geophys. Res. 107",
    "Vincent and Vallon 1997, J. Glaciol. 43",
    "Wilks and Wilby 1999, Prog. Phys. Geogr. 23",
)

# Fictitious massifs of the western Alps: name, longitude, latitude (deg).
MASSIFS = (
    ("Aiguilles Grises", 6.95, 45.93),
    ("Hautes Ravieres", 6.80, 45.62),
    ("Val Brunel", 7.05, 45.38),
    ("Mont Sorel", 6.72, 45.30),
    ("Grandes Faugeres", 6.17, 45.14),
    ("Combe Noire", 6.36, 44.93),
)
NAMES = (
    "des Aubrettes", "du Corbassin", "de la Vernaz", "des Orgeres", "du Grand Laus",
    "de Malecoste", "du Pissou", "de la Tourmaille", "des Sagnieres", "du Roc Fendu",
    "de Chantelouve", "de la Bessanne", "du Col Vert", "des Trois Dames", "de Combe Rousse",
    "du Serpolet", "de la Lauziere Haute", "des Fontanettes", "du Vallon Blanc", "de Tardevent",
    "de la Grisaille", "du Clot Neuf", "des Marmottanes", "de Pierre Ronde", "du Plan Sec",
    "de la Sauvagere", "des Cornettes", "du Bec Rouge", "de Valfroide", "de la Mandette",
    "du Gros Jas", "des Eaux Perdues", "de l'Ourtigas", "du Pas Etroit", "de la Belle Combe",
    "des Arpettes",
)  # fmt: skip
WINDS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
INVENTORIES = (1967, 1985, 2003, 2015)
# The published set interpolates between them in 25, 19 and 13 steps with both ends.
_INVENTORY_YEARS = (1959, 1983, 1984, 2002, 2003, 2015)
REFERENCE_YEARS = 32  # anomalies refer to the mean of the last 32 years, 1984-2015 as published
_EQUILIBRIUM_YEARS = 25
_CALIBRATIONS = 3

# ---------------------------------------------------------------------------------- glaciers


@dataclass(frozen=True)
class Glaciers:
    """Glaciers (G of them) and their elevation bands (B in all, those of a glacier together)."""

    name: list[str]
    glims_id: list[str]
    massif: NDArray[np.int64]  # (G,) position in MASSIFS
    longitude: Array  # (G,) deg
    latitude: Array  # (G,) deg
    aspect: Array  # (G,) deg from north, clockwise
    slope: Array  # (G,) deg, whole glacier
    slope20: Array  # (G,) deg, lowest 20 % of the glacier
    of_band: NDArray[np.int64]  # (B,) glacier of each band
    altitude: Array  # (B,) m, middle of the band
    area: Array  # (B,) km2, at the start

    def total(self, values: Array) -> Array:
        """Sum over the bands of each glacier: (B,) or (…, B) to (G,) or (…, G)."""
        starts = np.searchsorted(self.of_band, np.arange(len(self.name)))
        return np.add.reduceat(values, starts, axis=-1)


def make_glaciers(
    count: int, rng: np.random.Generator, values: Mapping[str, float] = VALUES
) -> Glaciers:
    """Draw ``count`` glaciers with their hypsometry.

    Areas are log-normal, larger glaciers span more altitude and are less steep, and north-facing
    ones are the most frequent.
    """
    massif = np.sort(np.arange(count) % len(MASSIFS))
    centre = np.array([entry[1:] for entry in MASSIFS])[massif]
    place = (centre + rng.normal(0, (0.06, 0.04), (count, 2))).round(3)
    ids: list[str] = []
    for i in range(count):
        while (name := _glims_id(*place[i])) in ids:
            place[i, 0] = round(place[i, 0] + 0.001, 3)
        ids.append(name)
    order = rng.permutation(count)
    names = [
        NAMES[k % len(NAMES)] + (f" {k // len(NAMES) + 1}" if k >= len(NAMES) else "")
        for k in order
    ]
    area = values["area_median"] * np.exp(values["area_log_sd"] * rng.standard_normal(count))
    aspect = 45.0 * rng.choice(8, count, p=(0.22, 0.18, 0.14, 0.05, 0.05, 0.06, 0.1, 0.2))
    span = values["altitude_range"] * (area / 2) ** values["altitude_range_exponent"]
    span = span * np.exp(rng.normal(0, values["altitude_range_log_sd"], count))
    mean = rng.normal(values["altitude_mean"], values["altitude_sd"], count)
    length = values["length_factor"] * area ** values["length_exponent"]
    slope = np.degrees(np.arctan(span / length))
    steeper = rng.normal(values["slope20_log_mean"], values["slope20_log_sd"], count)
    slope20 = np.clip(slope * np.exp(steeper), 5, 45)
    shape = rng.uniform(values["hypsometry_least"], values["hypsometry_most"], (count, 2))

    height = values["band_height"]
    of_band, altitude, band_area = [], [], []
    for i in range(count):
        bands = max(round(span[i] / height), 5)
        position = (np.arange(bands) + 0.5) / bands
        weight = position ** (shape[i, 0] - 1) * (1 - position) ** (shape[i, 1] - 1)
        weight /= weight.sum()
        lowest = mean[i] - height * bands * (weight @ position)
        of_band.append(np.full(bands, i))
        altitude.append(lowest + height * bands * position)
        band_area.append(area[i] * weight)
    return Glaciers(
        name=names,
        glims_id=ids,
        massif=massif,
        longitude=place[:, 0],
        latitude=place[:, 1],
        aspect=aspect,
        slope=slope,
        slope20=slope20,
        of_band=np.concatenate(of_band),
        altitude=np.concatenate(altitude),
        area=np.concatenate(band_area),
    )


def _glims_id(longitude: float, latitude: float) -> str:
    return f"G{round(longitude * 1000):06d}E{round(latitude * 1000):05d}N"


def radiation_ratio(latitude: Array, slope: Array, aspect: Array) -> Array:
    """Daily potential solar radiation on a slope, relative to the horizontal.

    Parameters
    ----------
    latitude, slope, aspect
        (G,) deg; aspect from north, clockwise.

    Returns
    -------
    (12, G), January first. Direct beam without atmosphere or shade, from the usual formulae of
    solar geometry.
    """
    day = 15 + 30.4 * np.arange(12)
    declination = np.radians(23.45) * np.sin(2 * np.pi * (284 + day) / 365)
    hour = np.radians(np.arange(-179.5, 180, 1))  # fine, or sunrise adds noise
    phi = np.radians(latitude)[None, None]
    delta, omega = declination[:, None, None], hour[None, :, None]
    up = np.sin(phi) * np.sin(delta) + np.cos(phi) * np.cos(delta) * np.cos(omega)
    north = np.cos(phi) * np.sin(delta) - np.sin(phi) * np.cos(delta) * np.cos(omega)
    east = -np.cos(delta) * np.sin(omega)
    tilt, facing = np.radians(slope), np.radians(aspect)
    on_slope = up * np.cos(tilt) + np.sin(tilt) * (north * np.cos(facing) + east * np.sin(facing))
    day_lit = up > 0
    direct = np.where(day_lit, np.maximum(on_slope, 0), 0).sum(axis=1)
    return direct / np.where(day_lit, up, 0).sum(axis=1)


# ----------------------------------------------------------------------------------- climate


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
    values: Mapping[str, float] = VALUES,
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
    summer = np.cos(2 * np.pi * (day - values["warmest_day"]) / 365.25)  # 1 in summer, -1 in winter
    mix_t = _mixing(values["temperature_shared"], values["correlation_length"])
    mix_p = _mixing(values["precipitation_shared"], values["correlation_length"])
    massifs = len(MASSIFS)

    def normal(size: int, mix: Array) -> Array:
        return rng.standard_normal((size, massifs)) @ mix.T

    wet = _autoregressive(normal(days, mix_p), values["wet_persistence"])
    threshold = NormalDist().inv_cdf(1 - values["wet_days"])
    grid = np.linspace(threshold, threshold + 8, 2001)
    density = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi)
    power = values["precipitation_power"]
    expected = np.sum((grid - threshold) ** power * density) * (grid[1] - grid[0])
    anomaly = _lognormal(normal(months, mix_p), values["precipitation_monthly_sd"])[month]
    season = 1 - values["precipitation_winter_excess"] * summer
    precipitation = (
        values["precipitation_annual"] / 365.25 * season[:, None] * wetness * anomaly
        * np.maximum(wet - threshold, 0) ** power / expected
    )  # fmt: skip

    # A cold summer day is more often a wet one, which decides whether summer snow falls.
    link = -values["cold_rain"] * np.maximum(summer, 0)[:, None]
    shock = link * wet + np.sqrt(1 - link**2) * normal(days, mix_t)
    spread = values["weather_temperature_sd"] - values["weather_temperature_sd_amplitude"] * summer
    weather = _autoregressive(shock, values["weather_temperature_persistence"]) * spread[:, None]
    time = year.astype(np.int64) + 1970 + day / 365.25
    elapsed = np.maximum(time - values["warming_start"], 0) / 10 if warming else np.zeros(days)
    trend = values["warming_rate"] * elapsed * (1 + values["warming_summer_excess"] * summer)
    cycle = values["temperature_mean"] + values["temperature_amplitude"] * summer
    slow = values["temperature_monthly_sd"] * normal(months, mix_t)[month]
    return Climate(dates, (cycle + trend)[:, None] + slow + weather, precipitation)


def _mixing(shared: float, length: float) -> Array:
    """Cholesky factor of the correlation between massifs: a shared part, the rest by distance."""
    place = np.array([entry[1:] for entry in MASSIFS]) * (111.2 * np.cos(np.radians(45.4)), 111.2)
    distance = np.linalg.norm(place[:, None] - place[None], axis=-1)
    return np.linalg.cholesky(shared + (1 - shared) * np.exp(-distance / length))


def _lognormal(normal: Array, sd: float) -> Array:
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


# --------------------------------------------------------------------------- surface balance


@dataclass(frozen=True)
class YearBalance:
    """Sums of one hydrological year on each band, mm w.e., each (B,).

    ``accumulation - snow_melt == snow_left`` and the balance is ``snow_left - bare_melt``.
    """

    accumulation: Array
    snow_melt: Array
    bare_melt: Array  # of firn and ice
    snow_left: Array
    bare_share: Array  # share of the degree days that reached firn or ice

    @property
    def balance(self) -> Array:
        """Balance, mm w.e. (B,)."""
        return self.snow_left - self.bare_melt


def melt_year(
    temperature: Array,
    precipitation: Array,
    sunlight: Array,
    exposure: Array,
    values: Mapping[str, float] = VALUES,
) -> YearBalance:
    """Accumulate and melt through one hydrological year, from bare ground.

    Parameters
    ----------
    temperature, precipitation
        (D, B), degC and mm per day.
    sunlight
        (D, B) factor on the degree-day factors: slope, aspect, dust.
    exposure
        (B,) how dark the ground under the snow is, from 0 (firn) to 1 (ice long exposed).

    Notes
    -----
    Degree days (Hock 2003) melt snow first; the factor of snow rises with the days since the
    last fall (albedo decay, Oerlemans and Knap 1998). The store s_t = max(s_{t-1} + a_t - m_t, 0)
    has the closed form S_t - min(0, min_{u<=t} S_u) with S the running sum of a - m, which needs
    no loop over days.
    """
    liquid = (temperature - values["snow_threshold"]) / (2 * values["snow_transition"]) + 0.5
    snowfall = precipitation * (1 - np.clip(liquid, 0, 1, out=liquid))
    degrees = np.maximum(temperature - values["melt_threshold"], 0) * sunlight

    day = np.arange(len(snowfall))
    last_fall = np.where(snowfall >= values["fresh_snow"], day[:, None], 0)
    age = day[:, None] - np.maximum.accumulate(last_fall, axis=0)
    fresh, old = values["degree_day_fresh_snow"], values["degree_day_old_snow"]
    factor = (fresh + (old - fresh) * (1 - np.exp(-day / values["snow_ageing"])))[age]

    running = np.cumsum(snowfall - degrees * factor, axis=0)
    store = running - np.minimum(np.minimum.accumulate(running, axis=0), 0)
    melted = snowfall - np.diff(store, axis=0, prepend=0)
    # What warmth the snow left over melts firn or ice.
    warmth = degrees.sum(axis=0)
    left = np.maximum(warmth - (melted / factor).sum(axis=0), 0)
    firn, ice = values["degree_day_firn"], values["degree_day_ice"]
    return YearBalance(
        accumulation=snowfall.sum(axis=0),
        snow_melt=melted.sum(axis=0),
        bare_melt=left * (firn + (ice - firn) * exposure),
        snow_left=store[-1],
        bare_share=left / np.maximum(warmth, 1e-9),
    )


@dataclass(frozen=True)
class Forcing:
    """What makes a glacier or a year melt or gather more than the climate of its massif says."""

    accumulation: Array  # (Y, G) factor on precipitation
    melt: Array  # (Y, G) factor on melt


@dataclass(frozen=True)
class History:
    """What happened to the glaciers."""

    balance: Array  # (Y, G) m w.e.
    accumulation: Array  # (Y, G) m w.e.
    melt: Array  # (Y, G) m w.e.
    areas: Array  # (Y + 1, B) km2, before each year and after the last

    def after(self, years: int) -> "History":
        """Return the history without its first ``years``."""
        return History(
            self.balance[years:], self.accumulation[years:], self.melt[years:], self.areas[years:]
        )


def run(
    glaciers: Glaciers,
    climate: Climate,
    years: range,
    forcing: Forcing,
    values: Mapping[str, float] = VALUES,
    evolve: bool = True,
) -> History:
    """Run the glaciers through the hydrological ``years`` (October to September).

    The balance of a glacier is the mean over its bands, weighted by the area at the start of the
    year. With ``evolve`` the areas follow the balance; otherwise the geometry stays.
    """
    z = (glaciers.altitude - values["reference_altitude"])[None]
    enhancement = np.maximum(1 + values["precipitation_gradient"] * z / 100, 0)
    share = values["radiation_share"]
    sun = radiation_ratio(glaciers.latitude, glaciers.slope, glaciers.aspect)
    sun = 1 - share + share * sun  # (12, G)
    lapse = values["lapse_rate_mean"] + values["lapse_rate_amplitude"] * np.cos(
        2 * np.pi * (np.arange(12) - 6) / 12
    )
    band_massif = glaciers.massif[glaciers.of_band]
    month = climate.month
    exposure = np.full(len(glaciers.altitude), 0.5)
    memory = values["exposure_memory"]
    areas = [glaciers.area]
    volume = values["volume_factor"] * glaciers.total(glaciers.area) ** values["volume_exponent"]
    sums: list[tuple[Array, Array]] = []
    for i, year in enumerate(years):
        days = climate.between(f"{year - 1}-10-01", f"{year}-09-30")
        m = month[days]
        result = melt_year(
            climate.temperature[days][:, band_massif] - lapse[m, None] * z / 1000,
            climate.precipitation[days][:, band_massif]
            * (enhancement * forcing.accumulation[i, glaciers.of_band]),
            sun[m][:, glaciers.of_band] * forcing.melt[i, glaciers.of_band],
            exposure,
            values,
        )
        exposure = memory * exposure + (1 - memory) * result.bare_share
        area = areas[-1]
        total = glaciers.total(area)
        gained = glaciers.total(area * result.accumulation) / total / 1000
        lost = glaciers.total(area * (result.snow_melt + result.bare_melt)) / total / 1000
        sums.append((gained, lost))
        if evolve:
            change = (gained - lost) * total / 1000 / values["ice_density"]
            volume = np.maximum(volume + change, 1e-4)
            area = _follow(glaciers, area, volume, values)
        areas.append(area)
    gains, losses = (np.array(part) for part in zip(*sums, strict=True))
    return History(gains - losses, gains, losses, np.array(areas))


def _follow(glaciers: Glaciers, area: Array, volume: Array, values: Mapping[str, float]) -> Array:
    """Let the areas of the bands (B,) follow the volumes (G,), mostly near the tongue.

    The area relaxes towards that of volume-area scaling (Chen and Ohmura 1990) and never falls
    below a share of the first one: a glacier that leaves the data set is not simulated.
    """
    total, start = glaciers.total(area), glaciers.total(glaciers.area)
    target = (volume / values["volume_factor"]) ** (1 / values["volume_exponent"])
    new = np.maximum(
        total + (target - total) / values["area_response"], values["area_least"] * start
    )
    counts = np.bincount(glaciers.of_band)
    first = np.cumsum(counts) - counts
    position = (np.arange(len(area)) - first[glaciers.of_band]) / counts[glaciers.of_band]
    weight = area * (1 - position) ** values["retreat_exponent"]
    weight /= glaciers.total(weight)[glaciers.of_band]
    changed = area + weight * (new - total)[glaciers.of_band]
    # A band can lose no more than it has; what it lacks is taken from all the others.
    changed = np.maximum(changed, 0.02 * glaciers.area)
    return changed * (new / glaciers.total(changed))[glaciers.of_band]


def equilibrate(
    glaciers: Glaciers,
    climate: Climate,
    years: range,
    target: Array,
    values: Mapping[str, float] = VALUES,
) -> Array:
    """Find the factor (G,) on precipitation with which each glacier's mean balance is ``target``.

    A glacier lies where local accumulation nearly balances melt; giving glaciers of any altitude
    the same precipitation would put most of them far from any balance. Calibrating a factor on
    precipitation is the common way out (Huss and Hock 2015).
    """
    factor = np.full(len(glaciers.name), 1.4)
    ones = np.ones((len(years), len(factor)))
    for _ in range(_CALIBRATIONS):
        history = run(glaciers, climate, years, Forcing(ones * factor, ones), values, evolve=False)
        slope = history.accumulation.mean(axis=0) / factor
        factor = np.clip(factor + (target - history.balance.mean(axis=0)) / slope, 0.5, 3.5)
    return factor


# ------------------------------------------------------------------------------ observations


@dataclass(frozen=True)
class Predictors:
    """The reanalysis at the mean altitude of each glacier, by hydrological year."""

    temperature: Array  # (G, Y, 12) degC, October first
    snow: Array  # (G, Y, 12) mm w.e.
    cpdd: Array  # (G, Y) K d
    winter_snow: Array  # (G, Y) mm w.e.
    summer_snow: Array  # (G, Y) mm w.e.


def reanalyse(
    climate: Climate, rng: np.random.Generator, values: Mapping[str, float] = VALUES
) -> Climate:
    """Return the climate as a reanalysis gives it: with bias, drift and noise."""
    months = climate.dates.astype("datetime64[M]").astype(np.int64)
    months -= months[0]
    years = climate.dates.astype("datetime64[Y]").astype(np.int64)
    years -= years[0]
    massifs = climate.temperature.shape[1]
    error = values["reanalysis_temperature_bias_sd"] * rng.standard_normal(massifs)
    persistence = values["reanalysis_temperature_drift_persistence"]
    drift = _autoregressive(rng.standard_normal((years[-1] + 1, 1)), persistence)
    mix = _mixing(values["temperature_shared"], values["correlation_length"])
    monthly = rng.standard_normal((months[-1] + 1, massifs)) @ mix.T
    daily = rng.standard_normal(climate.temperature.shape) @ mix.T
    temperature = (
        climate.temperature
        + error
        + values["reanalysis_temperature_drift_sd"] * drift[years]
        + values["reanalysis_temperature_monthly_sd"] * monthly[months]
        + values["reanalysis_temperature_daily_sd"] * daily
    )
    factor = _lognormal(
        rng.standard_normal(massifs), values["reanalysis_precipitation_bias_sd"]
    ) * _lognormal(
        rng.standard_normal((months[-1] + 1, massifs)),
        values["reanalysis_precipitation_monthly_sd"],
    )
    return Climate(climate.dates, temperature, climate.precipitation * factor[months])


def predict_from(
    climate: Climate,
    massif: NDArray[np.int64],
    altitude: Array,
    years: range,
    values: Mapping[str, float] = VALUES,
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
        z = altitude[:, i] - values["reference_altitude"]
        days = climate.between(f"{year - 1}-09-01", f"{year}-12-31")
        dates = climate.dates[days]
        warmth = climate.temperature[days][:, massif]
        warmth = warmth - values["reanalysis_lapse_rate"] * z / 1000
        gradient = np.maximum(1 + values["precipitation_gradient"] * z / 100, 0)
        snowfall = climate.precipitation[days][:, massif] * gradient
        snowfall = np.where(warmth < values["reanalysis_snow_threshold"], snowfall, 0)

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


def observed_cells(
    glaciers: int,
    years: range,
    dense_from: int,
    observed_fraction: float,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Choose which balances were observed: (G, Y).

    Before ``dense_from`` only two glaciers are measured, then three and four in the last eight and
    four years. From then on all are but for a share of gaps that crowd in the last years, as the
    last images were not yet worked up when the published set was made. The glaciers with a long
    record have no gaps.
    """
    columns = np.array(years)
    observed = np.zeros((glaciers, len(columns)), dtype=bool)
    long_records = rng.permutation(glaciers)[:4]
    for k, glacier in enumerate(long_records):
        begin = dense_from - 4 * (4 - k) if k >= 2 else columns[0]
        observed[glacier, columns >= begin] = True
    dense = columns >= dense_from
    weight = np.where(columns == columns[-1], 500.0, np.where(columns > columns[-1] - 4, 5.0, 1.0))
    weight = np.tile(weight * dense, (glaciers, 1))
    observed[:, dense] = True
    weight[long_records] = 0
    gaps = min(round((1 - observed_fraction) * glaciers * dense.sum()), int((weight > 0).sum()))
    if gaps:
        cells = rng.choice(weight.size, gaps, replace=False, p=(weight / weight.sum()).ravel())
        observed.ravel()[cells] = False
    return observed


# ------------------------------------------------------------------------------------- files


def _inventory(glaciers: Glaciers, areas: Array, year: int) -> pd.DataFrame:
    """Describe the glaciers in one year, with the columns of the published inventories."""
    area = glaciers.total(areas)
    mean = glaciers.total(areas * glaciers.altitude) / area
    rows = []
    for i, name in enumerate(glaciers.name):
        bands = glaciers.of_band == i
        z, a = glaciers.altitude[bands], areas[bands]
        there = z[a > 0.05 * glaciers.area[bands]]
        median = z[np.searchsorted(np.cumsum(a), area[i] / 2)]
        half = VALUES["band_height"] / 2
        low, high = there[0] - half, z[-1] + half
        length = (high - low) / np.tan(np.radians(glaciers.slope[i]))
        rows.append(
            {
                "Area": round(area[i], 4),
                "Perimeter": round(2 * length / 1000 + 2 * area[i] * 1000 / length, 4),
                "Glacier": name,
                "Annee": year,
                "Massif": MASSIFS[glaciers.massif[i]][0],
                "MEAN_Pixel": round(mean[i], 4),
                "MIN_Pixel": round(low),
                "MAX_Pixel": round(high),
                "MEDIAN_Pix": round(median, 1),
                "Length": round(length, 2),
                "Aspect": WINDS[int(glaciers.aspect[i]) // 45],
                "x_coord": round(glaciers.longitude[i], 6),
                "y_coord": round(glaciers.latitude[i], 6),
                "GLIMS_ID": glaciers.glims_id[i],
            }
        )
    return pd.DataFrame(rows)


def _write_inventories(
    glaciers: Glaciers, history: History, years: range, output: Path
) -> list[Array]:
    """Write the four inventories; return the mean altitudes (G,) in each, m."""
    numbers = {
        "Massif_SAFRAN": glaciers.massif + 1,
        "Aspect_num": glaciers.aspect.astype(np.int64),
    }
    altitudes = []
    for year in INVENTORIES:
        # A shorter simulation has the nearest geometry it knows.
        position = min(max(year - years[0] + 1, 0), len(years))
        table = _inventory(glaciers, history.areas[position], year)
        altitudes.append(table["MEAN_Pixel"].to_numpy())
        if year == 2003:
            table = table.assign(**numbers, ID=np.arange(len(table)))
        name = f"GLIMS_{year}.csv"
        if year == INVENTORIES[-1]:
            name = "GLIMS_Rabatel_30_2015.csv"
            table.insert(13, "slope20", glaciers.slope20.round().astype(np.int64))
            table = table.assign(**numbers, slope20_evo=glaciers.slope20.round(1))
        with writing(output / name) as temporary:
            table.to_csv(temporary, sep=";", index=False, lineterminator="\n")
    return altitudes


def _write_objects(content: dict[str, object], path: Path) -> None:
    """Write a dictionary as NumPy does: a pickled array of one object, as in the published set."""
    with writing(path) as temporary, temporary.open("wb") as file:
        np.save(file, np.array(content, dtype=object), allow_pickle=True)


def _objects(rows: list[dict[str, object]]) -> NDArray[np.object_]:
    array = np.empty(len(rows), dtype=object)
    array[:] = rows
    return array


def _write_climate(glaciers: Glaciers, predictors: Predictors, years: range, output: Path) -> None:
    """Write the four climate files, anomalies relative to the mean of the last 32 years."""
    labels = [
        {"Glacier": name, "GLIMS_ID": glims}
        for name, glims in zip(glaciers.name, glaciers.glims_id, strict=True)
    ]
    column = np.array(years, dtype=np.float64)
    season, anomalies = {}, {}
    for name, key, table in (
        ("CPDD", "CPDD", predictors.cpdd),
        ("winter_snow", "snow", predictors.winter_snow),
        ("summer_snow", "snow", predictors.summer_snow),
    ):
        means = table[:, -REFERENCE_YEARS:].mean(axis=1)
        season[name] = _objects(
            [
                # Year and value alternate in one flat array.
                {**label, key: np.column_stack([column, row]).ravel(), "Mean": float(mean)}
                for label, row, mean in zip(labels, table, means, strict=True)
            ]
        )
        anomalies[name] = table - means[:, None]
    _write_objects(season, output / "season_meteo_SMB.txt")
    _write_objects(anomalies, output / "season_raw_meteo_anomalies_SMB.txt")

    absolute, departures = {}, {}
    for name, key, table, listed in (
        ("temp", "mon_temp", predictors.temperature, list(years)),
        ("snow", "mon_snow", predictors.snow, []),  # the published files name no years here
    ):
        means = table[:, -REFERENCE_YEARS:].mean(axis=1)
        for target, shift in ((absolute, 0), (departures, means[:, None])):
            target[name] = _objects(
                [
                    {**label, key: list(row), "mon_means": mean.tolist(), "years": list(listed)}
                    for label, row, mean in zip(labels, table - shift, means, strict=True)
                ]
            )
    _write_objects(absolute, output / "monthly_meteo_SMB.txt")
    _write_objects(departures, output / "monthly_meteo_anomalies_SMB.txt")


# -------------------------------------------------------------------------------------- step


def simulate(
    *,
    output: Path,
    glaciers: int = 32,
    first_year: int = 1959,
    last_year: int = 2015,
    dense_from: int = 1984,
    observed_fraction: float = 0.96,
    observation_noise: float = 0.2,
    seed: int = 0,
) -> None:
    """Write a simulated raw data set with the files of the published one.

    Parameters
    ----------
    output
        Folder to write to.
    glaciers
        Number of glaciers.
    first_year, last_year
        First and last hydrological year, named by its end.
    dense_from
        First year in which all glaciers are observed; 2 to 4 are before.
    observed_fraction
        Share of the balances that are observed from that year on.
    observation_noise
        Standard deviation of the error of an observed balance, m w.e. a-1, independent between
        glaciers and years. For scale: balances from the snow line and those measured on the ice
        differ by about 0.3 (Rabatel et al. 2016).
    seed
        Seed of all random numbers.
    """
    options = {key: value for key, value in locals().items() if key != "output"}
    _check(glaciers, first_year, last_year, observed_fraction, observation_noise, seed)
    output = Path(output)
    # One stream each, so that an option of one part leaves the other parts as they are.
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(6)]
    for_glaciers, for_equilibrium, for_climate, for_places, for_reanalysis, for_observer = streams
    years = range(first_year, last_year + 1)

    ice = make_glaciers(glaciers, for_glaciers)
    steady_years = range(first_year, first_year + _EQUILIBRIUM_YEARS)
    wetness = _lognormal(
        for_glaciers.standard_normal(len(MASSIFS)), VALUES["precipitation_massif_sd"]
    )
    steady = make_climate(
        f"{first_year - 1}-10-01",
        f"{steady_years[-1]}-09-30",
        wetness,
        for_equilibrium,
        warming=False,
    )
    target = for_equilibrium.normal(
        VALUES["balance_before_warming"], VALUES["balance_before_warming_sd"], glaciers
    )
    factor = equilibrate(ice, steady, steady_years, target)

    # Two years earlier than needed: one lets the memory of the ice settle.
    climate = make_climate(f"{first_year - 2}-09-01", f"{last_year}-12-31", wetness, for_climate)
    spell = (len(years) + 1, glaciers)
    drift = _lognormal(for_places.standard_normal(spell), VALUES["local_accumulation_sd"])
    surface = _lognormal(for_places.standard_normal(spell), VALUES["local_melt_sd"])
    dust = _lognormal(for_places.standard_normal((spell[0], 1)), VALUES["dust_sd"])
    forcing = Forcing(accumulation=factor * drift, melt=dust * surface)
    history = run(ice, climate, range(first_year - 1, last_year + 1), forcing).after(1)

    altitudes = _write_inventories(ice, history, years, output)
    # The predictors are those at the altitude that the inventories give, as in the published set.
    first, second, third, last = altitudes
    steps = np.stack([first, second, second, third, third, last])
    altitude = np.stack([np.interp(years, _INVENTORY_YEARS, row) for row in steps.T])
    seen = predict_from(reanalyse(climate, for_reanalysis), ice.massif, altitude, years)
    _write_climate(ice, seen, years, output)

    balance = history.balance.T
    known = observed_cells(glaciers, years, dense_from, observed_fraction, for_observer)
    measured = balance + observation_noise * for_observer.standard_normal(balance.shape)
    with writing(output / "SMB_raw_temporal.csv") as temporary:
        temporary.write_text(
            "".join(
                ";".join(f"{value:.2f}" if there else "" for value, there in zip(*row, strict=True))
                + "\n"
                for row in zip(measured, known, strict=True)
            ),
            encoding="utf-8",
        )
    truth = pd.DataFrame(
        {
            "glacier": np.repeat(ice.glims_id, len(years)),
            "year": np.tile(np.array(years), glaciers),
            "mass_balance": balance.ravel(),
            "accumulation": history.accumulation.T.ravel(),
            "melt": history.melt.T.ravel(),
            "area": ice.total(history.areas[:-1]).T.ravel(),
        }
    )
    units = dict.fromkeys(("mass_balance", "accumulation", "melt"), "m w.e. a-1") | {"area": "km2"}
    write_table(truth, output / "truth.parquet", {"units": units})
    parameters = {name: asdict(parameter) for name, parameter in PARAMETERS.items()}
    write_json(
        {"options": options, "parameters": parameters, "references": list(REFERENCES)},
        output / "parameters.json",
    )


def _check(
    glaciers: int,
    first_year: int,
    last_year: int,
    observed_fraction: float,
    observation_noise: float,
    seed: int,
) -> None:
    """Refuse options that describe no data set."""
    problems = (
        (glaciers < 1, f"--glaciers is {glaciers}; give at least 1"),
        (
            last_year <= first_year,
            f"--last-year {last_year} is not after --first-year {first_year}; "
            "give two years or more",
        ),
        (
            not 1800 <= first_year <= 2200 or not last_year <= 2200,
            f"--first-year {first_year} or --last-year {last_year} is not within 1800-2200",
        ),
        (
            not 0 < observed_fraction <= 1,
            f"--observed-fraction is {observed_fraction}; give a share above 0 and up to 1",
        ),
        (
            not 0 <= observation_noise < np.inf,
            f"--observation-noise is {observation_noise}; give a standard deviation of 0 or more",
        ),
        (seed < 0, f"--seed is {seed}; give 0 or more"),
    )
    for wrong, message in problems:
        if wrong:
            raise InputError(f"simulate: {message}.")


if __name__ == "__main__":
    main(simulate)
