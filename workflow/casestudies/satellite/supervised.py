"""The end-to-end network: from an image and the season straight to the label.

It has the encoder of the autoencoders and a linear head on it, and knows labelled frames only. How
many steps it is trained is chosen by the inner folds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt
from torch import nn
from torch.nn import functional

from casestudies.evaluation.splits import Fold
from casestudies.satellite.architectures import ConvolutionalEncoder, Geometry
from casestudies.satellite.images import Images
from casestudies.satellite.loader import Decoder, held
from casestudies.satellite.objective import seen, with_mask
from casestudies.satellite.season import BESIDE
from casestudies.satellite.standardise import Standardiser
from casestudies.steps import progress, unless_given_up
from casestudies.training.checkpoint import Checkpoint, fingerprint
from casestudies.training.device import initial_weights, precision
from casestudies.training.parallel import side_by_side
from casestudies.training.schedule import evaluation_steps, make_optimizer
from casestudies.validation import read_settings

_PIXELS = 1 << 22  # of a batch's images together: bounds memory where frames are large
_EVALUATIONS = 5


class CnnSettings(BaseModel):
    """Settings of the end-to-end network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: PositiveInt = 16
    """Channels of the first level."""
    features: PositiveInt = 32
    """Outputs of the encoder, from which the head is linear."""
    steps: PositiveInt = 100
    """Most gradient steps; a fifth, two fifths, … of it are tried."""
    batch: PositiveInt = 16
    """Labels of a step."""
    learning_rate: PositiveFloat = 1e-3
    weight_decay: float = Field(default=0.1, ge=0)
    memory_mb: PositiveFloat = 1000.0
    """Labelled frames up to this size, packed, are kept in memory; more are read again."""


def parse_settings(text: str) -> CnnSettings:
    """Return the settings from JSON; what is not given has its default.

    Raises
    ------
    InputError
        If a key is unknown or a value out of range.
    """
    return read_settings(CnnSettings, text, "satellite.cnn")


class Regressor(nn.Module):
    """Masked image (n, channels + 1, y, x) and predictors beside (n, k) to (n,)."""

    def __init__(self, geometry: Geometry, settings: CnnSettings, beside: int) -> None:
        super().__init__()
        self.encoder = ConvolutionalEncoder(geometry, settings.width, settings.features)
        self.head = nn.Linear(settings.features + beside, 1)

    def forward(self, images: torch.Tensor, beside: torch.Tensor) -> torch.Tensor:
        """Return the standardised label."""
        features = functional.gelu(self.encoder(images))
        return self.head(torch.cat([features, beside.to(features.dtype)], dim=1)).squeeze(1)


@dataclass(frozen=True)
class Labelled:
    """Samples: the frame of each (n,), what stands beside it (n, k), and its label (n,)."""

    frames: np.ndarray
    beside: np.ndarray
    target: np.ndarray

    def take(self, rows: np.ndarray) -> "Labelled":
        """Return some of the samples."""
        return Labelled(self.frames[rows], self.beside[rows], self.target[rows])


def train_path(
    images: Images,
    train: Labelled,
    queries: Labelled,
    settings: CnnSettings,
    seed: int,
    where: torch.device,
) -> np.ndarray:
    """Train on ``train``; return the predictions of ``queries`` along the training.

    Standardisation, of images and labels, is by ``train`` alone; the targets of ``queries`` are
    not looked at.

    Returns
    -------
    Shape (evaluations, queries), in the label's units.
    """
    geometry = Geometry.of(*images.shape[1:])
    with initial_weights(seed):
        network = Regressor(geometry, settings, train.beside.shape[1])
    network.to(where)
    decode = Decoder(images, Standardiser.fit(images, np.unique(train.frames)), where)
    optimizer = make_optimizer(network.parameters(), settings.learning_rate, settings.weight_decay)
    centre, spread = train.target.mean(), train.target.std() or 1.0
    target = torch.from_numpy(((train.target - centre) / spread).astype(np.float32)).to(where)
    size = max(1, min(settings.batch, _PIXELS // int(np.prod(images.shape[1:]))))

    def output(samples: Labelled) -> torch.Tensor:
        packed = images.packed(samples.frames).view(np.int16)
        values, valid = decode(torch.from_numpy(packed).to(where))
        beside = torch.from_numpy(samples.beside.astype(np.float32)).to(where)
        with precision(where):
            return network(with_mask(values, seen(valid)), beside).float()

    def predictions() -> np.ndarray:
        parts = np.array_split(
            np.arange(len(queries.frames)), -(-len(queries.frames) // (4 * size))
        )
        with torch.no_grad():
            found = [output(queries.take(part)) for part in parts]
        return torch.cat(found).cpu().numpy().astype(float) * spread + centre

    rng = np.random.default_rng(seed)
    shown, path = evaluation_steps(settings.steps, _EVALUATIONS), []
    order = np.empty(0, np.int64)
    for step in unless_given_up(range(1, settings.steps + 1)):
        if not len(order):
            order = rng.permutation(len(train.frames))
        rows, order = order[: settings.batch], order[settings.batch :]
        optimizer.zero_grad(set_to_none=True)
        for part in np.split(rows, range(size, len(rows), size)):  # gradients add up
            error = output(train.take(part)) - target[torch.from_numpy(part).to(where)]
            (error.square().sum() / len(rows)).backward()
        optimizer.step()
        if step in shown:
            path.append(predictions())
    return np.stack(path)


@dataclass(frozen=True)
class Result:
    """Tables as from casestudies.evaluation.nested, and the curves of the training."""

    predictions: pd.DataFrame
    inner: pd.DataFrame
    choices: pd.DataFrame
    curves: pd.DataFrame


def cross_validate_cnn(
    images: Images,
    samples: pd.DataFrame,
    folds: Sequence[Fold],
    settings: CnnSettings,
    seed: int,
    where: torch.device,
    threads: int = 1,
    checkpoint: Path | None = None,
    checkpoint_every: float = 60.0,
    label: str = "cnn",
) -> Result:
    """Predict every test fold after as many steps as its own inner folds prefer.

    Parameters
    ----------
    samples
        Prepared table: frame, label and the columns BESIDE.
    folds
        Outer folds with inner ones; told apart by repeat and fold.
    threads
        CPU threads: networks that are trained side by side.
    checkpoint
        Folder; what was trained is kept there until the caller removes it.
    """
    table = Labelled(
        samples["frame"].to_numpy(),
        samples[list(BESIDE)].to_numpy(float),
        samples["label"].to_numpy(float),
    )
    used = [rows for fold in folds for rows in (fold.train, fold.test)]
    images = held(images, table.frames[np.unique(np.concatenate(used))], settings.memory_mb)
    cells = [
        (number, inner, train, test)
        for number, fold in enumerate(folds)
        for inner, (train, test) in enumerate([(fold.train, fold.test), *fold.inner], start=-1)
    ]
    paths: list[np.ndarray] = []
    saved = None
    if checkpoint is not None:
        identity = fingerprint(
            [settings.model_dump(), seed, where.type, list(images.shape)],
            table.frames,
            np.nan_to_num(table.target),
            *(rows for cell in cells for rows in cell[2:]),
        )
        saved = Checkpoint(checkpoint / "paths.safetensors", identity, checkpoint_every)
        state = saved.load()
        if state is not None:
            paths = [state[0][str(i)].numpy() for i in range(state[1]["cells"])]

    def path_of(cell: tuple[int, int, np.ndarray, np.ndarray]) -> np.ndarray:
        number, inner, train, test = cell
        key = [seed, folds[number].repeat, folds[number].fold, inner + 1]
        child = int(np.random.SeedSequence(key).generate_state(1)[0])
        # The training rows of the whole fold are predicted too, for the training curve.
        rows = np.concatenate([test, train]) if inner < 0 else test
        return train_path(images, table.take(train), table.take(rows), settings, child, where)

    left = cells[len(paths) :]
    found = side_by_side(path_of, left, threads if where.type == "cpu" else 1)
    for path in progress(found, label, len(left)):
        paths.append(path)
        if saved and saved.due():
            kept = {str(i): torch.from_numpy(path) for i, path in enumerate(paths)}
            saved.save(kept, {"cells": len(paths)})
    return _choose(table.target, folds, cells, paths, settings)


def _choose(
    target: np.ndarray,
    folds: Sequence[Fold],
    cells: Sequence[tuple[int, int, np.ndarray, np.ndarray]],
    paths: Sequence[np.ndarray],
    settings: CnnSettings,
) -> Result:
    steps = evaluation_steps(settings.steps, _EVALUATIONS)
    predictions, inner, choices = [], [], []
    squares: dict[str, list[np.ndarray]] = {"train": [], "inner": [], "held_out": []}
    for number, fold in enumerate(folds):
        key = {"repeat": fold.repeat, "fold": fold.fold}
        mine = [(cell, path) for cell, path in zip(cells, paths, strict=True) if cell[0] == number]
        (outer, whole), within = mine[0], mine[1:]
        test, train = outer[3], outer[2]
        judged = np.hstack([_squared(path, target[cell[3]]) for cell, path in within])
        losses = judged.mean(axis=1)
        best = int(losses.argmin())
        predictions.append(_table(key, test, target, whole[best, : len(test)]))
        inner += [
            _table(key | {"inner": cell[1]}, cell[3], target, path[best]) for cell, path in within
        ]
        choices.append(
            pd.DataFrame(
                {
                    **key,
                    "setting": [f"{step} steps" for step in steps],
                    "steps": steps,
                    "inner_loss": losses,
                    "chosen": np.arange(len(steps)) == best,
                }
            )
        )
        squares["train"].append(_squared(whole[:, len(test) :], target[train]))
        squares["inner"].append(judged)
        squares["held_out"].append(_squared(whole[:, : len(test)], target[test]))
    curves = {
        name: np.sqrt(np.hstack(parts).mean(axis=1)) for name, parts in squares.items() if parts
    }
    return Result(
        pd.concat(predictions, ignore_index=True),
        pd.concat(inner, ignore_index=True),
        pd.concat(choices, ignore_index=True),
        pd.DataFrame({"setting": "cnn", "steps": steps, **curves}),
    )


def _squared(path: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return squared errors, (evaluations, scored rows)."""
    scored = ~np.isnan(observed)
    return (path[:, scored] - observed[scored]) ** 2


def _table(
    key: dict[str, Any], rows: np.ndarray, target: np.ndarray, predicted: np.ndarray
) -> pd.DataFrame:
    columns = {"position": rows, "observed": target[rows], "predicted": predicted}
    return pd.DataFrame({**key, **columns})
