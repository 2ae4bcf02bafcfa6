"""Transformers of abundances, in scikit-learn's API: closure, prevalence filter, log-ratios.

All take and return arrays of shape (samples, taxa). What they learn, they learn in ``fit``, so
that in a Pipeline nothing of a test sample reaches the training.
"""

from typing import Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

Transform = Literal["log", "clr", "arcsine", "presence", "proportion"]

PSEUDOCOUNT = 1e-6
"""Proportion that stands for absence in logarithms: below nearly every abundance that MetaPhlAn
reports (in the colorectal-cancer cohorts all but 3 in 10,000 of those above 0)."""


class Closure(TransformerMixin, BaseEstimator):
    """Divide each sample by its total: percent, counts or proportions become proportions."""

    def fit(self, X: np.ndarray, y: np.ndarray | None = None) -> Self:
        """Check the abundances; nothing is learned."""
        self._checked(X, reset=True)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return proportions."""
        X = self._checked(X, reset=False)
        return X / X.sum(axis=1, keepdims=True)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags

    def _checked(self, X: np.ndarray, reset: bool) -> np.ndarray:
        X = validate_data(self, X, reset=reset, dtype=np.float64)
        if (X < 0).any():
            raise ValueError("abundances must not be negative")
        if not (X.sum(axis=1) > 0).all():
            raise ValueError("a sample holds none of the taxa")
        return X


class PrevalenceFilter(TransformerMixin, BaseEstimator):
    """Keep the taxa that are present in at least a fraction of the training samples.

    Parameters
    ----------
    minimum
        Smallest prevalence, 0 to 1. If no taxon reaches it, the most prevalent are kept.
    """

    def __init__(self, minimum: float = 0.1) -> None:
        self.minimum = minimum

    def fit(self, X: np.ndarray, y: np.ndarray | None = None) -> Self:
        """Learn the prevalences of the training samples."""
        X = validate_data(self, X, dtype=np.float64)
        self.prevalence_ = (X > 0).mean(axis=0)
        self.kept_ = self.prevalence_ >= min(self.minimum, self.prevalence_.max())
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return the kept taxa."""
        check_is_fitted(self)
        return validate_data(self, X, reset=False, dtype=np.float64)[:, self.kept_]


class AbundanceTransform(TransformerMixin, BaseEstimator):
    """Bring proportions to a scale on which a linear model can use them.

    Parameters
    ----------
    kind
        log: log10(p + pseudocount); clr: centred log-ratio (Aitchison 1986), zeros replaced by the
        pseudocount and the other parts shrunk in proportion (multiplicative replacement,
        Martín-Fernández et al. 2003, Math. Geol. 35, 253-278); arcsine: arcsin √p; presence: 0 or
        1; proportion: p itself.
    pseudocount
        Proportion that stands for absence.
    """

    def __init__(self, kind: Transform = "log", pseudocount: float = PSEUDOCOUNT) -> None:
        self.kind = kind
        self.pseudocount = pseudocount

    def fit(self, X: np.ndarray, y: np.ndarray | None = None) -> Self:
        """Check the parameters; nothing is learned."""
        if self.kind not in ("log", "clr", "arcsine", "presence", "proportion"):
            raise ValueError(f"unknown transform {self.kind!r}")
        validate_data(self, X, dtype=np.float64)
        return self

    def transform(self, X: np.ndarray) -> np.ndarray:
        """Return transformed proportions, of the same shape."""
        X = validate_data(self, X, reset=False, dtype=np.float64)
        match self.kind:
            case "log":
                return np.log10(X + self.pseudocount)
            case "clr":
                absent = X <= 0
                shrunk = X * (1 - self.pseudocount * absent.sum(axis=1, keepdims=True))
                logs = np.log(np.where(absent, self.pseudocount, shrunk))
                return logs - logs.mean(axis=1, keepdims=True)
            case "arcsine":
                return np.arcsin(np.sqrt(np.clip(X, 0, 1)))
            case "presence":
                return (X > 0).astype(float)
            case _:
                return X


def taxa_pipeline(transform: Transform = "log", minimum: float = 0.1) -> Pipeline:
    """Return closure, prevalence filter, transform and standardisation, unfitted."""
    return Pipeline(
        [
            ("closure", Closure()),
            ("prevalence", PrevalenceFilter(minimum)),
            ("transform", AbundanceTransform(transform)),
            ("scale", StandardScaler()),
        ]
    )


def covariate_encoder() -> ColumnTransformer:
    """Return an encoder of covariates (a DataFrame), unfitted.

    Numbers: median for what is missing, an indicator of it, standardised; text: one column per
    category, none for one that the training samples lack.
    """
    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    )
    text = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (text, make_column_selector(dtype_exclude="number")),
    )
