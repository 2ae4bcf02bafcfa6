"""The finding of the glacier study in a few sentences, every number from the score tables."""

from pathlib import Path

import pandas as pd

from casestudies.steps import main
from casestudies.tables import read_table, writing
from casestudies.words import listed, verdict

NETWORKS = ("deep_ensemble", "paper_network")
CLAIMS = {
    "logo": "For a new glacier",
    "loyo": "for a new year",
    "lsygo": "for a new glacier in a new year",
    "forward": "for years after the training period",
}
NAMES = {"deep_ensemble": "deep ensemble", "paper_network": "published network, honestly stopped"}


def summarise(*, scores: Path, comparisons: Path, output: Path) -> None:
    """Write the finding: does a network beat a linear model, in space and in time?

    Parameters
    ----------
    scores
        Scores of all models on all schemes.
    comparisons
        Paired differences between them.
    output
        Text: a headline, then a line for each scheme.
    """
    table = read_table(scores, complete=["scheme", "model", "metric", "estimate"])
    pairs = read_table(comparisons, complete=["scheme", "model", "reference", "estimate"])
    text = finding(table, pairs)
    with writing(output) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def finding(scores: pd.DataFrame, comparisons: pd.DataFrame) -> str:
    """Return the finding in words: a headline, then a line for each scheme."""
    rmse = scores[scores["metric"] == "rmse"].set_index(["scheme", "model"])
    pairs = comparisons.set_index(["scheme", "model", "reference"])
    lines = []
    verdicts: dict[str, list[str]] = {"beats": [], "is not told apart from": [], "loses to": []}
    for scheme in rmse.index.unique("scheme"):
        models = list(rmse.loc[scheme].index)
        linear = [model for model in _LINEAR if model in models]
        network = next((model for model in NETWORKS if model in models), None)
        if network is None or not linear:
            continue
        row = rmse.loc[(scheme, network)]
        parts = []
        for reference in linear:
            pair = pairs.loc[(scheme, network, reference)]
            parts.append(
                f"{verdict(pair)} {_LINEAR[reference]} (RMSE "
                f"{rmse.loc[(scheme, reference), 'estimate']:.2f}; difference "
                f"{pair['estimate']:+.2f} [{pair['lower']:+.2f}, {pair['upper']:+.2f}])"
            )
        text = (
            f"{_claim(scheme)}, the {NAMES[network]} (RMSE {row['estimate']:.2f} "
            f"[{row['lower']:.2f}, {row['upper']:.2f}] m w.e. per year) {' and '.join(parts)}."
        )
        if "chosen" in models:
            best = rmse.loc[(scheme, "chosen")]
            text += (
                f" The model that the inner folds choose reaches {best['estimate']:.2f} "
                f"[{best['lower']:.2f}, {best['upper']:.2f}]."
            )
        lines.append(text)
        # The strongest linear model is what a network has to beat.
        best_linear = min(linear, key=lambda model: rmse.loc[(scheme, model), "estimate"])
        verdicts[verdict(pairs.loc[(scheme, network, best_linear)])].append(_claim(scheme))
    if not lines:
        return "No network and linear model were both fitted."
    heads = [
        f"{_OBJECT[verb]} {listed(_small(names))}" for verb, names in verdicts.items() if names
    ]
    headline = f"Against the better of the linear models, the network {listed(heads, ';')}."
    return "\n".join([headline, *lines])


_OBJECT = {
    "beats": "is better",
    "is not told apart from": "is not told apart",
    "loses to": "is worse",
}
_LINEAR = {"lasso": "the lasso", "ridge_regional": "ridge regression on regional and local signals"}


def _small(names: list[str]) -> list[str]:
    """Return names with a small first letter, as they stand in a list."""
    return [name[0].lower() + name[1:] for name in names]


def _claim(scheme: str) -> str:
    claim = CLAIMS.get(scheme, f"under the scheme {scheme}")
    return claim[0].upper() + claim[1:]


if __name__ == "__main__":
    main(summarise)
