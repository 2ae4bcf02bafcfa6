"""Train the networks of one experiment, all widths, starts and redrawn sets as batches.

- ``variance``: bias and variance against width, on few measurements of the car, redrawn (Neal et
  al. 2019, arXiv:1810.08591).
- ``starts``: the spread of the final loss over many starts against width (Choromanska et al. 2015,
  AISTATS, arXiv:1412.0233).
- ``approximation``: the error against width and depth on a function of two variables without noise
  (Cybenko 1989, doi:10.1007/BF02551274; Leshno et al. 1993, doi:10.1016/S0893-6080(05)80131-5).

The networks are perceptrons of rectified linear units. Their biases start at zero, so every input
has a constant beside it: without it all kinks would start in one place.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from casestudies.config.lecture import (
    EXPERIMENTS,
    Approximation,
    Networks,
    Simulation,
    Starts,
)
from casestudies.errors import InputError, nearest
from casestudies.lecture.car import consumption, measure
from casestudies.lecture.redraw import POINTS
from casestudies.lecture.variance import (
    bootstrap,
    decompose,
    intervals,
    parts_of_variance,
)
from casestudies.steps import main
from casestudies.tables import write_table
from casestudies.training.checkpoint import remove_checkpoints
from casestudies.training.device import describe
from casestudies.training.device import device as find_device
from casestudies.training.energy import measured
from casestudies.training.ensemble import Architecture, Layer, Problem, Training, train_ensemble
from casestudies.training.parallel import one_thread

MOMENTUM = 0.9
_RESAMPLES = 1000


@dataclass(frozen=True)
class Run:
    """How and where an experiment is trained."""

    where: torch.device
    threads: int = 1
    checkpoints: Path | None = None
    every: float = 60.0

    def train(
        self, name: str, problems: list[Problem], hidden: tuple[int, ...], training: Training
    ) -> list[np.ndarray]:
        """Return the predictions of every problem's queries after training, (queries,) each."""
        architecture = Architecture(tuple(Layer(width, negative_slope=0.0) for width in hidden))
        folder = self.checkpoints and self.checkpoints / name.replace(" ", "_")
        trained = train_ensemble(
            problems,
            architecture,
            training,
            self.where,
            self.threads,
            folder,
            self.every,
            label=name,
        )
        return [predicted[-1] for predicted in trained.predictions]


def franke(points: np.ndarray) -> np.ndarray:
    """Return the function of Franke (1979, Naval Postgraduate School, NPS-53-79-003).

    Two hills, a smaller one and a dip over the unit square; points (n, 2) -> (n,).
    """
    x, y = 9 * points[:, 0], 9 * points[:, 1]
    return (
        0.75 * np.exp(-((x - 2) ** 2 + (y - 2) ** 2) / 4)
        + 0.75 * np.exp(-((x + 1) ** 2) / 49 - (y + 1) / 10)
        + 0.5 * np.exp(-((x - 7) ** 2 + (y - 3) ** 2) / 4)
        - 0.2 * np.exp(-((x - 4) ** 2) - (y - 7) ** 2)
    )


def sgd(width: int, settings: Networks | Starts) -> Training:
    """Return how a network of one hidden layer is trained by SGD.

    A step stays stable if it is small against the sum of the squares of the hidden activations,
    which grows with the width, and of the output weights, which does not: hence the plus four.
    """
    return Training(
        steps=settings.steps,
        evaluate_every=settings.steps,
        batch=settings.batch,
        optimizer="sgd",
        learning_rate=settings.learning_rate / (width + 4),
        momentum=MOMENTUM,
    )


def _standardised(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return columns (n, k + 1): values (n, k), uniform on low … high, scaled; and a constant."""
    scaled = (values - (low + high) / 2) / (high - low) * np.sqrt(12)
    return np.column_stack([scaled, np.ones(len(values))])


def variance(
    settings: Networks, simulation: Simulation, confidence: float, seed: int, run: Run
) -> pd.DataFrame:
    """Return bias and variance of networks, a row per width.

    Columns: width, parameters, networks; bias2, variance, error ((L/100 km)²) with _lower and
    _upper, from resampling sets; sampling and initialisation, the parts of the variance; rise, the
    variance of the widest less this one, with its paired interval; train, the root mean square
    training error (L/100 km).
    """
    first, second, third = np.random.SeedSequence(seed).spawn(3)
    sets = measure(simulation, settings.measurements, np.random.default_rng(first), settings.sets)
    seeds = second.generate_state(settings.seeds)
    points = np.linspace(simulation.slowest, simulation.fastest, POINTS)
    truth = consumption(points)
    ends = simulation.slowest, simulation.fastest
    rows, replicates = [], []
    for width in settings.widths:
        problems, scales = [], []
        for speed, observed in zip(*sets, strict=True):
            # Learned from the set alone, as a fold would.
            centre, spread = observed.mean(), observed.std()
            inputs = _standardised(speed[:, None], *ends)
            queries = _standardised(np.append(points, speed)[:, None], *ends)
            targets = (observed - centre) / spread
            problems += [Problem(inputs, targets, queries, int(seed)) for seed in seeds]
            scales += [(centre, spread)] * len(seeds)
        outputs = np.stack(run.train(f"width {width}", problems, (width,), sgd(width, settings)))
        centre, spread = np.transpose(scales)[..., None]
        outputs = outputs * spread + centre
        predicted = outputs[:, :POINTS]
        by_set = predicted.reshape(settings.sets, settings.seeds, POINTS)
        residual = outputs[:, POINTS:] - np.repeat(sets[1], settings.seeds, axis=0)
        row = {"width": width, "parameters": 4 * width + 1, "networks": len(problems)}
        row |= decompose(predicted, truth) | parts_of_variance(by_set)
        # The same resamples for every width, whose networks learned from the same sets.
        replicates.append(bootstrap(by_set, truth, _RESAMPLES, third))
        row |= intervals(replicates[-1], confidence)
        rows.append({**row, "train": np.sqrt((residual**2).mean())})
    for row, resampled in zip(rows, replicates, strict=True):
        row["rise"] = rows[-1]["variance"] - row["variance"]
        rises = {"rise": replicates[-1]["variance"] - resampled["variance"]}
        row |= intervals(rises, confidence)
    return pd.DataFrame(rows)


def spread_of_starts(settings: Starts, seed: int, run: Run) -> pd.DataFrame:
    """Return the final loss (mean squared error, in variances of the function) of every start.

    Columns: width, parameters, start, loss on the points learned from, test on as many others.
    """
    first, second = np.random.SeedSequence(seed).spawn(2)
    points = np.random.default_rng(first).uniform(size=(2 * settings.points, 2))
    values = franke(points)
    learned, spread = settings.points, values[: settings.points].std()
    targets = (values - values[:learned].mean()) / spread
    inputs = _standardised(points, 0, 1)
    parts = []
    for width in settings.widths:
        problems = [
            Problem(inputs[:learned], targets[:learned], inputs, int(seed))
            for seed in second.generate_state(settings.starts)
        ]
        outputs = np.stack(run.train(f"width {width}", problems, (width,), sgd(width, settings)))
        squares = (outputs - targets) ** 2
        part = {"width": width, "parameters": parameters_of(width, 1)}
        part |= {"start": range(settings.starts)}
        losses = squares[:, :learned].mean(axis=1), squares[:, learned:].mean(axis=1)
        parts.append(pd.DataFrame({**part, "loss": losses[0], "test": losses[1]}))
    return pd.concat(parts, ignore_index=True)


def parameters_of(width: int, depth: int) -> int:
    """Return the parameters of a network of two inputs and a constant."""
    return 4 * width + (depth - 1) * width * (width + 1) + width + 1


def approximation(settings: Approximation, seed: int, run: Run) -> pd.DataFrame:
    """Return the test error (root mean square, in deviations of the function) of every network.

    Columns: width, depth, parameters, start, error.
    """
    first, second = np.random.SeedSequence(seed).spawn(2)
    points = np.random.default_rng(first).uniform(size=(2 * settings.points, 2))
    values = franke(points)
    learned, centre = settings.points, values[: settings.points].mean()
    spread = values[:learned].std()
    targets = (values - centre) / spread
    inputs = _standardised(points, 0, 1)
    training = Training(
        steps=settings.steps,
        evaluate_every=settings.steps,
        batch=settings.batch,
        learning_rate=settings.learning_rate,
    )
    parts = []
    for depth in settings.depths:
        for width in settings.widths:
            problems = [
                Problem(inputs[:learned], targets[:learned], inputs[learned:], int(seed))
                for seed in second.generate_state(settings.starts)
            ]
            name = f"width {width} depth {depth}"
            outputs = np.stack(run.train(name, problems, (width,) * depth, training))
            error = np.sqrt(((outputs - targets[learned:]) ** 2).mean(axis=1))
            part = {"width": width, "depth": depth, "parameters": parameters_of(width, depth)}
            parts.append(pd.DataFrame({**part, "start": range(settings.starts), "error": error}))
    return pd.concat(parts, ignore_index=True)


def run_experiment(
    experiment: str, settings: str, simulation: Simulation, confidence: float, seed: int, run: Run
) -> pd.DataFrame:
    """Return the table of an experiment by its name, with settings as JSON."""
    match experiment:
        case "variance":
            chosen = Networks.model_validate_json(settings)
            return variance(chosen, simulation, confidence, seed, run)
        case "starts":
            return spread_of_starts(Starts.model_validate_json(settings), seed, run)
        case "approximation":
            return approximation(Approximation.model_validate_json(settings), seed, run)
    raise InputError(f"--experiment {experiment}: {nearest(experiment, EXPERIMENTS)}")


def train(
    *,
    experiment: str,
    settings: str = "{}",
    simulation: str = "{}",
    confidence: float = 0.95,
    seed: int,
    threads: int = 1,
    device: str = "auto",
    country: str = "FRA",
    checkpoint: Path,
    checkpoint_every: float = 60.0,
    output: Path,
) -> None:
    """Train the networks of one experiment.

    Parameters
    ----------
    experiment
        variance, starts or approximation (see the module).
    settings
        Settings that differ from the defaults (casestudies.config.lecture), as JSON.
    simulation
        Settings of the simulated car, as JSON.
    confidence
        Level of the intervals.
    seed
        Seed of everything random.
    threads
        CPU threads.
    device
        auto, cpu or cuda.
    country
        ISO 3166 code of the country whose electricity mix turns energy into CO2e.
    checkpoint
        Folder of checkpoints; a killed step resumes from it, and a finished one removes it.
    checkpoint_every
        Seconds between checkpoints.
    output
        Table of the experiment; its metadata hold device, time, energy and CO2e.
    """
    where = find_device(device)
    car = Simulation.model_validate_json(simulation)
    one_thread()
    with measured(country) as energy:
        run = Run(where, threads, checkpoint, checkpoint_every)
        table = run_experiment(experiment, settings, car, confidence, seed, run)
    facts = {"model": experiment, "settings": settings, "seed": seed, "threads": threads}
    write_table(table, output, {**facts, **describe(where), **energy.as_dict()})
    remove_checkpoints(checkpoint)


if __name__ == "__main__":
    main(train)
