"""What the models have learned: response curves and permutation importance.

Both ask the fitted models about years that did not happen. Such scenario years are appended to the
prepared table under years of their own, so that every predictor, the regional means and the memory
of the previous years included, is computed for them as for real ones.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.evaluation.nested import nested_cross_validation
from casestudies.evaluation.splits import Fold
from casestudies.glacier import MONTHS
from casestudies.glacier.features import features
from casestudies.glacier.models import MODELS
from casestudies.glacier.networks import Run, fit_network, parse_settings
from casestudies.steps import main
from casestudies.tables import read_table, write_table
from casestudies.training.device import device as find_device
from casestudies.training.parallel import one_thread

SUMMER = ("jun", "jul", "aug")
SUMMER_DAYS = 92
WINTER = MONTHS[: MONTHS.index("apr") + 1]
TOPOGRAPHY = ["mean_altitude", "max_altitude", "slope20", "area", "longitude", "latitude", "aspect"]

WARMING = (-2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
"""Changes of the summer temperature (K)."""
SNOWFALL = (-0.4, -0.2, 0.0, 0.2, 0.4)
"""Relative changes of the winter snow."""
FOLDS = 3
SHUFFLES = 3


def _columns(names: list[str]) -> list[str]:
    """Return the columns of the absolute values and those of their anomalies."""
    anomalies = []
    for name in names:
        variable, _, month = name.rpartition("_")
        anomalies.append(f"{variable}_anomaly_{month}" if month in MONTHS else f"{name}_anomaly")
    return [*names, *anomalies]


GROUPS = {
    "summer temperature": _columns(["cpdd", *(f"temperature_{m}" for m in (*SUMMER, "sep"))]),
    "temperature October to May": _columns(
        [f"temperature_{m}" for m in MONTHS[: MONTHS.index("jun")]]
    ),
    "winter snow": _columns(["winter_snow", *(f"snow_{m}" for m in WINTER)]),
    "summer snow": _columns(["summer_snow", *(f"snow_{m}" for m in MONTHS[len(WINTER) :])]),
}
"""Predictors by what they stand for; topography apart."""


def warmer_summers(table: pd.DataFrame, change: float) -> pd.DataFrame:
    """Return the table with all summers (June to August) warmer by ``change`` (K).

    Positive degree days grow by the change on each of the 92 days, as they do where summer days
    are above zero already.
    """
    changed = table.copy()
    changed[_columns([f"temperature_{month}" for month in SUMMER])] += change
    changed[["cpdd", "cpdd_anomaly"]] += change * SUMMER_DAYS
    changed["cpdd"] = changed["cpdd"].clip(lower=0)
    return changed


def snowier_winters(table: pd.DataFrame, change: float) -> pd.DataFrame:
    """Return the table with the snow of all winters (October to April) grown by a fraction."""
    changed = table.copy()
    for name in ["winter_snow", *(f"snow_{month}" for month in WINTER)]:
        anomaly = _columns([name])[1]
        changed[anomaly] += change * table[name]
        changed[name] *= 1 + change
    return changed


RESPONSES: dict[str, tuple[Callable[[pd.DataFrame, float], pd.DataFrame], tuple[float, ...]]] = {
    "summer temperature": (warmer_summers, WARMING),
    "winter snow": (snowier_winters, SNOWFALL),
}


def shuffled(table: pd.DataFrame, group: str, rng: np.random.Generator) -> pd.DataFrame:
    """Return the table with one group of predictors taken from another year (or glacier)."""
    unit, columns = ("glacier", TOPOGRAPHY) if group == "topography" else ("year", GROUPS[group])
    other = "year" if unit == "glacier" else "glacier"
    values = table[unit].unique()
    swapped = dict(zip(values, rng.permutation(values), strict=True))
    keys = pd.MultiIndex.from_arrays([table[other], table[unit].map(swapped)])
    source = table.set_index([other, unit])[columns].reindex(keys)
    # Not every glacier need have climate in every year: what cannot be swapped stays.
    return table.assign(
        **source.reset_index(drop=True).set_axis(table.index).fillna(table[columns])
    )


def append_scenarios(table: pd.DataFrame, scenarios: list[pd.DataFrame]) -> pd.DataFrame:
    """Append scenario tables as unobserved years of their own, below the rows of ``table``."""
    shift = int(table["year"].max() - table["year"].min()) + 20  # no memory reaches that far
    parts = [table]
    for number, scenario in enumerate(scenarios, start=1):
        year = scenario["year"] + number * shift
        sample = scenario["glacier"] + "_" + year.astype(str)
        parts.append(scenario.assign(year=year, sample=sample, mass_balance=np.nan))
    return pd.concat(parts, ignore_index=True)


def explain(
    *,
    prepared: Path,
    models: list[str],
    settings: str = "{}",
    seed: int,
    threads: int = 1,
    device: str = "auto",
    responses: Path,
    importance: Path,
) -> None:
    """Ask fitted models about warmer summers, snowier winters and shuffled predictors.

    Parameters
    ----------
    prepared
        Prepared table, one row per glacier and year.
    models
        Models and networks to explain.
    settings
        Settings of the networks, by name, as JSON.
    seed
        Seed of the fits, folds and shuffles.
    threads
        CPU threads of networks.
    device
        auto, cpu or cuda, for networks.
    responses
        Output: model, variable, change, balance (change of the mean balance, m w.e.), lower, upper
        (middle 90 % of glacier-years).
    importance
        Output: model, group, increase of the RMSE (m w.e.), shuffle.
    """
    table = read_table(prepared, complete=["sample", "glacier", "year"]).reset_index(drop=True)
    one_thread()
    run = Run(find_device(device), threads, label="explain")
    own = json.loads(settings)

    def predict(model: str, samples: pd.DataFrame, folds: list[Fold]) -> pd.DataFrame:
        if model in MODELS:
            family = MODELS[model]
            return nested_cross_validation(
                family,
                features(samples, family.features),
                samples["mass_balance"].to_numpy(),
                folds,
                seed=seed,
                label=model,
            )[0]
        chosen = parse_settings(model, json.dumps(own.get(model, {})))
        return fit_network(model, samples, folds, chosen, seed, run).predictions

    write_table(_responses(table, models, predict, seed), responses)
    write_table(_importance(table, models, predict, seed), importance)


Predict = Callable[[str, pd.DataFrame, list[Fold]], pd.DataFrame]


def _year_folds(
    years: np.ndarray, rows: np.ndarray, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide ``rows`` into training and test rows by random parts of their years."""
    parts = np.array_split(rng.permutation(np.unique(years[rows])), FOLDS)
    tests = [np.isin(years[rows], part) for part in parts]
    return [(rows[~test], rows[test]) for test in tests]


def _responses(table: pd.DataFrame, models: list[str], predict: Predict, seed: int) -> pd.DataFrame:
    asked = [(name, change) for name, (_, changes) in RESPONSES.items() for change in changes]
    samples = append_scenarios(table, [RESPONSES[name][0](table, change) for name, change in asked])
    observed = np.flatnonzero(table["mass_balance"].notna())
    years = table["year"].to_numpy()
    # The first years are few glaciers' and have no past that their memory could hold.
    rows = np.flatnonzero(years >= np.quantile(years[observed], 0.05))
    test = np.concatenate([rows + len(table) * (k + 1) for k in range(len(asked))])
    inner = _year_folds(years, observed, np.random.default_rng(seed))
    parts = []
    for model in models:
        predicted = predict(model, samples, [Fold(0, 0, observed, test, inner)])
        values = predicted.set_index("position")["predicted"].loc[test].to_numpy()
        paths = dict(zip(asked, values.reshape(len(asked), -1), strict=True))
        for (name, change), path in paths.items():
            difference = path - paths[name, 0.0]
            lower, upper = np.quantile(difference, [0.05, 0.95])
            parts.append((model, name, change, difference.mean(), lower, upper))
    columns = ["model", "variable", "change", "balance", "lower", "upper"]
    return pd.DataFrame(parts, columns=columns)


def _importance(
    table: pd.DataFrame, models: list[str], predict: Predict, seed: int
) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    groups = [group for group in (*GROUPS, "topography") for _ in range(SHUFFLES)]
    # The first scenario is the table as it is: scenario years are new to every model alike.
    scenarios = [table, *(shuffled(table, group, rng) for group in groups)]
    samples = append_scenarios(table, scenarios)
    observed = np.flatnonzero(table["mass_balance"].notna())
    years, target = table["year"].to_numpy(), table["mass_balance"].to_numpy()
    folds = []
    for number, (train, test) in enumerate(_year_folds(years, observed, rng)):
        asked = np.concatenate([test + len(table) * (k + 1) for k in range(len(scenarios))])
        folds.append(Fold(0, number, train, asked, _year_folds(years, train, rng)))
    parts = []
    for model in models:
        predicted = predict(model, samples, folds)
        scenario, row = np.divmod(predicted["position"].to_numpy(), len(table))
        squared = (predicted["predicted"].to_numpy() - target[row]) ** 2
        rmse = np.sqrt(pd.Series(squared).groupby(scenario - 1).mean())
        parts += [
            (model, group, rmse[k] - rmse[0], (k - 1) % SHUFFLES)
            for k, group in enumerate(groups, start=1)
        ]
    return pd.DataFrame(parts, columns=["model", "group", "increase", "shuffle"])


if __name__ == "__main__":
    main(explain)
