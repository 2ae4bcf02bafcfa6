"""Plots that several studies share: scores with intervals, observed against predicted, coverage."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from casestudies.figures.style import BLACK, GREY


def score_dots(
    axis: Axes,
    table: pd.DataFrame,
    order: Sequence[str],
    labels: Mapping[str, str],
    colours: Mapping[str, str],
    hollow: Sequence[str] = (),
) -> None:
    """Draw one estimate with its interval per model, from top to bottom in ``order``.

    Parameters
    ----------
    table
        Columns model, estimate, lower, upper; models that it lacks are left blank.
    hollow
        Models drawn with an open marker (not a fair competitor).
    """
    rows = table.set_index("model")
    for position, model in enumerate(order):
        if model not in rows.index:
            axis.annotate(
                "not defined",
                (0.02, position),
                xycoords=("axes fraction", "data"),
                va="center",
                color=GREY,
                fontsize=8,
            )
            continue
        row = rows.loc[model]
        axis.plot([row["lower"], row["upper"]], [position, position], color=colours[model], lw=2)
        face = "white" if model in hollow else colours[model]
        axis.plot(row["estimate"], position, "o", color=colours[model], mfc=face, ms=6.5, mew=1.6)
        axis.annotate(
            f"{row['estimate']:.2f}",
            (row["upper"], position),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=GREY,
        )
    axis.set_yticks(range(len(order)), [labels[model] for model in order])
    axis.set_ylim(len(order) - 0.4, -0.6)
    axis.grid(axis="y", visible=False)


def subtitle(axis: Axes, text: str) -> None:
    """Write how many there are between a panel and its title, which has to be set already."""
    axis.annotate(text, (0, 1), xycoords="axes fraction", fontsize=8, color=GREY, va="bottom")
    axis.set_title(axis.get_title(loc="left"), pad=16)


def observed_against_predicted(
    axis: Axes, observed: np.ndarray, predicted: np.ndarray, colour: str, note: str
) -> None:
    """Draw predictions against observations, the 1:1 line and a note in the corner."""
    axis.scatter(observed, predicted, s=7, color=colour, alpha=0.35, lw=0, rasterized=True)
    both = np.concatenate([observed, predicted])
    limits = np.array([both.min(), both.max()]) + np.array([-0.05, 0.05]) * np.ptp(both)
    axis.axline((limits[0], limits[0]), slope=1, color=BLACK, lw=1)
    axis.set(xlim=limits, ylim=limits, aspect="equal")
    note = note.replace("-", "−")  # as on the axes
    axis.annotate(note, (0.04, 0.97), xycoords="axes fraction", va="top", fontsize=8)
