"""Nested cross-validation: settings chosen by inner folds, scored once on the outer fold."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd

from casestudies.evaluation.splits import Fold
from casestudies.steps import progress

Loss = Callable[[np.ndarray, np.ndarray], float]


class Model(Protocol):
    """A family of models: one per setting, all fitted and applied in one call."""

    @property
    def settings(self) -> Sequence[Hashable]:
        """What the inner folds choose from, the simplest first: of equals the first is taken."""
        ...

    def predict(
        self,
        train: pd.DataFrame,
        target: np.ndarray,
        test: pd.DataFrame,
        settings: Sequence[Hashable],
        seed: int,
    ) -> np.ndarray:
        """Fit on ``train`` and predict ``test`` under every setting.

        One call for all settings, because many families share most of the work between them (a
        path over penalties costs one decomposition).

        Parameters
        ----------
        train, test
            Predictors, one row per sample; the index may hold the units (glacier and year).
        target
            Target of the training rows, shape (n_train,), no missing values.
        settings
            Some of ``self.settings``.
        seed
            Seed of everything random in the fit.

        Returns
        -------
        ndarray of shape (n_test, len(settings))
            NaN where the model says nothing about a row.
        """
        ...


def mean_squared_error(observed: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean squared error; NaN if any prediction is missing."""
    return float(np.mean((observed - predicted) ** 2))


def log_losses(observed: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return the negative log likelihood of every sample, of classes 0/1."""
    p = np.clip(predicted, 1e-15, 1 - 1e-15)
    return -(observed * np.log(p) + (1 - observed) * np.log1p(-p))


def log_loss(observed: np.ndarray, predicted: np.ndarray) -> float:
    """Return the mean negative log likelihood of classes 0/1; NaN if a prediction is missing."""
    return float(np.mean(log_losses(observed, predicted)))


def nested_cross_validation(
    model: Model,
    samples: pd.DataFrame,
    target: np.ndarray,
    folds: Sequence[Fold],
    *,
    seed: int,
    loss: Loss = mean_squared_error,
    calibrated: bool = True,
    label: str = "cross-validation",
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Predict every outer test fold with the setting that its own inner folds prefer.

    For each outer fold, every setting is fitted on every inner training fold; the setting with
    the smallest loss over the pooled inner test rows is fitted again on the whole outer training
    fold. No test row of an outer fold has a part in the choice (Varma & Simon 2006, "Bias in error
    estimation when using cross-validation for model selection").

    Parameters
    ----------
    samples
        Predictors, shape (n, p); rows in the order that the folds' positions refer to.
    target
        Shape (n,); NaN where not observed. Such rows may be tested (predicted, not scored), never
        trained on.
    seed
        Every fit gets a seed of its own, derived from this and its repeat, fold and inner fold.
    loss
        Of (observed, predicted), both 1-d; smaller is better.
    calibrated
        Whether inner predictions are wanted also of a model that has nothing to choose.

    Returns
    -------
    predictions : DataFrame
        ``repeat, fold, position, observed, predicted``; ``position`` is the row of ``samples``.
    inner : DataFrame
        The same with ``inner``: the chosen setting's predictions of the inner test folds, made
        without the outer test fold. For calibration and stacking.
    choices : DataFrame
        ``repeat, fold, setting, inner_loss, chosen``: one row per fold and setting.

    Raises
    ------
    ValueError
        If the shapes disagree, a training row has no target or a fold has no inner folds.
    """
    target = np.asarray(target, dtype=float)
    if target.shape != (len(samples),):
        raise ValueError(f"target has shape {target.shape} for {len(samples)} samples")
    settings = list(model.settings)
    predictions, inner, choices = [], [], []

    def fit(pair: tuple[np.ndarray, np.ndarray], chosen: Sequence[Hashable], *key: int):
        train, test = pair
        if np.isnan(target[train]).any():
            raise ValueError("a training row has no observed target")
        entropy = np.random.SeedSequence([seed, *key])
        values = model.predict(
            samples.iloc[train],
            target[train],
            samples.iloc[test],
            chosen,
            int(entropy.generate_state(1)[0]),
        )
        if values.shape != (len(test), len(chosen)):
            raise ValueError(
                f"the model returned shape {values.shape} for {len(test)} rows and "
                f"{len(chosen)} settings"
            )
        return values

    for fold in progress(folds, label):
        if not fold.inner:
            raise ValueError(f"fold {fold.fold} has no inner folds to choose settings by")
        key = (fold.repeat, fold.fold)
        if len(settings) == 1 and not calibrated:
            outer = fit((fold.train, fold.test), settings, *key, 0)[:, 0]
            predictions.append(_table(key, fold.test, target, outer))
            continue
        held_out = [fit(pair, settings, *key, k + 1) for k, pair in enumerate(fold.inner)]
        rows = np.concatenate([test for _, test in fold.inner])
        pooled = np.concatenate(held_out)
        scored = ~np.isnan(target[rows])
        losses = np.array([loss(target[rows][scored], path[scored]) for path in pooled.T])
        best = int(np.argmin(np.where(np.isnan(losses), np.inf, losses)))
        outer = fit((fold.train, fold.test), settings[best : best + 1], *key, 0)[:, 0]
        predictions.append(_table(key, fold.test, target, outer))
        for k, ((_, test), values) in enumerate(zip(fold.inner, held_out, strict=True)):
            inner.append(_table((*key, k), test, target, values[:, best]))
        choices.append(
            pd.DataFrame(
                {
                    "repeat": fold.repeat,
                    "fold": fold.fold,
                    "setting": [str(setting) for setting in settings],
                    "inner_loss": losses,
                    "chosen": np.arange(len(settings)) == best,
                }
            )
        )
    empty = pd.DataFrame(columns=["repeat", "fold", "position"])
    parts = (predictions, inner or [empty], choices or [empty])
    return tuple(pd.concat(part, ignore_index=True) for part in parts)


def _table(
    key: tuple[int, ...], rows: np.ndarray, target: np.ndarray, predicted: np.ndarray
) -> pd.DataFrame:
    columns: dict[str, Any] = dict(zip(("repeat", "fold", "inner"), key, strict=False))
    columns |= {"position": rows, "observed": target[rows], "predicted": predicted}
    return pd.DataFrame(columns)
