"""Fit the classical models of one data set under one cross-validation scheme.

One step fits them all: many take less time than Python takes to start.
"""

from pathlib import Path

from casestudies.evaluation.conformal import add_intervals
from casestudies.evaluation.nested import nested_cross_validation
from casestudies.evaluation.splits import read_folds
from casestudies.glacier.features import features
from casestudies.glacier.models import MODELS
from casestudies.provenance import stopwatch
from casestudies.steps import main, seeded
from casestudies.tables import read_table, write_table


def fit(
    *,
    prepared: Path,
    splits: Path,
    models: list[str],
    seeds: list[int],
    units: list[str],
    coverage: float = 0.9,
    output: Path,
    inner: Path,
    choices: Path,
) -> None:
    """Fit models on every fold of a scheme, their settings chosen by the inner folds.

    Parameters
    ----------
    prepared
        Prepared table, one row per glacier and year.
    splits
        Outer and inner folds of the scheme.
    models
        Names of the models (casestudies.glacier.models.MODELS).
    seeds
        Seeds of everything random in the fits, one for each model.
    units
        Columns of the units that are new in this scheme; intervals are calibrated by them.
    coverage
        Nominal coverage of the prediction intervals.
    output
        Folder of the out-of-fold predictions with intervals (m w.e.), <model>.parquet.
    inner
        Folder of the predictions of the inner folds.
    choices
        Folder of the inner error of every setting in every fold.

    Raises
    ------
    InputError
        If a model is unknown or named twice, or there is not one seed for each.
    """
    seed_of = seeded(models, seeds, MODELS)
    samples = read_table(prepared, columns=["mass_balance"], complete=["sample", *units])
    folds = read_folds(splits, samples)
    names = samples["sample"].to_numpy()
    for model, seed in seed_of.items():
        with stopwatch() as measured:
            predicted, held_in, chosen = nested_cross_validation(
                MODELS[model],
                features(samples, MODELS[model].features),
                samples["mass_balance"].to_numpy(),
                folds,
                seed=seed,
                label=model,
            )
        tables = [
            table.assign(sample=names[table["position"]]).drop(columns="position")
            for table in (predicted, held_in)
        ]
        done = add_intervals(*tables, samples.set_index("sample")[units], coverage)
        file = f"{model}.parquet"
        write_table(tables[1], inner / file)
        write_table(chosen, choices / file)
        facts = {"model": model, "seed": seed, "device": "cpu", **measured}
        write_table(done, output / file, facts)


if __name__ == "__main__":
    main(fit)
