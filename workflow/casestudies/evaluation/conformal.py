"""Prediction intervals, calibrated in blocks of the unit that is new.

Residuals of one year (or glacier) go together, so that rows are not exchangeable with those of a
new year, but whole years are. Every calibration unit has the same weight, whatever its number of
samples, as in hierarchical conformal prediction (Lee, Barber and Willett 2023, arXiv:2306.06342).
That method's guarantee costs coverage well above the nominal one where units are few; here the
level of the quantile is instead the one at which each unit, left out in turn, is covered on
average as promised by the others (as in the jackknife+, Barber et al. 2021, Ann. Stat. 49,
486-507). This is accurate rather than guaranteed: the coverage that results is measured and
reported. Well-kept conformal libraries calibrate rows, not units, hence these few lines.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

_LEVELS = np.linspace(0.5, 1, 201)


def _quantiles(
    residuals: np.ndarray, codes: np.ndarray, counts: np.ndarray, levels: np.ndarray
) -> np.ndarray:
    """Return quantiles of ascending residuals, each unit (``codes``) with the same weight."""
    weights = 1 / counts[codes]
    cumulative = np.cumsum(weights) / weights.sum()
    positions = np.searchsorted(cumulative, levels - 1e-9)
    return residuals[np.minimum(positions, len(residuals) - 1)]


def unit_quantile(residuals: np.ndarray, units: np.ndarray, coverage: float) -> float:
    """Return the residual below which samples of a new unit stay, on average over new units.

    Parameters
    ----------
    residuals
        Absolute residuals of calibration samples, (n,).
    units
        Independent unit of each, (n,); at least two.
    coverage
        Nominal coverage.
    """
    order = np.argsort(residuals)
    residuals = residuals[order]
    codes, counts = np.unique(units[order], return_inverse=True, return_counts=True)[1:]
    if len(counts) < 2:
        raise ValueError("intervals need residuals of at least two units")
    covered = np.zeros(len(_LEVELS))
    for unit in range(len(counts)):
        other = codes != unit
        limits = _quantiles(residuals[other], codes[other], counts, _LEVELS)
        covered += np.searchsorted(residuals[~other], limits, side="right") / counts[unit]
    reached = np.flatnonzero(covered / len(counts) >= coverage)
    level = _LEVELS[reached[0]] if len(reached) else 1.0
    return float(_quantiles(residuals, codes, counts, np.array([level]))[0])


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
            unit_quantile(residuals, unit[column].to_numpy(), coverage) for column in unit
        )
    keys: Sequence = list(zip(predictions["repeat"], predictions["fold"], strict=True))
    widths = np.array([half_width.get(key, np.nan) for key in keys])
    predicted = predictions["predicted"].to_numpy()
    return predictions.assign(lower=predicted - widths, upper=predicted + widths)
