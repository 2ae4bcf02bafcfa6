"""Skill of models against the number of labels that they learn from: the lecture's question.

In every fold of a scheme some of the training labels are drawn, and nothing but those is used: the
choice of settings too is made within them, by inner folds that are contiguous in time. All models
see the same draws.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.errors import InputError
from casestudies.evaluation.splits import Fold, read_folds
from casestudies.provenance import stopwatch
from casestudies.satellite.fit import cross_validate
from casestudies.satellite.images import Images
from casestudies.satellite.inputs import CNN, make_inputs, match_features, read_samples
from casestudies.steps import main
from casestudies.tables import write_table
from casestudies.training.parallel import one_thread

log = logging.getLogger("casestudies")

INNER_FOLDS = 4
COLUMNS = (
    "labels",
    "draw",
    "fold",
    "sample",
    "observed",
    "predicted",
    "train_r2",
    "inner_mse",
)


@dataclass(frozen=True)
class Draw:
    """Some of a fold's training labels."""

    labels: int
    draw: int
    fold: Fold
    """Trains on the drawn samples alone. They also follow the test samples in ``test``, to be
    predicted as well. Its ``repeat`` tells all draws of all numbers of labels apart."""


def draw_labels(
    folds: Sequence[Fold], days: np.ndarray, labels: Sequence[int], draws: int, seed: int
) -> list[Draw]:
    """Return random parts of every fold's training labels.

    A draw depends on ``seed``, the number of labels, the draw and the fold alone, so that all
    models get the same.

    Parameters
    ----------
    folds
        Of the scheme (its first repeat is used); a number of labels above that of a fold's
        training samples is left out there.
    days
        Day of every sample, by which a draw is cut into inner folds.
    labels
        Numbers of labels to draw.
    draws
        How often.
    """
    found = []
    for count in dict.fromkeys(labels):
        for fold in (fold for fold in folds if fold.repeat == 0):
            if count > len(fold.train):
                log.info(
                    "fold %d has %d labels to learn from: none of its curve is at %d",
                    fold.fold,
                    len(fold.train),
                    count,
                )
                continue
            for draw in range(draws):
                entropy = np.random.SeedSequence([seed, count, draw, fold.fold])
                rng = np.random.default_rng(entropy)
                drawn = rng.choice(fold.train, count, replace=False)
                drawn = drawn[np.argsort(days[drawn], kind="stable")]
                blocks = np.array_split(np.arange(count), min(INNER_FOLDS, count))
                inner = [(np.delete(drawn, block), drawn[block]) for block in blocks]
                test = np.concatenate([fold.test, drawn])
                part = Fold(count * draws + draw, fold.fold, drawn, test, inner)
                found.append(Draw(count, draw, part))
    return found


def curve(
    *,
    images: Path,
    prepared: Path,
    splits: Path,
    features: list[Path] | None = None,
    models: list[str],
    heads: list[str],
    latent_sizes: list[int],
    labels: list[int],
    draws: int = 3,
    seed: int,
    settings: str = "{}",
    device: str = "cpu",
    threads: int = 1,
    checkpoint: Path | None = None,
    checkpoint_every: float = 60.0,
    output: Path,
) -> None:
    """Predict the test folds of a scheme from few labels, drawn several times.

    Parameters
    ----------
    images
        The image series (Zarr).
    prepared
        Prepared table, one row per label.
    splits
        Outer folds of the scheme.
    features
        Latents of every frame, of the models that rest on an encoder, in their order.
    models
        As in casestudies.satellite.fit, but no choice among encoders; also cnn.
    heads
        Heads to choose from.
    latent_sizes
        Numbers of leading latents to choose from.
    labels
        Numbers of labels to learn from.
    draws
        Random draws of so many labels in each fold.
    seed
        Seed of the draws and fits; the same for all models, or the draws are not.
    settings
        Settings of the cnn as JSON.
    device
        Where the cnn is trained: auto, cpu or cuda.
    threads
        CPU threads of the cnn.
    checkpoint
        Folder of checkpoints of the cnn; a killed step resumes from it, and a finished one removes
        it.
    checkpoint_every
        Seconds between checkpoints.
    output
        Folder for <model>.parquet: labels, draw, fold, sample, observed, predicted, train_r2 (R² on
        the labels that were learned), inner_mse (squared error of the chosen setting in the inner
        folds).

    Raises
    ------
    InputError
        If what a model needs is not there.
    """
    one_thread()
    samples, about = read_samples(prepared)
    target = samples["label"].to_numpy()
    plan = draw_labels(read_folds(splits, samples), samples["day"].to_numpy(), labels, draws, seed)
    if not plan:
        raise InputError(
            f"{splits}: no fold has {min(labels)} labels to learn from; choose smaller numbers of "
            "labels for the label curves."
        )
    folds = [drawn.fold for drawn in plan]
    latents = match_features(models, features or [])
    for model in models:
        with stopwatch() as measured:
            if model == CNN:
                saved = (checkpoint, checkpoint_every)
                predicted, choices = _network(
                    images, samples, folds, settings, seed, device, threads, *saved
                )
            else:
                given = make_inputs(
                    model, samples, about, images, latents.get(model), heads, latent_sizes
                )
                predicted, _, choices = cross_validate(given, target, folds, seed, model)
        table = _table(predicted, choices, plan)
        table = table.assign(sample=samples["sample"].to_numpy()[table["position"]])
        facts = {"model": model, "seed": seed, **measured}
        write_table(table[list(COLUMNS)], output / f"{model}.parquet", facts)
    if checkpoint is not None:
        from casestudies.training.checkpoint import remove_checkpoints  # torch

        remove_checkpoints(checkpoint)


def _network(
    images: Path,
    samples: pd.DataFrame,
    folds: list[Fold],
    settings: str,
    seed: int,
    device: str,
    threads: int,
    checkpoint: Path | None,
    checkpoint_every: float,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return predictions and choices of the network that is trained end to end."""
    from casestudies.satellite.supervised import cross_validate_cnn, parse_settings  # torch
    from casestudies.training.device import device as find_device

    # Two of the inner folds: training the network so often is most of the work of a label curve.
    fewer = [replace(fold, inner=fold.inner[::2]) for fold in folds]
    result = cross_validate_cnn(
        Images(images),
        samples,
        fewer,
        parse_settings(settings),
        seed,
        find_device(device),
        threads,
        checkpoint,
        checkpoint_every,
    )
    return result.predictions, result.choices


def _table(predicted: pd.DataFrame, choices: pd.DataFrame, plan: Sequence[Draw]) -> pd.DataFrame:
    """Return the test predictions, with R² in training and the inner error of their fold."""
    keys = ["repeat", "fold"]
    errors = choices[choices["chosen"]].set_index(keys)["inner_loss"]
    by_fold = dict(iter(predicted.groupby(keys)))
    parts = []
    for drawn in plan:
        key = (drawn.fold.repeat, drawn.fold.fold)
        rows = by_fold[key]
        learned = rows["position"].isin(drawn.fold.train)
        parts.append(
            rows[~learned].assign(
                labels=drawn.labels,
                draw=drawn.draw,
                train_r2=r_squared(rows[learned]),
                inner_mse=errors[key],
            )
        )
    return pd.concat(parts, ignore_index=True)


def r_squared(rows: pd.DataFrame) -> float:
    """Return R² of ``predicted`` about the mean of ``observed``; NaN if that is constant."""
    observed, predicted = rows["observed"].to_numpy(), rows["predicted"].to_numpy()
    variance = observed.var()
    return 1 - float(np.mean((observed - predicted) ** 2)) / variance if variance > 0 else np.nan


if __name__ == "__main__":
    main(curve)
