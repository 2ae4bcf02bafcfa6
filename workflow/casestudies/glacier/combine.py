"""Combine the models of one scheme: the inner choice and the stack, in one step."""

from pathlib import Path

from casestudies.evaluation.combine import combine
from casestudies.steps import main


def combine_all(
    *,
    samples: Path,
    predictions: list[Path],
    inner_predictions: list[Path],
    methods: list[str],
    units: list[str],
    coverage: float = 0.9,
    output: Path,
    inner: Path,
    weights: Path,
) -> None:
    """Combine the models of one scheme by several methods (casestudies.evaluation.combine).

    Parameters
    ----------
    samples
        Prepared table, one row per glacier and year.
    predictions
        Out-of-fold predictions of each model, named <model>.parquet.
    inner_predictions
        Inner predictions of each, in the same order.
    methods
        Of chosen and stack, those wanted.
    units
        Columns of the units that are new in this scheme.
    coverage
        Nominal coverage of the prediction intervals.
    output
        Folder of the out-of-fold predictions with intervals (m w.e.), <method>.parquet.
    inner
        Folder of the inner predictions.
    weights
        Folder of the weight of each model in each outer fold.
    """
    for method in methods:
        file = f"{method}.parquet"
        combine(
            samples=samples,
            predictions=predictions,
            inner_predictions=inner_predictions,
            method=method,
            units=units,
            coverage=coverage,
            output=output / file,
            inner=inner / file,
            weights=weights / file,
        )


if __name__ == "__main__":
    main(combine_all)
