"""Data of the report's interactive parts: small JSON documents that a browser draws.

A document names its ``kind``, by which the report's script knows what to draw: ``points`` (a map),
``matrix``, or ``fields`` (arrays on a grid, to step through).
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from casestudies.figures.style import DIVERGING, SEQUENTIAL

Colours = Literal["sequential", "diverging", "reversed", "terrain"]
_MAPS = {
    "sequential": SEQUENTIAL,
    "diverging": DIVERGING,
    "reversed": f"{DIVERGING}_r",
    "terrain": "cividis",
}
_STEPS = 64
_MISSING = 65535
SIDE = 64
"""Cells along a side to which fields are thinned out."""


def palette(colours: Colours) -> list[str]:
    """Return the colours of a scale, from its lower end, as #rrggbb."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return [to_hex(colour) for colour in colormaps[_MAPS[colours]](np.linspace(0, 1, _STEPS))]


def numbers(values: Any) -> list[float | None]:
    """Return values as JSON holds them: five significant digits, None where missing."""
    return [float(f"{value:.5g}") if np.isfinite(value) else None for value in np.ravel(values)]


def packed(values: np.ndarray, low: float, high: float) -> str:
    """Return an array as base64 of 16-bit steps (little-endian) from low to high; 65535: missing.

    Values beyond the ends are drawn at the ends.
    """
    with np.errstate(invalid="ignore"):
        steps = np.clip(np.rint((values - low) / (high - low) * (_MISSING - 1)), 0, _MISSING - 1)
    steps = np.where(np.isfinite(values), steps, _MISSING).astype("<u2")
    return base64.b64encode(steps.tobytes()).decode("ascii")


def thinned(values: np.ndarray) -> np.ndarray:
    """Return arrays (..., y, x) with no more than SIDE cells along a side."""
    step = -(-max(values.shape[-2:]) // SIDE)
    return values[..., ::step, ::step]


@dataclass(frozen=True)
class Panel:
    """One picture of a browser of fields.

    Parameters
    ----------
    title, unit
        Its heading, and the unit of its values ("" without).
    colours
        Its colour scale.
    low, high
        Values at the ends of the scale.
    values
        (cases, *options, y, x), one axis of options for each choice named in ``choices``; empty if
        the panel is a difference.
    choices
        The choices that it depends on.
    minus
        Titles of two panels whose difference it is, first less second.
    """

    title: str
    unit: str
    colours: Colours
    low: float
    high: float
    values: np.ndarray = field(default_factory=lambda: np.empty(0))
    choices: Sequence[str] = ()
    minus: tuple[str, str] | None = None


def fields(
    cases: Sequence[str],
    panels: Sequence[Panel],
    choices: Mapping[str, Sequence[str]],
    about: Mapping[str, Any],
    start: int = 0,
) -> dict[str, Any]:
    """Return the document of a browser of fields.

    Parameters
    ----------
    cases
        What is stepped through, in words.
    panels
        The pictures of a case, side by side; rows from the top of the picture downwards.
    choices
        What else can be chosen, and the names of the options.
    about
        Further entries: ``case``, the word for a case, and ``note``.
    start
        The case that is shown first.
    """
    shape = next(panel.values.shape[-2:] for panel in panels if panel.minus is None)
    return {
        "kind": "fields",
        "cases": list(cases),
        "start": start,
        "choices": [{"name": name, "options": list(names)} for name, names in choices.items()],
        "shape": list(shape),
        "palettes": {panel.colours: palette(panel.colours) for panel in panels},
        "panels": [
            {
                "title": panel.title,
                "unit": panel.unit,
                "colours": panel.colours,
                "low": panel.low,
                "high": panel.high,
                "choices": list(panel.choices),
                "minus": list(panel.minus) if panel.minus else None,
                "arrays": [
                    packed(one, panel.low, panel.high)
                    for one in panel.values.reshape(-1, *panel.values.shape[-2:])
                ]
                if panel.minus is None
                else [],
            }
            for panel in panels
        ],
        **about,
    }
