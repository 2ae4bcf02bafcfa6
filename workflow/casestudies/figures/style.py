"""One style: colour-blind-safe, readable at the size at which the report shows a figure."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from casestudies.tables import writing

# Okabe and Ito (2008), "Color universal design"
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILION, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
GREY = "#767676"
DIVERGING = "RdBu"
SEQUENTIAL = "viridis"

_STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E3E3E3",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
    "figure.facecolor": "white",
    "figure.constrained_layout.use": True,
    "savefig.facecolor": "white",
    "svg.hashsalt": "casestudies",
}


@contextmanager
def figure(
    path: Path, rows: int = 1, columns: int = 1, size: tuple[float, float] = (8, 4.5), **options
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Yield a figure and its axes (flat list); on success it is written to ``path`` and closed.

    Parameters
    ----------
    path
        File with suffix .svg or .png.
    size
        Width and height in inches.
    options
        Passed to :func:`matplotlib.pyplot.subplots`.
    """
    with mpl.rc_context(_STYLE):
        drawing, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, **options)
        try:
            yield drawing, list(axes.ravel())
            with writing(path) as temporary:
                metadata = {"Date": None} if path.suffix == ".svg" else None
                drawing.savefig(temporary, dpi=150, metadata=metadata)
        finally:
            plt.close(drawing)


@contextmanager
def panel_grid(
    path: Path,
    count: int,
    panel: tuple[float, float],
    margins: tuple[float, float] = (0, 0),
    columns: int = 2,
    **options: Any,
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Yield a figure of ``count`` panels, side by side and then below each other.

    In a single row many panels are wide, and what is wide is shrunk on the page until its text
    cannot be read.

    Parameters
    ----------
    panel
        Width and height of a panel in inches.
    margins
        Width and height that labels and legend take beside the panels, in inches.
    columns
        Panels of a row, at most.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    size = (columns * panel[0] + margins[0], rows * panel[1] + margins[1])
    with figure(path, rows, columns, size, **options) as (drawing, axes):
        for axis in axes[count:]:
            axis.set_visible(False)
        yield drawing, axes[:count]
