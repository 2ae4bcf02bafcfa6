"""Prediction intervals, calibrated in blocks of the unit that is new.

Residuals of one year (or glacier) are not exchangeable with those of a new year, but whole years
are: hierarchical conformal prediction (Lee, Barber and Willett 2023, arXiv:2306.06342) gives each
calibration unit the same mass, whatever its number of samples, and the new unit its own at
infinity. Well-kept conformal libraries calibrate rows, not units, hence these few lines.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd


def hierarchical_quantile(residuals: np.ndarray, units: np.ndarray, coverage: float) -> float:
    """Return the residual that a sample of a new unit stays below with probability ``coverage``.

    Parameters
    ----------
    residuals
        Absolute residuals of calibration samples, (n,).
    units
        Independent unit of each, (n,).
    coverage
        Nominal coverage; infinity is returned if there are too few units to promise it.
    """
    codes, counts = np.unique(units, return_inverse=True, return_counts=True)[1:]
    mass = 1 / ((len(counts) + 1) * counts[codes])
    order = np.argsort(residuals)
    cumulative = np.cumsum(mass[order])
    position = np.searchsorted(cumulative, coverage - 1e-12)
    return float(residuals[order][position]) if position < len(order) else np.inf


def add_intervals(
    predictions: pd.DataFrame, inner: pd.DataFrame, units: pd.DataFrame, coverage: float
) -> pd.DataFrame:
    """Add ``lower`` and ``upper`` to out-of-fold predictions.

    The half-width of an outer fold comes from the inner out-of-fold residuals of its own training
    samples. Where two units are new at once, it is the wider of the two calibrations.

    Parameters
    ----------
    predictions
        Table with repeat, fold, predicted.
    inner
        Inner predictions: repeat, fold, sample, observed, predicted.
    units
        Table indexed by sample, one column per kind of independent unit.
    """
    half_width = {}
    usable = inner[inner["predicted"].notna() & inner["observed"].notna()]
    for key, rows in usable.groupby(["repeat", "fold"]):
        residuals = (rows["observed"] - rows["predicted"]).abs().to_numpy()
        unit = units.loc[rows["sample"]]
        half_width[key] = max(
            hierarchical_quantile(residuals, unit[column].to_numpy(), coverage) for column in unit
        )
    keys: Sequence = list(zip(predictions["repeat"], predictions["fold"], strict=True))
    widths = np.array([half_width.get(key, np.nan) for key in keys])
    predicted = predictions["predicted"].to_numpy()
    return predictions.assign(lower=predicted - widths, upper=predicted + widths)
