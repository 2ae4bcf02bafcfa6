"""Fit the models that predict labels from images, under one cross-validation scheme.

One step fits them all: most take a second or two, as long as it takes to start.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.evaluation.combine import combine
from casestudies.evaluation.conformal import add_intervals
from casestudies.evaluation.nested import nested_cross_validation
from casestudies.evaluation.splits import Fold, read_folds
from casestudies.provenance import stopwatch
from casestudies.satellite.inputs import (
    ALL,
    BASELINES,
    LATENT,
    Inputs,
    make_inputs,
    match_features,
    read_samples,
)
from casestudies.seeds import job_seed
from casestudies.steps import main
from casestudies.tables import write_table


def fit(
    *,
    images: Path,
    prepared: Path,
    splits: Path,
    features: list[Path] | None = None,
    models: list[str],
    heads: list[str],
    latent_sizes: list[int],
    units: list[str],
    coverage: float = 0.9,
    seed: int,
    predictions: Path,
    inner: Path,
    choices: Path,
) -> None:
    """Fit models on every fold of a scheme; head, latent size and settings by the inner folds.

    Parameters
    ----------
    images
        The image series (Zarr).
    prepared
        Prepared table, one row per label.
    splits
        Outer and inner folds of the scheme.
    features
        Latents of every frame, of the models that rest on an encoder, in their order.
    models
        mean, season, neighbourhood, raw_pixels, coarse_pixels, oracle, names of encoders, with
        _all_images if they have seen every frame; and latent or latent_all_images, the choice by
        the inner folds among the encoders of the kind that are named before.
    heads
        Heads to choose from: ridge, gaussian_process, gradient_boosting.
    latent_sizes
        Numbers of leading latents to choose from.
    units
        Columns of the units that are new in this scheme; intervals are calibrated by them.
    coverage
        Nominal coverage of the prediction intervals.
    seed
        Seed of everything random in the fits; each model draws from a child of its own.
    predictions
        Folder for <model>.parquet: out-of-fold predictions with intervals, in the label's units.
    inner
        Folder for the predictions of the inner folds.
    choices
        Folder for the inner error of every setting in every fold; of a choice among encoders, the
        weight of each in every fold.
    """
    samples, about = read_samples(prepared)
    folds = read_folds(splits, samples)
    target, names = samples["label"].to_numpy(), samples["sample"].to_numpy()
    fitted = [name for name in models if name not in LATENT]
    latents = match_features(fitted, features or [])
    for model in fitted:
        own = job_seed(seed, model)
        with stopwatch() as measured:
            given = make_inputs(
                model, samples, about, images, latents.get(model), heads, latent_sizes
            )
            predicted, held_in, chosen = cross_validate(given, target, folds, own, model)
        tables = [
            table.assign(sample=names[table["position"]]).drop(columns="position")
            for table in (predicted, held_in)
        ]
        done = add_intervals(*tables, samples.set_index("sample")[units], coverage)
        file = f"{model}.parquet"
        facts = {"model": model, "seed": own, "device": "cpu", **measured}
        write_table(done, predictions / file, facts)
        write_table(tables[1], inner / file)
        write_table(chosen, choices / file)
    for model in models:
        if model in LATENT:
            among = members(model, fitted)
            combine(
                samples=prepared,
                predictions=[predictions / f"{name}.parquet" for name in among],
                inner_predictions=[inner / f"{name}.parquet" for name in among],
                method="chosen",
                units=units,
                coverage=coverage,
                output=predictions / f"{model}.parquet",
                inner=inner / f"{model}.parquet",
                weights=choices / f"{model}.parquet",
            )


def members(choice: str, models: Sequence[str]) -> list[str]:
    """Return the models among which ``choice``, one of LATENT, is made: encoders of its scope."""
    return [
        name
        for name in models
        if name not in BASELINES and name.endswith(ALL) == choice.endswith(ALL)
    ]


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
