"""What the penalised models have learned: stable taxa, coefficients, the path, a model to use.

All of it is fitted to all samples of a data set and describes them; how well such models predict is
a matter of the cross-validated scores.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler

from casestudies.config.mwas import Linear
from casestudies.errors import InputError
from casestudies.evaluation.delong import delong_interval
from casestudies.evaluation.nested import log_loss
from casestudies.evaluation.scores import calibration_intercept, calibration_slope
from casestudies.files import write_json
from casestudies.mwas.abundance import TARGET, Abundances, load
from casestudies.mwas.models import (
    AbundanceClassifier,
    PenalisedLogisticRegression,
    build,
    penalty_ratios,
)
from casestudies.mwas.predict import Calibration, FittedModel, Taxon
from casestudies.mwas.transforms import taxa_pipeline
from casestudies.steps import main, progress
from casestudies.tables import read_table, write_table

EXPLAINED = ("ridge_log", "lasso_log", "ridge_log_covariates")
"""Models whose coefficients are reported."""
FIXED = tuple(name for name in get_args(Linear) if name.startswith(("ridge_", "lasso_")))
"""Linear models of abundances alone with one transform: those that can become model.json."""
FOLDS = 10
"""Folds over subjects by which a final penalty is chosen."""
SHOWN = 30
"""Taxa in the table of the stability path."""
INTERVAL = (0.025, 0.975)


class Subjects(NamedTuple):
    """The independent units of a data set."""

    rows: list[np.ndarray]
    """Positions of each subject's samples."""
    strata: list[np.ndarray]
    """Positions in ``rows`` of the subjects without, and with, a case sample."""


def subjects_of(samples: pd.DataFrame) -> Subjects:
    """Return the subjects of a table with columns subject and disease."""
    codes, names = pd.factorize(samples["subject"])
    order = np.argsort(codes, kind="stable")
    rows = np.split(order, np.cumsum(np.bincount(codes, minlength=len(names)))[:-1])
    target = samples[TARGET].to_numpy()
    case = np.array([target[positions].max() > 0 for positions in rows])
    return Subjects(rows, [np.flatnonzero(~case), np.flatnonzero(case)])


def complementary_halves(
    subjects: Subjects, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return two disjoint halves of the samples, by subject, stratified by class.

    Of an odd number of subjects one is left out, so that the halves are of equal size.
    """
    halves: tuple[list[int], list[int]] = ([], [])
    for stratum in subjects.strata:
        drawn = rng.permutation(stratum)
        size = len(drawn) // 2
        for half, chosen in zip(halves, (drawn[:size], drawn[size : 2 * size]), strict=True):
            half.extend(chosen)
    first, second = (
        np.sort(np.concatenate([subjects.rows[subject] for subject in half])) for half in halves
    )
    return first, second


def resampled(subjects: Subjects, rng: np.random.Generator) -> np.ndarray:
    """Return positions of the samples of a bootstrap of subjects within class."""
    drawn = np.concatenate([rng.choice(stratum, len(stratum)) for stratum in subjects.strata])
    return np.concatenate([subjects.rows[subject] for subject in drawn])


def number_to_select(expected_false: float, threshold: float, taxa: int) -> int:
    """Return the largest q with q² / ((2 threshold − 1) taxa) <= expected_false.

    Meinshausen and Bühlmann (2010, J. R. Stat. Soc. B 72, 417-473), theorem 1.

    Raises
    ------
    InputError
        If the bound does not hold at this threshold, or not even one taxon may enter.
    """
    if not 0.5 < threshold <= 1:
        raise InputError(f"stability: threshold is {threshold:g}; give more than 0.5, at most 1.")
    q = int(np.sqrt(expected_false * (2 * threshold - 1) * taxa) + 1e-9)
    if q < 1:
        raise InputError(
            f"stability: expected_false {expected_false:g} with threshold {threshold:g} lets none "
            f"of the {taxa} taxa be selected; raise expected_false to at least "
            f"{1 / ((2 * threshold - 1) * taxa):.2g}, or raise the threshold."
        )
    return min(q, taxa)


def first_to_enter(path: np.ndarray, count: int) -> np.ndarray:
    """Return a mask of the ``count`` taxa that enter a path first.

    Parameters
    ----------
    path
        Coefficients, (taxa, penalties), the penalties descending.

    Returns
    -------
    Mask, (taxa,). Of those that enter at one penalty the larger in absolute value come first; taxa
    that never enter are never selected, even if fewer than ``count`` do.
    """
    active = path != 0
    step = np.where(active.any(axis=1), active.argmax(axis=1), path.shape[1])
    size = np.abs(path[np.arange(len(path)), np.minimum(step, path.shape[1] - 1)])
    selected = np.zeros(len(path), dtype=bool)
    selected[np.lexsort((-size, step))[:count]] = True
    return selected & active.any(axis=1)


def stability_selection(
    values: np.ndarray,
    target: np.ndarray,
    subjects: Subjects,
    *,
    pairs: int,
    count: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Return how often the lasso selects each taxon on complementary halves of the samples.

    Complementary pairs of Shah and Samworth (2013, J. R. Stat. Soc. B 75, 55-80).

    Parameters
    ----------
    values
        Transformed abundances, (samples, taxa); standardised here in each half.
    target
        Classes 0/1, (samples,).
    count
        Taxa that a half selects: the first to enter its path.

    Returns
    -------
    Fraction of the halves that select each taxon, (taxa,), and in which it has a coefficient at
    each penalty ratio of the path, (taxa, ratios).
    """
    ratios = penalty_ratios(1.0)
    selected = np.zeros(values.shape[1])
    active = np.zeros((values.shape[1], len(ratios)))
    for _ in progress(range(pairs), "stability selection"):
        for half in complementary_halves(subjects, rng):
            standardised = StandardScaler().fit_transform(values[half])
            fitted = PenalisedLogisticRegression(1.0, ratios, ratios[-1])
            path = fitted.fit(standardised, target[half]).coef_path_
            selected += first_to_enter(path, count)
            active += path != 0
    return selected / (2 * pairs), active / (2 * pairs)


def folds_over_subjects(samples: pd.DataFrame, subjects: Subjects, seed: int) -> list[Any]:
    """Return (train, test) positions of stratified folds that keep subjects whole.

    Raises
    ------
    InputError
        If a class has fewer than two subjects.
    """
    fewest = min(map(len, subjects.strata))
    if fewest < 2:
        raise InputError(
            f"a class of {TARGET!r} has {fewest} subject(s); a penalty can be chosen from two on."
        )
    splitter = StratifiedGroupKFold(min(FOLDS, fewest), shuffle=True, random_state=seed)
    return list(splitter.split(samples, samples[TARGET], samples["subject"]))


def fit_final(name: str, data: Abundances, folds: Sequence[Any]) -> AbundanceClassifier:
    """Fit a linear model to all samples, with the settings that held-out subjects prefer.

    As in an outer fold of the cross-validation: every setting is fitted on every training part, the
    filter and the standardisation included, and the least pooled log loss decides.
    """
    family = build(name, data.taxa.columns, data.usable_covariates)
    predictors, target = data.predictors, data.samples[TARGET].to_numpy()
    held_out = [
        family.predict(
            predictors.iloc[train], target[train], predictors.iloc[test], family.settings, 0
        )
        for train, test in folds
    ]
    observed = np.concatenate([target[test] for _, test in folds])
    losses = [log_loss(observed, column) for column in np.concatenate(held_out).T]
    transform, ratio = family.settings[int(np.argmin(losses))]
    model = AbundanceClassifier(
        transform,
        family.l1_ratio,
        taxa=family.taxa,
        covariates=family.covariates,
        ratio=ratio,
    )
    return model.fit(predictors, target)


def _bootstrapped(
    model: AbundanceClassifier,
    data: Abundances,
    subjects: Subjects,
    bootstrap: int,
    rng: np.random.Generator,
    label: str,
) -> np.ndarray:
    """Return the taxa's coefficients in each bootstrap, (bootstrap, taxa), at the same ratio."""
    values = model.pipeline_[:-1].transform(data.taxa.to_numpy(dtype=float))
    covariates = np.empty((len(values), 0))
    if model.encoder_ is not None:
        covariates = model.encoder_.transform(data.samples[list(model.covariates)])
    target = data.samples[TARGET].to_numpy()
    fitted = model.regression_
    # A lasso is found faster from above; a ridge needs no path.
    ratios = [fitted.ratio_]
    if model.l1_ratio:
        ratios = fitted.path_ratios_[fitted.path_ratios_ >= fitted.ratio_]
    leading = covariates.shape[1]
    coefficients = np.empty((bootstrap, values.shape[1]))
    for k in progress(range(bootstrap), f"bootstrap of {label}"):
        rows = resampled(subjects, rng)
        predictors = np.hstack([covariates[rows], StandardScaler().fit_transform(values[rows])])
        again = PenalisedLogisticRegression(
            model.l1_ratio, ratios, fitted.ratio_, unpenalised=leading
        )
        coefficients[k] = again.fit(predictors, target[rows]).coef_[0, leading:]
    return coefficients


def coefficient_table(
    name: str,
    model: AbundanceClassifier,
    data: Abundances,
    subjects: Subjects,
    bootstrap: int,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Return one row per taxon of a fitted model (columns: see :func:`explain`).

    ``sign_stability`` is the fraction of bootstraps whose coefficient has the sign of the estimate;
    for a coefficient of zero, the fraction in which it is zero again.
    """
    drawn = _bootstrapped(model, data, subjects, bootstrap, rng, name)
    estimate = model.regression_.coef_[0, -len(model.kept_) :]
    lower, upper = np.quantile(drawn, INTERVAL, axis=0)
    abundances = data.taxa.to_numpy(dtype=float)
    percent = pd.DataFrame(
        100 * abundances / abundances.sum(axis=1, keepdims=True), columns=data.taxa.columns
    )[model.kept_]
    case = data.samples[TARGET].to_numpy() > 0
    return pd.DataFrame(
        {
            "model": name,
            "taxon": model.kept_,
            "coefficient": estimate,
            "lower": lower,
            "upper": upper,
            "sign_stability": (np.sign(drawn) == np.sign(estimate)).mean(axis=0),
            "prevalence_cases": (percent[case] > 0).mean().to_numpy(),
            "prevalence_controls": (percent[~case] > 0).mean().to_numpy(),
            "mean_cases": percent[case].mean().to_numpy(),
            "mean_controls": percent[~case].mean().to_numpy(),
        }
    )


def path_table(model: AbundanceClassifier) -> pd.DataFrame:
    """Return taxon, lambda_ratio, coefficient of the taxa that enter a fitted path at all."""
    fitted = model.regression_
    path = fitted.coef_path_[-len(model.kept_) :]
    return _long(path, model.kept_, fitted.path_ratios_, (path != 0).any(axis=1), "coefficient")


def _long(
    values: np.ndarray, taxa: Sequence[str], ratios: np.ndarray, rows: np.ndarray, name: str
) -> pd.DataFrame:
    """Return a table of (taxa, ratios) values, some rows of it, one line per value."""
    kept = np.asarray(taxa, dtype=object)[rows]
    return pd.DataFrame(
        {
            "taxon": np.repeat(kept, len(ratios)),
            "lambda_ratio": np.tile(ratios, len(kept)),
            name: values[rows].ravel(),
        }
    )


def _named(paths: Sequence[Path]) -> Iterator[tuple[str, str, Path]]:
    """Yield scheme, model and path of files <scheme>/<model>.parquet."""
    for path in paths:
        yield path.parent.name, path.stem, path


def choose_model(inner: Sequence[Path]) -> str:
    """Return the model of least inner log loss, averaged over schemes; of equals the first.

    Raises
    ------
    InputError
        If no file is of a model that model.json can hold.
    """
    losses: dict[str, list[float]] = {}
    for _, name, path in _named(inner):
        if name in FIXED:
            table = read_table(path, complete=["observed", "predicted"])
            losses.setdefault(name, []).append(
                log_loss(table["observed"].to_numpy(), table["predicted"].to_numpy())
            )
    if not losses:
        raise InputError(
            f"no inner predictions of {', '.join(FIXED)}: one of them becomes the model for new "
            "samples; add one to the models of the mwas study."
        )
    return min(losses, key=lambda name: float(np.mean(losses[name])))


def calibration_of(name: str, predictions: Sequence[Path], samples: pd.DataFrame) -> Calibration:
    """Return the out-of-fold calibration and AUC of a model, by its file among ``predictions``.

    Raises
    ------
    InputError
        If none of the files is of the model.
    """
    found = [(scheme, path) for scheme, model, path in _named(predictions) if model == name]
    if not found:
        raise InputError(
            f"no out-of-fold predictions of {name}, which becomes the model for new samples; give "
            f"its file predictions/<scheme>/{name}.parquet."
        )
    scheme, path = found[0]
    table = read_table(path, complete=["repeat", "sample", "observed", "predicted"])
    subjects = samples.set_index("sample")["subject"].loc[table["sample"]].to_numpy()
    parts = []
    for _, rows in table.groupby("repeat"):
        observed, predicted = rows["observed"].to_numpy(), rows["predicted"].to_numpy()
        once = np.ones((1, len(rows)))
        parts.append(
            [f(observed, predicted, once)[0] for f in (calibration_slope, calibration_intercept)]
        )
    slope, intercept = np.mean(parts, axis=0)
    auc, lower, upper = delong_interval(table, subjects)
    return Calibration(
        scheme=scheme,
        slope=float(slope) if np.isfinite(slope) else None,
        intercept=float(intercept),
        auc=auc,
        auc_lower=lower,
        auc_upper=upper,
        samples=table["sample"].nunique(),
        subjects=len(np.unique(subjects)),
    )


def export(
    name: str, model: AbundanceClassifier, data: Abundances, calibration: Calibration
) -> FittedModel:
    """Return a fitted model of abundances alone in the form that is written to model.json."""
    steps, fitted = model.pipeline_, model.regression_
    samples = data.samples
    cases = int(samples[TARGET].sum())
    taxa = zip(
        model.kept_,
        steps["prevalence"].prevalence_[steps["prevalence"].kept_],
        steps["scale"].mean_,
        steps["scale"].scale_,
        fitted.coef_[0],
        strict=True,
    )
    return FittedModel(
        model=name,
        transform=model.transform,
        pseudocount=steps["transform"].pseudocount,
        minimum_prevalence=model.minimum,
        penalty_ratio=fitted.ratio_,
        positive=data.about["positive"],
        negative=data.about["negative"],
        cohorts=sorted(samples["cohort"].unique()),
        samples=len(samples),
        subjects=samples["subject"].nunique(),
        cases=cases,
        controls=len(samples) - cases,
        disease_prevalence=cases / len(samples),
        calibration=calibration,
        intercept=float(fitted.intercept_[0]),
        taxa=[
            Taxon(
                name=taxon,
                prevalence=float(prevalence),
                mean=float(mean),
                scale=float(scale),
                coefficient=float(coefficient),
            )
            for taxon, prevalence, mean, scale, coefficient in taxa
        ],
    )


def explain(
    *,
    prepared: Path,
    inner: list[Path],
    predictions: list[Path],
    bootstrap: int,
    pairs: int,
    threshold: float,
    expected_false: float,
    seed: int,
    stability: Path,
    stability_path: Path,
    coefficients: Path,
    path: Path,
    model: Path,
) -> None:
    """Select stable taxa, describe the coefficients and write the model for new samples.

    Parameters
    ----------
    prepared
        Prepared table, one row per sample.
    inner
        Inner predictions, <scheme>/<model>.parquet, of the linear models; the least log loss
        decides which becomes the model for new samples.
    predictions
        Out-of-fold predictions of the same models, <scheme>/<model>.parquet, under the scheme whose
        calibration is written into it.
    bootstrap
        Bootstraps of the coefficients.
    pairs
        Complementary pairs of halves of the stability selection.
    threshold
        Selection probability from which a taxon counts as selected, above 0.5.
    expected_false
        Bound on the expected number of taxa selected falsely.
    seed
        Seed of everything random.
    stability
        Table: taxon, probability, threshold, expected_false; the most probable first.
    stability_path
        Table: taxon, lambda_ratio, probability; the 30 most probable taxa.
    coefficients
        Table: model, taxon, coefficient (log odds per standard deviation of the transformed
        abundance), lower, upper, sign_stability, prevalence_cases, prevalence_controls, mean_cases,
        mean_controls (percent).
    path
        Table: taxon, lambda_ratio, coefficient; the lasso on log abundances.
    model
        The fitted model (JSON; see casestudies.mwas.predict).
    """
    data = load(prepared)
    target = data.samples[TARGET].to_numpy()
    subjects = subjects_of(data.samples)
    # Without covariates there is nothing to adjust for.
    explained = EXPLAINED if data.usable_covariates else EXPLAINED[:-1]
    for_folds, for_halves, *for_models = np.random.SeedSequence(seed).spawn(2 + len(explained))
    folds = folds_over_subjects(data.samples, subjects, int(for_folds.generate_state(1)[0]))
    # What can fail by what it is given comes first, before the long work.
    chosen = choose_model(inner)
    calibration = calibration_of(chosen, predictions, data.samples)

    steps = taxa_pipeline("log")[:-1]
    values = steps.fit_transform(data.taxa.to_numpy(dtype=float))
    taxa = data.taxa.columns[steps["prevalence"].kept_]
    count = number_to_select(expected_false, threshold, len(taxa))
    probability, along = stability_selection(
        values,
        target,
        subjects,
        pairs=pairs,
        count=count,
        rng=np.random.default_rng(for_halves),
    )
    order = np.argsort(-probability, kind="stable")
    selection = pd.DataFrame(
        {
            "taxon": taxa[order],
            "probability": probability[order],
            "threshold": threshold,
            "expected_false": expected_false,
        }
    )
    facts = {"taxa": len(taxa), "selected_per_half": count, "pairs": pairs}
    write_table(selection, stability, facts)
    write_table(
        _long(along, taxa, penalty_ratios(1.0), order[:SHOWN], "probability"), stability_path, facts
    )

    final = {name: fit_final(name, data, folds) for name in dict.fromkeys([*explained, chosen])}
    tables = [
        coefficient_table(
            name, final[name], data, subjects, bootstrap, np.random.default_rng(stream)
        )
        for name, stream in zip(explained, for_models, strict=True)
    ]
    ratios = {name: final[name].regression_.ratio_ for name in explained}
    write_table(pd.concat(tables, ignore_index=True), coefficients, {"ratios": ratios})
    write_table(path_table(final["lasso_log"]), path, {"chosen": ratios["lasso_log"]})
    fitted = export(chosen, final[chosen], data, calibration)
    write_json(fitted.model_dump(mode="json"), model)


if __name__ == "__main__":
    main(explain)
