"""The matrix of cohorts of the report: how a model trained in one place does in another."""

from pathlib import Path
from typing import Any

import pandas as pd

from casestudies.figures.explore import numbers, palette
from casestudies.files import write_json
from casestudies.mwas.results import LABELS
from casestudies.steps import main
from casestudies.tables import read_table

CHANCE = 0.5


def transfer_cells(table: pd.DataFrame) -> dict[str, Any]:
    """Return the document of a matrix: AUC by cohort of training and of test, for every model.

    Parameters
    ----------
    table
        As of casestudies.mwas.transfer.
    """
    cohorts = sorted(set(table["train"]) | set(table["test"]))
    order = pd.MultiIndex.from_product([cohorts, cohorts], names=["train", "test"])
    layers = []
    for model, rows in table.groupby("model", sort=False):
        cells = rows.set_index(["train", "test"]).reindex(order)
        layers.append(
            {
                "label": LABELS.get(model, model),
                **{key: numbers(cells[key]) for key in ("auc", "lower", "upper")},
            }
        )
    sizes = table.drop_duplicates("test").set_index("test").reindex(cohorts)
    return {
        "kind": "matrix",
        "value": "AUC",
        "rows": "trained on",
        "columns": "tested on",
        "names": cohorts,
        "notes": [
            f"{int(row.positives)} cases among {int(row.samples)} samples"
            for row in sizes.itertuples()
        ],
        "diagonal": "5-fold cross-validation within the cohort",
        "low": CHANCE,
        "high": 1.0,
        "palette": palette("sequential"),
        "layers": layers,
    }


def explore(*, transfer: Path, output: Path) -> None:
    """Collect what the report's matrix of cohorts shows.

    Parameters
    ----------
    transfer
        AUC of models carried from cohort to cohort (casestudies.mwas.transfer).
    output
        Document (JSON) that the report draws.
    """
    table = read_table(transfer, complete=["model", "train", "test", "samples", "positives"])
    write_json(transfer_cells(table), output)


if __name__ == "__main__":
    main(explore)
