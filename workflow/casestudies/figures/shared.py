"""Plots that several studies share: scores with intervals, observed against predicted, coverage."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from casestudies.figures.style import BLACK, GREY


def instead_of_dot(axis: Axes, position: float, why: str) -> None:
    """Write in a row of dots why it holds none."""
    axis.annotate(
        why,
        (0.02, position),
        xycoords=("axes fraction", "data"),
        va="center",
        color=GREY,
        fontsize=8,
    )


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
            instead_of_dot(axis, position, "not defined")
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
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
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


def spread(
    wanted: np.ndarray, gap: float, lower: float = -np.inf, upper: float = np.inf
) -> np.ndarray:
    """Move positions of labels apart until they lie at least ``gap`` from each other.

    The order is kept. All lie between ``lower`` and ``upper``; where they cannot, the gap shrinks.

    Parameters
    ----------
    wanted
        Positions, (n,), in any order.
    """
    count = len(wanted)
    if count == 0:
        return np.asarray(wanted, dtype=float)
    if count > 1:
        gap = min(gap, (upper - lower) / (count - 1))
    order = np.argsort(wanted, kind="stable")
    offset = gap * np.arange(count)
    # Without the gaps the task is to keep the order: each block of crowded labels shares its mean.
    blocks: list[list[float]] = []
    for value in np.asarray(wanted, dtype=float)[order] - offset:
        blocks.append([value, 1])
        while len(blocks) > 1 and blocks[-2][0] >= blocks[-1][0]:
            mean, size = blocks.pop()
            before, many = blocks.pop()
            blocks.append([(before * many + mean * size) / (many + size), many + size])
    flat = np.concatenate([np.full(int(size), mean) for mean, size in blocks])
    placed = np.empty(count)
    placed[order] = np.clip(flat, lower, upper - offset[-1]) + offset
    return placed
