"""Fit one model under one cross-validation scheme."""

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
    model: str,
    seed: int,
    output: Path,
    inner: Path,
    choices: Path,
) -> None:
    """Fit a model on every fold of a scheme, its settings chosen by the inner folds' log loss.

    Parameters
    ----------
    prepared
        Prepared table, one row per sample.
    splits
        Outer and inner folds of the scheme.
    model
        Name of the model (casestudies.mwas.models.build).
    seed
        Seed of everything random in the fits.
    output
        Out-of-fold probabilities of disease.
    inner
        Probabilities of the inner folds, for models with settings to choose.
    choices
        Inner log loss of every setting in every fold.
    """
    data = load(prepared)
    folds = read_folds(splits, data.samples)
    with stopwatch() as measured:
        predicted, held_in, chosen = nested_cross_validation(
            build(model, data.taxa.columns, data.usable_covariates),
            data.predictors,
            data.samples[TARGET].to_numpy(),
            folds,
            seed=seed,
            loss=log_loss,
            calibrated=False,
            label=model,
        )
    names = data.samples["sample"].to_numpy()
    tables = [
        table.assign(sample=names[table["position"]]).drop(columns="position")
        for table in (predicted, held_in)
    ]
    done = tables[0].assign(lower=np.nan, upper=np.nan)
    write_table(done, output, {"model": model, "seed": seed, "device": "cpu", **measured})
    write_table(tables[1], inner)
    write_table(chosen, choices)


if __name__ == "__main__":
    main(fit)
