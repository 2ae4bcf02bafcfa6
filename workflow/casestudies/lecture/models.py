"""Models of consumption that are linear in their coefficients, and four ways to fit them.

A polynomial of p parameters is a sum of the Legendre polynomials of degree 0 … p − 1 in the speed,
mapped so that the training speeds span −1 to 1. It is the same function as a sum of powers, but its
coefficients can be computed. ``physics`` knows the form of the law (casestudies.lecture.car) and
fits three numbers; ``mean`` knows nothing.

All arrays carry problems, (B, …): folds, bootstrap samples or redrawn sets are fitted at once. The
loss is half the mean squared error, L(w) = |X w − y|² / 2n.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import legvander

from casestudies.config.lecture import Descent

Array = np.ndarray


@dataclass(frozen=True)
class Model:
    """A model by its name, such as ``mean``, ``polynomial_6`` or ``polynomial_6_momentum``."""

    name: str

    @property
    def form(self) -> str:
        """mean, physics or polynomial."""
        return self.name.split("_")[0]

    @property
    def parameters(self) -> int:
        """Number of coefficients."""
        return {"mean": 1, "physics": 3}.get(self.form) or int(self.name.split("_")[1])

    @property
    def fit(self) -> str:
        """least_squares, gradient_descent, momentum or sgd."""
        return "_".join(self.name.split("_")[2:]) or "least_squares"

    def design(self, speed: Array, low: Array, high: Array) -> Array:
        """Return the predictors (B, n, p) of speeds (B, n), in km/h.

        Parameters
        ----------
        low, high
            Extremes of the training speeds of each problem, (B,).
        """
        if self.form == "physics":
            return np.stack([np.ones_like(speed), 50 / speed, (speed / 100) ** 2], axis=-1)
        low, high = np.asarray(low)[:, None], np.asarray(high)[:, None]
        return legvander((2 * speed - low - high) / (high - low), self.parameters - 1)


def least_squares(X: Array, y: Array) -> Array:
    """Return the coefficients (B, p) of the least squares, the smallest where many are.

    Rows of zeros, X and y alike, do not count.
    """
    return (np.linalg.pinv(X) @ y[..., None])[..., 0]


def gradient(X: Array, y: Array, coefficients: Array) -> Array:
    """Return the gradient of the loss, (B, p), at coefficients (B, p)."""
    residual = (X @ coefficients[..., None])[..., 0] - y
    return np.einsum("bnp,bn->bp", X, residual) / y.shape[-1]


def recorded_steps(steps: int, count: int = 40) -> Array:
    """Return the steps after which a descent is looked at: 0 and an even spread of logarithms."""
    return np.unique(np.concatenate([[0], np.geomspace(1, steps, count).astype(int), [steps]]))


def descend(
    X: Array,
    y: Array,
    used: Array,
    fit: str,
    settings: Descent,
    rng: np.random.Generator,
    record: Sequence[int] | None = None,
) -> Array:
    """Return coefficients (records, B, p) along a descent that starts from zero.

    The learning rate of gradient descent and of momentum is 1/λ, with λ the largest eigenvalue of
    the Hessian XᵀX/n. That of SGD is 1/max |xᵢ|², since no batch is steeper than its steepest row,
    and falls linearly to zero, since with noise a constant one never arrives.

    Parameters
    ----------
    X, y
        Predictors (B, n, p) and observations (B, n).
    used
        Which rows each problem may learn from, boolean (B, n).
    fit
        gradient_descent, momentum or sgd.
    record
        Numbers of steps after which to keep the coefficients; by default the last alone.
    """
    kept = list([settings.steps] if record is None else record)
    X, y = X * used[..., None], y * used
    counts = used.sum(axis=1)
    hessian = np.swapaxes(X, 1, 2) @ X / counts[:, None, None]
    target = (np.swapaxes(X, 1, 2) @ y[..., None])[..., 0] / counts[:, None]
    if fit == "sgd":
        rate = 1 / (X**2).sum(axis=2).max(axis=1)
        # The rows of a problem, its own first, so that a random number below its count draws one.
        order = np.argsort(~used, axis=1, kind="stable")
        problem = np.arange(len(X))[:, None]
    else:
        rate = 1 / np.linalg.eigvalsh(hessian)[:, -1]
    inertia = settings.momentum if fit == "momentum" else 0.0
    coefficients = np.zeros_like(target)
    velocity = np.zeros_like(target)
    result = np.empty((len(kept), *target.shape))
    for step in range(settings.steps + 1):
        if step in kept:
            result[kept.index(step)] = coefficients
        if fit == "sgd":
            drawn = rng.random((len(X), settings.batch)) * counts[:, None]
            rows = order[problem, drawn.astype(int)]
            slope = gradient(X[problem, rows], y[problem, rows], coefficients)
            slope *= 1 - step / settings.steps
        else:
            slope = (hessian @ coefficients[..., None])[..., 0] - target
        velocity = inertia * velocity - rate[:, None] * slope
        coefficients = coefficients + velocity
    return result
