"""The simulated glaciers: geometry, degree-day mass balance, response of the area.

Shapes: D days, B elevation bands, G glaciers, Y hydrological years.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from casestudies.glacier.climate import MASSIFS, Array, Climate
from casestudies.glacier.parameters import VALUES

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
_CALIBRATIONS = 3

# --------------------------------------------------------------------------------- geometry


@dataclass(frozen=True)
class Glaciers:
    """Glaciers and their elevation bands, those of a glacier together."""

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


def make_glaciers(count: int, rng: np.random.Generator) -> Glaciers:
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
    area = VALUES["area_median"] * np.exp(VALUES["area_log_sd"] * rng.standard_normal(count))
    aspect = 45.0 * rng.choice(8, count, p=(0.22, 0.18, 0.14, 0.05, 0.05, 0.06, 0.1, 0.2))
    span = VALUES["altitude_range"] * (area / 2) ** VALUES["altitude_range_exponent"]
    span = span * np.exp(rng.normal(0, VALUES["altitude_range_log_sd"], count))
    mean = rng.normal(VALUES["altitude_mean"], VALUES["altitude_sd"], count)
    length = VALUES["length_factor"] * area ** VALUES["length_exponent"]
    slope = np.degrees(np.arctan(span / length))
    steeper = rng.normal(VALUES["slope20_log_mean"], VALUES["slope20_log_sd"], count)
    slope20 = np.clip(slope * np.exp(steeper), 5, 45)
    shape = rng.uniform(VALUES["hypsometry_least"], VALUES["hypsometry_most"], (count, 2))

    height = VALUES["band_height"]
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


# ----------------------------------------------------------------------------- mass balance


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
    liquid = (temperature - VALUES["snow_threshold"]) / (2 * VALUES["snow_transition"]) + 0.5
    snowfall = precipitation * (1 - np.clip(liquid, 0, 1, out=liquid))
    degrees = np.maximum(temperature - VALUES["melt_threshold"], 0) * sunlight

    day = np.arange(len(snowfall))
    last_fall = np.where(snowfall >= VALUES["fresh_snow"], day[:, None], 0)
    age = day[:, None] - np.maximum.accumulate(last_fall, axis=0)
    fresh, old = VALUES["degree_day_fresh_snow"], VALUES["degree_day_old_snow"]
    factor = (fresh + (old - fresh) * (1 - np.exp(-day / VALUES["snow_ageing"])))[age]

    running = np.cumsum(snowfall - degrees * factor, axis=0)
    store = running - np.minimum(np.minimum.accumulate(running, axis=0), 0)
    melted = snowfall - np.diff(store, axis=0, prepend=0)
    # What warmth the snow left over melts firn or ice.
    warmth = degrees.sum(axis=0)
    left = np.maximum(warmth - (melted / factor).sum(axis=0), 0)
    firn, ice = VALUES["degree_day_firn"], VALUES["degree_day_ice"]
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
    evolve: bool = True,
) -> History:
    """Run the glaciers through the hydrological ``years`` (October to September).

    The balance of a glacier is the mean over its bands, weighted by the area at the start of the
    year. With ``evolve`` the areas follow the balance; otherwise the geometry stays.
    """
    z = (glaciers.altitude - VALUES["reference_altitude"])[None]
    enhancement = np.maximum(1 + VALUES["precipitation_gradient"] * z / 100, 0)
    share = VALUES["radiation_share"]
    sun = radiation_ratio(glaciers.latitude, glaciers.slope, glaciers.aspect)
    sun = 1 - share + share * sun  # (12, G)
    lapse = VALUES["lapse_rate_mean"] + VALUES["lapse_rate_amplitude"] * np.cos(
        2 * np.pi * (np.arange(12) - 6) / 12
    )
    band_massif = glaciers.massif[glaciers.of_band]
    month = climate.month
    exposure = np.full(len(glaciers.altitude), 0.5)
    memory = VALUES["exposure_memory"]
    areas = [glaciers.area]
    volume = VALUES["volume_factor"] * glaciers.total(glaciers.area) ** VALUES["volume_exponent"]
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
        )
        exposure = memory * exposure + (1 - memory) * result.bare_share
        area = areas[-1]
        total = glaciers.total(area)
        gained = glaciers.total(area * result.accumulation) / total / 1000
        lost = glaciers.total(area * (result.snow_melt + result.bare_melt)) / total / 1000
        sums.append((gained, lost))
        if evolve:
            change = (gained - lost) * total / 1000 / VALUES["ice_density"]
            volume = np.maximum(volume + change, 1e-4)
            area = _follow(glaciers, area, volume)
        areas.append(area)
    gains, losses = (np.array(part) for part in zip(*sums, strict=True))
    return History(gains - losses, gains, losses, np.array(areas))


def _follow(glaciers: Glaciers, area: Array, volume: Array) -> Array:
    """Let the areas of the bands (B,) follow the volumes (G,), mostly near the tongue.

    The area relaxes towards that of volume-area scaling (Chen and Ohmura 1990) and never falls
    below a share of the first one: a glacier that leaves the data set is not simulated.
    """
    total, start = glaciers.total(area), glaciers.total(glaciers.area)
    target = (volume / VALUES["volume_factor"]) ** (1 / VALUES["volume_exponent"])
    new = np.maximum(
        total + (target - total) / VALUES["area_response"], VALUES["area_least"] * start
    )
    counts = np.bincount(glaciers.of_band)
    first = np.cumsum(counts) - counts
    position = (np.arange(len(area)) - first[glaciers.of_band]) / counts[glaciers.of_band]
    weight = area * (1 - position) ** VALUES["retreat_exponent"]
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
) -> Array:
    """Find the factor (G,) on precipitation with which each glacier's mean balance is ``target``.

    A glacier lies where local accumulation nearly balances melt; giving glaciers of any altitude
    the same precipitation would put most of them far from any balance. Calibrating a factor on
    precipitation is the common way out (Huss and Hock 2015).
    """
    factor = np.full(len(glaciers.name), 1.4)
    ones = np.ones((len(years), len(factor)))
    for _ in range(_CALIBRATIONS):
        history = run(glaciers, climate, years, Forcing(ones * factor, ones), evolve=False)
        slope = history.accumulation.mean(axis=0) / factor
        factor = np.clip(factor + (target - history.balance.mean(axis=0)) / slope, 0.5, 3.5)
    return factor
