"""Train one network under one cross-validation scheme.

In each outer fold there is one network for each inner fold, trained without it. What the network
says of that inner fold gives the inner predictions; the mean of all of them predicts the test fold
(cross-validation ensembling, Krogh & Vedelsby 1995, Adv. Neural Inf. Process. Syst. 7). Intervals
are calibrated by the residuals of single networks, so that they are rather too wide for the mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.evaluation.conformal import add_intervals
from casestudies.evaluation.splits import Fold
from casestudies.steps import main
from casestudies.tables import write_table
from casestudies.training.checkpoint import remove_checkpoints
from casestudies.training.device import describe
from casestudies.training.device import device as find_device
from casestudies.training.energy import measured
from casestudies.training.parallel import side_by_side
from casestudies.wind.fit import squared_error
from casestudies.wind.flows import (
    Flows,
    calibration_part,
    prediction_table,
    read_flows,
    read_samples,
    read_usable_folds,
    speed,
    units_of,
)
from casestudies.wind.networks import (
    CORRECTED,
    Problem,
    check_name,
    parse_settings,
    spread_of,
    train_network,
)


def train(
    *,
    prepared: Path,
    samples: Path,
    splits: Path,
    model: str,
    cheap: str = "linear",
    settings: str = "{}",
    units: list[str],
    coverage: float = 0.9,
    seed: int,
    threads: int = 1,
    device: str = "auto",
    country: str = "FRA",
    checkpoint: Path,
    checkpoint_every: float = 60.0,
    output: Path,
    inner: Path,
    choices: Path,
    curves: Path,
) -> None:
    """Train a network for each inner fold of each fold of a scheme; their mean is the prediction.

    Parameters
    ----------
    prepared
        Terrains and flows (NetCDF).
    samples
        Prepared table, one row per terrain.
    splits
        Outer and inner folds of the scheme.
    model
        unet, unet_corrected, fno or fno_corrected.
    cheap
        The cheap flow model that corrected networks are given.
    settings
        Settings that differ from the defaults (casestudies.config.wind.Training), as JSON.
    units
        Columns of the units that are new in this scheme; intervals are calibrated by them.
    coverage
        Nominal coverage of the prediction intervals.
    seed
        Seed of everything random in the training.
    threads
        CPU threads: networks that are trained side by side.
    device
        auto, cpu or cuda.
    country
        ISO 3166 code of the country whose electricity mix turns energy into CO2e.
    checkpoint
        Folder of checkpoints; a killed step resumes from it, and a finished one removes it.
    checkpoint_every
        Seconds between checkpoints.
    output
        Out-of-fold predictions with intervals: speed and components at the first height, of every
        interior cell, relative to the inflow; ``spread`` is the standard deviation of the speed
        between networks.
    inner
        Predictions of the inner folds: speed.
    choices
        Inner error in every fold.
    curves
        Error along the training: training, inner and held-out terrains (RMSE of the components,
        relative to the inflow).
    """
    check_name(model)
    chosen = parse_settings(settings)
    where = find_device(device)
    with measured(country) as energy:
        table = read_samples(samples, units)
        folds = read_usable_folds(splits, table)
        wanted = [cheap] if model.endswith(CORRECTED) else []
        flows = read_flows(prepared, table["sample"].tolist(), wanted)
        problem = Problem.of(model, flows, chosen, where)
        result = cross_validate(problem, flows, folds, seed, checkpoint, checkpoint_every, threads)
        part = calibration_part(result.inner, flows.grid.points)
        predictions = add_intervals(result.predictions, part, units_of(table, units), coverage)
    metadata = {
        "model": model,
        "settings": chosen.model_dump(mode="json"),
        "seed": seed,
        "threads": threads,
        "networks": sum(len(fold.inner) for fold in folds),
        **describe(where),
        **energy.as_dict(),
    }
    write_table(result.inner, inner, {"model": model})
    write_table(result.choices, choices, {"model": model})
    write_table(result.curves, curves, {"model": model})
    write_table(predictions, output, metadata)
    remove_checkpoints(checkpoint)


@dataclass(frozen=True)
class Result:
    """Tables as from casestudies.wind.fit, and the curves of the training."""

    predictions: pd.DataFrame
    inner: pd.DataFrame
    choices: pd.DataFrame
    curves: pd.DataFrame


def cross_validate(
    problem: Problem,
    flows: Flows,
    folds: Sequence[Fold],
    seed: int,
    checkpoint: Path | None = None,
    checkpoint_every: float = 60.0,
    threads: int = 1,
) -> Result:
    """Train and predict all folds; see the module.

    Parameters
    ----------
    checkpoint
        Folder; what was trained is kept there until the caller removes it.
    threads
        CPU threads: networks that are trained side by side.
    """
    cells = [(fold, number) for fold in folds for number in range(len(fold.inner))]

    def fit(place: int) -> tuple[np.ndarray, pd.DataFrame]:
        fold, number = cells[place]
        train, held_out = fold.inner[number]
        name = f"{fold.repeat}-{fold.fold}-{number}"
        child = np.random.SeedSequence([seed, fold.repeat, fold.fold, number])
        trained = train_network(
            problem,
            train,
            int(child.generate_state(1)[0]),
            {"train": train, "inner": held_out, "held_out": fold.test},
            None if checkpoint is None else checkpoint / f"{name}.safetensors",
            checkpoint_every,
            f"{problem.name}, network {place + 1} of {len(cells)}",
        )
        found = problem.predict(trained.network, np.concatenate([held_out, fold.test]))
        return found[:, :, 0], pd.DataFrame(trained.curve)

    predictions, inner, choices, curves = [], [], [], []
    fitted = side_by_side(fit, range(len(cells)), threads if problem.where.type == "cpu" else 1)
    for fold in folds:
        key = {"repeat": fold.repeat, "fold": fold.fold}
        tested, losses = [], []
        for number, (_, held_out) in enumerate(fold.inner):
            found, curve = next(fitted)
            own, other = np.split(found, [len(held_out)])
            losses.append(squared_error(own, flows, held_out))
            tested.append(other)
            inner.append(prediction_table(flows, key | {"inner": number}, held_out, speed(own)))
            curves.append(curve)
        mean = np.mean(tested, axis=0)
        outer = prediction_table(flows, key, fold.test, speed(mean), mean)
        outer["spread"] = spread_of(tested).astype(np.float32).ravel()
        predictions.append(outer)
        loss = float(np.concatenate(losses).mean())
        setting = f"{problem.settings.epochs} epochs"
        choices.append({**key, "setting": setting, "inner_loss": loss, "chosen": True})
    return Result(
        pd.concat(predictions, ignore_index=True),
        pd.concat(inner, ignore_index=True),
        pd.DataFrame(choices),
        _mean_curve(curves, problem),
    )


def _mean_curve(curves: Sequence[pd.DataFrame], problem: Problem) -> pd.DataFrame:
    """Return root mean squared errors over all networks, one row an evaluation."""
    # The last batch of a pass may be short, so that evaluations of unequal folds lie apart a bit.
    squares = pd.concat(curves).groupby(level=0).mean()
    table = np.sqrt(squares[["train", "inner", "held_out"]])
    table.insert(0, "setting", problem.name)
    table.insert(1, "epochs", squares["epochs"])
    return table.reset_index(drop=True)


if __name__ == "__main__":
    main(train)
