"""What the covariates explain: alone, beside the microbiome, and among samples that agree in them.

A classifier of disease may have learned what goes with the disease in one data set: country, age.
Three questions tell. How far does a covariate get without any taxon? How far does the microbiome
get between a case and a control that agree in it? What does the microbiome add to the covariates?
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from casestudies.errors import InputError
from casestudies.evaluation.delong import delong_interval
from casestudies.evaluation.nested import log_loss, nested_cross_validation
from casestudies.evaluation.scores import Scorer, cluster_weights
from casestudies.evaluation.splits import Fold, read_folds
from casestudies.mwas.abundance import TARGET, Abundances, load
from casestudies.mwas.models import build
from casestudies.steps import main, progress
from casestudies.tables import read_table, write_table

COLUMNS = ["kind", "name", "model", "estimate", "lower", "upper", "samples", "positives", "note"]
MICROBIOME = ("ridge_log", "linear")
"""Models of the taxa alone, of which the first that is there is examined: the one, the same for all
data sets, to which ridge_log_covariates adds the covariates."""

_WANTED = ["repeat", "sample", "observed", "predicted"]
_RESAMPLES = 2000
_DEFINES = 0.95  # a covariate that separates the classes this well is the label by another name
_CALIPER = 0.2  # standard deviations, for numbers other than age and bmi (Austin 2011)


def agreeing(values: pd.Series, caliper: float | None) -> np.ndarray:
    """Return which pairs of samples agree in a covariate, boolean (n, n).

    Parameters
    ----------
    values
        The covariate, (n,); a missing value agrees with none.
    caliper
        Largest difference of numbers, in their unit; None: the values must be equal.
    """
    if caliper is None:
        codes = pd.factorize(values)[0]
        return (codes[:, None] == codes) & (codes >= 0)[:, None]
    numbers = values.to_numpy(dtype=float)
    with np.errstate(invalid="ignore"):
        return np.abs(numbers[:, None] - numbers) <= caliper


def matched_auc(
    observed: np.ndarray, predicted: np.ndarray, agree: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the probability that of an agreeing pair the case has the higher prediction, (b,).

    With all pairs agreeing it is the area under the ROC curve.

    Parameters
    ----------
    observed, predicted
        Classes 0/1 and scores, (n,).
    agree
        Which pairs count, (n, n).
    weights
        How often each sample occurs in each resample, (b, n).

    Returns
    -------
    NaN for a resample without an agreeing pair.
    """
    case = observed > 0.5
    pairs = agree[np.ix_(case, ~case)].astype(float)
    gap = predicted[case][:, None] - predicted[~case]
    won = pairs * ((gap > 0) + 0.5 * (gap == 0))
    cases, controls = weights[:, case], weights[:, ~case]
    total = ((cases @ pairs) * controls).sum(axis=1)
    with np.errstate(invalid="ignore"):
        return np.where(total > 0, ((cases @ won) * controls).sum(axis=1) / total, np.nan)


class _Matching:
    """The microbiome's AUC over pairs that agree, with an interval from resampling subjects."""

    def __init__(
        self,
        model: str,
        predictions: pd.DataFrame,
        data: Abundances,
        confidence: float,
        seed: int,
    ) -> None:
        self.case = data.samples[TARGET].to_numpy() > 0.5
        self.model = model
        self.levels = [(1 - confidence) / 2, (1 + confidence) / 2]
        position = pd.Index(data.samples["sample"])
        self.repeats = [
            (
                position.get_indexer(rows["sample"]),
                rows["observed"].to_numpy(dtype=float),
                rows["predicted"].to_numpy(dtype=float),
            )
            for _, rows in predictions.groupby("repeat")
        ]
        rng = np.random.default_rng(seed)
        self.weights = cluster_weights([data.samples["subject"].to_numpy()], _RESAMPLES, rng)

    def row(self, name: str, agree: np.ndarray, note: str) -> list:
        """Return a row of the table; ``agree`` is (n, n) over the prepared samples."""
        pairs = agree[np.ix_(self.case, ~self.case)]
        cases, controls = int(pairs.any(axis=1).sum()), int(pairs.any(axis=0).sum())
        if not pairs.any():
            empty = [np.nan, np.nan, np.nan, 0, 0]
            return ["matched", name, self.model, *empty, f"no case and control agree; {note}"]
        everything = np.vstack([np.ones(len(self.case)), self.weights])
        values = np.mean(
            [
                matched_auc(observed, predicted, agree[np.ix_(rows, rows)], everything[:, rows])
                for rows, observed, predicted in self.repeats
            ],
            axis=0,
        )
        bounds = np.nanquantile(values[1:], self.levels)
        note = f"{pairs.sum()} pairs; {note}"
        return ["matched", name, self.model, values[0], *bounds, cases + controls, cases, note]


def confounding(
    data: Abundances,
    folds: Sequence[Fold],
    predictions: dict[str, pd.DataFrame],
    calipers: dict[str, float],
    confidence: float,
    seed: int,
) -> pd.DataFrame:
    """Return the table of confounding (see :func:`confound`).

    Parameters
    ----------
    predictions
        Out-of-fold predictions by model, on ``folds``: repeat, sample, observed, predicted.
    calipers
        Largest difference of a matched pair, by covariate.

    Raises
    ------
    InputError
        If no model of the taxa alone is among the predictions, or one is of other samples.
    """
    samples = data.samples
    microbiome = next((name for name in MICROBIOME if name in predictions), None)
    if microbiome is None:
        raise InputError(
            f"predictions: none of {', '.join(MICROBIOME)} is among {', '.join(predictions)}; "
            "add ridge_log to the models."
        )
    for name, table in predictions.items():
        foreign = ~table["sample"].isin(samples["sample"]).to_numpy()
        if foreign.any():
            raise InputError(
                f"predictions of {name}: sample {table['sample'].iloc[foreign.argmax()]!r} is not "
                "among the prepared samples; delete the file to have it made again."
            )
    subject = samples.set_index("sample")["subject"]
    counts = [len(samples), int(samples[TARGET].sum())]

    def curve(kind: str, name: str, model: str, table: pd.DataFrame, note: str) -> list:
        clusters = subject.loc[table["sample"]].to_numpy()
        area = delong_interval(table, clusters, confidence)
        return [kind, name, model, *area, *counts, note]

    def of_covariates(names: list[str]) -> pd.DataFrame:
        table, _, _ = nested_cross_validation(
            build("covariates", [], names),
            samples[names],
            samples[TARGET].to_numpy(),
            folds,
            seed=seed,
            loss=log_loss,
            label=f"covariates: {', '.join(names)}",
        )
        return table.assign(sample=samples["sample"].to_numpy()[table["position"]])

    rows = []
    for name in data.covariates:
        row = curve("covariate", name, "covariates", of_covariates([name]), "")
        row[-1] = "; ".join(_remarks(data, name, row[3]))
        rows.append(row)
    usable = data.usable_covariates
    if usable:
        together = of_covariates(usable)
        rows.append(curve("covariates", "all", "covariates", together, ", ".join(usable)))
    taxa = predictions[microbiome]
    rows.append(curve("model", "microbiome", microbiome, taxa, ""))
    matching = _Matching(microbiome, taxa, data, confidence, seed)
    for name in progress(data.covariates, "matched pairs"):
        rows += _matched(matching, name, samples[name], calipers)
    both = "ridge_log_covariates"
    if usable and both in predictions:
        scorer = Scorer(
            subject.to_frame(),
            "classification",
            _RESAMPLES,
            confidence,
            np.random.SeedSequence(seed),
        )
        pairs = scorer.compare({both: predictions[both], "covariates": together[_WANTED]})
        pair = pairs[pairs["model"] == both].iloc[0]
        bounds = [pair["estimate"], pair["lower"], pair["upper"]]
        rows.append(["added", "all", both, *bounds, *counts, "difference of AUC to covariates"])
    return pd.DataFrame(rows, columns=COLUMNS)


def _remarks(data: Abundances, name: str, auc: float) -> Iterator[str]:
    if name in data.about.get("defining", []):
        yield "the label was made from it; no model uses it"
    elif auc > _DEFINES:
        yield "defines the label"
    missing = int(data.samples[name].isna().sum())
    if missing:
        yield f"missing in {missing} samples"


def _matched(
    matching: _Matching, name: str, values: pd.Series, calipers: dict[str, float]
) -> Iterator[list]:
    """Yield the row of a covariate and, for a category, of each value that has both classes."""
    if is_numeric_dtype(values):
        caliper = calipers.get(name, _CALIPER * float(values.std()))
        yield matching.row(name, agreeing(values, caliper), f"at most {caliper:.3g} apart")
        return
    yield matching.row(name, agreeing(values, None), "same value")
    for value in sorted(values.dropna().unique()):
        inside = (values == value).to_numpy()
        if 0 < matching.case[inside].sum() < inside.sum():
            yield matching.row(f"{name} = {value}", np.outer(inside, inside), "within this value")


def confound(
    *,
    prepared: Path,
    splits: Path,
    predictions: list[Path],
    caliper_age: float,
    caliper_bmi: float,
    confidence: float,
    seed: int,
    output: Path,
) -> None:
    """Say what the covariates of a data set explain, and what is left for the microbiome.

    Parameters
    ----------
    prepared
        Prepared table, one row per sample.
    splits
        Folds of the scheme that does not leave out cohorts.
    predictions
        Out-of-fold predictions on these folds, named <model>.parquet; ridge_log or linear must be
        among them.
    caliper_age
        Largest difference in age of a matched pair (years).
    caliper_bmi
        Largest difference in body mass index of a matched pair (kg m⁻²).
    confidence
        Level of the intervals.
    seed
        Seed of the resampling.
    output
        Table (CSV): kind, name, model, estimate (AUC; of kind ``added`` a difference), lower,
        upper, samples, positives, note. Kinds: covariate, covariates, model, matched, added.
    """
    data = load(prepared)
    table = confounding(
        data,
        read_folds(splits, data.samples),
        {path.stem: read_table(path, complete=_WANTED)[_WANTED] for path in predictions},
        {"age": caliper_age, "bmi": caliper_bmi},
        confidence,
        seed,
    )
    write_table(table, output)


if __name__ == "__main__":
    main(confound)
