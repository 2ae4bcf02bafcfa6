"""Speed-up along two lines of masts over Askervein: measured, by flow models, by surrogates."""

from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.errors import InputError
from casestudies.figures.style import BLACK, GREY, ORANGE, VERMILION, figure
from casestudies.steps import main
from casestudies.tables import read_table
from casestudies.wind.results import COLOURS, LABELS, MARKERS
from casestudies.wind.validate import SURROGATE

LINES = {
    "A, over the hill top": ("HT", ("ASW", "ANE", "HT")),
    "AA, over the centre point": ("CP", ("AASW", "AANE", "CP")),
}
"""By line: the mast in its middle, and the beginnings of the names of its masts."""
STYLES = {
    "log_law": (LABELS["log_law"], GREY, MARKERS["log_law"]),
    "linear": (LABELS["linear"], COLOURS["linear"], MARKERS["linear"]),
    "mass_consistent": (LABELS["mass_consistent"], COLOURS["ridge"], MARKERS["mass_consistent"]),
    "openfoam": ("RANS model", ORANGE, "o"),
}


def along(stations: pd.DataFrame, middle: str, names: tuple[str, ...]) -> pd.DataFrame:
    """Return the stations of a line with their distance downwind of its middle (m), in order."""
    line = stations["station"].str.rstrip("0123456789")
    rows = stations[line.isin(names)]
    centre = rows.loc[rows["station"] == middle, ["x", "y"]]
    if centre.empty:
        raise InputError(f"stations: {middle!r} is missing, the middle of a line of masts.")
    offset = rows[["x", "y"]].to_numpy() - centre.iloc[0].to_numpy()
    # Upwind of the middle, masts stand to the south-west.
    distance = np.hypot(*offset.T) * np.sign(offset @ [1.0, 1.0])
    return rows.assign(distance=distance).sort_values("distance")


def transect(*, stations: Path, output: Path) -> None:
    """Draw fractional speed-up along the lines of masts.

    Parameters
    ----------
    stations
        model, station, x, y, observed, lower, upper, predicted (casestudies.wind.validate).
    output
        The figure.
    """
    columns = ["model", "station", "x", "y", "observed", "predicted"]
    table = read_table(stations, columns=["lower", "upper"], complete=columns)
    models = [m for m in STYLES if m in set(table["model"])]
    surrogates = sorted(m for m in table["model"].unique() if m.startswith(SURROGATE))
    markers = dict(zip(surrogates, "DX*^" * len(surrogates), strict=False))
    with figure(output, 1, len(LINES), (9.4, 4.9), sharey=True) as (drawing, axes):
        for axis, (title, (middle, names)) in zip(axes, LINES.items(), strict=True):
            for model in models:
                label, colour, marker = STYLES[model]
                rows = along(table[table["model"] == model], middle, names)
                axis.plot(
                    rows["distance"],
                    rows["predicted"],
                    marker=marker,
                    color=colour,
                    ms=4,
                    lw=1.3,
                    label=label,
                )
            for model in surrogates:
                rows = along(table[table["model"] == model], middle, names)
                axis.plot(
                    rows["distance"],
                    rows["predicted"],
                    marker=markers[model],
                    color=VERMILION,
                    ms=5,
                    lw=1.3,
                    ls="--",
                    label=f"surrogate trained on {model.removeprefix(SURROGATE)}",
                )
            first = table["model"].iloc[0]
            rows = along(table[table["model"] == first], middle, names)
            below, above = (
                (rows["observed"] - rows["lower"]).fillna(0),
                (rows["upper"] - rows["observed"]).fillna(0),
            )
            axis.errorbar(
                rows["distance"],
                rows["observed"],
                yerr=[below, above],
                fmt="o",
                color=BLACK,
                mfc="white",
                ms=6,
                capsize=2,
                label="masts, with bounds",
            )
            axis.axhline(0, color=GREY, lw=0.8)
            axis.set(xlabel="distance downwind (m)", title=f"line {title} ({len(rows)} masts)")
        axes[0].set_ylabel("fractional speed-up at 10 m")
        handles, labels = axes[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=3)


if __name__ == "__main__":
    main(transect)
