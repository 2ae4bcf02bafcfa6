"""Fit one model that predicts labels from images, under one cross-validation scheme."""

from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.evaluation.conformal import add_intervals
from casestudies.evaluation.nested import nested_cross_validation
from casestudies.evaluation.splits import Fold, read_folds
from casestudies.provenance import stopwatch
from casestudies.satellite.inputs import Inputs, make_inputs, read_samples
from casestudies.steps import main
from casestudies.tables import write_table


def fit(
    *,
    images: Path,
    prepared: Path,
    splits: Path,
    features: Path | None = None,
    model: str,
    heads: list[str],
    latent_sizes: list[int],
    units: list[str],
    coverage: float = 0.9,
    seed: int,
    output: Path,
    inner: Path,
    choices: Path,
) -> None:
    """Fit a model on every fold of a scheme; head, latent size and settings by the inner folds.

    Parameters
    ----------
    images
        The image series (Zarr).
    prepared
        Prepared table, one row per label.
    splits
        Outer and inner folds of the scheme.
    features
        Latents of every frame, for a model that rests on an encoder.
    model
        mean, season, neighbourhood, raw_pixels, oracle, or the name of an encoder, with
        _all_images if that has seen every frame.
    heads
        Heads to choose from: ridge, gaussian_process, gradient_boosting.
    latent_sizes
        Numbers of leading latents to choose from.
    units
        Columns of the units that are new in this scheme; intervals are calibrated by them.
    coverage
        Nominal coverage of the prediction intervals.
    seed
        Seed of everything random in the fits.
    output
        Out-of-fold predictions with intervals, in the label's units.
    inner
        Predictions of the inner folds.
    choices
        Inner error of every setting in every fold.
    """
    samples, about = read_samples(prepared)
    folds = read_folds(splits, samples)
    with stopwatch() as measured:
        given = make_inputs(model, samples, about, images, features, heads, latent_sizes)
        predicted, held_in, chosen = cross_validate(
            given, samples["label"].to_numpy(), folds, seed, model
        )
    names = samples["sample"].to_numpy()
    tables = [
        table.assign(sample=names[table["position"]]).drop(columns="position")
        for table in (predicted, held_in)
    ]
    done = add_intervals(*tables, samples.set_index("sample")[units], coverage)
    write_table(done, output, {"model": model, "seed": seed, "device": "cpu", **measured})
    write_table(tables[1], inner)
    write_table(chosen, choices)


def cross_validate(
    given: Inputs, target: np.ndarray, folds: list[Fold], seed: int, label: str
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Run nested cross-validation with the predictors of each fold; see there for the results.

    Parameters
    ----------
    target
        Labels, (samples,).
    folds
        ``fold`` of each is the fold of the scheme, whose encoder never saw its test frames.
    """
    groups: dict[int, list[Fold]] = {}
    for fold in folds:
        groups.setdefault(-1 if -1 in given.tables else fold.fold, []).append(fold)
    parts = [
        nested_cross_validation(given.model, given.of(key), target, group, seed=seed, label=label)
        for key, group in groups.items()
    ]
    return tuple(pd.concat(tables, ignore_index=True) for tables in zip(*parts, strict=True))


if __name__ == "__main__":
    main(fit)
