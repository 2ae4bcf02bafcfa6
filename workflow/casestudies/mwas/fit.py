"""Fit the models of one data set under one cross-validation scheme."""

from collections.abc import Hashable
from pathlib import Path

import numpy as np

from casestudies.evaluation.nested import log_loss, nested_cross_validation
from casestudies.evaluation.splits import read_folds
from casestudies.mwas.abundance import TARGET, load
from casestudies.mwas.models import build
from casestudies.provenance import stopwatch
from casestudies.steps import main
from casestudies.tables import write_table


def fit(
    *,
    prepared: Path,
    splits: Path,
    models: list[str],
    seed: int,
    output: Path,
    inner: Path,
    choices: Path,
) -> None:
    """Fit models on every fold of a scheme, their settings chosen by the inner folds' log loss.

    Parameters
    ----------
    prepared
        Prepared table, one row per sample.
    splits
        Outer and inner folds of the scheme.
    models
        Names of the models (casestudies.mwas.models.build).
    seed
        Seed of everything random in the fits.
    output
        Folder of the out-of-fold probabilities of disease, <model>.parquet.
    inner
        Folder of the probabilities of the inner folds, for models with settings to choose.
    choices
        Folder of the inner log loss of every setting in every fold.
    """
    data = load(prepared)
    folds = read_folds(splits, data.samples)
    predictors, target = data.predictors, data.samples[TARGET].to_numpy()
    names = data.samples["sample"].to_numpy()
    fitted: dict[Hashable, np.ndarray] = {}
    for model in models:
        with stopwatch() as measured:
            predicted, held_in, chosen = nested_cross_validation(
                build(model, data.taxa.columns, data.usable_covariates, fitted),
                predictors,
                target,
                folds,
                seed=seed,
                loss=log_loss,
                calibrated=False,
                label=model,
            )
        tables = [
            table.assign(sample=names[table["position"]]).drop(columns="position")
            for table in (predicted, held_in)
        ]
        done = tables[0].assign(lower=np.nan, upper=np.nan)
        facts = {"model": model, "seed": seed, "device": "cpu", **measured}
        write_table(done, output / f"{model}.parquet", facts)
        write_table(tables[1], inner / f"{model}.parquet")
        write_table(chosen, choices / f"{model}.parquet")


if __name__ == "__main__":
    main(fit)
