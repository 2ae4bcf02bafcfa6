"""Bias, variance and expected error of predictions from many redrawn training sets.

For predictions f̂ from S training sets and the truth f at a point,

    mean (f̂ − f)²  =  (mean f̂ − f)²  +  mean (f̂ − mean f̂)²        error = bias² + variance

exactly, whatever the number of sets, if the variance is divided by S. Against a new observation
y = f + ε the expected error has the variance of ε on top. Geman, Bienenstock and Doursat (1992,
Neural Comput. 4, 1-58).
"""

import numpy as np

Array = np.ndarray


def decompose(predicted: Array, truth: Array) -> dict[str, float]:
    """Return bias2, variance and error, means over the points.

    Parameters
    ----------
    predicted
        Predictions of every training set, (S, points).
    truth
        The truth, (points,).
    """
    off = predicted - truth
    mean = off.mean(axis=0)
    return {
        "bias2": float((mean**2).mean()),
        "variance": float(((off - mean) ** 2).mean()),
        "error": float((off**2).mean()),
    }


def parts_of_variance(predicted: Array) -> dict[str, float]:
    """Return sampling and initialisation, which add up to the variance (law of total variance).

    Parameters
    ----------
    predicted
        Predictions (S, seeds, points): of every training set, from several initial weights.
    """
    means = predicted.mean(axis=1, keepdims=True)
    return {
        "sampling": float(means.var(axis=0).mean()),
        "initialisation": float(((predicted - means) ** 2).mean()),
    }


def bootstrap(
    predicted: Array, truth: Array, resamples: int, seed: int | np.random.SeedSequence
) -> dict[str, Array]:
    """Return bias2, variance and error of resampled training sets, (resamples,) each.

    The same seed resamples the same sets, which pairs the models that were trained on them.

    Parameters
    ----------
    predicted
        Predictions (S, points) or (S, seeds, points); a set is resampled with all its seeds.
    """
    rng = np.random.default_rng(seed)
    off = (predicted - truth).reshape(len(predicted), -1, len(truth))
    first, second = off.mean(axis=1), (off**2).mean(axis=1)
    weights = rng.multinomial(len(off), np.full(len(off), 1 / len(off)), resamples) / len(off)
    bias2 = ((weights @ first) ** 2).mean(axis=1)
    error = (weights @ second).mean(axis=1)
    return {"bias2": bias2, "variance": error - bias2, "error": error}


def intervals(replicates: dict[str, Array], confidence: float) -> dict[str, float]:
    """Return <name>_lower and <name>_upper, the percentile interval of each quantity."""
    levels = {"lower": (1 - confidence) / 2, "upper": (1 + confidence) / 2}
    return {
        f"{name}_{end}": float(np.quantile(values, level))
        for name, values in replicates.items()
        for end, level in levels.items()
    }
