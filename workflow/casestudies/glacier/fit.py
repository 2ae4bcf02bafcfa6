"""Fit one classical model under one cross-validation scheme."""

from pathlib import Path

from casestudies.evaluation.conformal import add_intervals
from casestudies.evaluation.nested import nested_cross_validation
from casestudies.evaluation.splits import read_folds
from casestudies.glacier.features import features
from casestudies.glacier.models import MODELS
from casestudies.provenance import stopwatch
from casestudies.steps import main
from casestudies.tables import read_table, write_table


def fit(
    *,
    prepared: Path,
    splits: Path,
    model: str,
    units: list[str],
    coverage: float = 0.9,
    seed: int,
    output: Path,
    inner: Path,
    choices: Path,
) -> None:
    """Fit a model on every fold of a scheme, its settings chosen by the inner folds.

    Parameters
    ----------
    prepared
        Prepared table, one row per glacier and year.
    splits
        Outer and inner folds of the scheme.
    model
        Name of the model (casestudies.glacier.models.MODELS).
    units
        Columns of the units that are new in this scheme; intervals are calibrated by them.
    coverage
        Nominal coverage of the prediction intervals.
    seed
        Seed of everything random in the fits.
    output
        Out-of-fold predictions with intervals (m w.e.).
    inner
        Predictions of the inner folds.
    choices
        Inner error of every setting in every fold.
    """
    samples = read_table(prepared, columns=["mass_balance"], complete=["sample", *units])
    folds = read_folds(splits, samples)
    with stopwatch() as measured:
        predicted, held_in, chosen = nested_cross_validation(
            MODELS[model],
            features(samples, MODELS[model].features),
            samples["mass_balance"].to_numpy(),
            folds,
            seed=seed,
            label=model,
        )
    names = samples["sample"].to_numpy()
    tables = [
        table.assign(sample=names[table["position"]]).drop(columns="position")
        for table in (predicted, held_in)
    ]
    done = add_intervals(*tables, samples.set_index("sample")[units], coverage)
    write_table(done, output, {"model": model, "seed": seed, "device": "cpu", **measured})
    write_table(tables[1], inner)
    write_table(chosen, choices)


if __name__ == "__main__":
    main(fit)
