"""Fit the models that are no network, under one cross-validation scheme.

One step fits them all: they share what they are given, and some take less time than Python takes
to start.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.evaluation.conformal import add_intervals
from casestudies.evaluation.splits import Fold
from casestudies.provenance import stopwatch
from casestudies.steps import main, progress, seeded
from casestudies.tables import write_table
from casestudies.wind.flows import (
    Flows,
    calibration_part,
    prediction_table,
    read_flows,
    read_samples,
    read_usable_folds,
    speed,
    units_of,
)
from casestudies.wind.models import BASELINES, CHEAP, Model, make_model


def fit(
    *,
    prepared: Path,
    samples: Path,
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
        Terrains and flows (NetCDF).
    samples
        Prepared table, one row per terrain.
    splits
        Outer and inner folds of the scheme.
    models
        log_law, linear, mass_consistent, ridge, gradient_boosting or nearest_terrains.
    seeds
        Seeds of everything random in the fits, one for each model.
    units
        Columns of the units that are new in this scheme; intervals are calibrated by them.
    coverage
        Nominal coverage of the prediction intervals.
    output
        Folder of the out-of-fold predictions with intervals, <model>.parquet: speed and components
        at the first height, of every interior cell, relative to the inflow.
    inner
        Folder of the predictions of the inner folds: speed.
    choices
        Folder of the inner error of every setting in every fold.

    Raises
    ------
    InputError
        If a model is unknown or named twice, or there is not one seed for each.
    """
    seed_of = seeded(models, seeds, BASELINES)
    table = read_samples(samples, units)
    folds = read_usable_folds(splits, table)
    cheap = [model for model in models if model in CHEAP]
    flows = read_flows(prepared, table["sample"].tolist(), cheap)
    for model, seed in seed_of.items():
        with stopwatch() as measured:
            family = make_model(model, flows)
            predicted, held_in, chosen = cross_validate(family, flows, folds, seed, model)
            part = calibration_part(held_in, flows.grid.points)
            done = add_intervals(predicted, part, units_of(table, units), coverage)
        file = f"{model}.parquet"
        write_table(held_in, inner / file)
        write_table(chosen, choices / file)
        facts = {"model": model, "seed": seed, "device": "cpu", **measured}
        write_table(done, output / file, facts)


def cross_validate(
    model: Model, flows: Flows, folds: Sequence[Fold], seed: int, label: str
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Predict every test fold with the setting that its own inner folds prefer.

    As :func:`casestudies.evaluation.nested.nested_cross_validation`, for fields: the error is the
    mean square over cells and components of the flow at the first height.

    Returns
    -------
    Predictions, inner predictions, and choices: ``repeat, fold, setting, inner_loss, chosen``.
    """
    settings = list(model.settings)
    predictions, inner, choices = [], [], []
    for fold in progress(folds, label):
        key = {"repeat": fold.repeat, "fold": fold.fold}

        def child(number: int, fold: Fold = fold) -> int:
            entropy = np.random.SeedSequence([seed, fold.repeat, fold.fold, number])
            return int(entropy.generate_state(1)[0])

        losses, held_out = np.zeros(len(settings)), []
        for number, (train, test) in enumerate(fold.inner):
            found = model.predict(train, test, settings, child(number + 1))
            losses += [squared_error(one, flows, test).sum() for one in found]
            held_out.append(np.stack([speed(one) for one in found]))
        losses /= sum(len(test) for _, test in fold.inner)
        best = int(losses.argmin())
        for number, ((_, test), speeds) in enumerate(zip(fold.inner, held_out, strict=True)):
            inner.append(prediction_table(flows, key | {"inner": number}, test, speeds[best]))
        (outer,) = model.predict(fold.train, fold.test, settings[best : best + 1], child(0))
        predictions.append(prediction_table(flows, key, fold.test, speed(outer), outer))
        chosen = np.arange(len(settings)) == best
        names = [str(setting) for setting in settings]
        choices.append(
            pd.DataFrame({**key, "setting": names, "inner_loss": losses, "chosen": chosen})
        )
    parts = (predictions, inner, choices)
    return tuple(pd.concat(part, ignore_index=True) for part in parts)


def squared_error(predicted: np.ndarray, flows: Flows, rows: np.ndarray) -> np.ndarray:
    """Return the mean squared error of each terrain over cells and components, (n,).

    Parameters
    ----------
    predicted
        Flow at the first height, (n, 3, y, x).
    rows
        Which terrains these are, (n,).
    """
    return ((predicted - flows.scored[rows]) ** 2).mean(axis=(1, 2, 3), dtype=float)


if __name__ == "__main__":
    main(fit)
