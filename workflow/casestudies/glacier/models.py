"""The classical models of the glacier study: trivial, physical, linear, trees, Gaussian process.

Each is a family of settings for :func:`casestudies.evaluation.nested.nested_cross_validation`.
Whatever is learned, scaling included, is learned from the training rows of the call.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy.linalg import cho_factor, cho_solve, eigh
from scipy.linalg.lapack import dpotri
from scipy.optimize import minimize, nnls
from scipy.spatial.distance import cdist

from casestudies.glacier.features import MONTHS, REGIONAL_GROUPS

if TYPE_CHECKING:
    from sklearn.ensemble import ExtraTreesRegressor

Predict = Callable[[pd.DataFrame, np.ndarray, pd.DataFrame, Sequence[Hashable], int], np.ndarray]


@dataclass(frozen=True)
class Family:
    """A model family, and the set of predictors (see ``features``) that it is given."""

    features: str
    predict: Predict
    settings: tuple[Hashable, ...] = ("default",)


def _standardised(train: pd.DataFrame, test: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return both tables centred and scaled by the training rows; constant columns become 0."""
    a, b = train.to_numpy(float), test.to_numpy(float)
    mean, deviation = a.mean(axis=0), a.std(axis=0)
    varies = deviation > 1e-9 * (1 + np.abs(mean))
    scale = np.where(varies, deviation, 1)
    return (a - mean) / scale * varies, (b - mean) / scale * varies


# Trivial and physical -----------------------------------------------------------------------


def mean(
    train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame, settings: Sequence[Any], seed: int
) -> np.ndarray:
    """Predict the mean of the training rows."""
    return np.full((len(test), len(settings)), target.mean())


def year_mean(
    train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame, settings: Sequence[Any], seed: int
) -> np.ndarray:
    """Predict the mean of the other glaciers in the same year; NaN if the year is unknown."""
    known = pd.Series(target).groupby(train.index.get_level_values("year")).mean()
    values = known.reindex(test.index.get_level_values("year")).to_numpy()
    return np.repeat(values[:, None], len(settings), axis=1)


def degree_day(
    train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame, settings: Sequence[Any], seed: int
) -> np.ndarray:
    """Predict snow times a factor, less degree days times a factor, plus a constant.

    A degree-day model (Hock 2003, doi:10.1016/S0022-1694(03)00257-9) of the year as a whole. The
    accumulation factor (m w.e. per m w.e. of snow) and the degree-day factor (m w.e. per K d)
    are calibrated by least squares and not negative.
    """

    def design(frame: pd.DataFrame) -> np.ndarray:
        snow = (frame["winter_snow"] + frame["summer_snow"]) / 1000
        one = np.ones(len(frame))
        return np.column_stack([snow, -frame["cpdd"] / 1000, one, -one])

    factors, _ = nnls(design(train), target)
    return np.repeat((design(test) @ factors)[:, None], len(settings), axis=1)


# Linear -------------------------------------------------------------------------------------


def least_squares(
    train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame, settings: Sequence[Any], seed: int
) -> np.ndarray:
    """Ordinary least squares.

    Directions in which the training rows spread less than 1 % of the widest are left out: they
    occur only when fewer glaciers are known than there are topographic predictors, and a fit
    along them sends a new glacier to absurd values.
    """
    a, b = _standardised(train, test)
    centre = target.mean()
    weights = np.linalg.lstsq(a, target - centre, rcond=0.01)[0]
    return np.repeat((b @ weights + centre)[:, None], len(settings), axis=1)


def ridge(
    train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame, settings: Sequence[Any], seed: int
) -> np.ndarray:
    """Ridge regression; a setting is the penalty on standardised predictors."""
    a, b = _standardised(train, test)
    centre = target.mean()
    values, vectors = eigh(a.T @ a)
    moments = vectors.T @ (a.T @ (target - centre))
    penalties = np.array(settings, dtype=float)
    weights = vectors @ (moments[:, None] / (np.maximum(values, 0)[:, None] + penalties))
    return b @ weights + centre


def lasso(
    train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame, settings: Sequence[Any], seed: int
) -> np.ndarray:
    """Lasso; a setting is the penalty in units of the target's standard deviation."""
    from sklearn.linear_model import lasso_path  # two seconds that other models need not pay

    a, b = _standardised(train, test)
    centre, scale = target.mean(), target.std() or 1.0
    penalties = np.array(settings, dtype=float)
    order = np.argsort(-penalties)  # the path runs from the largest
    _, weights, _ = lasso_path(
        a,
        (target - centre) / scale,
        alphas=penalties[order],
        precompute=True,
        tol=1e-5,
        max_iter=20_000,
    )
    path = np.empty_like(weights)
    path[:, order] = weights
    return b @ path * scale + centre


@dataclass(frozen=True)
class RegionalForm:
    """A form of ridge on the regional predictors, and its penalties.

    A penalty is in units of rows: with about 30 glaciers a year, 300 weighs as much as 10 years.
    """

    penalty: float
    """Penalty on seasonal climate, local deviations and memory; thrice that on topography."""
    months: float | None
    """Penalty on the monthly regional climate over ``penalty``; None: no monthly predictors."""
    memory: int
    """0: none; 1: the previous year; 2: and the mean of the previous five."""
    year: float | None
    """Penalty on an effect of each training year that the predictors do not explain: rows of one
    year are no independent evidence, and a known year's effect helps an unseen glacier."""
    glacier: float = 100.0
    """Penalty on each glacier's intercept."""

    def __str__(self) -> str:
        return (
            f"penalty {self.penalty:g}, months {self.months or 'none'}, memory {self.memory}, "
            f"year {self.year or 'none'}"
        )

    def penalties(self) -> dict[str, float]:
        """Return the penalty of every group of predictors in use."""
        used = {"season": self.penalty, "local": self.penalty, "topography": 3 * self.penalty}
        if self.months is not None:
            used["month"] = self.months * self.penalty
        for depth, group in enumerate(("previous", "memory"), start=1):
            if self.memory >= depth:
                used[group] = self.penalty
        used["glacier"] = self.glacier
        if self.year is not None:
            used["year"] = self.year
        return used


REGIONAL_FORMS = tuple(
    RegionalForm(penalty, months, memory, year)
    for memory, months, year, penalty in product(
        (0, 1, 2), (None, 10.0), (None, 30.0), (100.0, 30.0, 10.0)
    )
)
"""Simplest first. The forms were found by research on alpgm-corrected; nesting the choice among
all of them, those that were beaten included, is what keeps the score honest."""


def ridge_regional(
    train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame, settings: Sequence[Any], seed: int
) -> np.ndarray:
    """Ridge with a penalty for each group of predictors and shrunken glacier and year effects.

    The same as a linear mixed model with known variance ratios. Intercepts of glaciers and years
    that the training rows lack are zero, the prior mean.
    """
    columns = [column for group in REGIONAL_GROUPS.values() for column in group]
    groups = [key for key, group in REGIONAL_GROUPS.items() for _ in group]
    a, b = _standardised(train[columns], test[columns])
    left, right = [np.ones((len(a), 1)), a], [np.ones((len(b), 1)), b]
    groups = ["constant", *groups]
    for unit in ("glacier", "year"):
        codes, known = pd.factorize(train.index.get_level_values(unit))
        left.append(np.eye(len(known))[codes])
        right.append(np.eye(len(known) + 1)[known.get_indexer(test.index.get_level_values(unit))])
        right[-1] = right[-1][:, :-1]  # position -1, unknown, is the last column: all zeros
        groups += [unit] * len(known)
    a, b, names = np.hstack(left), np.hstack(right), np.array(groups)
    centre = target.mean()
    gram, moments = a.T @ a, a.T @ (target - centre)
    predicted = np.empty((len(b), len(settings)))
    for k, form in enumerate(settings):
        penalties = {"constant": 1e-6, **form.penalties()}
        used = np.isin(names, list(penalties))
        matrix = gram[np.ix_(used, used)]
        matrix[np.diag_indices_from(matrix)] += [penalties[name] for name in names[used]]
        weights = cho_solve(cho_factor(matrix, overwrite_a=True), moments[used])
        predicted[:, k] = b[:, used] @ weights + centre
    return predicted


# Trees --------------------------------------------------------------------------------------

_MONTHLY_ANOMALIES = [
    f"{name}_anomaly_{month}" for name in ("temperature", "snow") for month in MONTHS
]
_COLUMNS = {
    "monthly": [
        *(f"{name}_anomaly" for name in ("cpdd", "winter_snow", "summer_snow")),
        *REGIONAL_GROUPS["topography"][:7],
        *_MONTHLY_ANOMALIES,
    ],
    # Trees cannot shrink 24 predictors that hold 57 distinct values: they get the seasons alone.
    "regional": [
        column for key, group in REGIONAL_GROUPS.items() if key != "month" for column in group
    ],
}


def extra_trees(
    train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame, settings: Sequence[Any], seed: int
) -> np.ndarray:
    """Extremely randomised trees; a setting names the predictors, ``monthly`` or ``regional``."""
    predicted = np.empty((len(test), len(settings)))
    for k, name in enumerate(settings):
        columns = _COLUMNS[name]
        forest = _forest(seed).fit(train[columns].to_numpy(), target)
        predicted[:, k] = forest.predict(test[columns].to_numpy())
    return predicted


def _forest(seed: int) -> "ExtraTreesRegressor":
    from sklearn.ensemble import ExtraTreesRegressor

    return ExtraTreesRegressor(
        n_estimators=60, min_samples_leaf=3, max_features=0.4, random_state=seed, n_jobs=1
    )


def gradient_boosting(
    train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame, settings: Sequence[Any], seed: int
) -> np.ndarray:
    """Gradient-boosted trees; a setting is (predictors, number of trees)."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    predicted = np.empty((len(test), len(settings)))
    for name in dict.fromkeys(name for name, _ in settings):
        columns = _COLUMNS[name]
        wanted = {trees: k for k, (other, trees) in enumerate(settings) if other == name}
        boosting = HistGradientBoostingRegressor(
            max_iter=max(wanted),
            learning_rate=0.15,
            max_leaf_nodes=8,
            min_samples_leaf=15,
            max_features=0.3,
            l2_regularization=3.0,
            early_stopping=False,
            random_state=seed,
        ).fit(train[columns].to_numpy(), target)
        stages = boosting.staged_predict(test[columns].to_numpy())
        for trees, values in enumerate(stages, start=1):
            if trees in wanted:
                predicted[:, wanted[trees]] = values
    return predicted


RESIDUAL_FORM = RegionalForm(penalty=30.0, months=10.0, memory=2, year=None)


def ridge_trees(
    train: pd.DataFrame, target: np.ndarray, test: pd.DataFrame, settings: Sequence[Any], seed: int
) -> np.ndarray:
    """Ridge on the regional predictors plus extra trees on what it leaves unexplained.

    The ridge extrapolates and shrinks, the trees add what is not linear; a setting is the share
    of the trees' correction that is added.
    """
    both = pd.concat([train, test])
    linear = ridge_regional(train, target, both, [RESIDUAL_FORM], seed)[:, 0]
    columns = _COLUMNS["regional"]
    residual = target - linear[: len(train)]
    forest = _forest(seed).fit(train[columns].to_numpy(), residual)
    correction = forest.predict(test[columns].to_numpy())
    return linear[len(train) :, None] + np.outer(correction, np.array(settings, dtype=float))


# Gaussian process ---------------------------------------------------------------------------

_DISTANCE_SCALE = 50.0  # km, over which glaciers share a year's effect
_TIME_SCALE = 5.0  # years, over which a glacier keeps a deviation of its own
_EARTH = 111.2  # km per degree of latitude

# Start and centre of a log-normal prior: variances in units of the target's.
_LINEAR = {
    "season": 0.02, "local": 0.01, "topography": 0.005, "previous": 0.01, "memory": 0.01,
    "month": 0.001,
}  # fmt: skip
_STATIONARY = {
    "glacier": 0.01, "year": 0.02, "year and place": 0.1, "glacier and time": 0.03,
    "smooth": 0.05,
}  # fmt: skip
_NOISE = 0.2
_PRIOR_DEVIATION = 1.5  # of the log variances


def gaussian_process(
    train: pd.DataFrame,
    target: np.ndarray,
    test: pd.DataFrame,
    settings: Sequence[Any],
    seed: int,
    rows: int = 300,
    iterations: int = 12,
) -> np.ndarray:
    """Exact Gaussian process with an additive kernel.

    The kernel is a sum of: linear terms with one variance per group of regional predictors; an
    effect of the glacier; an effect of the year, shared by all; an effect of the year that fades
    with distance (kriging); an effect of the glacier that fades with time; a smooth function of
    seasonal climate, memory and topography (Matérn 3/2). Variances maximise the marginal
    likelihood with a wide log-normal prior (Rasmussen & Williams 2006, ch. 5), evaluated on
    ``rows`` random training rows: enough for a dozen variances, at a small part of the cost. The
    prediction then uses all training rows.
    """
    a, b = _Inputs.pair(train, test)
    centre, scale = target.mean(), target.std() or 1.0
    scaled = (target - centre) / scale
    chosen = np.arange(len(a))
    if len(a) > rows:
        chosen = np.sort(np.random.default_rng(seed).choice(len(a), rows, replace=False))
    variances = _most_likely(a.take(chosen), scaled[chosen], iterations)
    *parts, noise = variances
    covariance = _kernel(a, a, parts)
    covariance[np.diag_indices_from(covariance)] += noise
    factor = cho_factor(covariance, lower=True, overwrite_a=True, check_finite=False)
    predicted = _kernel(b, a, parts) @ cho_solve(factor, scaled)
    return np.repeat((predicted * scale + centre)[:, None], len(settings), axis=1)


@dataclass(frozen=True)
class _Inputs:
    """What the kernel needs to know of n rows."""

    groups: dict[str, np.ndarray]  # standardised predictors, by group
    smooth: np.ndarray  # shape (n, d)
    place: np.ndarray  # km, shape (n, 2)
    glacier: np.ndarray  # integer codes, shape (n,)
    year: np.ndarray

    @classmethod
    def pair(cls, train: pd.DataFrame, test: pd.DataFrame) -> tuple["_Inputs", "_Inputs"]:
        codes = pd.factorize(
            np.concatenate([frame.index.get_level_values("glacier") for frame in (train, test)])
        )[0]
        glaciers = np.split(codes, [len(train)])
        east = np.cos(np.deg2rad(train["latitude"].mean()))
        scaled = {
            key: _standardised(train[list(group)], test[list(group)])
            for key, group in REGIONAL_GROUPS.items()
        }
        return tuple(
            cls(
                groups={key: part[k] for key, part in scaled.items()},
                smooth=np.hstack(
                    [scaled[key][k] for key in ("season", "local", "memory", "topography")]
                ),
                place=_EARTH * np.column_stack([frame["longitude"] * east, frame["latitude"]]),
                glacier=glaciers[k],
                year=frame.index.get_level_values("year").to_numpy(float),
            )
            for k, frame in enumerate((train, test))
        )

    def __len__(self) -> int:
        return len(self.year)

    def take(self, rows: np.ndarray) -> "_Inputs":
        return _Inputs(
            {key: part[rows] for key, part in self.groups.items()},
            *(part[rows] for part in (self.smooth, self.place, self.glacier, self.year)),
        )


def _stationary(a: _Inputs, b: _Inputs) -> list[np.ndarray]:
    """Return the correlations of ``_STATIONARY``, each of shape (len(a), len(b))."""
    glacier = (a.glacier[:, None] == b.glacier).astype(float)
    apart = np.abs(a.year[:, None] - b.year)
    year = (apart == 0).astype(float)
    nearby = year * np.exp(-cdist(a.place, b.place) / _DISTANCE_SCALE)
    lasting = glacier * np.exp(-apart / _TIME_SCALE)
    distance = np.sqrt(3 / a.smooth.shape[1]) * cdist(a.smooth, b.smooth)
    return [glacier, year, nearby, lasting, (1 + distance) * np.exp(-distance)]


def _kernel(a: _Inputs, b: _Inputs, variances: Sequence[float]) -> np.ndarray:
    """Return the covariance of shape (len(a), len(b)), without noise."""
    roots = dict(zip(_LINEAR, np.sqrt(variances[: len(_LINEAR)]), strict=True))
    left, right = (
        np.hstack([root * inputs.groups[key] for key, root in roots.items()]) for inputs in (a, b)
    )
    total = left @ right.T + 1.0  # a constant of unit variance: the mean is uncertain
    for variance, part in zip(variances[len(_LINEAR) :], _stationary(a, b), strict=True):
        total += variance * part
    return total


def _most_likely(inputs: _Inputs, target: np.ndarray, iterations: int) -> np.ndarray:
    """Return the variances of all parts and of the noise that maximise the posterior."""
    parts = [inputs.groups[key] @ inputs.groups[key].T for key in _LINEAR]
    parts += _stationary(inputs, inputs)
    start = np.log([*_LINEAR.values(), *_STATIONARY.values(), _NOISE])
    diagonal = np.diag_indices(len(target))

    def loss(logs: np.ndarray) -> tuple[float, np.ndarray]:
        variances = np.exp(logs)
        covariance = np.ones((len(target), len(target)))
        for variance, part in zip(variances, parts, strict=False):
            covariance += variance * part
        covariance[diagonal] += variances[-1]
        factor, _ = cho_factor(covariance, lower=True, overwrite_a=True, check_finite=False)
        solved = cho_solve((factor, True), target, check_finite=False)
        half_logdet = np.log(factor[diagonal]).sum()
        inverse, _ = dpotri(factor, lower=1, overwrite_c=1)
        # The inverse comes as its lower triangle; the parts are symmetric, so count it twice.
        inverse = np.tril(inverse, -1) * 2 + np.diag(np.diag(inverse))
        outer = np.outer(solved, solved) - inverse
        slopes = np.array([np.vdot(outer, part) for part in parts] + [np.trace(outer)])
        away = (logs - start) / _PRIOR_DEVIATION
        value = 0.5 * target @ solved + half_logdet + 0.5 * away @ away
        return value, -0.5 * variances * slopes + away / _PRIOR_DEVIATION

    result = minimize(
        loss, start, jac=True, method="L-BFGS-B", options={"maxiter": iterations},
        bounds=[(value - 6, value + 6) for value in start],
    )  # fmt: skip
    return np.exp(result.x)


PENALTIES = tuple(np.geomspace(1e4, 1, 13).round(6).tolist())
MODELS: dict[str, Family] = {
    "mean": Family("absolute", mean),
    "year_mean": Family("absolute", year_mean),
    "degree_day": Family("absolute", degree_day),
    "ols": Family("seasonal", least_squares),
    "lasso": Family("lasso", lasso, tuple(np.geomspace(0.5, 0.002, 20).round(6).tolist())),
    "ridge": Family("lasso", ridge, PENALTIES),
    "ridge_regional": Family("regional", ridge_regional, REGIONAL_FORMS),
    "extra_trees": Family("complete", extra_trees, ("monthly", "regional")),
    "gradient_boosting": Family(
        "complete",
        gradient_boosting,
        tuple(product(("monthly", "regional"), (15, 30, 60))),
    ),
    "ridge_trees": Family("regional", ridge_trees, (0.0, 0.5, 1.0)),
    "gaussian_process": Family("regional", gaussian_process),
}
"""The classical models, by the name that the configuration uses."""
