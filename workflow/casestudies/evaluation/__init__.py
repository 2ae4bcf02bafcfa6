"""What all studies share: splits, scores with intervals, conformal intervals, combination."""

from collections.abc import Iterable

KEYS = ("repeat", "fold", "sample", "point")
"""The columns that tell apart the rows of a prediction table; only grids have points."""


def key_columns(columns: Iterable[str]) -> list[str]:
    """Return which of KEYS are among the columns of a prediction table."""
    there = set(columns)
    return [key for key in KEYS if key in there]
