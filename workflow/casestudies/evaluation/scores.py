"""Scores of out-of-fold predictions, with intervals from resampling the independent unit.

Every metric takes weights of shape (resamples, samples), so that all resamples of a cluster
bootstrap are scored at once. With two units (a new glacier in a new year) both are resampled and
the weights multiply (the pigeonhole bootstrap; Owen 2007, Ann. Appl. Stat. 1, 386-411).

Probabilities of cohorts that were left out are not comparable between cohorts, each having a base
rate and a laboratory of its own. Their scores are computed within each cohort and averaged, every
cohort with the same weight.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.evaluation.delong import delong_interval
from casestudies.provenance import provenance
from casestudies.steps import main
from casestudies.tables import read_metadata, read_table, write_json, write_table

Metric = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return weights @ values / weights.sum(axis=1)


def rmse(observed: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Root mean square error; observed, predicted (n,), weights (b, n) -> (b,)."""
    return np.sqrt(_mean((predicted - observed) ** 2, weights))


def mae(observed: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean absolute error."""
    return _mean(np.abs(predicted - observed), weights)


def bias(observed: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean of predicted less observed."""
    return _mean(predicted - observed, weights)


def r2(observed: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Coefficient of determination about the (resampled) mean of the observations."""
    variance = _mean(observed**2, weights) - _mean(observed, weights) ** 2
    # A resample may hold a single value; its R² is undefined rather than infinite.
    variance = np.where(variance > 1e-12 * max(1.0, float(np.var(observed))), variance, np.nan)
    return 1 - _mean((predicted - observed) ** 2, weights) / variance


def brier(observed: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean squared error of a probability (Brier 1950)."""
    return _mean((predicted - observed) ** 2, weights)


def log_loss(observed: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean negative log likelihood of classes 0/1; probabilities are kept 1e-15 from 0 and 1."""
    p = np.clip(predicted, 1e-15, 1 - 1e-15)
    return _mean(-observed * np.log(p) - (1 - observed) * np.log1p(-p), weights)


def _tied_counts(
    observed: np.ndarray, predicted: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights of positives and negatives, (b, k) each, per distinct score, ascending."""
    order = np.argsort(predicted, kind="stable")
    starts = np.flatnonzero(np.diff(predicted[order], prepend=-np.inf))
    sorted_weights, labels = weights[:, order], observed[order]
    positive = np.add.reduceat(sorted_weights * labels, starts, axis=1)
    negative = np.add.reduceat(sorted_weights * (1 - labels), starts, axis=1)
    return positive, negative


def auc(observed: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Area under the ROC curve, ties counted half (Mann-Whitney); NaN where a class is absent."""
    positive, negative = _tied_counts(observed, predicted, weights)
    below = np.cumsum(negative, axis=1) - negative / 2
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.where(pairs > 0, (positive * below).sum(axis=1) / pairs, np.nan)


def pr_auc(observed: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Average precision: precision summed over steps of recall, from the highest score down."""
    positive, negative = (part[:, ::-1] for part in _tied_counts(observed, predicted, weights))
    hits = np.cumsum(positive, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = hits / (hits + np.cumsum(negative, axis=1))
        precision = np.where(positive > 0, precision, 0)
        return (positive * precision).sum(axis=1) / positive.sum(axis=1)


def calibration_slope(
    observed: np.ndarray, predicted: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Slope of the class on the predicted log odds: 1 if well spread, below 1 if too confident.

    Cox (1958, Biometrika 45, 562-565); Newton's method on all resamples at once. NaN where it has
    no finite solution: predictions that are all the same, or that separate the classes.
    """
    p = np.clip(predicted, 1e-6, 1 - 1e-6)
    odds = np.log(p) - np.log1p(-p)
    if np.ptp(odds) < 1e-9:
        return np.full(len(weights), np.nan)
    intercept, slope = np.zeros(len(weights)), np.zeros(len(weights))
    with np.errstate(all="ignore"):
        for _ in range(30):
            fitted = 1 / (1 + np.exp(-(intercept[:, None] + slope[:, None] * odds)))
            gap, curvature = weights * (observed - fitted), weights * fitted * (1 - fitted)
            g0, g1 = gap.sum(axis=1), gap @ odds
            h00, h01, h11 = curvature.sum(axis=1), curvature @ odds, curvature @ odds**2
            determinant = h00 * h11 - h01**2
            step0 = (h11 * g0 - h01 * g1) / determinant
            step1 = (h00 * g1 - h01 * g0) / determinant
            intercept, slope = intercept + step0, slope + step1
            if np.nanmax(np.abs([step0, step1]), initial=0) < 1e-8:
                break
        lost = ~(np.abs(step0) + np.abs(step1) < 1e-4)
    return np.where(lost, np.nan, slope)


def calibration_intercept(
    observed: np.ndarray, predicted: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Observed less mean predicted frequency of the class: 0 if calibrated in the large."""
    return _mean(observed - predicted, weights)


METRICS: dict[str, dict[str, Metric]] = {
    "regression": {"rmse": rmse, "mae": mae, "bias": bias, "r2": r2},
    "classification": {
        "auc": auc,
        "pr_auc": pr_auc,
        "log_loss": log_loss,
        "brier": brier,
        "calibration_slope": calibration_slope,
        "calibration_intercept": calibration_intercept,
    },
}
"""The metrics of each task; the first is the one that models are compared by."""


def cluster_weights(
    units: Sequence[np.ndarray], resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw bootstrap weights by resampling whole units.

    Parameters
    ----------
    units
        For each kind of independent unit, the unit of every sample, (n,).
    resamples
        Number of resamples, b.

    Returns
    -------
    Weights (b, n): how often each sample occurs in each resample.
    """
    weights = np.ones((resamples, len(units[0])))
    for unit in units:
        values, codes = np.unique(unit, return_inverse=True)
        counts = rng.multinomial(len(values), np.full(len(values), 1 / len(values)), resamples)
        weights *= counts[:, codes]
    return weights


class Scorer:
    """Scores of several models on one scheme, all with the same resamples.

    Parameters
    ----------
    units
        Table indexed by sample, one column per kind of independent unit.
    task
        "regression" or "classification".
    confidence
        Level of the percentile intervals.
    within
        Group of each sample, indexed by sample: metrics are computed in each group and averaged.
        None: over all samples at once.
    """

    def __init__(
        self,
        units: pd.DataFrame,
        task: str = "regression",
        resamples: int = 2000,
        confidence: float = 0.95,
        seed: int | np.random.SeedSequence = 0,
        within: pd.Series | None = None,
    ) -> None:
        self.task = task
        self.within = within
        self.metrics = METRICS[task]
        self.primary = next(iter(self.metrics))
        self.units = units
        self.confidence = confidence
        self.levels = [(1 - confidence) / 2, (1 + confidence) / 2]
        rng = np.random.default_rng(seed)
        columns = [units[column].to_numpy() for column in units]
        self._weights = cluster_weights(columns, resamples, rng)
        self._position = pd.Index(units.index)
        self._taken: tuple[bytes, np.ndarray] = (b"", self._weights)

    def _weights_of(self, samples: pd.Series) -> np.ndarray:
        """Return the weights of some samples, (b, n), resamples without any of them left out."""
        rows = self._position.get_indexer(samples)
        key = rows.tobytes()
        if self._taken[0] != key:  # copying them costs more than a metric, and most calls agree
            weights = self._weights[:, rows]
            self._taken = (key, weights[weights.sum(axis=1) > 0])
        return self._taken[1]

    def _replicates(
        self, metric: Metric, predictions: pd.DataFrame, mask: np.ndarray
    ) -> tuple[float, np.ndarray]:
        """Return the estimate and its bootstrap replicates, averaged over repeats."""
        kept = predictions[mask]
        estimates, replicates = [], []
        for _, rows in kept.groupby("repeat"):
            weights = self._weights_of(rows["sample"])
            observed = rows["observed"].to_numpy(dtype=float)
            predicted = rows["predicted"].to_numpy(dtype=float)
            once = np.ones((1, len(rows)))
            if self.within is not None:
                metric_of = partial(_averaged, metric, self.within.loc[rows["sample"]].to_numpy())
            else:
                metric_of = metric
            estimates.append(metric_of(observed, predicted, once)[0])
            replicates.append(metric_of(observed, predicted, weights))
        return float(np.mean(estimates)), np.mean(replicates, axis=0)

    def _interval(self, replicates: np.ndarray) -> tuple[float, float]:
        if np.isnan(replicates).all():
            return np.nan, np.nan
        lower, upper = np.nanquantile(replicates, self.levels)
        return float(lower), float(upper)

    def _groups(self, predictions: pd.DataFrame) -> str:
        """Return the number of independent units of each kind, for example ``32`` or ``32x32``."""
        units = self.units.loc[predictions["sample"].unique()]
        return "x".join(str(units[column].nunique()) for column in units)

    def score(self, predictions: pd.DataFrame) -> pd.DataFrame:
        """Return metric, estimate, lower, upper, samples, groups of one model."""
        mask = scored(predictions)
        rows = []
        for name, metric in self.metrics.items():
            estimate, replicates = self._replicates(metric, predictions, mask)
            rows.append((name, estimate, *self._interval(replicates)))
        if self.task == "classification" and self.within is None:
            clusters = self.units.loc[predictions.loc[mask, "sample"]].iloc[:, 0].to_numpy()
            interval = delong_interval(predictions[mask], clusters, self.confidence)
            rows.insert(1, ("auc_delong", *interval))
        table = pd.DataFrame(rows, columns=["metric", "estimate", "lower", "upper"])
        kept = predictions[mask]
        return table.assign(samples=kept["sample"].nunique(), groups=self._groups(kept))

    def compare(self, models: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
        """Return paired differences of the primary metric, model less reference, for all pairs.

        Each pair is scored on the samples that both predict. Columns: metric, model, reference,
        estimate, lower, upper, samples, groups.
        """
        metric = self.metrics[self.primary]
        aligned = {
            name: table.sort_values(["repeat", "sample"], kind="stable").reset_index(drop=True)
            for name, table in models.items()
        }
        masks = {name: scored(table) for name, table in aligned.items()}
        cache: dict[tuple[str, bytes], tuple[float, np.ndarray]] = {}

        def replicates(name: str, mask: np.ndarray) -> tuple[float, np.ndarray]:
            key = (name, mask.tobytes())
            if key not in cache:
                cache[key] = self._replicates(metric, aligned[name], mask)
            return cache[key]

        rows = []
        for model, reference in permutations(aligned, 2):
            if not aligned[model][["repeat", "sample"]].equals(
                aligned[reference][["repeat", "sample"]]
            ):
                raise ValueError(f"{model} and {reference} predict different samples")
            both = masks[model] & masks[reference]
            if not both.any():
                continue
            ours, theirs = replicates(model, both), replicates(reference, both)
            kept = aligned[model][both]
            rows.append(
                (
                    self.primary,
                    model,
                    reference,
                    ours[0] - theirs[0],
                    *self._interval(ours[1] - theirs[1]),
                    kept["sample"].nunique(),
                    self._groups(kept),
                )
            )
        columns = [
            "metric",
            "model",
            "reference",
            "estimate",
            "lower",
            "upper",
            "samples",
            "groups",
        ]
        return pd.DataFrame(rows, columns=columns)


def _averaged(
    metric: Metric,
    groups: np.ndarray,
    observed: np.ndarray,
    predicted: np.ndarray,
    weights: np.ndarray,
) -> np.ndarray:
    """Return the mean of a metric over groups, each as often as it occurs in a resample, (b,)."""
    total, count = np.zeros(len(weights)), np.zeros(len(weights))
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        often = weights[:, rows].mean(axis=1)
        drawn = np.flatnonzero(often)
        values = metric(observed[rows], predicted[rows], weights[np.ix_(drawn, rows)])
        defined = ~np.isnan(values)
        total[drawn[defined]] += often[drawn[defined]] * values[defined]
        count[drawn[defined]] += often[drawn[defined]]
    with np.errstate(invalid="ignore"):
        return np.where(count > 0, total / count, np.nan)


def scored(predictions: pd.DataFrame) -> np.ndarray:
    """Return which rows can be scored: observed and predicted (a model may be undefined)."""
    return (predictions["observed"].notna() & predictions["predicted"].notna()).to_numpy()


def coverage(predictions: pd.DataFrame, by: pd.Series | None = None) -> pd.DataFrame:
    """Return how often intervals cover the observation, and their mean width.

    A model without intervals yields no rows.

    Parameters
    ----------
    by
        Group of each sample, indexed by sample; without it there is one group, ``all``.

    Returns
    -------
    Table: group, coverage, width (unit of the target), samples.
    """
    kept = predictions[scored(predictions) & predictions["lower"].notna()]
    inside = (kept["observed"] >= kept["lower"]) & (kept["observed"] <= kept["upper"])
    group = "all" if by is None else by.loc[kept["sample"]].to_numpy()
    table = pd.DataFrame(
        {"group": group, "coverage": inside.to_numpy(), "width": kept["upper"] - kept["lower"]}
    )
    grouped = table.groupby("group", sort=True)
    result = grouped[["coverage", "width"]].mean()
    return result.assign(samples=grouped.size()).reset_index()


def score(
    *,
    samples: Path,
    predictions: list[Path],
    units: str,
    within: str = "{}",
    task: str = "regression",
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int,
    config: str = "{}",
    scores: Path,
    comparisons: Path,
    coverages: Path,
    provenances: Path,
) -> None:
    """Score the out-of-fold predictions of all models on all schemes of a data set.

    Parameters
    ----------
    samples
        Prepared table with a column ``sample`` and the grouping columns.
    predictions
        Prediction tables, each named <scheme>/<model>.parquet.
    units
        JSON: for each scheme the columns of its independent units.
    within
        JSON: for some schemes the column of the groups in which metrics are computed, and over
        which they are averaged.
    task
        "regression" or "classification".
    resamples
        Bootstrap resamples.
    confidence
        Level of the intervals.
    seed
        Seed of the resampling.
    config
        JSON of the configuration that the results follow from, for the provenance.
    scores
        Output: scheme, model, metric, estimate, lower, upper, samples, groups.
    comparisons
        Output: scheme, metric, model, reference, estimate (model less reference), lower, upper.
    coverages
        Output: scheme, model, unit, group, coverage, width, samples.
    provenances
        Output (JSON): what the scores rest on.
    """
    grouping: dict[str, list[str]] = json.loads(units)
    averaged: dict[str, str] = json.loads(within)
    columns = sorted({c for names in grouping.values() for c in names} | {*averaged.values()})
    table = read_table(samples, columns=columns, complete=["sample"]).set_index(
        "sample", drop=False
    )
    by_scheme: dict[str, dict[str, pd.DataFrame]] = defaultdict(dict)
    steps = {}
    for path in predictions:
        scheme, model = path.parent.name, path.stem
        wanted = ["sample", "repeat", "observed", "predicted", "lower", "upper"]
        by_scheme[scheme][model] = read_table(path, columns=wanted)
        steps[f"{scheme}/{model}"] = read_metadata(path)
    parts: dict[str, list[pd.DataFrame]] = defaultdict(list)
    for scheme, models in by_scheme.items():
        groups = table[averaged[scheme]] if scheme in averaged else None
        scorer = Scorer(table[grouping[scheme]], task, resamples, confidence, seed, groups)
        for model, predicted in models.items():
            parts["scores"].append(scorer.score(predicted).assign(scheme=scheme, model=model))
            covered = [coverage(predicted).assign(unit="all")]
            covered += [
                coverage(predicted, table[unit].astype(str)).assign(unit=unit)
                for unit in grouping[scheme]
            ]
            parts["coverages"] += [part.assign(scheme=scheme, model=model) for part in covered]
        parts["comparisons"].append(scorer.compare(models).assign(scheme=scheme))
    order = {
        "scores": "scheme model metric estimate lower upper samples groups",
        "comparisons": "scheme metric model reference estimate lower upper samples groups",
        "coverages": "scheme model unit group coverage width samples",
    }
    for name, path in (("scores", scores), ("comparisons", comparisons), ("coverages", coverages)):
        write_table(pd.concat(parts[name])[order[name].split()], path)
    write_json({**provenance(json.loads(config), seed), "steps": steps}, provenances)


if __name__ == "__main__":
    main(score)
