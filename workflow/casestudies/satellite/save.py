"""Keep what predicts best, to be used on new frames: the encoder, and the labels as it sees them.

The encoders are those that were fitted to all images. Which of them, and with which head, is chosen
by the held-out folds of a scheme; the head is then fitted to all labels. A head is its setting and
what it was fitted to, some hundred rows of latents, from which it is fitted again in no time: no
head needs a format of its own.
"""

from collections.abc import Hashable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from casestudies.errors import InputError
from casestudies.evaluation.conformal import unit_quantile
from casestudies.evaluation.nested import nested_cross_validation
from casestudies.evaluation.splits import Fold, read_folds
from casestudies.files import digest, write_json, writing
from casestudies.satellite.heads import (
    Boosting,
    Process,
    Ridge,
    Setting,
    latent_columns,
)
from casestudies.satellite.images import Images
from casestudies.satellite.inputs import Inputs, make_inputs, read_samples
from casestudies.satellite.season import BESIDE
from casestudies.steps import main
from casestudies.tables import read_metadata

MODEL, ENCODER, LABELS = "model.json", "encoder.safetensors", "labels.safetensors"
_KINDS: dict[str, type[Setting]] = {
    "ridge": Ridge,
    "gaussian_process": Process,
    "gradient_boosting": Boosting,
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=())


class ChannelFacts(_Strict):
    """A channel that the model wants, and the range of its values in training."""

    name: str
    units: str
    long_name: str
    minimum: float
    maximum: float


class SavedModel(_Strict):
    """What ``model.json`` says."""

    format: Literal[1] = 1
    study: Literal["satellite"] = "satellite"
    encoder: str
    """Name of the encoder."""
    head: Literal["ridge", "gaussian_process", "gradient_boosting"]
    setting: dict[str, Any]
    """Of the head, by field."""
    seed: int
    """Of the head's fit."""
    channels: list[ChannelFacts] = Field(min_length=1)
    shape: tuple[int, int]
    """Rows and columns of an image."""
    long_name: str
    units: str
    log: bool
    """Whether the labels are natural logarithms; predictions are not."""
    coverage: float = Field(gt=0, lt=1)
    half_width: float = Field(ge=0)
    """Of the prediction interval, in the labels' unit (of the logarithm, if they are such)."""
    rmse: float = Field(ge=0)
    """Out of fold, in the same unit."""
    labels: int = Field(gt=0)
    """Number of labels that the head was fitted to."""
    missing: float = Field(ge=0, le=1)
    """Greatest share of missing pixels in a labelled frame."""
    sha256: dict[str, str]
    """Of the files beside."""

    def make_setting(self) -> Setting:
        """Return the head's setting.

        Raises
        ------
        InputError
            If its fields are not those of the head.
        """
        kind = _KINDS[self.head]
        wanted = {field.name for field in fields(kind)}
        if set(self.setting) != wanted:
            raise InputError(
                f"setting: {', '.join(self.setting) or 'none'} in place of "
                f"{', '.join(sorted(wanted))}."
            )
        return kind(**self.setting)


@dataclass(frozen=True)
class _Choice:
    """An encoder and a setting, with their errors in the held-out folds."""

    encoder: int
    setting: Hashable
    error: float
    held_out: pd.DataFrame
    given: Inputs


def save(
    *,
    images: Path,
    prepared: Path,
    splits: Path,
    features: list[Path],
    weights: list[Path],
    heads: list[str],
    latent_sizes: list[int],
    units: list[str],
    coverage: float = 0.9,
    seed: int,
    output: Path,
) -> None:
    """Choose an encoder and a head by a scheme's folds, fit the head to all labels, keep both.

    Parameters
    ----------
    images
        The image series (Zarr).
    prepared
        Prepared table, one row per label.
    splits
        Folds of the scheme by which the choice is made.
    features
        Latents of the encoders that were fitted to all images.
    weights
        The fitted encoders, in the same order.
    heads
        Heads to choose from.
    latent_sizes
        Numbers of leading latents to choose from.
    units
        Columns of the units by which intervals are calibrated.
    coverage
        Nominal coverage of the prediction intervals.
    seed
        Seed of the fits.
    output
        Folder: model.json, encoder.safetensors, labels.safetensors.
    """
    from safetensors.numpy import save_file

    samples, about = read_samples(prepared)
    series = Images(images)
    target = samples["label"].to_numpy(float)
    folds = read_folds(splits, samples)
    # One fold that holds nothing out: its inner folds are the outer ones of the scheme.
    everything = np.arange(len(samples))
    inner = [(fold.train, fold.test) for fold in folds if fold.repeat == 0]
    fold = Fold(0, 0, everything, everything[:1], inner)
    choices = []
    for number, path in enumerate(features):
        given = make_inputs(path.stem, samples, about, images, path, heads, latent_sizes)
        if -1 not in given.tables:
            raise InputError(f"{path}: is of an encoder of folds; give one fitted to all images.")
        _, held_out, tried = nested_cross_validation(
            given.model, given.of(-1), target, [fold], seed=seed, label=path.stem
        )
        best = int(tried["chosen"].argmax())
        error = float(tried["inner_loss"].iloc[best])
        choices.append(_Choice(number, given.model.settings[best], error, held_out, given))
    chosen = min(choices, key=lambda choice: choice.error)
    residuals = chosen.held_out["observed"] - chosen.held_out["predicted"]
    calibrated = samples[units].iloc[chosen.held_out["position"]]
    half_width = max(
        unit_quantile(residuals.abs().to_numpy(), calibrated[unit].to_numpy(), coverage)
        for unit in units
    )
    table = chosen.given.of(-1)
    used = latent_columns(table)[: chosen.setting.size]
    arrays = {
        "latents": np.ascontiguousarray(table[used].to_numpy(float)),
        "beside": np.ascontiguousarray(table[list(BESIDE)].to_numpy(float)),
        "labels": target,
    }
    output = Path(output)
    with writing(output / LABELS) as temporary:
        save_file(arrays, temporary)
    with writing(output / ENCODER) as temporary:
        temporary.write_bytes(weights[chosen.encoder].read_bytes())
    model = SavedModel(
        encoder=read_metadata(features[chosen.encoder])["encoder"],
        head=next(name for name, kind in _KINDS.items() if isinstance(chosen.setting, kind)),
        setting=asdict(chosen.setting),
        seed=seed,
        channels=[ChannelFacts(**asdict(channel)) for channel in series.channels],
        shape=series.shape[2:],
        long_name=str(about.get("long_name", "label")),
        units=str(about.get("units", "1")),
        log=bool(about.get("log", False)),
        coverage=coverage,
        half_width=half_width,
        rmse=float(np.sqrt(np.mean(residuals**2))),
        labels=len(samples),
        missing=max(
            float(missing_share(series, batch).max())
            for batch in series.batches(np.unique(samples["frame"].to_numpy()))
        ),
        sha256={name: digest(output / name) for name in (ENCODER, LABELS)},
    )
    # Last: a folder without it is no model.
    write_json(model.model_dump(mode="json"), output / MODEL)


def missing_share(images: Images, frames: np.ndarray) -> np.ndarray:
    """Return the share of missing pixels of each frame, (n,)."""
    return np.isnan(images.read(frames)).mean(axis=(1, 2, 3))


if __name__ == "__main__":
    main(save)
