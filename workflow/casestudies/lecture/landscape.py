"""A loss in two dimensions with a global minimum, a local one and a saddle between them.

    f(x, y) = x⁴/4 + (b − a) x³/3 − a b x²/2 + c y²/2,        ∂f/∂x = x (x − a) (x + b)

is stationary at (−b, 0), the global minimum, (a, 0), a local one, for b > a > 0, and at the origin,
a saddle at which the gradient is zero to the last bit.
"""

import numpy as np

A, B, C = 0.8, 1.2, 2.0
STATIONARY = {"global minimum": (-B, 0.0), "local minimum": (A, 0.0), "saddle": (0.0, 0.0)}
BOX = ((-2.0, 2.0), (-1.5, 1.5))
"""Where starts anywhere lie: the range of x, and of y."""


def loss(points: np.ndarray) -> np.ndarray:
    """Return f at points (…, 2)."""
    x, y = points[..., 0], points[..., 1]
    return x**4 / 4 + (B - A) * x**3 / 3 - A * B * x**2 / 2 + C * y**2 / 2


def gradient(points: np.ndarray) -> np.ndarray:
    """Return the gradient of f, (…, 2)."""
    x, y = points[..., 0], points[..., 1]
    return np.stack([x * (x - A) * (x + B), C * y], axis=-1)


def hessian(points: np.ndarray) -> np.ndarray:
    """Return the second derivatives of f, (…, 2, 2)."""
    x = points[..., 0]
    result = np.zeros((*points.shape, 2))
    result[..., 0, 0] = 3 * x**2 + 2 * (B - A) * x - A * B
    result[..., 1, 1] = C
    return result
