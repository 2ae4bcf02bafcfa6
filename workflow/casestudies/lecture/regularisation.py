"""The lecture's example: four points, a cubic, and what a prior on its coefficients does.

The model is y = Σ βᵢ xⁱ + ε with ε ~ N(0, σ²). Four coefficients pass through any four points, so
that the maximum of the likelihood fits the noise. Under βᵢ ~ N(0, η²) the maximum a posteriori is
ridge with penalty σ²/η²; under a Laplace prior of the same variance it is the lasso; the whole
posterior under the normal prior gives the mean, which is the ridge, and a credible band.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.steps import main
from casestudies.tables import write_table

POINTS = 4
DEGREE = 3
NOISE = 0.2
"""σ, standard deviation of the noise; the models know it."""
SPREAD = 1.0
"""η, standard deviation of a coefficient under the prior."""
TRUTH = np.array([0.0, 1.0, 0.0, 0.0])
"""Coefficients that the points are drawn from: the line y = x."""

_DRAWS = 1000  # data sets that show whether the one in the figure is a rare one
_SHOWN = 1.96  # half width of a 95 % band, in standard deviations


def draw_points(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return x, uniform on [0, 1] and sorted, and y, the line with noise; (4,) each."""
    x = np.sort(rng.uniform(0, 1, POINTS))
    return x, powers(x) @ TRUTH + rng.normal(0, NOISE, POINTS)


def powers(x: np.ndarray) -> np.ndarray:
    """Return xⁱ for i = 0, …, DEGREE: (n,) -> (n, DEGREE + 1)."""
    return np.vander(x, DEGREE + 1, increasing=True)


def maximum_likelihood(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the coefficients that pass through all points."""
    return np.linalg.solve(powers(x), y)


def posterior(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean (p,) and covariance (p, p) of the coefficients under the normal prior.

    The mean is the maximum a posteriori too, and the ridge with penalty σ²/η².
    """
    X = powers(x)
    covariance = np.linalg.inv(X.T @ X / NOISE**2 + np.eye(DEGREE + 1) / SPREAD**2)
    return covariance @ X.T @ y / NOISE**2, covariance


def lasso(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the maximum a posteriori under a Laplace prior of standard deviation η.

    Minimises ‖y − Xβ‖² / (2 σ²) + √2 ‖β‖₁ / η.
    """
    from sklearn.linear_model import Lasso  # a second that others need not pay

    alpha = NOISE**2 * np.sqrt(2) / SPREAD / len(y)
    model = Lasso(alpha=alpha, fit_intercept=False, tol=1e-10, max_iter=1_000_000)
    return model.fit(powers(x), y).coef_


def typical_largest(rng: np.random.Generator) -> tuple[float, float]:
    """Return the median over draws of the largest coefficient: maximum likelihood, MAP."""
    largest = []
    for _ in range(_DRAWS):
        x, y = draw_points(rng)
        fits = maximum_likelihood(x, y), posterior(x, y)[0]
        largest.append([np.abs(fit).max() for fit in fits])
    likelihood, prior = np.median(largest, axis=0)
    return float(likelihood), float(prior)


def coefficients(x: np.ndarray, y: np.ndarray) -> pd.DataFrame:
    """Return method, power, coefficient, lower, upper (95 % credible, of the posterior alone)."""
    mean, covariance = posterior(x, y)
    half = _SHOWN * np.sqrt(np.diag(covariance))
    fits = {
        "truth": TRUTH,
        "maximum_likelihood": maximum_likelihood(x, y),
        "ridge": mean,
        "lasso": lasso(x, y),
        "posterior": mean,
    }
    parts = [
        pd.DataFrame({"method": name, "power": range(DEGREE + 1), "coefficient": values})
        for name, values in fits.items()
    ]
    table = pd.concat(parts, ignore_index=True)
    table[["lower", "upper"]] = np.nan
    rows = table["method"] == "posterior"
    table.loc[rows, "lower"], table.loc[rows, "upper"] = mean - half, mean + half
    return table


_TITLES = {
    "maximum_likelihood": "Maximum likelihood",
    "ridge": "Ridge: MAP, normal prior",
    "lasso": "Lasso: MAP, Laplace prior",
    "posterior": "Posterior, 95 % band",
}


def polynomial(values: np.ndarray) -> str:
    """Return the coefficients as an equation in two lines."""
    digits = 0 if np.abs(values).max() >= 100 else 2
    terms = []
    for power, value in enumerate(values):
        sign = ("−" if value < 0 else "+") + " " if power else "−" if value < 0 else ""
        symbol = ["", " x", " x²", " x³"][power]
        terms.append(f"{sign}{abs(value):,.{digits}f}{symbol}")
    return f"y = {terms[0]} {terms[1]}\n      {terms[2]} {terms[3]}"


def draw(
    x: np.ndarray, y: np.ndarray, table: pd.DataFrame, typical: tuple[float, float], path: Path
) -> None:
    """Draw the four answers side by side, each with its coefficients."""
    from casestudies.figures.style import BLACK, BLUE, GREY, VERMILION, figure

    grid = np.linspace(0, 1, 400)
    X = powers(grid)
    covariance = posterior(x, y)[1]
    # What lies outside of this is cut off: the curve through all points may go anywhere.
    limits = min(0, y.min()) - 0.8, max(1, y.max()) + 0.8
    with figure(path, 1, len(_TITLES), (10, 3.8), sharey=True) as (drawing, axes):
        for axis, (method, title) in zip(axes, _TITLES.items(), strict=True):
            values = table.loc[table["method"] == method, "coefficient"].to_numpy()
            curve = X @ values
            colour = VERMILION if method == "maximum_likelihood" else BLUE
            axis.plot(grid, X @ TRUTH, color=GREY, ls="--", lw=1, label="truth, y = x")
            if method == "posterior":
                half = _SHOWN * np.sqrt(((X @ covariance) * X).sum(axis=1))
                axis.fill_between(grid, curve - half, curve + half, color=BLUE, alpha=0.2, lw=0)
            axis.plot(grid, curve, color=colour, label="fit")
            axis.plot(x, y, "o", color=BLACK, label="the four points")
            axis.set(title=title, xlabel="x", ylim=limits, xlim=(0, 1), xticks=[0, 0.5, 1])
            axis.text(0.03, 0.97, polynomial(values), transform=axis.transAxes, va="top")
        axes[0].set_ylabel("y")
        axes[0].legend(loc="lower right")
        drawing.supxlabel(
            f"Median of the largest |β| over {_DRAWS} such draws of four points: "
            f"{typical[0]:.3g} by maximum likelihood, {typical[1]:.2g} by ridge",
            fontsize=10,
        )


def regularise(*, seed: int, figure: Path, table: Path) -> None:
    """Draw four points and fit a cubic with and without a prior.

    Parameters
    ----------
    seed
        Seed of the points; they are taken as they come.
    figure
        Output: the fits side by side.
    table
        Output (CSV): method, power, coefficient, lower, upper.
    """
    first, others = np.random.SeedSequence(seed).spawn(2)
    x, y = draw_points(np.random.default_rng(first))
    result = coefficients(x, y)
    write_table(result, table)
    draw(x, y, result, typical_largest(np.random.default_rng(others)), figure)


if __name__ == "__main__":
    main(regularise)
