"""The search that cannot be done: all combinations of many binary parameters, one by one.

Everything is computed with logarithms, since 2^(175·10⁹) is no number that a computer holds.
"""

import numpy as np

PARAMETERS = 175e9
"""Parameters of GPT-3 (Brown et al. 2020, arXiv:2005.14165), the lecture's example."""
RATE = 1e10
"""Combinations tried in a second."""
AGE_OF_UNIVERSE = 13.8e9 * 365.25 * 86400
"""Seconds (Planck Collaboration 2020, A&A 641, A6)."""


def log10_seconds(parameters: np.ndarray | float, rate: float = RATE) -> np.ndarray | float:
    """Return log10 of the seconds that trying all 2^parameters combinations takes."""
    return np.asarray(parameters) * np.log10(2) - np.log10(rate)


def log10_ages(parameters: np.ndarray | float, rate: float = RATE) -> np.ndarray | float:
    """Return log10 of the same time in ages of the universe."""
    return log10_seconds(parameters, rate) - np.log10(AGE_OF_UNIVERSE)


def searchable(seconds: float, rate: float = RATE) -> int:
    """Return the largest number of binary parameters whose combinations fit into a time."""
    return int(np.floor(np.log2(rate) + np.log2(seconds)))
