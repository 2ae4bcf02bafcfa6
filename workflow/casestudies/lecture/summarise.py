"""The findings of the lecture study: a sentence or two for each figure, every number from a table.

Each line begins with its subject; the captions of the figures quote the line of their own.
"""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.lecture.magnitude import (
    AGE_OF_UNIVERSE,
    PARAMETERS,
    RATE,
    log10_ages,
    searchable,
)
from casestudies.lecture.models import Model
from casestudies.steps import main
from casestudies.tables import read_metadata, read_table, writing

FITS = {
    "least_squares": "least squares",
    "gradient_descent": "gradient descent",
    "momentum": "inertia",
    "sgd": "SGD",
}


_NEAR = 1.05  # ratio to the least training error from which a descent counts as arrived
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def polynomials(models: list[str], fit: str = "least_squares") -> dict[int, str]:
    """Return the polynomials among models that are fitted in one way, by number of parameters."""
    found = [Model(name) for name in models if name.startswith("polynomial_")]
    return {model.parameters: model.name for model in found if model.fit == fit}


def validation(dataset: str, errors: pd.DataFrame) -> str:
    """Say which polynomial under- and which overfits, by least squares."""
    mean = _final(errors)
    names = polynomials(list(mean.index))
    parts = [
        f"{count} parameters {number(mean.loc[name, 'train'])} in training and "
        f"{number(mean.loc[name, 'validation'])} in validation"
        for count, name in names.items()
    ]
    best = min(names, key=lambda count: mean.loc[names[count], "validation"])
    folds = int(errors.groupby(["repeat", "fold"]).ngroups)
    return (
        f"Validation on {dataset}: by least squares, root mean square error (L/100 km, mean of "
        f"{folds} folds): {'; '.join(parts)}. Best in validation: {best} parameters."
    )


def descent(dataset: str, errors: pd.DataFrame) -> str:
    """Say how far each way of fitting gets with the largest polynomial, and how fast with another.

    The other is the middle one of the polynomials, on which the descents arrive.
    """
    mean = _final(errors)
    exact = polynomials(list(mean.index))
    middle, largest = sorted(exact)[len(exact) // 2], max(exact)
    goal = _NEAR * mean.loc[exact[middle], "train"]
    ends, arrivals = [], []
    for fit, title in FITS.items():
        found = polynomials(list(mean.index), fit)
        if largest not in found:
            continue
        row = mean.loc[found[largest]]
        ends.append(f"{title} {number(row['train'])} and {number(row['validation'])}")
        if fit != "least_squares":
            rows = errors[errors["model"] == found[middle]]
            along = rows.groupby("step")["train"].mean()
            near = along.index[(along <= goal)[::-1].cummin()[::-1]]  # and stays there
            arrivals.append(f"{title} {near[0] if len(near) else 'never'}")
    text = (
        f"Descent on {dataset}: training and validation error of the {largest} parameters after "
        f"{errors['step'].max()} steps (L/100 km): {'; '.join(ends)}."
    )
    if arrivals:
        text += (
            f" Steps until the training error of {middle} parameters is, and stays, within "
            f"{_NEAR - 1:.0%} of the least: {'; '.join(arrivals)}."
        )
    return text


def prediction(
    dataset: str, points: pd.DataFrame, speed: float, confidence: float, truth: float | None
) -> str:
    """Say what every model predicts where nobody measured, and how widely that scatters."""
    names = ["physics", *polynomials(list(points["model"].unique())).values()]
    parts = []
    for name in names:
        values = points.loc[points["model"] == name].set_index("resample")["predicted"]
        lower, upper = np.quantile(
            values.drop(index=-1), [(1 - confidence) / 2, (1 + confidence) / 2]
        )
        label = "the physical law" if name == "physics" else f"{Model(name).parameters} parameters"
        parts.append(f"{label} {number(values[-1])} [{number(lower)}, {number(upper)}]")
    known = "" if truth is None else f"; the truth is {number(truth)}"
    return (
        f"Prediction on {dataset}: at {speed:g} km/h, by least squares, in L/100 km, with what "
        f"{confidence:.0%} of bootstrap samples lie in: {'; '.join(parts)}{known}."
    )


def bias_variance(table: pd.DataFrame, noise: float, sets: int) -> str:
    """Say where the expected error is least, and whether the identity holds."""
    rows = table[table["measurements"] == table["measurements"].max()]
    best = rows.loc[rows["error"].idxmin()]
    first, last = rows.iloc[0], rows.iloc[-1]
    identity = (rows["bias2"] + rows["variance"] - rows["error"]).abs() / rows["error"]
    apart = (rows["measured"] - rows["error"] - noise**2).abs() / rows["measured_se"]
    kind = "U-shaped" if first["degree"] < best["degree"] < last["degree"] else "not U-shaped"
    return (
        f"Bias and variance: over {sets} redrawn sets of {best['measurements']:.0f} measurements "
        f"the expected error of polynomials is {kind}: {number(first['error'])} (L/100 km)² at "
        f"degree {first['degree']:.0f}, where bias² makes {first['bias2'] / first['error']:.0%}; "
        f"least, {number(best['error'])}, at degree {best['degree']:.0f}; "
        f"{number(last['error'])} at degree {last['degree']:.0f}, where variance makes "
        f"{last['variance'] / last['error']:.0%}. Bias² + variance = error to a relative "
        f"{number(identity.max())}; the error against new noisy measurements differs from bias² + "
        f"variance + noise by at most {apart.max():.1f} standard errors."
    )


def optimisation(ends: pd.DataFrame) -> str:
    """Say who escapes, and how often."""
    share = (
        ends.assign(best=ends["end"] == "global minimum", saddle=ends["end"] == "saddle")
        .groupby(["start", "method"], sort=False)[["best", "saddle"]]
        .mean()
    )
    methods = list(ends["method"].unique())
    count = int(ends.groupby(["start", "method"]).size().iloc[0])

    def listed(start: str, column: str) -> str:
        return ", ".join(f"{name} {share.loc[(start, name), column]:.0%}" for name in methods)

    return (
        f"Optimisation: of {count} descents from anywhere, these end in the global minimum: "
        f"{listed('anywhere', 'best')}. Of those that start in the local minimum: "
        f"{listed('local minimum', 'best')}. Of those that start on the saddle, these stay there: "
        f"{listed('saddle', 'saddle')}."
    )


def networks(table: pd.DataFrame, polynomial: pd.DataFrame) -> str:
    """Say how the variance of networks moves with their width, beside that of polynomials."""
    peak = table["variance"].idxmax()
    least = table.loc[peak:, "variance"].idxmin()
    steps = [
        f"{_interval(table.loc[row], 'variance')} at width {table.loc[row, 'width']:.0f}"
        for row in dict.fromkeys([0, peak, least, len(table) - 1])
    ]
    last = table.iloc[-1]
    few = polynomial[polynomial["measurements"] == polynomial["measurements"].min()]
    return (
        f"Networks: on {few['measurements'].iloc[0]:.0f} measurements their variance, in "
        f"(L/100 km)², goes {', '.join(steps)} ({last['parameters']:.0f} parameters). "
        f"{_rise(table)} Bias² goes from {_interval(table.iloc[0], 'bias2')} to "
        f"{_interval(last, 'bias2')}. The variance of polynomials on sets of the same size goes "
        f"from {number(few['variance'].min())} to {number(few['variance'].iloc[-1])} with "
        f"{few['parameters'].iloc[-1]:.0f} parameters. The training error, in L/100 km, is "
        f"{number(table.loc[least, 'train'])} at width {table.loc[least, 'width']:.0f} and "
        f"{number(last['train'])} at width {last['width']:.0f}."
    )


def _rise(table: pd.DataFrame) -> str:
    """Say whether the widest network varies more than the least variable beyond the peak."""
    peak = table["variance"].idxmax()
    least = table.loc[table.loc[peak:, "variance"].idxmin()]
    if peak == len(table) - 1:
        return "It is largest for the widest network, against the claim."
    if least["width"] == table["width"].iloc[-1]:
        return "It falls to the widest network."
    rise = (
        f"From width {least['width']:.0f} to the widest it changes by {least['rise']:+.2f} "
        f"[{least['rise_lower']:+.2f}, {least['rise_upper']:+.2f}] (paired)"
    )
    if least["rise_lower"] > 0:
        return f"{rise}: it rises again, though not to its peak."
    return f"{rise}: no increase is told apart."


def local_minima(table: pd.DataFrame) -> str:
    """Say how the final losses of many starts spread as the width grows."""
    found = table.groupby("width")["loss"].quantile([0.1, 0.5, 0.9]).unstack()
    first, last = found.iloc[0], found.iloc[-1]
    best = found[0.5].idxmin()
    count = int(table.groupby("width").size().iloc[0])
    return (
        f"Local minima: the losses at which {count} starts end, in variances of the function, "
        f"median and 10 to 90 %: {number(first[0.5])} ({number(first[0.1])} to "
        f"{number(first[0.9])}) at width {found.index[0]}, {number(last[0.5])} "
        f"({number(last[0.1])} to {number(last[0.9])}) at width {found.index[-1]}: the ratio of "
        f"the two ends goes from {first[0.9] / first[0.1]:.1f} to {last[0.9] / last[0.1]:.1f}. "
        f"The median is least at width {best}."
    )


def approximation(table: pd.DataFrame) -> str:
    """Say how the error falls with width and with depth."""
    mean = table.groupby(["depth", "width"])["error"].mean()
    parts = []
    for depth in mean.index.unique("depth"):
        rows = mean[depth]
        parts.append(
            f"{depth} hidden layer{'s' * (depth > 1)}, from {number(rows.iloc[0])} at width "
            f"{rows.index[0]} to {number(rows.iloc[-1])} at width {rows.index[-1]}"
        )
    depth, width = mean.idxmin()
    return (
        "Approximation: root mean square test error, in deviations of the function, mean of "
        f"{table['start'].nunique()} networks: {'; '.join(parts)}. Least: {number(mean.min())}, "
        f"depth {depth} and width {width}."
    )


def regularisation(table: pd.DataFrame) -> str:
    """Say how large the coefficients of the cubic are by each method."""
    largest = table.assign(size=table["coefficient"].abs()).groupby("method")["size"].max()
    return (
        f"Regularisation: the largest coefficient of the cubic through four points is "
        f"{number(largest['maximum_likelihood'])} by maximum likelihood, "
        f"{number(largest['ridge'])} by ridge (the maximum a posteriori) and "
        f"{number(largest['lasso'])} by the lasso; that of the truth is "
        f"{number(largest['truth'])}."
    )


def magnitude() -> str:
    """Say how long the search takes that cannot be done."""
    return (
        f"Order of magnitude: trying all combinations of {number(PARAMETERS)} binary parameters, "
        f"{number(RATE)} a second, takes 10^({number(log10_ages(PARAMETERS))}) ages of the "
        f"universe; in one age, those of {searchable(AGE_OF_UNIVERSE)} parameters can be tried."
    )


def headline(validated: pd.DataFrame, polynomial: pd.DataFrame, network: pd.DataFrame) -> str:
    """Return the argument in one sentence, as far as the run bears it out."""
    mean = _final(validated)["validation"]
    names = polynomials(list(mean.index))
    best = min(names, key=lambda count: mean[names[count]])
    few = polynomial[polynomial["measurements"] == polynomial["measurements"].min()]
    fate = "as well" if network["variance"].idxmax() == len(network) - 1 else "peaks and falls"
    grown = np.log10(few["variance"].iloc[-1] / few["variance"].min())
    ratio = network["variance"].iloc[-1] / network["variance"].max()
    return (
        f"Of polynomials with {_listed(names)} parameters the one with {best} validates best; "
        f"the variance of polynomials grows with their parameters (by {grown:.0f} orders of "
        f"magnitude), that of networks {fate} (the widest has {ratio:.2f} of the largest)."
    )


def _final(errors: pd.DataFrame) -> pd.DataFrame:
    """Return train and validation error after the last step, by model, means over the folds."""
    last = errors.groupby(["model", "repeat", "fold"], sort=False)[["train", "validation"]].last()
    return last.groupby("model", sort=False).mean()


def number(value: float) -> str:
    """Return a number with two digits, as a power of ten where it is huge or tiny."""
    if 1e-3 <= abs(value) < 10 or value == 0:
        return f"{value:.2g}"
    if 10 <= abs(value) < 1e4:
        return f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"
    digits, power = f"{value:.2e}".split("e")
    return f"{float(digits):.3g}·10{str(int(power)).translate(_SUPERSCRIPTS)}"


def _interval(row: pd.Series, name: str) -> str:
    return f"{row[name]:.2f} [{row[f'{name}_lower']:.2f}, {row[f'{name}_upper']:.2f}]"


def _listed(items: Iterable[object]) -> str:
    *most, last = map(str, items)
    return f"{', '.join(most)} and {last}" if most else last


def summarise(
    *,
    results: Path,
    datasets: list[str],
    scheme: str,
    confidence: float = 0.95,
    truth: Path | None = None,
    output: Path,
) -> None:
    """Write the findings: a headline, then a line for each figure.

    Parameters
    ----------
    results
        Folder of the study, results/lecture.
    datasets
        Data sets, the first of which the headline speaks of.
    scheme
        Cross-validation scheme.
    confidence
        Level of the intervals.
    truth
        True consumption at every speed (speed, consumption) of the data set ``simulated``.
    output
        Text.
    """
    tables = {
        name: read_table(results / f"{name}.parquet")
        for name in ("bias_variance", "descents", "variance", "starts", "approximation")
    }
    validated = [read_table(results / name / f"errors/{scheme}.parquet") for name in datasets]
    lines = [headline(validated[0], tables["bias_variance"], tables["variance"])]
    for name, errors in zip(datasets, validated, strict=True):
        path = results / name / "extrapolation.parquet"
        speed = read_metadata(path)["speed"]
        known = truth_at(truth, speed) if truth is not None and name == "simulated" else None
        lines += [validation(name, errors), descent(name, errors)]
        lines += [prediction(name, read_table(path), speed, confidence, known)]
    facts = read_metadata(results / "bias_variance.parquet")
    lines += [
        bias_variance(tables["bias_variance"], facts["noise"], facts["sets"]),
        optimisation(tables["descents"]),
        networks(tables["variance"], tables["bias_variance"]),
        local_minima(tables["starts"]),
        approximation(tables["approximation"]),
        regularisation(read_table(results / "regularisation.csv")),
        magnitude(),
    ]
    with writing(output) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def truth_at(path: Path, speed: float) -> float:
    """Return the true consumption (L/100 km) at a speed (km/h)."""
    table = read_table(path, complete=["speed", "consumption"])
    return float(np.interp(speed, table["speed"], table["consumption"]))


if __name__ == "__main__":
    main(summarise)
