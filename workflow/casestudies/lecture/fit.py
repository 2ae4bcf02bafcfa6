"""Fit every model under one cross-validation scheme.

One job fits them all, since each takes milliseconds: the folds of a scheme and their inner folds
are one batch of problems.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.config.lecture import Descent
from casestudies.evaluation.conformal import add_intervals
from casestudies.evaluation.splits import Fold, read_folds
from casestudies.lecture.models import Model, descend, least_squares, recorded_steps
from casestudies.provenance import stopwatch
from casestudies.steps import main, progress
from casestudies.tables import read_table, write_table


def fit_folds(
    model: Model,
    speed: np.ndarray,
    consumption: np.ndarray,
    folds: list[Fold],
    settings: Descent,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a model to every training set of a scheme.

    Parameters
    ----------
    speed, consumption
        Measurements (n,), in km/h and L/100 km.

    Returns
    -------
    Steps (records,), 0 alone for least squares, and the predictions of all rows after each,
    (records, B, n): problems in the order of folds, each followed by its inner folds.
    """
    pairs = [pair for fold in folds for pair in ((fold.train, fold.test), *fold.inner)]
    used = np.zeros((len(pairs), len(speed)), dtype=bool)
    for number, (train, _) in enumerate(pairs):
        used[number, train] = True
    low = np.where(used, speed, np.inf).min(axis=1)
    high = np.where(used, speed, -np.inf).max(axis=1)
    X = model.design(np.broadcast_to(speed, used.shape), low, high)
    y = np.broadcast_to(consumption, used.shape)
    if model.fit == "least_squares":
        steps = np.array([0])
        coefficients = least_squares(X * used[..., None], y * used)[None]
    else:
        steps = recorded_steps(settings.steps)
        coefficients = descend(X, y, used, model.fit, settings, rng, steps)
    return steps, np.einsum("bnp,rbp->rbn", X, coefficients)


def tabulate(
    steps: np.ndarray, predicted: np.ndarray, observed: np.ndarray, folds: list[Fold]
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return out-of-fold predictions, those of the inner folds, and errors along the descent.

    The first two have position (of the sample), repeat, fold, observed, predicted; the last has
    repeat, fold, step, train, validation (root mean square errors).
    """
    outer, inner, errors = [], [], []
    problem = 0
    for fold in folds:
        for number, (train, test) in enumerate([(fold.train, fold.test), *fold.inner]):
            last = predicted[-1, problem]
            columns = {"position": test, "repeat": fold.repeat, "fold": fold.fold}
            part = pd.DataFrame({**columns, "observed": observed[test], "predicted": last[test]})
            (inner if number else outer).append(part)
            if not number:
                squares = (predicted[:, problem] - observed) ** 2
                part = {
                    name: np.sqrt(squares[:, rows].mean(axis=1))
                    for name, rows in (("train", train), ("validation", test))
                }
                errors.append(
                    pd.DataFrame({"repeat": fold.repeat, "fold": fold.fold, "step": steps, **part})
                )
            problem += 1
    return tuple(pd.concat(parts, ignore_index=True) for parts in (outer, inner, errors))


def fit(
    *,
    prepared: Path,
    splits: Path,
    models: list[str],
    settings: str = "{}",
    units: list[str],
    coverage: float = 0.9,
    seed: int,
    output: Path,
    errors: Path,
) -> None:
    """Fit every model to every fold of a scheme.

    Parameters
    ----------
    prepared
        Prepared table, one row per measurement.
    splits
        Outer and inner folds of the scheme.
    models
        Names of the models (casestudies.lecture.models).
    settings
        Settings of the descents that differ from the defaults
        (casestudies.config.lecture.Descent), as JSON.
    units
        Columns of the units that are new in this scheme; intervals are calibrated by them.
    coverage
        Nominal coverage of the prediction intervals.
    seed
        Seed of everything random in the fits.
    output
        Folder for out-of-fold predictions with intervals (L/100 km), <model>.parquet.
    errors
        Training and validation error (L/100 km) of every fold along every fit: model, repeat, fold,
        step, train, validation; the last step is the fit.
    """
    samples = read_table(prepared, complete=["sample", "speed", "consumption", *units])
    folds = read_folds(splits, samples)
    chosen = Descent.model_validate_json(settings)
    names = samples["sample"].to_numpy()
    speed, observed = (samples[name].to_numpy() for name in ("speed", "consumption"))
    children = np.random.SeedSequence(seed).spawn(len(models))
    parts = []
    for name, child in progress(list(zip(models, children, strict=True)), "models"):
        with stopwatch() as measured:
            rng = np.random.default_rng(child)
            steps, predicted = fit_folds(Model(name), speed, observed, folds, chosen, rng)
        outer, inner, along = tabulate(steps, predicted, observed, folds)
        tables = [
            table.assign(sample=names[table["position"]]).drop(columns="position")
            for table in (outer, inner)
        ]
        done = add_intervals(*tables, samples.set_index("sample", drop=False)[units], coverage)
        facts = {"model": name, "seed": seed, "device": "cpu", **measured}
        write_table(done, output / f"{name}.parquet", facts)
        parts.append(along.assign(model=name))
    write_table(pd.concat(parts, ignore_index=True), errors, {"unit": "L/100 km"})


if __name__ == "__main__":
    main(fit)
