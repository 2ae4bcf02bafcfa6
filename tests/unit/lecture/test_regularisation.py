"""Four points and a cubic: each answer is the optimum that it is said to be."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.linear_model import Ridge

from casestudies.lecture.regularisation import (
    DEGREE,
    NOISE,
    SPREAD,
    draw_points,
    lasso,
    maximum_likelihood,
    polynomial,
    posterior,
    powers,
    regularise,
    typical_largest,
)


@pytest.fixture
def points() -> tuple[np.ndarray, np.ndarray]:
    return draw_points(np.random.default_rng(1))


def test_maximum_likelihood_passes_through_all_points(points) -> None:
    x, y = points
    np.testing.assert_allclose(powers(x) @ maximum_likelihood(x, y), y, atol=1e-9)


def test_ridge_is_the_maximum_of_the_posterior(points) -> None:
    x, y = points

    def negative(beta: np.ndarray) -> float:
        misfit = ((y - powers(x) @ beta) ** 2).sum() / (2 * NOISE**2)
        return misfit + (beta**2).sum() / (2 * SPREAD**2)

    best = minimize(negative, np.zeros(DEGREE + 1), tol=1e-12).x
    np.testing.assert_allclose(posterior(x, y)[0], best, atol=1e-4)


@given(st.integers(0, 2**31))
def test_the_closed_form_is_the_maximum_a_posteriori_to_the_last_digits(seed: int) -> None:
    x, y = draw_points(np.random.default_rng(seed))
    X, mean = powers(x), posterior(x, y)[0]
    # The gradient of the logarithm of the posterior vanishes there …
    slope = X.T @ (y - X @ mean) / NOISE**2 - mean / SPREAD**2
    np.testing.assert_allclose(slope, 0, atol=1e-10)
    # … and scikit-learn's ridge with penalty σ²/η² is the same.
    ridge = Ridge(alpha=NOISE**2 / SPREAD**2, fit_intercept=False).fit(X, y).coef_
    np.testing.assert_allclose(mean, ridge, rtol=1e-8, atol=1e-10)


def test_lasso_fulfils_its_optimality_conditions(points) -> None:
    x, y = points
    beta = lasso(x, y)
    gradient = powers(x).T @ (y - powers(x) @ beta) / NOISE**2
    slope = np.sqrt(2) / SPREAD  # of a Laplace prior of standard deviation η
    used = beta != 0
    assert used.any() and not used.all()
    np.testing.assert_allclose(gradient[used], slope * np.sign(beta[used]), rtol=1e-4)
    assert (np.abs(gradient) <= slope * (1 + 1e-4)).all()


@given(st.integers(0, 2**31))
def test_a_prior_never_makes_the_coefficients_larger(seed: int) -> None:
    x, y = draw_points(np.random.default_rng(seed))
    mean, covariance = posterior(x, y)
    free = maximum_likelihood(x, y)
    assert np.linalg.norm(mean) <= np.linalg.norm(free) + 1e-9
    assert (np.linalg.eigvalsh(covariance) <= SPREAD**2 + 1e-9).all()


def test_huge_coefficients_are_the_rule_not_a_chosen_seed() -> None:
    likelihood, prior = typical_largest(np.random.default_rng(0))
    assert likelihood > 20
    assert prior < 1


def test_the_step_writes_a_figure_and_a_table_the_same_each_time(tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        regularise(seed=7, figure=tmp_path / f"{name}.svg", table=tmp_path / f"{name}.csv")
        written.append([(tmp_path / f"{name}.{kind}").read_bytes() for kind in ("svg", "csv")])
    assert written[0] == written[1]
    table = pd.read_csv(tmp_path / "one.csv").set_index(["method", "power"])
    assert len(table) == 5 * (DEGREE + 1)
    assert table["lower"].notna().sum() == DEGREE + 1
    ridge, mean = table.loc["ridge", "coefficient"], table.loc["posterior", "coefficient"]
    pd.testing.assert_series_equal(ridge, mean)


def test_an_equation_has_its_signs() -> None:
    text = polynomial(np.array([-1.0, 2.5, -3.0, 0.25]))
    assert " ".join(text.split()) == "y = −1.00 + 2.50 x − 3.00 x² + 0.25 x³"
