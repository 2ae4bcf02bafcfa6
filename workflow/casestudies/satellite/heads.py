"""Regression from a few predictors of an image, and from its raw pixels, for few labels.

Each is a family of settings for :func:`casestudies.evaluation.nested.nested_cross_validation`.
Predictors are columns ``z0``, ``z1``, … (latents, the most telling first, or any other numbers),
beside which every family is given season and hour. Whatever is learned, scaling included, is
learned from the training rows of the call.

How latents are scaled is a setting. Under a ``common`` scale the latents keep their variances
relative to each other, so that a penalty falls on those that hardly vary. If ``each`` is scaled to
unit variance, faint principal components, mostly noise, count as much as the first; yet the
latents of a network have no natural scale. The inner folds decide.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from scipy.linalg import cho_factor, cho_solve, eigh

from casestudies.errors import InputError, nearest
from casestudies.satellite.pixels import LabelledPixels
from casestudies.satellite.season import BESIDE

SIZES = (4, 8, 16, 32)
"""Numbers of leading latents to choose from."""
SCALINGS = ("common", "each")

PENALTIES = tuple(np.geomspace(1000, 0.1, 13).round(4).tolist())
LENGTHS = (1.5, 3.0)
NOISES = (1.0, 0.2, 0.04)
"""Few, since label curves fit this grid many hundred times. A label that turns more than once over
the range of a latent is beyond these lengths, and would ask for many more labels."""
LINEAR = 0.3
TREES = (25, 50, 100)
FEWEST_FOR_TREES = 200


@dataclass(frozen=True)
class Ridge:
    """Ridge regression on the leading latents."""

    size: int
    scaling: str
    season: bool
    """Whether season and hour are used: a few months of labels are no measure of the season."""
    penalty: float
    """In units of rows: as heavy as that many labels."""


@dataclass(frozen=True)
class Process:
    """Gaussian process on the leading latents.

    Its kernel is a squared exponential plus ``LINEAR`` times a linear one (Rasmussen & Williams
    2006, Gaussian Processes for Machine Learning, chapter 4), in predictors that have a mean
    square of one, with distances divided by the root of their number.
    """

    size: int
    scaling: str
    season: bool
    length: float
    """Length scale."""
    noise: float
    """Variance of the noise over that of the squared exponential."""


@dataclass(frozen=True)
class Boosting:
    """Gradient-boosted trees on the leading latents; undefined below FEWEST_FOR_TREES labels."""

    size: int
    trees: int


HEADS = ("ridge", "gaussian_process", "gradient_boosting")
Setting = Ridge | Process | Boosting


@dataclass(frozen=True)
class Regression:
    """A choice of heads on the leading latents, with season and hour beside.

    Parameters
    ----------
    settings
        What the inner folds choose from; see :func:`regression`.
    """

    settings: tuple[Setting, ...]

    def predict(
        self,
        train: pd.DataFrame,
        target: np.ndarray,
        test: pd.DataFrame,
        settings: Sequence[Setting],
        seed: int,
    ) -> np.ndarray:
        """Fit and predict, as in :class:`casestudies.evaluation.nested.Model`.

        A missing predictor counts as its mean over the training rows.
        """
        predicted = np.full((len(test), len(settings)), np.nan)
        groups: dict[tuple, list[int]] = {}
        for k, setting in enumerate(settings):
            scaling, season = getattr(setting, "scaling", "each"), getattr(setting, "season", True)
            groups.setdefault((type(setting), setting.size, scaling, season), []).append(k)
        latents = [_latents(table) for table in (train, test)]
        beside = scaled(*(table[list(BESIDE)].to_numpy(float) for table in (train, test)), "each")
        for (kind, size, scaling, season), wanted in groups.items():
            parts = scaled(*(values[:, :size] for values in latents), scaling)
            if season:
                parts = [np.hstack(pair) for pair in zip(parts, beside, strict=True)]
            chosen = [settings[k] for k in wanted]
            predicted[:, wanted] = _FIT[kind](*parts, target, chosen, seed)
        return predicted


def regression(
    heads: Sequence[str],
    columns: int,
    sizes: Sequence[int] = (),
    scalings: Sequence[str] = ("each",),
) -> Regression:
    """Return the family of all settings of some heads.

    Parameters
    ----------
    heads
        Among HEADS.
    columns
        How many columns ``z0``, … there are.
    sizes
        Numbers of leading columns to choose from; those above ``columns`` are left out, and
        without any left all columns are used.
    scalings
        Among SCALINGS.

    Raises
    ------
    InputError
        If a head is unknown, or none is left that can be fitted to few labels.
    """
    for head in heads:
        if head not in HEADS:
            raise InputError(f"unknown head {head!r}; {nearest(head, HEADS)}")
    if not {"ridge", "gaussian_process"} & set(heads):
        raise InputError(
            f"heads: {', '.join(heads) or 'none'} cannot be fitted to fewer than "
            f"{FEWEST_FOR_TREES} labels; add 'ridge' or 'gaussian_process'."
        )
    sizes = sorted({size for size in sizes if size <= columns}) or [columns]
    # The scaling of nothing, or of a single column, is no choice.
    scalings = scalings if columns > 1 else scalings[:1]
    seasons = (False, True) if columns else (True,)
    forms = list(product(sizes, scalings, seasons))
    settings: list[Setting] = []
    if "ridge" in heads:
        settings += [Ridge(*form, penalty) for form in forms for penalty in PENALTIES]
    if "gaussian_process" in heads:
        settings += [
            Process(*form, length, noise)
            for form in forms
            for length in LENGTHS[::-1]
            for noise in NOISES
        ]
    if "gradient_boosting" in heads:
        settings += [Boosting(size, trees) for size in sizes for trees in TREES]
    return Regression(tuple(settings))


def latent_columns(table: pd.DataFrame) -> list[str]:
    """Return the columns ``z0``, ``z1``, … of a table, in order."""
    found = [name for name in map(str, table.columns) if name[:1] == "z" and name[1:].isdigit()]
    return sorted(found, key=lambda name: int(name[1:]))


def _latents(table: pd.DataFrame) -> np.ndarray:
    return table[latent_columns(table)].to_numpy(float)


def scaled(train: np.ndarray, test: np.ndarray, scaling: str) -> tuple[np.ndarray, np.ndarray]:
    """Return both, centred and scaled by the training rows; gaps and constant columns are 0."""
    valid = ~np.isnan(train)
    count = np.maximum(valid.sum(axis=0), 1)
    mean = np.where(valid, train, 0).sum(axis=0) / count
    squares = (np.where(valid, train - mean, 0) ** 2).sum(axis=0) / count
    varies = squares > 1e-16 * (1 + mean**2)
    if scaling == "common":
        squares = np.full_like(squares, squares[varies].mean() if varies.any() else 1.0)
    scale = varies / np.sqrt(np.where(varies, squares, 1))
    return tuple(np.where(np.isnan(part), 0, (part - mean) * scale) for part in (train, test))


def _ridge(
    train: np.ndarray, test: np.ndarray, target: np.ndarray, settings: Sequence[Ridge], seed: int
) -> np.ndarray:
    centre = target.mean()
    penalties = np.array([setting.penalty for setting in settings])
    # The dual form, where there are more predictors than labels.
    dual = train.shape[1] > len(train)
    values, vectors = eigh(train @ train.T if dual else train.T @ train, check_finite=False)
    moments = vectors.T @ (target - centre if dual else train.T @ (target - centre))
    weights = vectors @ (moments[:, None] / (np.maximum(values, 0)[:, None] + penalties))
    return test @ (train.T @ weights if dual else weights) + centre


def _process(
    train: np.ndarray, test: np.ndarray, target: np.ndarray, settings: Sequence[Process], seed: int
) -> np.ndarray:
    centre, scale = target.mean(), target.std() or 1.0
    units = (target - centre) / scale
    predictors = max(1, np.count_nonzero(train.any(axis=0)))
    inner, outer = train @ train.T / predictors, test @ train.T / predictors
    norms = np.diag(inner)
    # Half the squared distance, from the same products.
    apart = np.maximum((norms[:, None] + norms) / 2 - inner, 0)
    away = np.maximum(((test**2).sum(axis=1)[:, None] / predictors + norms) / 2 - outer, 0)
    predicted = np.empty((len(test), len(settings)))
    for length in dict.fromkeys(setting.length for setting in settings):
        kernel = np.exp(-apart / length**2) + LINEAR * inner
        across = np.exp(-away / length**2) + LINEAR * outer
        wanted = [k for k, setting in enumerate(settings) if setting.length == length]
        weights = np.empty((len(train), len(wanted)))
        for column, k in enumerate(wanted):
            noisy = kernel.copy()
            noisy[np.diag_indices_from(noisy)] += settings[k].noise
            factor = cho_factor(noisy, lower=True, overwrite_a=True, check_finite=False)
            weights[:, column] = cho_solve(factor, units, check_finite=False)
        predicted[:, wanted] = across @ weights
    return predicted * scale + centre


def _boosting(
    train: np.ndarray, test: np.ndarray, target: np.ndarray, settings: Sequence[Boosting], seed: int
) -> np.ndarray:
    predicted = np.full((len(test), len(settings)), np.nan)
    if len(train) < FEWEST_FOR_TREES:
        return predicted
    from sklearn.ensemble import HistGradientBoostingRegressor  # seconds others need not pay

    wanted = {setting.trees: k for k, setting in enumerate(settings)}
    boosting = HistGradientBoostingRegressor(
        max_iter=max(wanted),
        learning_rate=0.1,
        max_leaf_nodes=6,
        min_samples_leaf=10,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    ).fit(train, target)
    for trees, values in enumerate(boosting.staged_predict(test), start=1):
        if trees in wanted:
            predicted[:, wanted[trees]] = values
    return predicted


_FIT = {Ridge: _ridge, Process: _process, Boosting: _boosting}


@dataclass(frozen=True)
class Resolutions:
    """Regression on the pixels of coarsened images; the resolution is a setting, too.

    Parameters
    ----------
    tables
        By pixels a side the predictors of every sample; a row's column ``row`` is its position.
    families
        By pixels a side the heads.
    """

    tables: dict[int, pd.DataFrame]
    families: dict[int, Regression]

    @property
    def settings(self) -> tuple[tuple[int, Setting], ...]:
        """What the inner folds choose from, the coarsest first."""
        return tuple((side, one) for side, f in self.families.items() for one in f.settings)

    def predict(
        self,
        train: pd.DataFrame,
        target: np.ndarray,
        test: pd.DataFrame,
        settings: Sequence[tuple[int, Setting]],
        seed: int,
    ) -> np.ndarray:
        """Fit and predict, as in :class:`casestudies.evaluation.nested.Model`."""
        predicted = np.empty((len(test), len(settings)))
        for side in dict.fromkeys(side for side, _ in settings):
            wanted = [k for k, setting in enumerate(settings) if setting[0] == side]
            a, b = (self.tables[side].iloc[rows["row"].to_numpy()] for rows in (train, test))
            chosen = [settings[k][1] for k in wanted]
            predicted[:, wanted] = self.families[side].predict(a, target, b, chosen, seed)
        return predicted


@dataclass(frozen=True)
class Mean:
    """The mean of the training labels."""

    settings: tuple[Hashable, ...] = ("mean",)

    def predict(
        self,
        train: pd.DataFrame,
        target: np.ndarray,
        test: pd.DataFrame,
        settings: Sequence[Hashable],
        seed: int,
    ) -> np.ndarray:
        """Predict, as in :class:`casestudies.evaluation.nested.Model`."""
        return np.full((len(test), len(settings)), target.mean())


@dataclass(frozen=True)
class PixelRidge:
    """Ridge regression on all pixels of all channels, with season and hour beside.

    In the dual form (Saunders, Gammerman & Vovk 1998, Ridge regression learning algorithm in dual
    variables) its cost grows with the pixels only as the products between frames do. A setting is
    whether season and hour are used, and the penalty in units of the mean square of an image.

    Parameters
    ----------
    pixels
        Of the labelled frames; a row's column ``row`` is its position among them.
    """

    pixels: LabelledPixels
    settings: tuple[tuple[bool, float], ...] = tuple(
        product((False, True), np.geomspace(100, 1e-6, 17).round(9).tolist())
    )

    def predict(
        self,
        train: pd.DataFrame,
        target: np.ndarray,
        test: pd.DataFrame,
        settings: Sequence[tuple[bool, float]],
        seed: int,
    ) -> np.ndarray:
        """Fit and predict, as in :class:`casestudies.evaluation.nested.Model`."""
        inner, outer = self.pixels.products(train["row"].to_numpy(), test["row"].to_numpy())
        beside = scaled(*(table[list(BESIDE)].to_numpy(float) for table in (train, test)), "each")
        centre = target.mean()
        predicted = np.empty((len(test), len(settings)))
        for season in dict.fromkeys(season for season, _ in settings):
            wanted = [k for k, setting in enumerate(settings) if setting[0] == season]
            penalties = np.array([settings[k][1] for k in wanted])
            values, vectors = eigh(inner + season * beside[0] @ beside[0].T, check_finite=False)
            moments = vectors.T @ (target - centre)
            weights = vectors @ (moments[:, None] / (np.maximum(values, 0)[:, None] + penalties))
            across = outer + season * beside[1] @ beside[0].T
            predicted[:, wanted] = across @ weights + centre
        return predicted
