"""The skill over season of all data sets of the satellite study, in a figure and in words."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from casestudies.errors import InputError
from casestudies.figures.style import BLACK, figure
from casestudies.satellite.results import COLOURS, LABELS, MARKERS, SUFFIX, base
from casestudies.satellite.summarise import NAMES
from casestudies.steps import main
from casestudies.tables import read_table, writing

REFERENCE = "season"
SHOWN = (
    "oracle",
    "latent",
    f"latent{SUFFIX}",
    "pca",
    "cnn",
    "raw_pixels",
    "coarse_pixels",
    "neighbourhood",
)
"""Models of the figure, as far as they were fitted, from top to bottom."""
FLOOR = -1.0
"""Where the axis ends."""
TOLD = ("pca", "raw_pixels", "coarse_pixels", "neighbourhood", "cnn")
"""Models whose skill is told beside that of the latent."""


def skill(scores: pd.DataFrame, comparisons: pd.DataFrame, scheme: str) -> pd.DataFrame:
    """Return the fraction of the mean square error of the reference that each model removes.

    The interval is that of the paired difference of the root mean square errors, carried over with
    the reference's error as it is: it holds 0 if and only if that of the difference does.

    Parameters
    ----------
    scores
        Columns scheme, model, metric, estimate, samples.
    comparisons
        Columns scheme, metric, model, reference, estimate (model less reference), lower, upper.

    Returns
    -------
    Table indexed by model: estimate, lower, upper, samples.
    """
    rows = scores.query("scheme == @scheme and metric == 'rmse' and model == @REFERENCE")
    if rows.empty:
        raise InputError(f"no rmse of {REFERENCE} on {scheme}; score that model on that scheme.")
    error = float(rows["estimate"].iloc[0])
    pairs = comparisons.query(
        "scheme == @scheme and metric == 'rmse' and reference == @REFERENCE"
    ).set_index("model")
    bounds = {"estimate": "estimate", "lower": "upper", "upper": "lower"}
    gained = {to: 1 - (1 + pairs[source] / error) ** 2 for to, source in bounds.items()}
    return pd.DataFrame({**gained, "samples": pairs["samples"]})


def finding(tables: Mapping[str, pd.DataFrame], seasons: Mapping[str, float], scheme: str) -> str:
    """Return in words where the images tell more than the calendar: a headline, a line a data set.

    Parameters
    ----------
    tables
        By data set what :func:`skill` returns.
    seasons
        By data set R² of season and hour.
    """
    latent = {
        name: table.loc["latent"] for name, table in tables.items() if "latent" in table.index
    }
    wins = [name for name, row in latent.items() if row["lower"] > 0]
    told = f": {', '.join(wins)}" if wins else ""
    verb, where = "beats", f"{len(wins)} of {len(latent)} data sets{told}"
    if len(latent) == 1:
        verb, where = "beats" if wins else "is not shown to beat", next(iter(latent))
    lines = [
        f"With all labels (scheme {scheme}), the latent that the inner folds choose {verb} "
        f"season and hour on {where}."
    ]
    for name, row in latent.items():
        others = [model for model in TOLD if model in tables[name].index]
        parts = [f"{NAMES[model]} {_skill(tables[name].loc[model])}" for model in others]
        lines.append(
            f"{name} ({int(row['samples'])} labels, R² of season and hour {seasons[name]:.2f}): "
            f"skill of the latent {_skill(row)}; of {', '.join(parts)}."
        )
    return "\n".join(lines)


def _skill(row: pd.Series) -> str:
    return f"{row['estimate']:.2f} [{row['lower']:.2f}, {row['upper']:.2f}]"


def compare(
    *, scores: list[Path], comparisons: list[Path], scheme: str, text: Path, output: Path
) -> None:
    """Draw and tell the skill over season of the models on all data sets.

    Parameters
    ----------
    scores
        Scores of the data sets, each named <data set>/….
    comparisons
        Their paired differences, in the same order.
    scheme
        Cross-validation scheme.
    text
        Output: a headline, then a line for each data set.
    output
        Output: the figure.
    """
    tables, seasons = {}, {}
    for path, pairs in zip(scores, comparisons, strict=True):
        name = path.parent.name
        table = read_table(path, complete=["scheme", "model", "metric", "estimate", "samples"])
        try:
            tables[name] = skill(
                table,
                read_table(pairs, complete=["scheme", "metric", "model", "reference", "estimate"]),
                scheme,
            )
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        known = table.query("scheme == @scheme and metric == 'r2' and model == @REFERENCE")
        seasons[name] = float(known["estimate"].iloc[0])
    with writing(text) as temporary:
        temporary.write_text(finding(tables, seasons, scheme) + "\n", encoding="utf-8")
    models = [name for name in SHOWN if any(name in table.index for table in tables.values())]
    step = 0.8 / max(len(models), 1)
    with figure(output, 1, 1, (9, (0.19 * len(models) + 0.25) * len(tables) + 1.5)) as (
        drawing,
        (axis,),
    ):
        for row, table in enumerate(tables.values()):
            for k, model in enumerate(models):
                if model not in table.index:
                    continue
                y = row + (k - (len(models) - 1) / 2) * step
                _draw(axis, table.loc[model], y, model)
            if row:
                axis.axhline(row - 0.5, color="#CCCCCC", lw=0.8)
        names = [f"{name}\nn = {int(t['samples'].max())} labels" for name, t in tables.items()]
        axis.set_yticks(np.arange(len(tables)), names)
        axis.tick_params(axis="y", length=0)
        axis.set_ylim(len(tables) - 0.5, -0.5)
        lowest = min(float(table["lower"].min()) for table in tables.values())
        axis.set_xlim(max(FLOOR, min(lowest, 0.0)) - 0.05, 1.03)
        axis.axvline(0, color=BLACK, lw=1)
        axis.grid(axis="y", visible=False)
        axis.set_xlabel(f"skill over season and hour, {scheme} (1 − ratio of mean square errors)")
        drawing.legend(handles=[_entry(m) for m in models], loc="outside lower center", ncols=4)


def _draw(axis, row: pd.Series, y: float, model: str) -> None:
    """Draw one skill with its interval; an arrow stands for one beyond the axis."""
    colour, inside = COLOURS[base(model)], row["estimate"] >= FLOOR
    face = "white" if model != base(model) else colour
    if row["upper"] > FLOOR:
        axis.plot([max(row["lower"], FLOOR), row["upper"]], [y, y], color=colour, lw=1.8)
    axis.plot(
        max(row["estimate"], FLOOR),
        y,
        MARKERS[base(model)] if inside else "<",
        color=colour,
        mfc=face,
        ms=6,
    )


def _entry(model: str) -> Line2D:
    """Return the legend's entry of a model."""
    name = base(model)
    face = "white" if model != name else COLOURS[name]
    return Line2D([], [], color=COLOURS[name], marker=MARKERS[name], mfc=face, label=LABELS[model])


if __name__ == "__main__":
    main(compare)
