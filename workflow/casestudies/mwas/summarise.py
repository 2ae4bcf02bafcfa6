"""The finding of the MWAS study in a few sentences, every number from the tables of results."""

from pathlib import Path

import pandas as pd

from casestudies.mwas import PUBLISHED_AUC
from casestudies.steps import main
from casestudies.tables import read_table, writing

SOURCE = "Pasolli et al. 2016"


def summarise(
    *, results: Path, datasets: list[str], truth: list[Path] | None = None, output: Path
) -> None:
    """Write the finding: do ridge and lasso make usable classifiers, and what do they rest on?

    Parameters
    ----------
    results
        Folder of the study's results, one folder a data set.
    datasets
        Names of the data sets.
    truth
        The known truth of the simulated data set (taxon, role).
    output
        Text: a headline, then a line for each data set.
    """
    text = finding(results, datasets, truth[0] if truth else None)
    with writing(output) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def finding(results: Path, datasets: list[str], truth: Path | None = None) -> str:
    """Return the finding in words: a headline, then a line for each data set."""
    lines = []
    reached: list[bool] = []
    cohorts: list[str] = []
    aucs = []
    for name in datasets:
        folder = results / name
        scores = read_table(folder / "scores.csv", complete=["scheme", "model", "metric"])
        auc = scores[scores["metric"] == "auc"].set_index(["scheme", "model"])
        lodo = "lodo" if ("lodo", "linear") in auc.index else None
        within = next(scheme for scheme in auc.index.unique("scheme") if scheme != "lodo")
        linear = auc.loc[(within, "linear")]
        aucs.append(linear["estimate"])
        parts = [
            f"{name}: the linear models that the inner folds prefer have AUC {_interval(linear)}"
        ]
        parts += _against(folder, within, auc)
        task = name.removeprefix("pasolli2016-")
        if task != name and task in PUBLISHED_AUC[SOURCE]:
            published = PUBLISHED_AUC[SOURCE][task]
            reached.append(linear["estimate"] >= published)
            parts.append(f"the published random forest had {published:.3f}")
        text = "; ".join(parts) + "."
        if lodo:
            held_out = [
                f"{label} {_interval(auc.loc[(lodo, model)])}"
                for model, label in _CARRIED.items()
                if (lodo, model) in auc.index
            ]
            cohorts.append(name)
            text += f" Mean over cohorts that were left out: {', '.join(held_out)}."
        text += _confounding(folder) + _chance(folder)
        if truth is not None and name == "simulated":
            text += _recovered(folder, truth)
        lines.append(text)
    headline = (
        f"Ridge and lasso separate cases from controls with AUC {min(aucs):.2f} to {max(aucs):.2f}"
        if len(aucs) > 1
        else f"Ridge and lasso separate cases from controls with AUC {aucs[0]:.2f}"
    )
    if reached:
        headline += (
            f"; the average of the linear models that the inner folds prefer reaches the published "
            f"random forest on {sum(reached)} of {len(reached)} tasks"
        )
    return "\n".join([headline + ".", *lines])


_CARRIED = {"ridge_log": "ridge", "lasso_log": "lasso", "linear": "inner average"}


_MODELS = {"ridge_log": "ridge", "linear": "inner average"}


def _interval(row: pd.Series) -> str:
    return f"{row['estimate']:.3f} [{row['lower']:.3f}, {row['upper']:.3f}]"


def _against(folder: Path, scheme: str, auc: pd.DataFrame) -> list[str]:
    """Return how the linear choice compares with the forest and with covariates alone."""
    pairs = read_table(folder / "comparisons.csv", complete=["scheme", "model", "reference"])
    pairs = pairs.set_index(["scheme", "model", "reference"])
    parts = []
    for reference, label in (("random_forest", "random forest"), ("covariates", "covariates")):
        if (scheme, reference) in auc.index:
            pair = pairs.loc[(scheme, "linear", reference)]
            parts.append(
                f"{label} {auc.loc[(scheme, reference), 'estimate']:.3f} (difference "
                f"{pair['estimate']:+.3f} [{pair['lower']:+.3f}, {pair['upper']:+.3f}])"
            )
    return parts


def _confounding(folder: Path) -> str:
    """Return the strongest single covariate, and what is left in samples that agree in it."""
    table = read_table(folder / "confounding.csv", complete=["kind", "name"])
    alone = table[(table["kind"] == "covariate") & table["estimate"].notna()]
    if alone.empty:
        return ""
    strongest = alone.loc[alone["estimate"].idxmax()]
    text = f" Of the covariates, {strongest['name']} alone has AUC {_interval(strongest)}"
    matched = table[(table["kind"] == "matched") & (table["name"] == strongest["name"])]
    matched = matched[matched["estimate"].notna()]
    if not matched.empty:
        whole = table[table["kind"] == "model"].iloc[0]
        text += (
            f"; between samples that agree in it, the microbiome ({_MODELS[whole['model']]}) has "
            f"{_interval(matched.iloc[0])}, between all {_interval(whole)}"
        )
    return text + "."


def _chance(folder: Path) -> str:
    """Return the permutation test."""
    table = read_table(folder / "permutations.parquet", complete=["permutation", "auc"])
    null = table.loc[table["permutation"] >= 0, "auc"]
    if null.empty:
        return ""
    observed = table.loc[table["permutation"] < 0, "auc"].iloc[0]
    p = (1 + (null >= observed).sum()) / (1 + len(null))
    return (
        f" Under {len(null)} permutations of the labels the lasso has mean AUC {null.mean():.3f} "
        f"(p = {p:.2g})."
    )


def _recovered(folder: Path, truth: Path) -> str:
    """Return how many of the simulated associations stability selection finds."""
    stability = read_table(folder / "stability.parquet", complete=["taxon", "probability"])
    roles = read_table(truth, complete=["taxon", "role"]).set_index("taxon")["role"]
    chosen = stability.loc[stability["probability"] >= stability["threshold"], "taxon"]
    found = roles.reindex(chosen)
    taxa = "taxon" if len(chosen) == 1 else "taxa"
    return (
        f" Stability selection names {len(chosen)} {taxa}: {(found == 'associated').sum()} of the "
        f"{(roles == 'associated').sum()} that the disease changes, "
        f"{(found == 'confounded').sum()} that age changes, "
        f"{(found.isna() | (found == 'neither')).sum()} that nothing does."
    )


if __name__ == "__main__":
    main(summarise)
