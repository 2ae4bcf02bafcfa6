"""The wind cases of the report: terrains, their flow by the costly model, and what stands in."""

from pathlib import Path
from typing import Any

import numpy as np

from casestudies.figures.explore import Panel, fields, thinned
from casestudies.files import write_json
from casestudies.steps import main
from casestudies.wind.features import cell_heights
from casestudies.wind.plot import SHOWN
from casestudies.wind.results import LABELS, Results

CASES = 12
"""Terrains that can be chosen, evenly from the best to the worst predicted."""
RIVALS = 2
"""Models beside the network."""


def wind_cases(results: Results) -> dict[str, Any]:
    """Return the document of a browser of terrains, out of fold, of the scheme that counts."""
    scheme = results.schemes[0]
    models = [model for model in SHOWN if model in results.models][: 1 + RIVALS]
    found = {model: results.predictions(scheme, model) for model in models}
    first = found[models[0]]
    order = np.argsort(first.rmse)
    rows = order[np.unique(np.linspace(0, len(order) - 1, CASES).round().astype(int))]
    names = first.names[rows]
    box = results.box
    shape = tuple(part.stop - part.start for part in box)
    nodes = tuple(slice(part.start, part.stop + 1) for part in box)
    elevation = results.fields["elevation"].sel(terrain=names).to_numpy()
    height = np.stack([cell_heights(one[nodes]) for one in elevation])

    def speed(values: np.ndarray, places: np.ndarray) -> np.ndarray:
        return values[places].reshape(len(places), *shape)

    truth = speed(first.observed, rows)
    made = np.stack(
        [speed(one.predicted, np.searchsorted(one.names, names)) for one in found.values()], axis=1
    )
    low, high = float(min(truth.min(), made.min())), float(max(truth.max(), made.max()))
    largest = float(np.quantile(np.abs(made - truth[:, None]), 0.995))
    spacing = float(results.fields.attrs["spacing"])
    upwards = [thinned(part)[..., ::-1, :] for part in (height, truth, made)]
    panels = [
        Panel("terrain", "m", "terrain", float(height.min()), float(height.max()), upwards[0]),
        Panel(results.solver, "of inflow", "sequential", low, high, upwards[1]),
        Panel("prediction", "of inflow", "sequential", low, high, upwards[2], ["model"]),
        Panel(
            "difference",
            "of inflow",
            "diverging",
            -largest,
            largest,
            minus=("prediction", results.solver),
        ),
    ]
    share = np.searchsorted(np.sort(first.rmse), first.rmse[rows]) / max(len(order) - 1, 1)
    return fields(
        [
            f"{name}: error of the network {100 * error:.1f} % of the inflow, larger than on "
            f"{100 * part:.0f} % of the terrains"
            for name, error, part in zip(names, first.rmse[rows], share, strict=True)
        ],
        panels,
        {"model": [LABELS[model] for model in models]},
        {
            "case": "terrain",
            "note": f"Speed at {results.height:.0f} m over that of the inflow, which comes from "
            f"the left; the picture is {shape[1] * spacing / 1000:.1f} km wide. No model saw the "
            f"terrain it is shown on (scheme {scheme}).",
        },
        start=len(rows) // 2,
    )


def explore(*, results: Path, schemes: list[str], models: list[str], output: Path) -> None:
    """Collect what the report's browser of wind cases shows.

    Parameters
    ----------
    results
        Folder of the data set, results/wind/<data set>.
    schemes
        Cross-validation schemes, the one that counts first.
    models
        Models that were scored.
    output
        Document (JSON) that the report draws.
    """
    write_json(wind_cases(Results(results, schemes, models)), output)


if __name__ == "__main__":
    main(explore)
