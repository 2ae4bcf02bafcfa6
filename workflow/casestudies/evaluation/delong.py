"""Intervals of the area under the ROC curve without resampling.

DeLong, DeLong and Clarke-Pearson (1988, Biometrics 44, 837-845), with the placement values of
samples that share a unit (a subject with two samples) added up, as in Obuchowski (1997, Biometrics
53, 567-578). With repeated cross-validation the placement values are averaged over the repeats.
"""

import numpy as np
import pandas as pd
from scipy.special import ndtri
from scipy.stats import rankdata


def placements(observed: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the placement value of every sample, (n,).

    Of a case the fraction of controls below it, of a control the fraction of cases above it, ties
    counted half. The mean of either class is the area under the curve.
    """
    case = observed > 0.5
    overall = rankdata(predicted)
    values = np.empty(len(predicted))
    values[case] = (overall[case] - rankdata(predicted[case])) / (~case).sum()
    values[~case] = 1 - (overall[~case] - rankdata(predicted[~case])) / case.sum()
    return values


def delong_interval(
    predictions: pd.DataFrame, clusters: np.ndarray, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return the area under the ROC curve and the bounds of its interval.

    The interval is taken on the logit scale, so that it stays between 0 and 1.

    Parameters
    ----------
    predictions
        Columns repeat, sample, observed (0/1), predicted.
    clusters
        Independent unit of each row.

    Returns
    -------
    Estimate, lower, upper; NaN if a class is absent.
    """
    parts = []
    for _, rows in predictions.assign(cluster=clusters).groupby("repeat"):
        observed = rows["observed"].to_numpy(dtype=float)
        if not 0 < observed.mean() < 1:
            return np.nan, np.nan, np.nan
        values = placements(observed, rows["predicted"].to_numpy(dtype=float))
        parts.append(rows[["sample", "cluster", "observed"]].assign(value=values))
    table = pd.concat(parts).groupby("sample", observed=True)
    table = table.agg({"cluster": "first", "observed": "first", "value": "mean"})
    case = table["observed"] > 0.5
    auc = float(table.loc[case, "value"].mean())
    # Each unit's share in the error: its cases and its controls, together if it has both.
    share = (table["value"] - auc) / np.where(case, case.sum(), (~case).sum())
    per_cluster = share.groupby(table["cluster"]).sum()
    units = len(per_cluster)
    if units < 2:
        return auc, np.nan, np.nan
    variance = float((per_cluster**2).sum() * units / (units - 1))
    if not 0 < auc < 1 or variance == 0:
        return auc, auc, auc
    half = ndtri((1 + confidence) / 2) * np.sqrt(variance) / (auc * (1 - auc))
    centre = np.log(auc / (1 - auc))
    lower, upper = 1 / (1 + np.exp(-(centre + np.array([-half, half]))))
    return auc, float(lower), float(upper)
