"""Networks for mass balance: the published one, its protocol, and a regularised deep ensemble.

- ``paper_network``: the network of Bolibar et al. 2020 (doi:10.5194/tc-14-565-2020), its epoch
  chosen by inner folds.
- ``paper_protocol``: the same network with the epoch chosen on the held-out fold itself, as in
  their code. **Its scores are not out-of-sample**; it shows what that is worth.
- ``deep_ensemble``: small regularised networks on predictors that separate the regional signal of
  the year from the local deviation; architecture, regularisation and number of steps chosen by
  inner folds, the mean over members predicted (Lakshminarayanan et al. 2017).

All networks of a scheme (outer and inner folds, members) are trained as stacked tensors.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from casestudies.config.glacier import Candidate, EnsembleSettings, PaperSettings
from casestudies.errors import InputError, nearest
from casestudies.evaluation.splits import Fold
from casestudies.glacier.features import REGIONAL_GROUPS, features
from casestudies.training.ensemble import (
    Architecture,
    Layer,
    Problem,
    Training,
    train_ensemble,
)
from casestudies.validation import read_settings

NETWORKS = ("paper_network", "paper_protocol", "deep_ensemble")
_KM_PER_DEGREE = 111.2
_MONITORED = 64  # training rows predicted at every evaluation, for the training curve


def parse_settings(model: str, text: str) -> PaperSettings | EnsembleSettings:
    """Return the settings of a model from JSON; what is not given has its default.

    Raises
    ------
    InputError
        If the model or a key is unknown, or a value out of range.
    """
    if model not in NETWORKS:
        raise InputError(f"unknown network {model!r}; {nearest(model, NETWORKS)}")
    kind = EnsembleSettings if model == "deep_ensemble" else PaperSettings
    return read_settings(kind, text, f"glacier.networks.{model}")


def claim(prepared: pd.DataFrame, folds: Sequence[Fold]) -> Literal["glacier", "year", "both"]:
    """Return what is new in the test folds: the glacier, the year, or both."""
    new = {}
    for unit in ("glacier", "year"):
        values = prepared[unit].to_numpy()
        new[unit] = not any(np.isin(values[f.test], values[f.train]).any() for f in folds)
    if new["glacier"]:
        return "both" if new["year"] else "glacier"
    return "year"


def paper_architecture(new: Literal["glacier", "year", "both"]) -> Architecture:
    """Return the published network: 34-40-20-10-5-1 (their appendix and code).

    Dropout is 0.2/0.2/0.05/0.01 for new glaciers, else 0.3/0.2/0.1/0.1 with Gaussian noise of
    0.1 on the first layer; momentum and epsilon of the batch normalisation are Keras's.
    """
    rates = (0.2, 0.2, 0.05, 0.01) if new == "glacier" else (0.3, 0.2, 0.1, 0.1)
    first = Layer(34, batch_norm=True, noise=0.0 if new == "glacier" else 0.1)
    hidden = [
        Layer(width, batch_norm=True, negative_slope=0.05, dropout=rate)
        for width, rate in zip((40, 20, 10, 5), rates, strict=True)
    ]
    return Architecture((first, *hidden), batch_norm_momentum=0.01, batch_norm_epsilon=1e-3)


def paper_training(
    new: Literal["glacier", "year", "both"], rows: int, settings: PaperSettings
) -> Training:
    """Return the published training: RMSprop on the RMSE, batch 32, rate by scheme."""
    epoch = -(-rows // 32)
    epochs = settings.known_year_epochs if new == "glacier" else settings.new_year_epochs
    return Training(
        steps=epochs * epoch,
        evaluate_every=epoch,
        batch=32,
        optimizer="rmsprop",
        learning_rate={"glacier": 5e-4, "year": 2e-2, "both": 2e-3}[new],
        loss="rmse",
    )


@dataclass(frozen=True)
class Run:
    """Where and how networks are trained; without influence on the result, but for the device."""

    device: torch.device
    threads: int = 1
    checkpoint: Path | None = None
    checkpoint_every: float = 60.0
    label: str = "networks"


@dataclass(frozen=True)
class Cell:
    """One training set of the nested cross-validation, and the rows predicted from it."""

    fold: int
    """Position of the outer fold in the list of folds."""
    inner: int
    """Inner fold, or -1 for the whole outer training fold."""
    train: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class Paths:
    """Predictions (m w.e.) of the cells' test rows at every evaluation, of one candidate.

    ``test[i]`` has shape (evaluations, members, rows); ``monitored`` likewise, but errors, of some
    training rows of the outer cells.
    """

    steps: np.ndarray
    test: list[np.ndarray]
    monitored: list[np.ndarray]


def cells(folds: Sequence[Fold], inner: bool = True) -> list[Cell]:
    """Return the training sets of all folds, each outer one followed by its inner ones."""
    found = []
    for number, fold in enumerate(folds):
        found.append(Cell(number, -1, fold.train, fold.test))
        if inner:
            found += [Cell(number, k, *pair) for k, pair in enumerate(fold.inner)]
    return found


Standardised = tuple[np.ndarray, np.ndarray, float]
"""Inputs of all rows (N, p), offset added to the output (N,), scale of the output."""


def paper_inputs(prepared: pd.DataFrame) -> Callable[[np.ndarray], Standardised]:
    """Return what makes the published network's inputs: 34 predictors, target as it is."""
    values = features(prepared, "monthly").to_numpy()

    def make(train: np.ndarray) -> Standardised:
        return _standardise(values, train), np.zeros(len(values)), 1.0

    return make


def ensemble_inputs(
    prepared: pd.DataFrame, candidate: Candidate
) -> Callable[[np.ndarray], Standardised]:
    """Return what makes a candidate's inputs from a training set.

    The offset is the training mean or an in-fold ridge regression, plus, with neighbours, the
    shrunken weighted mean of what that leaves at the other training glaciers in the same year
    (never the row's own glacier, whether it is trained on or not).
    """
    values = _predictors(prepared, candidate.predictors).to_numpy()
    observed = prepared["mass_balance"].to_numpy()
    weights = (
        []
        if candidate.neighbours is None
        else [_same_year(prepared, candidate.neighbours), _same_year(prepared, np.inf)]
    )

    def make(train: np.ndarray) -> Standardised:
        inputs = _standardise(values, train)
        offset = np.full(len(values), observed[train].mean())
        if candidate.ridge is not None:
            gram = inputs[train].T @ inputs[train] + candidate.ridge * np.eye(inputs.shape[1])
            centred = observed[train] - offset[train]
            offset = offset + inputs @ np.linalg.solve(gram, inputs[train].T @ centred)
        if weights:
            residual = observed[train] - offset[train]
            extra = [
                weight[:, train] @ residual / (weight[:, train].sum(axis=1) + _SHRINKAGE)
                for weight in weights
            ]
            inputs = np.hstack([inputs, _standardise(np.stack(extra, axis=1), train)])
            offset = offset + extra[0]
        scale = float(np.std(observed[train] - offset[train]))
        return inputs, offset, scale if scale > 0 else 1.0

    return make


_FURTHEST = 5.0
_SHRINKAGE = 0.3  # weight of "no deviation" against one observation next door


def _predictors(prepared: pd.DataFrame, name: str) -> pd.DataFrame:
    if name == "monthly":
        return features(prepared, "monthly")
    groups = ["season", "local", "previous", "memory", "topography"]
    if name == "regional_monthly":
        groups.append("month")
    chosen = features(prepared, "regional")[[c for g in groups for c in REGIONAL_GROUPS[g]]]
    return pd.concat([chosen, features(prepared, "absolute")], axis=1)


def _standardise(values: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Centre and scale columns by the training rows; what is constant there becomes zero.

    Nothing is taken to be further than ``_FURTHEST`` standard deviations away: with few training
    glaciers an unseen one could be at any distance, and the output would follow.
    """
    mean, spread = values[train].mean(axis=0), values[train].std(axis=0)
    varies = spread > 1e-9 * np.maximum(np.abs(mean), 1e-30)  # constant but for rounding
    return np.clip((values - mean) / np.where(varies, spread, np.inf), -_FURTHEST, _FURTHEST)


def _same_year(prepared: pd.DataFrame, length: float) -> np.ndarray:
    """Return weights (N, N) that fall off with distance; zero for other years and itself."""
    latitude = prepared["latitude"].to_numpy()
    east = prepared["longitude"].to_numpy() * np.cos(np.deg2rad(latitude.mean()))
    year, glacier = prepared["year"].to_numpy(), prepared["glacier"].to_numpy()
    distance = np.hypot(*(np.subtract.outer(v, v) * _KM_PER_DEGREE for v in (east, latitude)))
    usable = np.equal.outer(year, year) & np.not_equal.outer(glacier, glacier)
    return np.exp(-distance / length) * usable


def train_cells(
    prepared: pd.DataFrame,
    found: Sequence[Cell],
    make: Callable[[np.ndarray], Standardised],
    architecture: Architecture,
    training: Training,
    members: int,
    seed: int,
    run: Run,
) -> Paths:
    """Train ``members`` networks in every cell; return their predictions along the training."""
    observed = prepared["mass_balance"].to_numpy()
    seeds = np.random.SeedSequence(seed).generate_state(members, np.uint32)
    problems, offsets, scales, monitors = [], [], [], []
    for cell in found:
        inputs, offset, scale = make(cell.train)
        count = min(_MONITORED, len(cell.train)) if cell.inner == -1 else 0
        monitor = cell.train[np.linspace(0, len(cell.train) - 1, count).astype(int)]
        rows = np.concatenate([cell.test, monitor])
        target = ((observed - offset)[cell.train] / scale).astype(np.float32)
        inputs = inputs.astype(np.float32)
        problem = Problem(inputs[cell.train], target, inputs[rows])
        problems += [replace(problem, seed=int(s)) for s in seeds]
        offsets.append(offset[rows])
        scales.append(scale)
        monitors.append(monitor)
    trained = train_ensemble(
        problems,
        architecture,
        training,
        run.device,
        run.threads,
        run.checkpoint,
        run.checkpoint_every,
        run.label,
    )
    test, monitored = [], []
    for i, cell in enumerate(found):
        path = np.stack(trained.predictions[i * members : (i + 1) * members], axis=1)
        path = path * scales[i] + offsets[i]
        test.append(path[..., : len(cell.test)])
        if cell.inner == -1:
            monitored.append(path[..., len(cell.test) :] - observed[monitors[i]])
    return Paths(trained.steps, test, monitored)


@dataclass(frozen=True)
class Result:
    """Tables of one model under one scheme, positions in place of sample names."""

    predictions: pd.DataFrame
    inner: pd.DataFrame
    curves: pd.DataFrame
    choices: pd.DataFrame


def fit_network(
    model: str,
    prepared: pd.DataFrame,
    folds: Sequence[Fold],
    settings: PaperSettings | EnsembleSettings,
    seed: int,
    run: Run,
) -> Result:
    """Fit one model on every fold of a scheme.

    For each outer fold, the candidate and the number of steps with the smallest squared error
    over its pooled inner test rows are taken; no test row of the outer fold has a part in it,
    except under ``paper_protocol``.
    """
    new = claim(prepared, folds)
    honest = model != "paper_protocol"
    found = cells(folds, inner=honest)
    if isinstance(settings, PaperSettings):
        rows = max(len(cell.train) for cell in found)
        training = paper_training(new, rows, settings)
        jobs = [(model, paper_inputs(prepared), paper_architecture(new), training, 1)]
    else:
        jobs = _ensemble_jobs(prepared, settings, new)
    paths = {}
    for number, (name, make, architecture, training, members) in enumerate(jobs):
        part = replace(
            run,
            checkpoint=None if run.checkpoint is None else run.checkpoint / f"candidate{number}",
            label=f"{run.label} {number + 1}/{len(jobs)}",
        )
        paths[name] = train_cells(
            prepared, found, make, architecture, training, members, seed, part
        )
    if isinstance(settings, EnsembleSettings):
        choice = (settings.keep, settings.tolerance)
    else:
        choice = (1, 0.0)
    return _choose(prepared, folds, found, paths, honest, *choice)


def _ensemble_jobs(
    prepared: pd.DataFrame, settings: EnsembleSettings, new: str
) -> list[tuple[str, Any, Architecture, Training, int]]:
    jobs = []
    for candidate in settings.known_year if new == "glacier" else settings.new_year:
        architecture = Architecture(
            tuple(
                Layer(width, negative_slope=0.05, dropout=candidate.dropout)
                for width in candidate.hidden
            ),
            input_dropout=candidate.input_dropout,
            skip=candidate.skip,
        )
        training = Training(
            steps=settings.steps,
            evaluate_every=settings.evaluate_every,
            batch=settings.batch,
            learning_rate=settings.learning_rate,
            weight_decay=candidate.weight_decay,
        )
        name = candidate.model_dump_json(exclude_none=True)
        jobs.append(
            (name, ensemble_inputs(prepared, candidate), architecture, training, settings.members)
        )
    return jobs


def _choose(
    prepared: pd.DataFrame,
    folds: Sequence[Fold],
    found: Sequence[Cell],
    paths: dict[str, Paths],
    honest: bool,
    keep: int,
    tolerance: float,
) -> Result:
    observed = prepared["mass_balance"].to_numpy()
    names = list(paths)
    steps = {name: path.steps for name, path in paths.items()}
    predictions, inner, choices = [], [], []
    sums = {name: np.zeros((3, len(steps[name]))) for name in names}  # train, inner, held out
    counts = {name: np.zeros(3) for name in names}
    for number, fold in enumerate(folds):
        mine = [i for i, cell in enumerate(found) if cell.fold == number]
        outer, within = mine[0], mine[1:]
        key = {"repeat": fold.repeat, "fold": fold.fold}
        losses = {}
        for name, path in paths.items():
            held_out = _squared(path.test[outer], observed[fold.test])
            judged = (
                np.hstack([_squared(path.test[i], observed[found[i].test]) for i in within])
                if honest
                else held_out
            )
            losses[name] = judged.mean(axis=1)
            monitored = path.monitored[number].mean(axis=1) ** 2
            parts = [monitored, judged if honest else held_out[:, :0], held_out]
            for row, part in enumerate(parts):
                sums[name][row] += part.sum(axis=1)
                counts[name][row] += part.shape[1]
        best = {name: int(loss.argmin()) for name, loss in losses.items()}
        kept = sorted(names, key=lambda name: losses[name][best[name]])[:keep]
        near = {name: losses[name] <= (1 + tolerance) * losses[name].min() for name in kept}

        def networks(cell: int, near: dict[str, np.ndarray] = near) -> np.ndarray:
            """Return the predictions (members of all kept candidates, rows) for a cell."""
            return np.concatenate(
                [paths[name].test[cell][which].mean(axis=0) for name, which in near.items()]
            )

        path = networks(outer)
        table = _table(key, fold.test, observed, path.mean(axis=0))
        predictions.append(table.assign(spread=_spread(path)))
        for i in within:
            values = networks(i).mean(axis=0)
            inner.append(_table(key | {"inner": found[i].inner}, found[i].test, observed, values))
        for name in names:
            choice = {
                "setting": name,
                "steps": int(steps[name][best[name]]),
                "inner_loss": float(losses[name][best[name]]) if honest else np.nan,
                "chosen": name in kept,
            }
            choices.append(key | choice)
    curves = []
    for name in names:
        with np.errstate(invalid="ignore"):
            train, within, held_out = np.sqrt(sums[name] / counts[name][:, None])
        curves.append(
            pd.DataFrame(
                {
                    "setting": name,
                    "steps": steps[name],
                    "train": train,
                    "inner": within,
                    "held_out": held_out,
                }
            )
        )
    empty = pd.DataFrame(
        {"repeat": [], "fold": [], "inner": [], "position": [], "observed": [], "predicted": []}
    )
    return Result(
        pd.concat(predictions, ignore_index=True),
        pd.concat(inner, ignore_index=True) if inner else empty.astype({"position": int}),
        pd.concat(curves, ignore_index=True),
        pd.DataFrame(choices),
    )


def _squared(path: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Return squared errors (evaluations, scored rows) of the members' mean."""
    scored = ~np.isnan(observed)
    return (path.mean(axis=1)[:, scored] - observed[scored]) ** 2


def _spread(path: np.ndarray) -> np.ndarray:
    return path.std(axis=0, ddof=1) if len(path) > 1 else np.full(path.shape[1], np.nan)


def _table(
    key: dict[str, int], rows: np.ndarray, observed: np.ndarray, predicted: np.ndarray
) -> pd.DataFrame:
    columns = {"position": rows, "observed": observed[rows], "predicted": predicted}
    return pd.DataFrame({**key, **columns})
