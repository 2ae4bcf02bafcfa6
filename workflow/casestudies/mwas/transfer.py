"""Models carried from one cohort to another: trained on each alone, tested on every other."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.config.schemes import RepeatedKFold
from casestudies.errors import InputError
from casestudies.evaluation.delong import delong_interval
from casestudies.evaluation.nested import Model, log_loss, nested_cross_validation
from casestudies.evaluation.splits import Fold, make_folds
from casestudies.mwas.abundance import TARGET, Abundances, load
from casestudies.mwas.models import build
from casestudies.steps import main
from casestudies.tables import write_table

log = logging.getLogger("casestudies")

FOLDS = 5
"""Folds within a cohort, for the diagonal of the matrix."""


def cohort_folds(samples: pd.DataFrame, cohort: str, inner_folds: int, seed: int) -> list[Fold]:
    """Return the folds that train on one cohort alone.

    Parameters
    ----------
    samples
        Columns sample, subject, cohort, disease.
    inner_folds
        Folds of every training set that choose the settings, stratified, subjects kept together.

    Returns
    -------
    FOLDS folds within the cohort (repeat 0), and one that trains on all of it and tests on all
    other samples (repeat 1). Positions are those of ``samples``.

    Raises
    ------
    InputError
        If a class of the cohort is too small for the folds.
    """
    inside = samples["cohort"].to_numpy() == cohort
    rows = np.flatnonzero(inside)
    own = samples.iloc[rows]
    within, across = np.random.SeedSequence(seed).spawn(2)
    scheme = RepeatedKFold(subject="subject", folds=FOLDS, inner_folds=inner_folds)
    folds = [
        Fold(0, f.fold, rows[f.train], rows[f.test], [(rows[a], rows[b]) for a, b in f.inner])
        for f in make_folds(own, TARGET, scheme, within)
    ]
    # The outer folds of this scheme are the inner folds of the whole cohort.
    scheme = RepeatedKFold(subject="subject", folds=inner_folds, inner_folds=2)
    inner = [(rows[f.train], rows[f.test]) for f in make_folds(own, TARGET, scheme, across)]
    return [*folds, Fold(1, 0, rows, np.flatnonzero(~inside), inner)]


def transfer_matrix(
    data: Abundances, models: dict[str, Model], inner_folds: int, confidence: float, seed: int
) -> pd.DataFrame:
    """Return the table of :func:`transfer`.

    A cohort that is too small to train on has no estimate, and is still tested on.
    """
    samples = data.samples
    cohorts = samples["cohort"].drop_duplicates().tolist()
    if len(cohorts) < 2:
        raise InputError(
            f"column 'cohort' holds one cohort, {cohorts[0]!r}; to carry a model from one to "
            "another takes two. Set several_cohorts to false for this data set."
        )
    target = samples[TARGET].to_numpy()
    cohort_of, subject_of = samples["cohort"].to_numpy(), samples["subject"].to_numpy()
    rows = []
    for train in cohorts:
        try:
            folds = cohort_folds(samples, train, inner_folds, seed)
        except InputError as error:
            log.warning("cohort %s is not trained on: %s", train, error)
            folds = []
        for name, model in models.items():
            if folds:
                predicted, _, _ = nested_cross_validation(
                    model,
                    data.predictors,
                    target,
                    folds,
                    seed=seed,
                    loss=log_loss,
                    label=f"{name} from {train}",
                )
            for test in cohorts:
                inside = cohort_of == test
                area = np.nan, np.nan, np.nan
                if folds:
                    part = predicted[inside[predicted["position"]]]
                    part = part.rename(columns={"position": "sample"})
                    area = delong_interval(part, subject_of[part["sample"]], confidence)
                rows.append((name, train, test, *area, inside.sum(), int(target[inside].sum())))
    columns = ["model", "train", "test", "auc", "lower", "upper", "samples", "positives"]
    return pd.DataFrame(rows, columns=columns)


def transfer(
    *,
    prepared: Path,
    models: list[str],
    inner_folds: int,
    confidence: float,
    seed: int,
    output: Path,
) -> None:
    """Train on each cohort and test on each other; on itself by cross-validation.

    Parameters
    ----------
    prepared
        Prepared table, one row per sample.
    models
        Names of the models (casestudies.mwas.models.build).
    inner_folds
        Folds of each training cohort by which a model's settings are chosen.
    confidence
        Level of DeLong's intervals.
    seed
        Seed of the folds and the fits.
    output
        Table: model, train, test, auc, lower, upper, samples and positives of the tested cohort.
        Where train and test agree, the AUC is that of 5-fold cross-validation.
    """
    data = load(prepared)
    built = {name: build(name, data.taxa.columns, data.usable_covariates) for name in models}
    write_table(transfer_matrix(data, built, inner_folds, confidence, seed), output)


if __name__ == "__main__":
    main(transfer)
