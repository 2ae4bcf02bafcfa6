"""The published scores, recomputed from the predictions that the authors stored with their code."""

from pathlib import Path

import pandas as pd

from casestudies.evaluation.scores import Scorer
from casestudies.glacier.alpgm import published_predictions
from casestudies.steps import main
from casestudies.tables import read_table, write_table

UNITS = {"logo": ["glacier"], "loyo": ["year"]}


def audit(
    *,
    prepared: Path,
    raw: Path,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int,
    output: Path,
) -> None:
    """Score the stored predictions of the published networks (Bolibar et al. 2020).

    Parameters
    ----------
    prepared
        Prepared table of the data set ``alpgm``.
    raw
        Folder of the data set, with the stored predictions in published/.
    resamples
        Bootstrap resamples of glaciers (logo) or years (loyo).
    confidence
        Level of the intervals.
    seed
        Seed of the resampling.
    output
        Table: scheme, model, metric, estimate, lower, upper, samples, groups.
    """
    samples = read_table(prepared, complete=["sample", "glacier", "year"]).set_index("sample")
    stored = published_predictions(raw)
    parts = []
    for (scheme, weights), rows in stored.groupby(["scheme", "weights"]):
        scorer = Scorer(
            samples[UNITS[scheme]], resamples=resamples, confidence=confidence, seed=seed
        )
        name = "published network, weighted" if weights else "published network"
        table = scorer.score(rows.assign(repeat=0))
        parts.append(table.assign(scheme=scheme, model=name))
    columns = ["scheme", "model", "metric", "estimate", "lower", "upper", "samples", "groups"]
    write_table(pd.concat(parts)[columns], output)


if __name__ == "__main__":
    main(audit)
