"""Fit every model to all measurements and to bootstrap samples, and predict beyond them."""

from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.config.lecture import Descent
from casestudies.lecture.models import Model, descend, least_squares
from casestudies.steps import main, progress
from casestudies.tables import read_table, write_table

_GRID = 201  # speeds of a curve


def predict(
    model: Model,
    speed: np.ndarray,
    consumption: np.ndarray,
    rows: np.ndarray,
    queries: np.ndarray,
    settings: Descent,
    rng: np.random.Generator,
) -> np.ndarray:
    """Fit a model to samples of the measurements and predict.

    Parameters
    ----------
    speed, consumption
        Measurements (n,), in km/h and L/100 km.
    rows
        The rows of each sample, (B, n).
    queries
        Speeds to predict at (km/h), (q,).

    Returns
    -------
    Predictions (B, q), in L/100 km.
    """
    v, y = speed[rows], consumption[rows]
    low, high = v.min(axis=1), v.max(axis=1)
    X = model.design(v, low, high)
    if model.fit == "least_squares":
        coefficients = least_squares(X, y)
    else:
        everything = np.ones(v.shape, dtype=bool)
        coefficients = descend(X, y, everything, model.fit, settings, rng)[0]
    asked = model.design(np.broadcast_to(queries, (len(rows), len(queries))), low, high)
    return np.einsum("bqp,bp->bq", asked, coefficients)


def extrapolate(
    *,
    prepared: Path,
    models: list[str],
    settings: str = "{}",
    predict_at: float,
    bootstrap: int = 200,
    confidence: float = 0.95,
    seed: int,
    curves: Path,
    output: Path,
) -> None:
    """Predict the consumption at a speed that nobody measured, with the spread of the prediction.

    Parameters
    ----------
    prepared
        Prepared table, one row per measurement.
    models
        Names of the models (casestudies.lecture.models).
    settings
        Settings of the descents that differ from the defaults
        (casestudies.config.lecture.Descent), as JSON.
    predict_at
        The speed (km/h).
    bootstrap
        Bootstrap samples of the measurements.
    confidence
        Level of the percentile intervals.
    seed
        Seed of the bootstrap and of SGD.
    curves
        Output: model, speed, predicted, lower, upper, from the slowest speed to ``predict_at``.
    output
        Output: model, resample (-1: all measurements as they are), predicted (L/100 km) at
        ``predict_at``.
    """
    samples = read_table(prepared, complete=["speed", "consumption"])
    speed, observed = (samples[name].to_numpy() for name in ("speed", "consumption"))
    chosen = Descent.model_validate_json(settings)
    first, *children = np.random.SeedSequence(seed).spawn(1 + len(models))
    drawn = np.random.default_rng(first).integers(len(speed), size=(bootstrap, len(speed)))
    rows = np.concatenate([np.arange(len(speed))[None], drawn])
    grid = np.linspace(speed.min(), max(predict_at, speed.max()), _GRID)
    queries = np.append(grid, predict_at)
    levels = [(1 - confidence) / 2, (1 + confidence) / 2]
    lines, points = [], []
    for name, child in progress(list(zip(models, children, strict=True)), "models"):
        rng = np.random.default_rng(child)
        values = predict(Model(name), speed, observed, rows, queries, chosen, rng)
        lower, upper = np.quantile(values[1:, :-1], levels, axis=0)
        line = {"speed": grid, "predicted": values[0, :-1], "lower": lower, "upper": upper}
        lines.append(pd.DataFrame({"model": name, **line}))
        resample = np.arange(-1, bootstrap)
        points.append(
            pd.DataFrame({"model": name, "resample": resample, "predicted": values[:, -1]})
        )
    write_table(pd.concat(lines, ignore_index=True), curves)
    write_table(pd.concat(points, ignore_index=True), output, {"speed": predict_at})


if __name__ == "__main__":
    main(extrapolate)
