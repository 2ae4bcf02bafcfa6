"""The path of ridge logistic regression: at the optimum, the same in any rotation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from casestudies.mwas.models import PenalisedLogisticRegression
from casestudies.mwas.ridge import principal_axes, ridge_path

LAMBDAS = np.geomspace(10, 1e-3, 9)


def problem(seed: int, samples: int, columns: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(samples, columns)) @ rng.normal(size=(columns, columns))
    y = (X[:, 0] + rng.normal(size=samples) > 0).astype(float)
    y[:2] = 0, 1
    return X / X.std(axis=0), y


def duality_gap(
    X: np.ndarray, y: np.ndarray, path: tuple[np.ndarray, np.ndarray], free: int = 0
) -> np.ndarray:
    """An upper bound of how far each objective is above its minimum, (k,).

    Strong convexity in the penalised coefficients: half the squared gradient over λ; what remains
    of the gradient in the free ones is checked beside it.
    """
    coefficients, intercepts = path
    residual = expit(X @ coefficients + intercepts) - y[:, None]
    gradient = X.T @ residual / len(y)
    gradient[free:] += LAMBDAS * coefficients[free:]
    assert np.abs(residual.mean(axis=0)).max() < 2e-3
    assert not free or np.abs(gradient[:free]).max() < 2e-3
    return (gradient[free:] ** 2).sum(axis=0) / (2 * LAMBDAS)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(10, 60), st.integers(1, 80))
def test_every_penalty_is_at_its_optimum(seed: int, samples: int, columns: int) -> None:
    X, y = problem(seed, samples, columns)
    axes, scores = principal_axes(X - X.mean(axis=0))
    rotated, intercepts = ridge_path(scores, y, LAMBDAS, tol=1e-12)
    coefficients = axes @ rotated
    path = coefficients, intercepts - X.mean(axis=0) @ coefficients
    assert duality_gap(X, y, path).max() < 1e-6
    # Without the rotation it takes more steps, to the same end.
    direct = ridge_path(X, y, LAMBDAS, tol=1e-12)
    assert duality_gap(X, y, direct).max() < 1e-6
    np.testing.assert_allclose(direct[0], coefficients, atol=2e-3)


@given(st.integers(0, 10_000), st.integers(2, 30), st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_the_axes_give_the_predictors_back(seed: int, samples: int, columns: int) -> None:
    X = np.random.default_rng(seed).normal(size=(samples, columns))
    X -= X.mean(axis=0)
    axes, scores = principal_axes(X)
    assert scores.shape[1] <= min(samples, columns)
    np.testing.assert_allclose(scores @ axes.T, X, atol=1e-5)
    products = scores.T @ scores
    assert np.abs(products - np.diag(np.diag(products))).max() < 1e-6 * max(1, products.max())


def test_leading_columns_may_go_unpenalised() -> None:
    X, y = problem(3, 80, 12)
    path = ridge_path(X, y, LAMBDAS, unpenalised=2, tol=1e-12)
    assert duality_gap(X, y, path, free=2).max() < 1e-6
    # Under a penalty that empties the others, they are as in a plain regression.
    strong = ridge_path(X, y, np.array([1e6]), unpenalised=2, tol=1e-12)
    alone = ridge_path(X[:, :2], y, np.array([1.0]), unpenalised=2, tol=1e-12)
    np.testing.assert_allclose(strong[0][:2, 0], alone[0][:, 0], rtol=1e-3)


def test_a_free_column_that_separates_the_classes_ends() -> None:
    X, y = problem(3, 40, 5)
    coefficients, intercepts = ridge_path(np.c_[y, X], y, LAMBDAS, unpenalised=1)
    assert np.isfinite(coefficients).all() and np.isfinite(intercepts).all()
    assert ((np.c_[y, X] @ coefficients + intercepts > 0) == y[:, None]).all()


@pytest.mark.parametrize("columns", [1, 4])
def test_predictors_that_do_not_vary_say_nothing(columns: int) -> None:
    y = np.r_[np.zeros(6), np.ones(3)]
    model = PenalisedLogisticRegression(0.0, LAMBDAS, LAMBDAS[0]).fit(np.ones((9, columns)), y)
    assert not model.coef_path_.any()
    np.testing.assert_allclose(model.predict_proba(np.ones((1, columns)))[:, 1], 1 / 3, atol=1e-6)
