"""The finding of the wind study in a few sentences, and errors by place on the slope."""

import re
from pathlib import Path

import pandas as pd

from casestudies.steps import main
from casestudies.tables import read_table, write_table, writing
from casestudies.wind.results import LABELS, NETWORKS, Results, errors_by_position
from casestudies.words import listed, verdict

CLAIMS = {
    "terrain": "On unseen terrain",
    "massif": "In an unseen massif",
    "real": "On real terrain, trained on random fields alone",
}
REFERENCES = ("log_law", "linear", "mass_consistent", "ridge", "gradient_boosting")
"""What a network has to beat, the weakest first."""


def summarise(
    *,
    results: Path,
    schemes: list[str],
    models: list[str],
    scores: Path,
    comparisons: Path,
    costs: Path,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int,
    positions: Path,
    output: Path,
) -> None:
    """Write the finding: can a network stand in for the costly flow model?

    Parameters
    ----------
    results
        Folder of the data set's results.
    schemes
        Cross-validation schemes, the one that counts first.
    models
        Models that were scored.
    scores
        Scores of all models on all schemes.
    comparisons
        Paired differences between them.
    costs
        Error and seconds of solvers and models (casestudies.wind.cost).
    resamples
        Bootstrap resamples of terrains.
    confidence
        Level of the intervals.
    seed
        Seed of the resampling.
    positions
        Output: errors of speed and direction by place on the slope (CSV).
    output
        Output: text, a headline, then what it rests on.
    """
    found = Results(results, schemes, models)
    tables = [errors_by_position(found, name, resamples, confidence, seed) for name in schemes]
    write_table(pd.concat(tables), positions)
    text = finding(
        read_table(scores, complete=["scheme", "model", "metric", "estimate"]),
        read_table(comparisons, complete=["scheme", "model", "reference", "estimate"]),
        read_table(costs, complete=["kind", "model", "seconds", "rmse"]),
        found.prepared,
        found.solver,
    )
    with writing(output) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def finding(
    scores: pd.DataFrame,
    comparisons: pd.DataFrame,
    costs: pd.DataFrame,
    prepared: pd.DataFrame,
    solver: str,
) -> str:
    """Return the finding in words: a headline, then what it rests on.

    Parameters
    ----------
    scores, comparisons
        As of casestudies.evaluation.scores.
    costs
        As of casestudies.wind.cost.
    prepared
        One row a terrain, with a ``reason`` where it was refused.
    solver
        The costly model, in words.
    """
    rmse = scores[scores["metric"] == "rmse"].set_index(["scheme", "model"])
    pairs = comparisons[comparisons["metric"] == "rmse"].set_index(["scheme", "model", "reference"])
    lines = [_scheme(rmse, pairs, scheme, solver) for scheme in rmse.index.unique("scheme")]
    first = rmse.index.unique("scheme")[0]
    lines = [_headline(rmse, pairs, first, solver), *filter(None, lines)]
    lines += [*_cost(costs, solver), *_refused(prepared)]
    return "\n".join(lines)


def _headline(rmse: pd.DataFrame, pairs: pd.DataFrame, scheme: str, solver: str) -> str:
    row = rmse.loc[(scheme, "surrogate")]
    rivals = [name for name in REFERENCES if (scheme, name) in rmse.index]
    best = min(rivals, key=lambda name: rmse.loc[(scheme, name), "estimate"])
    pair = pairs.loc[(scheme, "surrogate", best)]
    return (
        f"{CLAIMS.get(scheme, f'Under the scheme {scheme}')}, a network reproduces the wind speed "
        f"of the {solver} with RMSE {_percent(row)} of the inflow; it {verdict(pair)} the best "
        f"other model, {LABELS[best]} ({_percent(rmse.loc[(scheme, best)])})."
    )


def _scheme(rmse: pd.DataFrame, pairs: pd.DataFrame, scheme: str, solver: str) -> str:
    """Return how the inner choice among networks compares under one scheme."""
    row = rmse.loc[(scheme, "surrogate")]
    groups: dict[str, list[str]] = {"beats": [], "is not told apart from": [], "loses to": []}
    for reference in REFERENCES:
        if (scheme, "surrogate", reference) not in pairs.index:
            continue
        pair = pairs.loc[(scheme, "surrogate", reference)]
        groups[verdict(pair)].append(
            f"{LABELS[reference]} (difference {_percent(pair, signed=True)})"
        )
    parts = [f"{verb} {listed(names)}" for verb, names in groups.items() if names]
    networks = [name for name in NETWORKS if (scheme, name) in rmse.index]
    alone = listed(
        [f"{LABELS[n]} {100 * rmse.loc[(scheme, n), 'estimate']:.1f} %" for n in networks]
    )
    claim = CLAIMS.get(scheme, f"Under the scheme {scheme}")
    return (
        f"{claim} ({int(row['samples'])} terrains), the network that the inner folds choose has "
        f"RMSE {_percent(row)}; it {listed(parts, ';')}. Each alone: {alone}."
    )


def _cost(costs: pd.DataFrame, solver: str) -> list[str]:
    """Return what a flow costs by solver and network, and when training has paid for itself."""
    rows = costs.set_index("kind")
    if "surrogate" not in rows.index or "reference" not in rows.index:
        return []
    network, full = rows.loc[["surrogate"]].iloc[0], rows.loc[["reference"]].iloc[0]
    ratio = full["seconds"] / network["seconds"]
    text = (
        f"One flow takes the {solver} {_seconds(full['seconds'])} of processor time and the "
        f"network {_seconds(network['seconds'])}, a ratio of {ratio:,.{0 if ratio >= 10 else 1}f}"
    )
    cheaper = costs[(costs["kind"] == "solver") & (costs["rmse"] <= network["rmse"])]
    worth = True
    if len(cheaper):
        equal = cheaper.loc[cheaper["seconds"].idxmin()]
        ratio = equal["seconds"] / network["seconds"]
        worth = ratio > 1
        text += (
            f"; the {solver} itself, made cheaper until it is only just as accurate "
            f"({equal['model']}), takes {_seconds(equal['seconds'])}, a ratio of {ratio:.1f} at "
            "equal error"
        )
        if not worth:
            text += ": here the network is no gain"
    lines = [f"{text}."]
    queries = network["break_even"]
    if worth and pd.notna(queries):
        lines.append(
            "Counting the flows that it was trained on, and its training, the network has paid for "
            f"itself after {queries:.0f} flows."
        )
    return lines


def _refused(prepared: pd.DataFrame) -> list[str]:
    refused = prepared[prepared["reason"] != ""]
    if refused.empty:
        return []
    counts = refused["reason"].map(_kind).value_counts()
    parts = [f"{count} for {reason}" for reason, count in counts.items()]
    return [
        f"{len(refused)} of {len(prepared)} terrains were refused and count nowhere: "
        f"{listed(parts)}."
    ]


def _kind(reason: str) -> str:
    """Return a reason without its numbers: "relief 757 m above 700 m" is "relief"."""
    parts = (re.sub(r"\s\d.*", "", part.split(":")[0]) for part in reason.split("; "))
    return " and ".join(parts)


def _percent(row: pd.Series, signed: bool = False) -> str:
    sign = "+" if signed else ""
    values = (100 * row[name] for name in ("estimate", "lower", "upper"))
    return "{:{s}.1f} [{:{s}.1f}, {:{s}.1f}] %".format(*values, s=sign)


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 1 else f"{1000 * value:.3g} ms"


if __name__ == "__main__":
    main(summarise)
