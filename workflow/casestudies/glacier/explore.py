"""The map of glaciers of the report: what was observed, and how well each glacier is predicted."""

from pathlib import Path
from typing import Any

import numpy as np

from casestudies.figures.explore import Colours, numbers, palette
from casestudies.files import write_json
from casestudies.glacier.results import LABELS, SCHEMES, Results
from casestudies.steps import main

UNIT = "m w.e. a⁻¹"
NEW_GLACIER = "logo"


def glacier_points(results: Results) -> dict[str, Any]:
    """Return the document of a map: one point a glacier, coloured by balance or by error.

    Errors are out of fold, of the scheme that leaves out glaciers if there is one.
    """
    scheme = NEW_GLACIER if NEW_GLACIER in results.schemes else results.schemes[0]
    about = (
        results.prepared.groupby("glacier")
        .agg(
            name=("name", "first"),
            massif=("massif", "first"),
            longitude=("longitude", "first"),
            latitude=("latitude", "first"),
            area=("area", "mean"),
            altitude=("mean_altitude", "mean"),
        )
        .dropna(subset=["longitude", "latitude"])
    )
    columns = {}
    for model in results.shown:
        table = results.predictions(scheme, model)
        error = (table["predicted"] - table["observed"]).groupby(table["glacier"])
        columns[f"mean error of {LABELS[model]}"] = ("diverging", error.mean())
        columns[f"RMSE of {LABELS[model]}"] = ("sequential", error.apply(_root_mean_square))
    observed = table.groupby("glacier")["observed"]
    about = about.join(observed.agg(balance="mean", years="size"), how="inner")
    columns = {"mean observed balance": ("sequential", about["balance"]), **columns}
    return {
        "kind": "points",
        "noun": "glacier",
        "question": f"Errors on a {SCHEMES.get(scheme, scheme)}, out of fold (scheme {scheme}).",
        "x": {"label": "longitude (° E)", "values": numbers(about["longitude"])},
        "y": {"label": "latitude (° N)", "values": numbers(about["latitude"])},
        "aspect": float(1 / np.cos(np.deg2rad(about["latitude"].mean()))),
        "size": numbers(np.sqrt(about["area"])),
        "names": [str(name or key) for key, name in about["name"].items()],
        "notes": [
            f"{row.massif}; {row.area:.1f} km², mean altitude {row.altitude:.0f} m; "
            f"{row.years} years observed"
            for row in about.itertuples()
        ],
        "variables": [
            _variable(label, colours, values.reindex(about.index).to_numpy())
            for label, (colours, values) in columns.items()
        ],
    }


def _root_mean_square(errors: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(errors))))


def _variable(label: str, colours: Colours, values: np.ndarray) -> dict[str, Any]:
    """Return what points are coloured by; a diverging scale is even about zero."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if colours == "diverging":
        high = max(abs(low), abs(high))
        low = -high
    return {
        "label": label,
        "unit": UNIT,
        "low": low,
        "high": high,
        "palette": palette(colours),
        "values": numbers(values),
    }


def explore(*, results: Path, schemes: list[str], models: list[str], output: Path) -> None:
    """Collect what the report's map of glaciers shows.

    Parameters
    ----------
    results
        Folder of the data set, results/glacier/<data set>.
    schemes
        Cross-validation schemes.
    models
        Models that were scored.
    output
        Document (JSON) that the report draws.
    """
    write_json(glacier_points(Results(results, schemes, models)), output)


if __name__ == "__main__":
    main(explore)
