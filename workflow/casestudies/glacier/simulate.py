"""Simulate glaciers, their climate and their mass balance: the data set that needs no download.

A stochastic daily climate drives a distributed degree-day model on fictitious glaciers of the
western Alps. The raw files hold only what an observer would have: balances with an error and
gaps, inventories of four years, and the climate of a reanalysis that differs from the climate
that melted the ice. They have the layout of the published ALPGM set, so that simulated and
published data go through the same steps. Beside them ``truth.parquet`` keeps what was simulated.

The physics is in ``climate`` and ``balance``; ``parameters`` says what each value rests on.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casestudies.errors import InputError
from casestudies.glacier.balance import Forcing, Glaciers, History, equilibrate, make_glaciers, run
from casestudies.glacier.climate import (
    MASSIFS,
    Array,
    Predictors,
    lognormal,
    make_climate,
    predict_from,
    reanalyse,
)
from casestudies.glacier.parameters import PARAMETERS, REFERENCES, VALUES
from casestudies.parameters import write_parameters
from casestudies.steps import main
from casestudies.tables import write_table, writing

WINDS = ("N", "NE", "E", "SE", "S", "SW", "W", "NW")
INVENTORIES = (1967, 1985, 2003, 2015)
# The published set interpolates between them in 25, 19 and 13 steps with both ends.
_INVENTORY_YEARS = (1959, 1983, 1984, 2002, 2003, 2015)
REFERENCE_YEARS = 32  # anomalies refer to the mean of the last 32 years, 1984-2015 as published
_EQUILIBRIUM_YEARS = 25

# ------------------------------------------------------------------------------- observation


def observed_cells(
    glaciers: int,
    years: range,
    dense_from: int,
    observed_fraction: float,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Choose which balances were observed: (G, Y).

    Before ``dense_from`` only two glaciers are measured, then three and four in the last eight and
    four years. From then on all are but for a share of gaps that crowd in the last years, as in
    the published set. The glaciers with a long record have no gaps.
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


def _write_balances(balance: Array, path: Path) -> None:
    """Write the observed balances (G, Y), m w.e.: a line per glacier, nothing where NaN."""
    lines = (
        ";".join("" if np.isnan(value) else f"{value:.2f}" for value in row) for row in balance
    )
    with writing(path) as temporary:
        temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def _write_truth(glaciers: Glaciers, history: History, years: range, path: Path) -> None:
    """Write what no observer has: balances without error or gap, their parts, the areas."""
    truth = pd.DataFrame(
        {
            "glacier": np.repeat(glaciers.glims_id, len(years)),
            "year": np.tile(np.array(years), len(glaciers.name)),
            "mass_balance": history.balance.T.ravel(),
            "accumulation": history.accumulation.T.ravel(),
            "melt": history.melt.T.ravel(),
            "area": glaciers.total(history.areas[:-1]).T.ravel(),
        }
    )
    units = dict.fromkeys(("mass_balance", "accumulation", "melt"), "m w.e. a-1") | {"area": "km2"}
    write_table(truth, path, {"units": units})


# -------------------------------------------------------------------------------------- step


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
            first_year < 1800 or last_year > 2200,
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
    first_year
        First hydrological year, named by its end.
    last_year
        Last hydrological year.
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

    Raises
    ------
    InputError
        If the options describe no data set; nothing is written then.
    """
    options = {key: value for key, value in locals().items() if key != "output"}
    _check(glaciers, first_year, last_year, observed_fraction, observation_noise, seed)
    # One stream each, so that an option of one part leaves the other parts as they are.
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(6)]
    for_glaciers, for_equilibrium, for_climate, for_places, for_reanalysis, for_observer = streams
    years = range(first_year, last_year + 1)

    ice = make_glaciers(glaciers, for_glaciers)
    steady_years = range(first_year, first_year + _EQUILIBRIUM_YEARS)
    wetness = lognormal(
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
    drift = lognormal(for_places.standard_normal(spell), VALUES["local_accumulation_sd"])
    surface = lognormal(for_places.standard_normal(spell), VALUES["local_melt_sd"])
    dust = lognormal(for_places.standard_normal((spell[0], 1)), VALUES["dust_sd"])
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
    _write_balances(np.where(known, measured, np.nan), output / "SMB_raw_temporal.csv")
    _write_truth(ice, history, years, output / "truth.parquet")
    write_parameters(output / "parameters.json", options, PARAMETERS, references=list(REFERENCES))


if __name__ == "__main__":
    main(simulate)
