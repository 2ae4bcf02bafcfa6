"""The path of ridge logistic regression, all penalties at once.

A ridge is the same in any rotation. Along the principal axes, of which there are no more than
samples, the curvature of the log loss is nearly diagonal, so that a diagonal preconditioner makes
nonlinear conjugate gradients (Polak and Ribière 1969, Rev. Fr. Inform. Rech. Opér. 3, 35-43;
Nocedal and Wright 2006, section 5.2) converge in some twenty steps. A step of all penalties is two
products of matrices, for which processors are made; coordinate descent takes inner products one at
a time. ``benchmarks/penalised_path.py`` compares it with glmnet.
"""

import numpy as np
from scipy.special import expit

_MOST_STEPS = 1000  # reached only where unpenalised columns separate the classes


def ridge_path(
    X: np.ndarray, y: np.ndarray, lambdas: np.ndarray, unpenalised: int = 0, tol: float = 2e-7
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise the mean log loss plus λ ‖β‖₂² / 2 for every λ; the intercept is free.

    Parameters
    ----------
    X, y
        Predictors (n, p) and classes 0/1 (n,). The less correlated the predictors, the fewer the
        steps (see :func:`principal_axes`).
    lambdas
        Penalties, (k,), all above 0.
    unpenalised
        So many leading columns carry no penalty.
    tol
        A penalty is done when a step promises a smaller decrease of its objective than this.

    Returns
    -------
    Coefficients (p, k) and intercepts (k,).
    """
    centre = X[:, unpenalised:].mean(axis=0)
    columns = np.hstack([np.ones((len(y), 1)), X[:, :unpenalised], X[:, unpenalised:] - centre])
    penalty = np.outer(np.arange(columns.shape[1]) > unpenalised, lambdas)
    mean_square = (columns**2).mean(axis=0)[:, None]
    observed = y[:, None]

    solution = np.zeros_like(penalty)
    solution[0] = np.log(y.mean() / (1 - y.mean()))
    theta, odds = solution.copy(), np.tile(solution[0], (len(y), 1))
    open_ = np.arange(len(lambdas))
    direction = previous = np.zeros_like(theta)
    promised = np.full(len(lambdas), np.inf)
    for _ in range(_MOST_STEPS):
        fitted = expit(odds)
        gradient = columns.T @ (fitted - observed) / len(y) + penalty * theta
        curvature = (fitted * (1 - fitted)).mean(axis=0) * mean_square + penalty
        step = -gradient / curvature
        kept = np.maximum(0, (step * (previous - gradient)).sum(axis=0) / promised)
        promised = -(gradient * step).sum(axis=0)
        direction = step + kept * direction
        uphill = (gradient * direction).sum(axis=0) >= 0
        direction[:, uphill] = step[:, uphill]
        previous = gradient

        done = promised < 2 * tol
        if done.any():
            solution[:, open_[done]] = theta[:, done]
            rest = ~done
            open_, promised = open_[rest], promised[rest]
            theta, odds, direction, previous, penalty = (
                values[:, rest] for values in (theta, odds, direction, previous, penalty)
            )
            if not len(open_):
                break
        along = columns @ direction
        length = _line_search(observed, odds, along, theta, direction, penalty)
        theta = theta + length * direction
        odds = odds + length * along
    solution[:, open_] = theta
    return solution[1:], solution[0] - centre @ solution[1 + unpenalised :]


def _line_search(
    observed: np.ndarray,
    odds: np.ndarray,
    along: np.ndarray,
    theta: np.ndarray,
    direction: np.ndarray,
    penalty: np.ndarray,
) -> np.ndarray:
    """Return how far to go for each penalty, (k,), by Newton's method on a convex function."""
    weighted = penalty * direction
    slope, bend = (weighted * theta).sum(axis=0), (weighted * direction).sum(axis=0)
    length = np.zeros(odds.shape[1])
    for _ in range(2):
        fitted = expit(odds + length * along)
        first = ((fitted - observed) * along).mean(axis=0) + slope + length * bend
        second = (fitted * (1 - fitted) * along**2).mean(axis=0) + bend
        length -= first / second
    return length


def principal_axes(X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return axes (p, r) and uncorrelated scores (n, r) of centred predictors (n, p).

    X = scores @ axes.T, by the eigenvectors of the smaller of X Xᵀ and Xᵀ X; directions without
    variance are left out.
    """
    tall = len(X) >= X.shape[1]
    values, vectors = np.linalg.eigh(X.T @ X if tall else X @ X.T)
    varies = values > max(values[-1], np.finfo(float).tiny) * 1e-12
    vectors = vectors[:, varies]
    if tall:
        return vectors, X @ vectors
    lengths = np.sqrt(values[varies])
    return X.T @ (vectors / lengths), vectors * lengths
