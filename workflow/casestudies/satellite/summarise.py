"""Label curves with intervals, and the finding of the satellite study in a few sentences."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from casestudies.errors import InputError
from casestudies.evaluation.scores import cluster_weights, r2
from casestudies.satellite.inputs import ALL, BASELINES, LATENT
from casestudies.steps import main
from casestudies.tables import read_metadata, read_table, write_table, writing
from casestudies.words import listed, verdict

LECTURE = f"autoencoder{ALL}"
"""The model of the lecture's claim."""
REFERENCES = (
    "raw_pixels",
    "cnn",
    "coarse_pixels",
    "pca",
    "random_features",
    "neighbourhood",
    "season",
)
CLOSED = ("pca", "slow_features", "random_features", "slow_random_features")
FEW = 50
"""Labels of which the finding speaks, if the curves have them."""

NAMES = {
    "latent": "the latent",
    "raw_pixels": "ridge regression on raw pixels",
    "coarse_pixels": "regression on coarse pixels",
    "cnn": "the network trained end to end",
    "pca": "PCA",
    "random_features": "random convolutional features",
    "slow_features": "slow features",
    "slow_random_features": "slow random features",
    "autoencoder": "the autoencoder",
    "masked_autoencoder": "the masked autoencoder",
    "variational_autoencoder": "the variational autoencoder",
    "temporal_autoencoder": "the temporal autoencoder",
    "neighbourhood": "the pixels about the station",
    "season": "season and hour",
    "mean": "the mean",
}


def inner_choice(curves: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Return ``latent`` and ``latent_all_images``, of the encoder that the inner folds prefer.

    The choice is made anew for every number of labels, draw and fold, among the encoders that
    never saw the test frames and among those that saw all.

    Parameters
    ----------
    curves
        Label curves by model (see casestudies.satellite.curve).
    """
    keys = ["labels", "draw", "fold"]
    encoders = [name for name in curves if name not in (*BASELINES, "cnn")]
    found = {}
    for name, wanted in zip(LATENT, (False, True), strict=True):
        members = [model for model in encoders if model.endswith(ALL) == wanted]
        if not members:
            continue
        errors = pd.DataFrame(
            {model: curves[model].groupby(keys)["inner_mse"].first() for model in members}
        )
        best = errors.idxmin(axis=1).rename("encoder")
        rows = pd.concat([curves[model].assign(encoder=model) for model in members])
        chosen = rows.merge(best.reset_index(), on=[*keys, "encoder"])
        found[name] = chosen.sort_values([*keys, "sample"], ignore_index=True)
    return found


class Curves:
    """R² of all models at one number of labels, all with the same resamples.

    A resample takes blocks of time and draws of the labels, both with replacement. R² is that of
    all test folds together, averaged over the draws.

    Parameters
    ----------
    tables
        By model its predictions at this number of labels, of the same folds and draws.
    blocks
        Block of time of every sample, indexed by sample.
    """

    def __init__(
        self,
        tables: Mapping[str, pd.DataFrame],
        blocks: pd.Series,
        resamples: int,
        confidence: float,
        seed: int,
    ) -> None:
        self._levels = [(1 - confidence) / 2, (1 + confidence) / 2]
        wide = {
            model: table.pivot(index="sample", columns="draw", values="predicted")
            for model, table in tables.items()
        }
        first = next(iter(wide.values()))
        for model, table in wide.items():
            if not (table.index.equals(first.index) and table.columns.equals(first.columns)):
                raise InputError(
                    f"the label curve of {model} has other samples or draws than that of "
                    f"{next(iter(wide))}; make the label curves of all models again."
                )
        table = next(iter(tables.values()))
        observed = table.drop_duplicates("sample").set_index("sample")["observed"]
        observed = observed.loc[first.index].to_numpy()
        self.samples, self.draws = first.shape
        rng = np.random.default_rng(seed)
        weights = cluster_weights([blocks.loc[first.index].to_numpy()], resamples, rng)
        weights = np.vstack([np.ones(self.samples), weights])
        even = np.full(self.draws, 1 / self.draws)
        drawn = rng.multinomial(self.draws, even, resamples) / self.draws
        drawn = np.vstack([even, drawn])
        # The first row of every model is the estimate, the others are its resamples.
        self._values = {
            model: sum(
                drawn[:, k] * r2(observed, predicted.iloc[:, k].to_numpy(), weights)
                for k in range(self.draws)
            )
            for model, predicted in wide.items()
        }

    def _row(self, values: np.ndarray) -> tuple[float, float, float]:
        lower, upper = np.nanquantile(values[1:], self._levels)
        return float(values[0]), float(lower), float(upper)

    def scores(self) -> pd.DataFrame:
        """Return model, estimate, lower, upper, draws, samples."""
        rows = [(model, *self._row(values)) for model, values in self._values.items()]
        table = pd.DataFrame(rows, columns=["model", "estimate", "lower", "upper"])
        return table.assign(draws=self.draws, samples=self.samples)

    def differences(self) -> pd.DataFrame:
        """Return model, reference, difference (of R², model less reference), lower, upper."""
        rows = [
            (model, reference, *self._row(self._values[model] - self._values[reference]))
            for model in (*LATENT, LECTURE)
            for reference in (*REFERENCES, f"pca{ALL}", "oracle", "latent")
            if model in self._values and reference in self._values and model != reference
        ]
        return pd.DataFrame(rows, columns=["model", "reference", "difference", "lower", "upper"])


def summarise(
    *,
    prepared: Path,
    curves: list[Path],
    scores: Path,
    comparisons: Path,
    scheme: str = "blocked",
    block: float = 14,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int,
    label_curves: Path,
    label_differences: Path,
    output: Path,
) -> None:
    """Score the label curves, and write the finding: does the latent need fewer labels?

    Parameters
    ----------
    prepared
        Prepared table, one row per label.
    curves
        Label curves, each named <model>.parquet.
    scores
        Scores of all models on all schemes.
    comparisons
        Paired differences between them.
    scheme
        Scheme of the label curves.
    block
        Length of the blocks of time that are resampled, longer than the autocorrelation (d).
    resamples
        Bootstrap resamples.
    confidence
        Level of the intervals.
    seed
        Seed of the resampling.
    label_curves
        Output: model, labels, estimate (R²), lower, upper, draws, samples, train_r2.
    label_differences
        Output: model, reference, labels, difference, lower, upper.
    output
        Text: a headline, then what it rests on.
    """
    samples = read_table(prepared, complete=["sample", "day"]).set_index("sample")
    about = read_metadata(prepared)
    columns = ["labels", "draw", "fold", "sample", "observed", "predicted", "inner_mse"]
    tables = {path.stem: read_table(path, complete=columns) for path in curves}
    tables |= inner_choice(tables)
    blocks = (samples["day"] // block).astype(int)
    curve_parts, difference_parts = [], []
    for labels in sorted({n for table in tables.values() for n in table["labels"]}):
        rows = {
            model: table[table["labels"] == labels]
            for model, table in tables.items()
            if (table["labels"] == labels).any()
        }
        done = Curves(rows, blocks, resamples, confidence, seed)
        trained = {model: table["train_r2"].mean() for model, table in rows.items()}
        scored = done.scores()
        curve_parts.append(scored.assign(labels=labels, train_r2=scored["model"].map(trained)))
        difference_parts.append(done.differences().assign(labels=labels))
    order = ["model", "labels", "estimate", "lower", "upper", "draws", "samples", "train_r2"]
    curve = pd.concat(curve_parts)[order]
    order = ["model", "reference", "labels", "difference", "lower", "upper"]
    difference = pd.concat(difference_parts)[order]
    write_table(curve, label_curves)
    write_table(difference, label_differences)
    metrics = read_table(scores, complete=["scheme", "model", "metric"])
    pairs = read_table(comparisons, complete=["scheme", "model", "reference"])
    text = finding(metrics, pairs, curve, difference, about, scheme)
    with writing(output) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def finding(
    scores: pd.DataFrame,
    comparisons: pd.DataFrame,
    curves: pd.DataFrame,
    differences: pd.DataFrame,
    about: Mapping[str, Any],
    scheme: str,
) -> str:
    """Return the finding in words: a headline, then what it rests on.

    Parameters
    ----------
    scores, comparisons
        As of casestudies.evaluation.scores.
    curves, differences
        The tables ``label_curves`` and ``label_differences`` of :func:`summarise`.
    about
        Facts of the prepared table: long_name.
    scheme
        Scheme whose scores, with all labels, are spoken of.
    """
    counts = curves["labels"].unique()
    count = int(counts[np.abs(counts - FEW).argmin()])
    at = curves[curves["labels"] == count].set_index("model")
    pairs = differences[differences["labels"] == count].set_index(["model", "reference"])
    lines = [
        _headline(at, count, str(about.get("long_name", "the label"))),
        *_claim(at, pairs, count),
        *_against(at, pairs, count),
        *_ceiling(at, pairs, count),
        *_beyond_season(scores, comparisons, scheme),
        *_leak(scores, scheme),
    ]
    return "\n".join(lines)


def _name(model: str) -> str:
    base = model.removesuffix(ALL)
    return NAMES.get(base, base.replace("_", " ")) + (
        " fitted to all images" if base != model else ""
    )


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def _interval(row: pd.Series, column: str = "estimate") -> str:
    sign = "+" if column == "difference" else ""
    return f"{row[column]:{sign}.2f} [{row['lower']:{sign}.2f}, {row['upper']:{sign}.2f}]"


def _headline(at: pd.DataFrame, count: int, label: str) -> str:
    """Return which model comes first, with those that no label goes into set apart."""
    single = at.drop(index=[*LATENT, "oracle"], errors="ignore")
    best = single["estimate"].idxmax()
    row = single.loc[best]
    told = f"{_capital(label)}, {count} labels"
    if row["lower"] <= 0:
        return (
            f"{told}: no skill; the best model, {_name(best)}, has R² {_interval(row)} on "
            "held-out times, which is not told apart from predicting the mean."
        )
    base = best.removesuffix(ALL)
    if base in CLOSED:
        kind = "an encoder in closed form comes first, no network"
    elif base in BASELINES:
        kind = "a model without an encoder comes first"
    elif base == "cnn":
        kind = "learning from the labelled images alone comes first"
    else:
        kind = "an autoencoder comes first"
    return f"{told}: {kind}: {_name(best)}, R² {_interval(row)} on held-out times."


def _claim(at: pd.DataFrame, pairs: pd.DataFrame, count: int) -> list[str]:
    """Return how the autoencoder on all images, as in the lecture, compares with no encoder."""
    known = [name for name in ("raw_pixels", "cnn", f"pca{ALL}") if (LECTURE, name) in pairs.index]
    if not known:
        return []
    parts = [
        f"{verdict(pairs.loc[(LECTURE, name)], smaller_is_better=False)} {_name(name)} (difference "
        f"{_interval(pairs.loc[(LECTURE, name)], 'difference')})"
        for name in known
    ]
    return [
        f"The lecture's way, a plain autoencoder fitted to all images and a regression from its "
        f"latent, has R² {_interval(at.loc[LECTURE])} with {count} labels; it "
        f"{listed(parts, ';')}."
    ]


def _against(at: pd.DataFrame, pairs: pd.DataFrame, count: int) -> list[str]:
    """Return how the latent compares with its references."""
    if "latent" not in at.index:
        return []
    groups: dict[str, list[str]] = {"beats": [], "is not told apart from": [], "loses to": []}
    for reference in REFERENCES[:-1]:
        if ("latent", reference) in pairs.index:
            pair = pairs.loc[("latent", reference)]
            groups[verdict(pair, smaller_is_better=False)].append(
                f"{_name(reference)} (R² {at.loc[reference, 'estimate']:.2f}; difference "
                f"{_interval(pair, 'difference')})"
            )
    parts = [f"{verb} {listed(names)}" for verb, names in groups.items() if names]
    text = (
        f"The latent, its encoder and head chosen by inner folds, has R² "
        f"{_interval(at.loc['latent'])} with {count} labels"
    )
    lines = [f"{text}; it {listed(parts, ';')}." if parts else f"{text}."]
    if (LATENT[1], "latent") in pairs.index:
        pair = pairs.loc[(LATENT[1], "latent")]
        change = {"beats": "gains", "loses to": "loses"}.get(
            verdict(pair, smaller_is_better=False), "changes little:"
        )
        lines.append(
            f"An encoder fitted to all images, those of the test times included, {change} "
            f"{_interval(pair, 'difference')} over one that never saw them."
        )
    return lines


def _ceiling(at: pd.DataFrame, pairs: pd.DataFrame, count: int) -> list[str]:
    """Return how far the latent is from the truth: a ceiling only as far as a head can learn it."""
    if "oracle" not in at.index:
        return []
    text = (
        f"With the states that made the images in place of the latent, {count} labels give R² "
        f"{_interval(at.loc['oracle'])}"
    )
    if ("latent", "oracle") not in pairs.index:
        return [f"{text}."]
    pair = pairs.loc[("latent", "oracle")]
    told = {
        "loses to": "the latent is below this ceiling",
        "beats": "the latent is above it, so that it is no ceiling here",
    }.get(verdict(pair, smaller_is_better=False), "the latent is not told apart from it")
    return [f"{text}; {told} (difference {_interval(pair, 'difference')})."]


def _beyond_season(scores: pd.DataFrame, comparisons: pd.DataFrame, scheme: str) -> list[str]:
    """Return what the images add to season and hour when all labels are used."""
    skill = scores[scores["metric"] == "r2"].set_index(["scheme", "model"])
    pairs = comparisons.set_index(["scheme", "model", "reference"])
    if (scheme, "latent", "season") not in pairs.index:
        return []
    pair = pairs.loc[(scheme, "latent", "season")]
    row, season = skill.loc[(scheme, "latent")], skill.loc[(scheme, "season")]
    added = {"beats": "lower", "loses to": "raise"}.get(verdict(pair))
    told = (
        f"the images {added} the error of season and hour"
        if added
        else "no skill beyond season and hour is shown"
    )
    return [
        f"With all labels ({int(row['samples'])}, scheme {scheme}), {told}: R² "
        f"{_interval(row)} against {season['estimate']:.2f}, difference in RMSE "
        f"{pair['estimate']:+.3g} [{pair['lower']:+.3g}, {pair['upper']:+.3g}]."
    ]


def _leak(scores: pd.DataFrame, scheme: str) -> list[str]:
    """Return what random folds would have claimed of regression on raw pixels."""
    skill = scores[scores["metric"] == "r2"].set_index(["scheme", "model"])["estimate"]
    known = {("random", "raw_pixels"), (scheme, "raw_pixels")} <= set(skill.index)
    if scheme == "random" or not known:
        return []
    return [
        f"Random folds, which let neighbours in time into the training, would have claimed R² "
        f"{skill['random', 'raw_pixels']:.2f} of regression on raw pixels in place of "
        f"{skill[scheme, 'raw_pixels']:.2f}."
    ]


if __name__ == "__main__":
    main(summarise)
