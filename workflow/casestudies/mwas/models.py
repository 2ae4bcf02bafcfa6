"""The classifiers: penalised logistic regression along a path, and what it is measured against."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Self

import numpy as np
import pandas as pd
from glmnet import LogitNet
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from casestudies.evaluation.nested import Model
from casestudies.mwas.ridge import principal_axes, ridge_path
from casestudies.mwas.transforms import Closure, Transform, covariate_encoder, taxa_pipeline

TRANSFORMS: tuple[Transform, ...] = ("log", "clr", "arcsine", "presence", "proportion")
_SMALLEST_SHARE = 1e-3  # of the lasso's penalty that sets the scale of a ridge path, as in glmnet


def penalty_ratios(l1_ratio: float, count: int = 40) -> np.ndarray:
    """Return penalties relative to the one at which a lasso is empty, descending.

    A ridge path has no such end; it starts and stops two decades around it. Still smaller penalties
    of a lasso would take most of the time, and are hardly ever chosen.
    """
    first, last = (1.0, 0.025) if l1_ratio else (100.0, 0.01)
    return np.geomspace(first, last, count)


class PenalisedLogisticRegression(ClassifierMixin, BaseEstimator):
    """Logistic regression under a ridge, lasso or elastic-net penalty, along a path of penalties.

    Minimises the mean log loss plus λ (ρ ‖β‖₁ + (1 − ρ) ‖β‖₂² / 2) for every λ of a descending
    path: the ridge by conjugate gradients (casestudies.mwas.ridge), the others by coordinate
    descent with warm starts (Friedman, Hastie and Tibshirani 2010, J. Stat. Softw. 33; Fortran of
    glmnet through python-glmnet). The intercept is not penalised.

    Parameters
    ----------
    l1_ratio
        ρ: 1 lasso, 0 ridge, between them elastic net.
    ratios
        The path: λ relative to λ_max, the least penalty at which a lasso is empty on the training
        data (for ρ > 0, λ_max is divided by ρ). Default: :func:`penalty_ratios`.
    ratio
        The penalty to predict with, a value of ``ratios``; None: chosen by cross-validated log
        loss.
    cv
        Folds of that choice, stratified by class, or a list of (train, test) positions.
    unpenalised
        So many leading columns carry no penalty (covariates).
    tol
        Convergence threshold of glmnet, or of ridge_path; five times that in the folds of ``cv``,
        where nothing but the held-out loss is wanted.
    random_state
        Seed of the folds.

    Attributes
    ----------
    lambdas_ : (k,) penalties · coef_path_ : (p, k) · intercept_path_ : (k,) · cv_loss_ : (k,) mean
    held-out log loss, if chosen · ratio_, coef_ (1, p), intercept_ (1,) : the model to predict with
    """

    def __init__(
        self,
        l1_ratio: float = 1.0,
        ratios: Sequence[float] | None = None,
        ratio: float | None = None,
        cv: int | Sequence[tuple[np.ndarray, np.ndarray]] = 10,
        unpenalised: int = 0,
        tol: float = 2e-7,
        random_state: int = 0,
    ) -> None:
        self.l1_ratio = l1_ratio
        self.ratios = ratios
        self.ratio = ratio
        self.cv = cv
        self.unpenalised = unpenalised
        self.tol = tol
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: np.ndarray) -> Self:
        """Fit the path on (n, p) predictors and (n,) classes; choose the penalty if none is given.

        Raises
        ------
        ValueError
            If there are not exactly two classes.
        """
        X, y = validate_data(self, X, y, dtype=np.float64)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) != 2:
            raise ValueError(
                f"y has {len(self.classes_)} class(es) ({', '.join(map(str, self.classes_))}); "
                "logistic regression needs two"
            )
        self.path_ratios_ = np.asarray(
            penalty_ratios(self.l1_ratio) if self.ratios is None else self.ratios, dtype=float
        )
        self.lambdas_ = self.path_ratios_ * self.scale(X, codes)
        if not self.l1_ratio:
            # The folds share the axes: a rotation changes no ridge, and sees no class.
            free = self.unpenalised
            centre = X[:, free:].mean(axis=0)
            axes, scores = principal_axes(X[:, free:] - centre)
            X = np.hstack([X[:, :free], scores])
        if self.ratio is None:
            chosen = self._choose(X, codes)
        else:
            chosen = int(np.abs(np.log(self.path_ratios_ / self.ratio)).argmin())
        self.coef_path_, self.intercept_path_ = self._path(X, codes, self.tol)
        if not self.l1_ratio:
            rotated = axes @ self.coef_path_[free:]
            self.coef_path_ = np.vstack([self.coef_path_[:free], rotated])
            self.intercept_path_ = self.intercept_path_ - centre @ rotated
        self.ratio_ = float(self.path_ratios_[chosen])
        self.coef_ = self.coef_path_[:, chosen][None]
        self.intercept_ = self.intercept_path_[chosen : chosen + 1]
        return self

    def decision_function(self, X: np.ndarray) -> np.ndarray:
        """Return log odds, (n,)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return X @ self.coef_[0] + self.intercept_[0]

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the probabilities of both classes, (n, 2)."""
        positive = expit(self.decision_function(X))
        return np.column_stack([1 - positive, positive])

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the likelier class, (n,)."""
        second = self.decision_function(X) > 0
        return self.classes_[second.astype(int)]

    def path_probabilities(self, X: np.ndarray) -> np.ndarray:
        """Return the probability of the second class for every penalty of the path, (n, k)."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return expit(X @ self.coef_path_ + self.intercept_path_)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags

    def scale(self, X: np.ndarray, codes: np.ndarray) -> float:
        """Return λ_max / ρ: the steepest gradient of a penalised coefficient at the null model."""
        if self.unpenalised:
            leading = X[:, : self.unpenalised]
            null = LogisticRegression(C=1e4, max_iter=1000).fit(leading, codes)
            residual = codes - null.predict_proba(leading)[:, 1]
        else:
            residual = codes - codes.mean()
        steepest = np.abs(X[:, self.unpenalised :].T @ residual).max() / len(codes)
        return max(steepest, np.finfo(float).tiny) / (self.l1_ratio or 1.0)

    def _path(self, X: np.ndarray, codes: np.ndarray, tol: float) -> tuple[np.ndarray, np.ndarray]:
        if not self.l1_ratio:
            return ridge_path(X, codes, self.lambdas_, self.unpenalised, tol)
        columns = X.shape[1]
        penalised = columns - self.unpenalised
        factors = np.r_[np.zeros(self.unpenalised), np.ones(penalised)]
        solver = LogitNet(
            alpha=self.l1_ratio,
            # glmnet rescales the factors to sum to the number of columns.
            lambda_path=self.lambdas_ * penalised / columns,
            n_splits=0,
            standardize=False,
            tol=tol,
        )
        solver.fit(X, codes, relative_penalties=factors)
        coefficients, intercepts = solver.coef_path_[0], solver.intercept_path_[0]
        # Where the classes are separated, glmnet stops; the path goes on as it was.
        last = np.minimum(np.arange(len(self.lambdas_)), coefficients.shape[1] - 1)
        return coefficients[:, last], intercepts[last]

    def _choose(self, X: np.ndarray, codes: np.ndarray) -> int:
        if isinstance(self.cv, int):
            splitter = StratifiedKFold(self.cv, shuffle=True, random_state=self.random_state)
            pairs = list(splitter.split(X, codes))
        else:
            pairs = list(self.cv)
        # One path of penalties for all folds, that of the whole training data.
        losses = np.zeros(len(self.lambdas_))
        for train, test in pairs:
            if len(np.unique(codes[train])) < 2:
                raise ValueError(
                    "a fold's training part holds one class only; choose fewer or stratified folds"
                )
            coefficients, intercepts = self._path(X[train], codes[train], 5 * self.tol)
            odds = X[test] @ coefficients + intercepts
            losses += (np.logaddexp(0, odds) - codes[test][:, None] * odds).sum(axis=0)
        self.cv_loss_ = losses / sum(len(test) for _, test in pairs)
        return int(self.cv_loss_.argmin())


class _Path:
    """Penalised logistic regression whose transform and penalty the inner folds choose.

    ``fitted``, if given, keeps what whole paths have predicted, for families that share them.
    """

    def __init__(
        self,
        l1_ratio: float,
        transforms: Sequence[Transform],
        taxa: Sequence[str],
        covariates: Sequence[str] = (),
        fitted: dict[Hashable, np.ndarray] | None = None,
    ) -> None:
        self.l1_ratio = l1_ratio
        self.taxa = list(taxa)
        self.covariates = list(covariates)
        self.ratios = [float(ratio) for ratio in penalty_ratios(l1_ratio)]
        self.settings = [(kind, ratio) for ratio in self.ratios for kind in transforms]
        self.fitted = fitted

    def predict(
        self,
        train: pd.DataFrame,
        target: np.ndarray,
        test: pd.DataFrame,
        settings: Sequence[Hashable],
        seed: int,
    ) -> np.ndarray:
        wanted: dict[str, list[int]] = {}
        for position, (kind, _) in enumerate(settings):
            wanted.setdefault(kind, []).append(position)
        predicted = np.empty((len(test), len(settings)))
        for kind, positions in wanted.items():
            ratios = [settings[position][1] for position in positions]
            shared = {} if self.fitted is None or ratios != self.ratios else self.fitted
            rows = tuple(train.index), target.tobytes(), tuple(test.index)
            key = kind, self.l1_ratio, *self.covariates, *rows
            if key not in shared:
                shared[key] = self._path(kind, ratios, train, target, test)
            predicted[:, positions] = shared[key]
        return predicted

    def _path(
        self,
        kind: Transform,
        ratios: list[float],
        train: pd.DataFrame,
        target: np.ndarray,
        test: pd.DataFrame,
    ) -> np.ndarray:
        model = AbundanceClassifier(
            kind,
            self.l1_ratio,
            taxa=self.taxa,
            covariates=self.covariates,
            ratios=ratios,
            ratio=ratios[-1],
        )
        return model.fit(train, target).path_probabilities(test)


class AbundanceClassifier(ClassifierMixin, BaseEstimator):
    """From abundances (and covariates) to a probability: the pipeline and the penalised model.

    Parameters
    ----------
    transform
        Of the proportions (see AbundanceTransform).
    l1_ratio, ratios, ratio, cv
        See PenalisedLogisticRegression.
    minimum
        Smallest prevalence of a taxon.
    taxa, covariates
        Names of the columns that are taxa, and of those that are covariates: these are encoded
        and not penalised. taxa=None: all but the covariates.

    Attributes
    ----------
    pipeline_ : fitted steps for the taxa · encoder_ : fitted encoder of covariates, or None
    regression_ : the fitted PenalisedLogisticRegression · kept_ : names of the taxa it uses
    """

    def __init__(
        self,
        transform: Transform = "log",
        l1_ratio: float = 1.0,
        minimum: float = 0.1,
        taxa: Sequence[str] | None = None,
        covariates: Sequence[str] = (),
        ratios: Sequence[float] | None = None,
        ratio: float | None = None,
        cv: int | Sequence[tuple[np.ndarray, np.ndarray]] = 10,
    ) -> None:
        self.transform = transform
        self.l1_ratio = l1_ratio
        self.minimum = minimum
        self.taxa = taxa
        self.covariates = covariates
        self.ratios = ratios
        self.ratio = ratio
        self.cv = cv

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> Self:
        """Fit on a table (n, taxa and covariates) and (n,) classes."""
        known = set(self.covariates)
        names = [c for c in X.columns if c not in known] if self.taxa is None else self.taxa
        self.taxa_ = list(names)
        self.pipeline_ = taxa_pipeline(self.transform, self.minimum)
        values = self.pipeline_.fit_transform(X[self.taxa_].to_numpy(dtype=float))
        self.kept_ = [
            name
            for name, kept in zip(self.taxa_, self.pipeline_["prevalence"].kept_, strict=True)
            if kept
        ]
        self.encoder_ = None
        leading = 0
        if len(self.covariates):
            self.encoder_ = covariate_encoder()
            encoded = self.encoder_.fit_transform(X[list(self.covariates)])
            leading = encoded.shape[1]
            values = np.hstack([encoded, values])
        self.regression_ = PenalisedLogisticRegression(
            self.l1_ratio, self.ratios, self.ratio, self.cv, leading
        ).fit(values, y)
        self.classes_ = self.regression_.classes_
        return self

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Return the probabilities of both classes, (n, 2)."""
        return self.regression_.predict_proba(self._values(X))

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return the likelier class, (n,)."""
        return self.regression_.predict(self._values(X))

    def path_probabilities(self, X: pd.DataFrame) -> np.ndarray:
        """Return the probability of the second class for every penalty of the path, (n, k)."""
        return self.regression_.path_probabilities(self._values(X))

    def _values(self, X: pd.DataFrame) -> np.ndarray:
        check_is_fitted(self)
        values = self.pipeline_.transform(X[self.taxa_].to_numpy(dtype=float))
        if self.encoder_ is None:
            return values
        return np.hstack([self.encoder_.transform(X[list(self.covariates)]), values])


class _Single:
    """A classifier without settings: ``predictor(train, target, test, seed)`` gives (n_test,)."""

    settings: Sequence[Hashable] = ["-"]

    def __init__(self, predictor: Callable[..., np.ndarray]) -> None:
        self._predictor = predictor

    def predict(self, train, target, test, settings, seed) -> np.ndarray:
        return self._predictor(train, target, test, seed)[:, None]


def build(
    name: str,
    taxa: Sequence[str],
    covariates: Sequence[str],
    fitted: dict[Hashable, np.ndarray] | None = None,
) -> Model:
    """Return the model of a name.

    Parameters
    ----------
    taxa, covariates
        Columns of the tables that it will be given.
    fitted
        Filled with the paths that the model fits, and read by others that fit the same, so that
        ``ridge`` spares ``ridge_log`` the work. To be shared by models of one table, whose index
        tells its rows apart.
    """
    taxa = list(taxa)
    penalised = {"ridge": 0.0, "lasso": 1.0, "elastic_net": 0.5}
    if name in penalised:
        return _Path(penalised[name], TRANSFORMS, taxa, (), fitted)
    kind, _, rest = name.partition("_")
    if kind in penalised:
        transform, _, extra = rest.partition("_")
        return _Path(penalised[kind], [transform], taxa, covariates if extra else (), fitted)
    return _BASELINES[name](taxa, list(covariates))


def _null(taxa: list[str], covariates: list[str]) -> Model:
    return _Single(lambda train, target, test, seed: np.full(len(test), target.mean()))


def _covariates(taxa: list[str], covariates: list[str]) -> Model:
    """Logistic regression on the covariates alone, with a weak ridge for separated classes."""

    def predict(train, target, test, seed):
        if not covariates:
            return np.full(len(test), target.mean())
        encoder = covariate_encoder()
        model = LogisticRegression(max_iter=1000)
        model.fit(encoder.fit_transform(train[covariates]), target)
        return model.predict_proba(encoder.transform(test[covariates]))[:, 1]

    return _Single(predict)


def _trees(make: Callable[[int], ClassifierMixin]) -> Callable[[list[str], list[str]], Model]:
    """Return a builder of trees on proportions, with the settings that are usual for them."""

    def build(taxa: list[str], covariates: list[str]) -> Model:
        def predict(train, target, test, seed):
            closure = Closure()
            model = make(seed).fit(closure.fit_transform(train[taxa].to_numpy()), target)
            return model.predict_proba(closure.transform(test[taxa].to_numpy()))[:, 1]

        return _Single(predict)

    return build


_BASELINES: dict[str, Callable[[list[str], list[str]], Any]] = {
    "null_model": _null,
    "covariates": _covariates,
    "random_forest": _trees(lambda seed: RandomForestClassifier(500, random_state=seed)),
    "gradient_boosting": _trees(
        lambda seed: HistGradientBoostingClassifier(
            learning_rate=0.05, max_depth=3, min_samples_leaf=5, random_state=seed
        )
    ),
}
