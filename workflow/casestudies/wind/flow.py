"""The flow over a terrain, what every flow model returns, and the inflow that all share.

The frame of a terrain: x is downwind, so that the wind enters at x = 0; y is to the left; z is up.
Neutral flow scales with the inflow speed, so that every speed here is divided by that of the inflow
at 10 m above flat ground (unit 1).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from casestudies.wind import REFERENCE_HEIGHT

VON_KARMAN = 0.4
INFLOW_TOP = 600.0
"""Height above which the inflow no longer grows (m): a neutral surface layer is no deeper."""


@dataclass(frozen=True)
class Flow:
    """The flow over one terrain at given heights above ground.

    Parameters
    ----------
    u, v, w
        Components relative to the inflow, (heights, ny, nx), at cell centres; NaN if ``reason``.
    converged
        Whether the solver met its tolerance.
    reason
        Why the flow is not to be used; empty if it is.
    seconds
        Processor time of the solution, assembly or meshing included.
    iterations
        Iterations of the solver (0 for a direct one).
    residual
        Last relative residual (NaN where there is none).
    """

    u: np.ndarray
    v: np.ndarray
    w: np.ndarray
    converged: bool
    reason: str
    seconds: float
    iterations: int
    residual: float

    @classmethod
    def failed(cls, shape: tuple[int, int, int], reason: str, seconds: float) -> "Flow":
        """Return the record of a flow that could not be had: (heights, ny, nx) of NaN."""
        nothing = np.full(shape, np.nan)
        return cls(nothing, nothing, nothing, False, reason, seconds, 0, float("nan"))


def log_profile(height: np.ndarray | float, roughness: float) -> np.ndarray:
    """Return the inflow at a height above flat ground (m), relative to that at 10 m.

    u(z) = ln((z + z0) / z0) / ln((10 + z0) / z0), constant above INFLOW_TOP and 0 at the ground
    (Stull 1988, An Introduction to Boundary Layer Meteorology, eq. 9.7.1b, displaced by z0 as the
    atmospheric inlet of OpenFOAM is).
    """
    capped = np.clip(height, 0.0, INFLOW_TOP)
    return np.log1p(capped / roughness) / np.log1p(REFERENCE_HEIGHT / roughness)


def at_heights(
    values: np.ndarray, above_ground: np.ndarray, heights: Sequence[float], roughness: float
) -> np.ndarray:
    """Interpolate in the logarithm of the height above ground, column by column.

    Below the lowest level, values follow the logarithmic profile to 0 at the ground.

    Parameters
    ----------
    values, above_ground
        (levels, ny, nx), heights ascending (m).
    heights
        Wanted heights (m).
    roughness
        Roughness length (m).

    Returns
    -------
    (heights, ny, nx).
    """
    levels = np.log1p(above_ground / roughness)
    found = []
    for height in heights:
        wanted = np.log1p(height / roughness)
        upper = np.clip((levels < wanted).sum(axis=0), 1, len(levels) - 1)[None]
        below, above = (np.take_along_axis(levels, upper - k, axis=0)[0] for k in (1, 0))
        low, high = (np.take_along_axis(values, upper - k, axis=0)[0] for k in (1, 0))
        share = np.clip((wanted - below) / (above - below), 0.0, 1.0)
        beneath = np.minimum(wanted / levels[0], 1.0)
        found.append((low + share * (high - low)) * beneath)
    return np.stack(found)
