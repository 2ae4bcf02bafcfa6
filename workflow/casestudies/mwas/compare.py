"""The scores of all data sets of the MWAS study in one figure."""

from pathlib import Path

import pandas as pd

from casestudies.figures.shared import subtitle
from casestudies.figures.style import panel_grid
from casestudies.mwas.plot import (
    family_handles,
    mark_published,
    published_auc,
    published_handles,
    score_panel,
)
from casestudies.mwas.results import LODO, MODELS, SCHEMES
from casestudies.steps import main
from casestudies.tables import read_table


def compare(*, scores: list[Path], output: Path) -> None:
    """Draw the AUC of all models on all data sets, with published values where there are any.

    Parameters
    ----------
    scores
        Score tables, each named <data set>/scores.csv.
    output
        The figure.
    """
    panels: list[tuple[str, str, pd.DataFrame]] = []
    for path in scores:
        table = read_table(path, complete=["scheme", "model", "metric", "samples", "groups"])
        table = table[table["metric"] == "auc"]
        panels += [
            (path.parent.name, str(scheme), rows)
            for scheme, rows in table.groupby("scheme", sort=False)
        ]
    scored = {model for _, _, rows in panels for model in rows["model"]}
    order = [model for model in MODELS if model in scored]
    panel = (3.6, 0.22 * len(order) + 1)
    with panel_grid(output, len(panels), panel, (2.2, 0.8), sharey=True) as (drawing, axes):
        for axis, (dataset, scheme, rows) in zip(axes, panels, strict=True):
            score_panel(axis, rows, order)
            axis.set_title(f"{dataset}, {scheme}: {SCHEMES.get(scheme, scheme)}", fontsize=9)
            row = rows.iloc[0]
            unit = "cohorts" if scheme == LODO else "subjects"
            subtitle(axis, f"{row['samples']} samples, {row['groups']} {unit}")
            if scheme != LODO:  # the published scores are of cross-validation
                mark_published(axis, dataset, len(order))
        handles = family_handles()
        if any(published_auc(dataset) for dataset, _, _ in panels):
            handles += published_handles()
        drawing.legend(handles=handles, loc="outside lower center", ncols=4)


if __name__ == "__main__":
    main(compare)
