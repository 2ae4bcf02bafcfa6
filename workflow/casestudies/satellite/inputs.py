"""What a model predicts labels from, by the model's name: fit, label curves and export share it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from casestudies.errors import InputError
from casestudies.evaluation.nested import Model
from casestudies.satellite.heads import (
    SCALINGS,
    Mean,
    PixelRidge,
    Resolutions,
    latent_columns,
    regression,
)
from casestudies.satellite.images import Images
from casestudies.satellite.pixels import LabelledPixels, coarse
from casestudies.satellite.season import BESIDE
from casestudies.tables import read_metadata, read_table

BASELINES = ("mean", "season", "neighbourhood", "raw_pixels", "coarse_pixels", "oracle")
"""Models that need no encoder; any other name is that of an encoder's features."""
CNN = "cnn"
"""The network trained end to end (casestudies.satellite.supervised), which needs none either."""
ALL = "_all_images"
"""Ends the names of models whose encoder has seen every frame."""
LATENT = ("latent", f"latent{ALL}")
"""The choices among encoders, of either kind."""
SIDES = (3, 6, 12)
"""Resolutions of coarse_pixels, pixels a side."""
RINGS = (0.04, 0.1, 0.2, 0.35, 0.6)
"""Outer radii of the rings about the station, as fractions of the image's shorter side."""


@dataclass(frozen=True)
class Inputs:
    """A family of models and the predictors of every sample, which may differ by fold."""

    model: Model
    tables: dict[int, pd.DataFrame] = field(repr=False)
    """By fold; -1: of every fold."""

    def of(self, fold: int) -> pd.DataFrame:
        """Return the predictors in a fold, one row per sample.

        Raises
        ------
        InputError
            If an inductive encoder was not fitted for this fold.
        """
        if -1 in self.tables:
            return self.tables[-1]
        if fold not in self.tables:
            raise InputError(
                f"the features hold folds {', '.join(map(str, sorted(self.tables)))}, but not "
                f"fold {fold} of the scheme; encode the images under this scheme again."
            )
        return self.tables[fold]


def read_samples(prepared: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Return the prepared table, checked, and its facts (units, station, names of states)."""
    samples = read_table(prepared, complete=["sample", "day", "frame", "label", *BESIDE])
    return samples, read_metadata(prepared)


def match_features(models: Sequence[str], features: Sequence[Path]) -> dict[str, Path]:
    """Return by model its features, given in the order of the models that rest on an encoder.

    Raises
    ------
    InputError
        If there are more or fewer.
    """
    resting = [name for name in models if name not in (*BASELINES, CNN)]
    if len(resting) != len(features):
        raise InputError(
            f"--features: {len(features)} files for {len(resting)} models that rest on an encoder "
            f"({', '.join(resting) or 'none'}); give one each, in the same order."
        )
    return dict(zip(resting, features, strict=True))


def make_inputs(
    name: str,
    samples: pd.DataFrame,
    about: dict[str, Any],
    images: Path,
    features: Path | None,
    heads: Sequence[str],
    sizes: Sequence[int],
) -> Inputs:
    """Return the model called ``name`` with what it is given.

    Parameters
    ----------
    samples, about
        See :func:`read_samples`.
    images
        The image series; only ``neighbourhood`` and those on pixels read it.
    features
        Latents of every frame; None for BASELINES.
    heads
        Heads to choose from (casestudies.satellite.heads.HEADS).
    sizes
        Numbers of leading latents to choose from.

    Raises
    ------
    InputError
        If what the model needs is not there.
    """
    beside = samples[list(BESIDE)]
    match name:
        case "mean":
            return Inputs(Mean(), {-1: beside})
        case "season":
            return Inputs(regression(heads, 0), {-1: beside})
        case "raw_pixels":
            pixels = LabelledPixels(Images(images), samples["frame"].to_numpy())
            return Inputs(PixelRidge(pixels), {-1: beside.assign(row=np.arange(len(samples)))})
        case "coarse_pixels":
            return _coarse(samples, Images(images), heads)
        case "neighbourhood":
            values = _neighbourhood(samples, about, Images(images))
        case "oracle":
            values = _states(samples, about)
        case _:
            return _latents(name, samples, features, heads, sizes)
    return Inputs(regression(heads, values.shape[1]), {-1: _beside(samples, values)})


def _beside(samples: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
    columns = [f"z{k}" for k in range(values.shape[1])]
    found = pd.DataFrame(values, columns=columns, index=samples.index)
    return pd.concat([samples[list(BESIDE)], found], axis=1)


def _coarse(samples: pd.DataFrame, images: Images, heads: Sequence[str]) -> Inputs:
    # Trees on hundreds of pixels and as few labels would take long and find little.
    heads = [head for head in heads if head != "gradient_boosting"]
    tables = {}
    for side, values in coarse(images, samples["frame"].to_numpy(), SIDES).items():
        tables[side] = _beside(samples, values)
    families = {
        side: regression(heads, table.shape[1] - len(BESIDE)) for side, table in tables.items()
    }
    rows = pd.DataFrame({"row": np.arange(len(samples))})
    return Inputs(Resolutions(tables, families), {-1: rows})


def _neighbourhood(samples: pd.DataFrame, about: dict[str, Any], images: Images) -> np.ndarray:
    if about.get("neighbourhood") is None:
        raise InputError(
            "the prepared samples do not say where the station is (neighbourhood); prepare them "
            "again, or leave the model 'neighbourhood' out."
        )
    labelled, rows = np.unique(samples["frame"].to_numpy(), return_inverse=True)
    masks = rings(images.shape[2:], about["neighbourhood"])
    parts = [ring_means(images.read(batch), masks) for batch in images.batches(labelled)]
    return np.concatenate(parts)[rows]


def rings(shape: tuple[int, int], station: Sequence[int]) -> np.ndarray:
    """Return which pixels lie in each ring about a pixel, bool of (rings, y, x).

    Rings that hold no pixel are left out.
    """
    y, x = np.ogrid[: shape[0], : shape[1]]
    apart = np.hypot(y - station[0], x - station[1]) / min(shape)
    edges = np.array([-1.0, *RINGS])
    masks = (apart > edges[:-1, None, None]) & (apart <= edges[1:, None, None])
    return masks[masks.any(axis=(1, 2))]


def ring_means(values: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Return means over valid pixels of each ring and channel; NaN where none is valid.

    Parameters
    ----------
    values
        Shape (n, channels, y, x), NaN where missing.
    masks
        Shape (rings, y, x).

    Returns
    -------
    Shape (n, channels × rings).
    """
    flat = masks.reshape(len(masks), -1).T.astype(np.float32)
    values = values.reshape(*values.shape[:2], -1)
    valid = ~np.isnan(values)
    count = valid.astype(np.float32) @ flat
    total = np.where(valid, values, 0) @ flat
    with np.errstate(invalid="ignore", divide="ignore"):
        means = np.where(count > 0, total / count, np.nan)
    return means.reshape(len(values), -1)


def _states(samples: pd.DataFrame, about: dict[str, Any]) -> np.ndarray:
    names = about.get("states") or []
    columns = [name for name in samples.columns if name in names or name.startswith("state_")]
    if not columns:
        raise InputError(
            "the samples hold no true states (state_0, …), which only simulated data have; leave "
            "the model 'oracle' out."
        )
    return samples[columns].to_numpy(float)


def _latents(
    name: str,
    samples: pd.DataFrame,
    features: Path | None,
    heads: Sequence[str],
    sizes: Sequence[int],
) -> Inputs:
    if features is None:
        raise InputError(
            f"model {name!r} is neither one of {', '.join(BASELINES)} nor given the features of "
            "an encoder (--features)."
        )
    table = read_table(features, complete=["fold", "frame", "z0"])
    columns = latent_columns(table)
    tables = {}
    for fold, rows in table.groupby("fold"):
        values = rows.set_index("frame")[columns].reindex(samples["frame"]).to_numpy(float)
        if not np.isfinite(values).all():
            frame = samples["frame"].iloc[int((~np.isfinite(values)).any(axis=1).argmax())]
            raise InputError(
                f"{features}: fold {fold} lacks a latent of frame {frame}; the features belong to "
                "other images. Delete the file to have it made again."
            )
        tables[int(fold)] = _beside(samples, values)
    return Inputs(regression(heads, len(columns), sizes, SCALINGS), tables)
