"""Models made of models, by their inner predictions alone.

``chosen`` takes, in each outer fold, the model with the smallest inner squared error; ``near_best``
averages the probabilities of the models whose inner log loss cannot be told from the smallest,
since among models as good as one another the very smallest is chance; ``stack`` weights the models
by non-negative least squares on their inner predictions (Breiman 1996, Mach. Learn. 24, 49-64). All
have inner predictions of their own, crossed over the inner folds, so that intervals can be
calibrated as for any other model.
"""

from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from casestudies.evaluation import key_columns
from casestudies.evaluation.conformal import add_intervals
from casestudies.evaluation.nested import log_losses
from casestudies.provenance import stopwatch
from casestudies.steps import main
from casestudies.tables import read_table, write_table

Weigh = Callable[[np.ndarray, np.ndarray], np.ndarray]


def choose(predicted: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return weight 1 for the model of least squared error: predicted (n, m), observed (n,)."""
    loss = ((predicted - observed[:, None]) ** 2).mean(axis=0)
    return np.eye(len(loss))[loss.argmin()]


def near_best(predicted: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return equal weights of the models of about the least log loss.

    A model counts if its loss exceeds the least by at most one standard error of the difference,
    taken over the samples (the rule of Breiman et al. 1984, Classification and Regression Trees,
    section 3.4.3, on paired differences).

    Parameters
    ----------
    predicted, observed
        Probabilities (n, m) and classes 0/1 (n,).
    """
    losses = np.column_stack([log_losses(observed, column) for column in predicted.T])
    excess = losses - losses[:, [losses.mean(axis=0).argmin()]]
    near = excess.mean(axis=0) <= excess.std(axis=0, ddof=1) / np.sqrt(len(excess))
    return near / near.sum()


def stack(predicted: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return non-negative weights of the models, summing to one, by least squares."""
    weights = nnls(predicted, observed)[0]
    total = weights.sum()
    return weights / total if total > 0 else choose(predicted, observed)


METHODS: dict[str, dict[str, Weigh]] = {
    "regression": {"chosen": choose, "stack": stack},
    "classification": {"near_best": near_best, "stack": stack},
}


def combine_models(
    outer: dict[str, pd.DataFrame],
    inner: dict[str, pd.DataFrame],
    weigh: Weigh,
    simple: Collection[str] = (),
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Combine models fold by fold.

    Parameters
    ----------
    outer, inner
        Per model its out-of-fold and its inner predictions. A model that is undefined for a
        sample of a fold takes no part in that fold.
    simple
        If any of these has a weight, the others have none: of models that cannot be told apart the
        simpler, whose inner error is the less flattered by choices, is to be preferred.

    Returns
    -------
    Out-of-fold predictions, inner predictions, and the weights (repeat, fold, model, weight).
    """
    keys = key_columns(next(iter(outer.values())))
    tests = _wide(outer, keys)
    trains = _wide(inner, [*keys, "inner"])
    models = list(outer)
    outer_parts, inner_parts, weight_parts = [], [], []
    inner_by_fold = dict(iter(trains.groupby(["repeat", "fold"])))
    for key, test in tests.groupby(["repeat", "fold"]):
        train = inner_by_fold[key]
        usable = [m for m in models if train[m].notna().all() and test[m].notna().all()]
        values, observed = train[usable].to_numpy(), train["observed"].to_numpy()
        preferred = np.isin(usable, list(simple))
        weights = _simplest(weigh(values, observed), preferred)
        outer_parts.append(test[[*keys, "observed"]].assign(predicted=test[usable] @ weights))
        crossed = np.empty(len(train))
        for fold in train["inner"].unique():
            held_out = (train["inner"] == fold).to_numpy()
            others = weigh(values[~held_out], observed[~held_out])
            crossed[held_out] = values[held_out] @ _simplest(others, preferred)
        inner_parts.append(train[[*keys, "inner", "observed"]].assign(predicted=crossed))
        table = pd.DataFrame({"model": usable, "weight": weights})
        weight_parts.append(table.assign(repeat=key[0], fold=key[1]))
    weights = pd.concat(weight_parts)[["repeat", "fold", "model", "weight"]]
    return pd.concat(outer_parts), pd.concat(inner_parts), weights


def _simplest(weights: np.ndarray, preferred: np.ndarray) -> np.ndarray:
    """Return the weights of the preferred models alone, if they have any."""
    kept = np.where(preferred, weights, 0)
    return kept / kept.sum() if kept.any() else weights


def _wide(models: dict[str, pd.DataFrame], keys: list[str]) -> pd.DataFrame:
    """Return one row per prediction and one column per model, with the observation."""
    tables = {name: table.set_index(keys) for name, table in models.items()}
    first = next(iter(tables.values()))
    wide = pd.DataFrame({name: table["predicted"] for name, table in tables.items()})
    return wide.assign(observed=first["observed"]).reset_index()


def combine(
    *,
    samples: Path,
    predictions: list[Path],
    inner_predictions: list[Path],
    method: str,
    task: str = "regression",
    simple: list[str] | None = None,
    units: list[str],
    coverage: float = 0.9,
    output: Path,
    inner: Path,
    weights: Path,
) -> None:
    """Combine the models of one scheme into one: the inner choice, an average, or a stack.

    Parameters
    ----------
    samples
        Prepared table with a column ``sample`` and the columns of ``units``.
    predictions
        Out-of-fold predictions of each model, named <model>.parquet.
    inner_predictions
        Inner predictions of each, in the same order.
    method
        "chosen", "near_best" or "stack" (see the module).
    task
        "regression" (chosen, stack) or "classification" (near_best, stack). Probabilities have no
        intervals.
    simple
        Models that are preferred to others of about the same inner error.
    units
        Columns of the units that are new in this scheme.
    coverage
        Nominal coverage of the prediction intervals.
    output
        Out-of-fold predictions with intervals.
    inner
        Inner predictions.
    weights
        Weight of each model in each outer fold.
    """
    table = read_table(samples, columns=units, complete=["sample"])
    table.index = table["sample"].to_numpy()  # a sample may be the independent unit itself
    with stopwatch() as measured:
        outer_tables = {path.stem: read_table(path) for path in predictions}
        inner_tables = {path.stem: read_table(path) for path in inner_predictions}
        combined, crossed, used = combine_models(
            outer_tables, inner_tables, METHODS[task][method], simple or ()
        )
        if task == "regression":
            combined = add_intervals(combined, crossed, table[units], coverage)
        else:
            combined = combined.assign(lower=np.nan, upper=np.nan)
    write_table(combined, output, {"model": method, **measured})
    write_table(crossed, inner)
    write_table(used, weights)


if __name__ == "__main__":
    main(combine)
