"""Polynomials of growing degree fitted to many redrawn sets of measurements: bias and variance."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.polynomial.legendre import legvander

from casestudies.config.lecture import Redraw, Simulation
from casestudies.lecture.car import consumption, measure
from casestudies.lecture.variance import bootstrap, decompose, intervals
from casestudies.steps import main, progress
from casestudies.tables import write_table

POINTS = 121
"""Speeds, evenly spread over those measured, at which errors are averaged."""
_RESAMPLES = 200


def fit_all_degrees(X: np.ndarray, y: np.ndarray, queries: np.ndarray) -> np.ndarray:
    """Return the least-squares predictions of the first 1, 2, … p columns, all from one QR.

    With X = QR, the first k columns of Q and R are the QR of the first k of X, and the first k
    columns of queries R⁻¹ are those of the smaller problem: a running sum yields every fit.

    Parameters
    ----------
    X, y
        Predictors (S, n, p), n >= p, and observations (S, n).
    queries
        Predictors to predict from, (q, p).

    Returns
    -------
    Predictions (p, S, q).
    """
    Q, R = np.linalg.qr(X)
    target = (np.swapaxes(Q, 1, 2) @ y[..., None])[..., 0]
    columns = np.linalg.solve(
        np.swapaxes(R, 1, 2), np.broadcast_to(queries.T, (len(X), *queries.T.shape))
    )
    return np.cumsum(columns * target[..., None], axis=1).transpose(1, 0, 2)


def degrees_of(measurements: int, largest: int) -> int:
    """Return the largest degree that so many measurements determine, at most ``largest``."""
    return min(largest, measurements - 1)


def bias_and_variance(
    simulation: Simulation,
    measurements: int,
    settings: Redraw,
    confidence: float,
    seed: int | np.random.SeedSequence,
) -> pd.DataFrame:
    """Return a row per degree for sets of so many measurements.

    Columns: measurements, degree, parameters; bias2, variance, error ((L/100 km)²) with _lower and
    _upper; median, of the sets' errors, which a few wild sets do not move; measured, the mean error
    against new noisy measurements, with its standard error measured_se.
    """
    rng = np.random.default_rng(seed)
    degrees = degrees_of(measurements, settings.degrees)
    speed, observed = measure(simulation, measurements, rng, settings.sets)
    points = np.linspace(simulation.slowest, simulation.fastest, POINTS)
    middle, half = np.mean([points[0], points[-1]]), np.ptp(points) / 2
    X, queries = (legvander((v - middle) / half, degrees) for v in (speed, points))
    truth = consumption(points)
    predictions = fit_all_degrees(X, observed, queries)
    fresh = truth + rng.normal(0, simulation.noise, (settings.sets, POINTS))
    rows = []
    for degree in progress(range(1, degrees + 1), f"degrees, {measurements} measurements"):
        predicted = predictions[degree]
        squares = ((fresh - predicted) ** 2).mean(axis=1)
        row = {"measurements": measurements, "degree": degree, "parameters": degree + 1}
        row |= decompose(predicted, truth)
        row |= intervals(bootstrap(predicted, truth, _RESAMPLES, seed), confidence)
        row |= {"median": np.median(((predicted - truth) ** 2).mean(axis=1))}
        row |= {"measured": squares.mean(), "measured_se": squares.std() / np.sqrt(len(squares))}
        rows.append(row)
    return pd.DataFrame(rows)


def redraw(
    *,
    simulation: str = "{}",
    settings: str = "{}",
    few: int = 20,
    confidence: float = 0.95,
    seed: int,
    output: Path,
) -> None:
    """Measure bias and variance of polynomials over many redrawn sets of measurements.

    Parameters
    ----------
    simulation
        Settings of the simulation that differ from the defaults
        (casestudies.config.lecture.Simulation), as JSON.
    settings
        Settings that differ from the defaults (casestudies.config.lecture.Redraw), as JSON.
    few
        Measurements of the smaller sets, those that the networks are trained on.
    confidence
        Level of the intervals.
    seed
        Seed of the sets.
    output
        Table, see :func:`bias_and_variance`; its metadata hold the noise (L/100 km).
    """
    car = Simulation.model_validate_json(simulation)
    chosen = Redraw.model_validate_json(settings)
    sizes = dict.fromkeys([car.measurements, few])
    parts = [
        bias_and_variance(car, size, chosen, confidence, child)
        for size, child in zip(sizes, np.random.SeedSequence(seed).spawn(len(sizes)), strict=True)
    ]
    facts = {"noise": car.noise, "sets": chosen.sets, "measurements": list(sizes), "seed": seed}
    write_table(pd.concat(parts, ignore_index=True), output, facts)


if __name__ == "__main__":
    main(redraw)
