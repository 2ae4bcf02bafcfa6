"""Error against the number of terrains that are learned from, of a network and of the ridge.

Both see the same random parts of the training terrains of each fold. A network is trained for as
many steps on a part as on the whole, so that what differs is what there is to learn from. The
penalty of the ridge is chosen by folds of the part.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.errors import InputError
from casestudies.evaluation.scores import cluster_weights
from casestudies.evaluation.splits import Fold
from casestudies.steps import log, main
from casestudies.tables import write_table
from casestudies.training.checkpoint import remove_checkpoints
from casestudies.training.device import device as find_device
from casestudies.training.parallel import side_by_side
from casestudies.wind.fit import cross_validate
from casestudies.wind.flows import Flows, read_flows, read_samples, read_usable_folds, speed
from casestudies.wind.models import Ridge
from casestudies.wind.networks import CORRECTED, Problem, check_name, parse_settings, train_network

INNER_FOLDS = 3
FEWEST = 2 * INNER_FOLDS


def learn(
    *,
    prepared: Path,
    samples: Path,
    splits: Path,
    model: str,
    cheap: str = "linear",
    settings: str = "{}",
    sizes: list[int],
    folds: int = 2,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int,
    threads: int = 1,
    device: str = "auto",
    checkpoint: Path,
    checkpoint_every: float = 60.0,
    output: Path,
) -> None:
    """Measure the error of a network and of the ridge against the number of training terrains.

    Parameters
    ----------
    prepared
        Terrains and flows (NetCDF).
    samples
        Prepared table, one row per terrain.
    splits
        Folds of a scheme.
    model
        The network.
    cheap
        The cheap flow model that a corrected network is given.
    settings
        Settings of the network as JSON.
    sizes
        Numbers of training terrains; all those of a fold are added.
    folds
        Folds that are used, at most: training is most of the work.
    resamples
        Bootstrap resamples of terrains.
    confidence
        Level of the intervals.
    seed
        Of the draws, the training and the resampling.
    threads
        CPU threads: networks that are trained side by side.
    device
        auto, cpu or cuda.
    checkpoint
        Folder of checkpoints; a killed step resumes from it, and a finished one removes it.
    checkpoint_every
        Seconds between checkpoints.
    output
        model, terrains, estimate, lower, upper (RMSE of the speed at the first height, relative to
        the inflow), tested (number of test terrains): CSV.

    Raises
    ------
    InputError
        If a number of terrains is too small.
    """
    if min(sizes, default=FEWEST) < FEWEST:
        raise InputError(
            f"training_sizes: {min(sizes)} terrains are too few to choose by; give {FEWEST} or "
            "more."
        )
    check_name(model)
    chosen = parse_settings(settings)
    where = find_device(device)
    table = read_samples(samples)
    plan = [fold for fold in read_usable_folds(splits, table) if fold.repeat == 0][:folds]
    wanted = [cheap] if model.endswith(CORRECTED) else []
    flows = read_flows(prepared, table["sample"].tolist(), wanted)
    problem, ridge = Problem.of(model, flows, chosen, where), Ridge(flows)
    whole = min(len(fold.train) for fold in plan)

    def fit(cell: tuple[int, Fold]) -> tuple[pd.Series, pd.Series]:
        size, fold = cell
        part = draw(fold, size, seed)
        child = int(np.random.SeedSequence([seed, size, fold.fold]).generate_state(1)[0])
        steps = chosen.epochs * max(1, round(whole / chosen.batch))
        trained = train_network(
            problem,
            part.train,
            child,
            None,
            checkpoint / f"{size}-{fold.fold}.safetensors",
            checkpoint_every,
            f"{model} on {size} terrains, fold {fold.fold}",
            steps,
        )
        found = speed(problem.predict(trained.network, part.test)[:, :, 0])
        predicted, _, _ = cross_validate(ridge, flows, [part], child, "ridge")
        square = (predicted["predicted"] - predicted["observed"]) ** 2
        mean = square.groupby(predicted["sample"], observed=True).mean()
        return _squared(found, flows, part.test), mean

    tried = [*sorted({size for size in sizes if size < whole}), whole]
    cells = [(size, fold) for size in tried for fold in plan]
    errors: dict[tuple[str, int], list[pd.Series]] = {}
    fitted = side_by_side(fit, cells, threads if where.type == "cpu" else 1)
    for (size, _), (own, linear) in zip(cells, fitted, strict=True):
        errors.setdefault((model, size), []).append(own)
        errors.setdefault(("ridge", size), []).append(linear)
    log.info("%d folds, %d terrains in the smallest", len(plan), whole)
    rows = [
        {"model": name, "terrains": size, **_scored(pd.concat(parts), resamples, confidence, seed)}
        for (name, size), parts in errors.items()
    ]
    write_table(pd.DataFrame(rows), output)
    remove_checkpoints(checkpoint)


def draw(fold: Fold, size: int, seed: int) -> Fold:
    """Return a fold that trains on some of the terrains, with inner folds of its own.

    A draw depends on seed, size and fold alone, so that all models get the same.
    """
    rng = np.random.default_rng(np.random.SeedSequence([seed, size, fold.fold, 1]))
    drawn = rng.permutation(fold.train)[:size]
    parts = np.array_split(drawn, INNER_FOLDS)
    inner = [(np.setdiff1d(drawn, part), np.sort(part)) for part in parts]
    return Fold(fold.repeat, fold.fold, np.sort(drawn), fold.test, inner)


def _squared(speeds: np.ndarray, flows: Flows, rows: np.ndarray) -> pd.Series:
    """Return the mean squared error of the speed of each terrain, indexed by its name."""
    error = speeds - speed(flows.scored[rows])
    return pd.Series((error**2).mean(axis=(1, 2)), flows.names[rows])


def _scored(
    squared: pd.Series, resamples: int, confidence: float, seed: int
) -> dict[str, float | int]:
    """Return the root of the mean over terrains, with an interval from resampling them."""
    names, values = squared.index.to_numpy(), squared.to_numpy(float)
    weights = cluster_weights([names], resamples, np.random.default_rng(seed))
    resampled = np.sqrt(weights @ values / weights.sum(axis=1))
    lower, upper = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return {
        "estimate": float(np.sqrt(values.mean())),
        "lower": float(lower),
        "upper": float(upper),
        "tested": len(np.unique(names)),
    }


if __name__ == "__main__":
    main(learn)
