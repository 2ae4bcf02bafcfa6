"""What a flow costs, and how wrong it is: the costly model, itself made cheaper, and substitutes.

All is measured in one job on one thread, on terrains of growing steepness. The costly model as the
truth was made has no error by definition; on coarser grids, with fewer levels or a looser
tolerance it has one, and takes less time. A substitute is worth having where it is faster than
that at equal error. Errors of substitutes are those of their out-of-fold predictions.
"""

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.ndimage import map_coordinates

from casestudies.errors import InputError
from casestudies.evaluation.scores import cluster_weights
from casestudies.steps import main, progress
from casestudies.tables import read_metadata, write_table
from casestudies.training.parallel import one_thread
from casestudies.wind.flow import Flow
from casestudies.wind.results import Predicted, Results
from casestudies.wind.save import read_surrogate, solve_cheap

log = logging.getLogger("casestudies")

CHEAPER: dict[str, list[tuple[str, int, dict[str, float]]]] = {
    "mass_consistent": [
        ("tolerance 1e-2", 1, {"tolerance": 1e-2}),
        ("tolerance 0.1", 1, {"tolerance": 0.1}),
        ("half the levels, tolerance 1e-2", 1, {"levels": 0.5, "tolerance": 1e-2}),
        ("cells × 2, tolerance 1e-2", 2, {"tolerance": 1e-2}),
        ("cells × 2, half the levels, tolerance 0.1", 2, {"levels": 0.5, "tolerance": 0.1}),
        ("cells × 4, half the levels, tolerance 0.1", 4, {"levels": 0.5, "tolerance": 0.1}),
    ],
    "openfoam": [
        ("residual 1e-3", 1, {"residual": 1e-3}),
        ("residual 1e-2", 1, {"residual": 1e-2}),
        ("cells × 2", 2, {}),
        ("cells × 2, residual 1e-2", 2, {"residual": 1e-2}),
        ("cells × 4, residual 1e-2", 4, {"residual": 1e-2}),
    ],
}
"""By costly model: name, how much larger its cells are, and settings (levels as a factor)."""


def coarser(elevation: np.ndarray, factor: int) -> np.ndarray:
    """Return every so many of the nodes, (ny / factor + 1, nx / factor + 1)."""
    return elevation[::factor, ::factor]


def finer(values: np.ndarray, factor: int) -> np.ndarray:
    """Return cell values of a coarse grid at the cells of the fine one, bilinearly."""
    shape = tuple(factor * n for n in values.shape)
    places = np.indices(shape)
    return map_coordinates(values, (places + 0.5) / factor - 0.5, order=1, mode="nearest")


def _cheaper(settings: Mapping[str, Any], changes: Mapping[str, float]) -> dict[str, Any]:
    changed = {
        name: max(6, round(settings[name] * value)) if name == "levels" else value
        for name, value in changes.items()
    }
    return {**settings, **changed}


@dataclass(frozen=True)
class Sample:
    """Some terrains of a data set, from gentle to steep.

    Parameters
    ----------
    names
        (n,).
    elevation
        At nodes, (n, ny + 1, nx + 1), m.
    roughness
        (n,), m.
    spacing
        Size of a cell (m).
    height
        Above ground, at which speed is compared (m).
    box
        Rows and columns of the interior.
    """

    names: list[str]
    elevation: np.ndarray
    roughness: np.ndarray
    spacing: float
    height: float
    box: tuple[slice, slice]

    @classmethod
    def of(cls, results: Results, count: int) -> Self:
        """Take ``count`` usable terrains, evenly by their steepness."""
        usable = results.prepared[results.prepared["reason"] == ""].sort_values("slope_p95")
        places = np.linspace(0, len(usable) - 1, min(count, len(usable))).round().astype(int)
        names = usable["sample"].iloc[np.unique(places)].tolist()
        fields = results.fields.sel(terrain=names)
        return cls(
            names,
            fields["elevation"].to_numpy().astype(float),
            fields["roughness"].to_numpy(),
            float(fields.attrs["spacing"]),
            results.height,
            results.box,
        )

    def solve(
        self, solver: Callable[..., Flow], factor: int, settings: Mapping[str, Any]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return seconds, (n,), and speed in the interior, (n, y, x); NaN where it failed."""
        seconds, speeds = [], []
        for elevation, roughness in zip(self.elevation, self.roughness, strict=True):
            flow = solver(
                coarser(elevation, factor),
                self.spacing * factor,
                roughness,
                [self.height],
                settings,
            )
            seconds.append(flow.seconds)
            speeds.append(finer(np.hypot(flow.u[0], flow.v[0]), factor)[self.box])
        return np.array(seconds), np.stack(speeds)

    def each(self, run: Callable[[np.ndarray, np.ndarray], Any]) -> np.ndarray:
        """Return the processor seconds of ``run`` on each terrain, once warm, (n,)."""
        run(self.elevation[:1], self.roughness[:1])
        seconds = []
        for k in range(len(self.names)):
            start = time.process_time()
            run(self.elevation[k : k + 1], self.roughness[k : k + 1])
            seconds.append(time.process_time() - start)
        return np.array(seconds)

    def errors(self, predicted: Predicted) -> np.ndarray:
        """Return the mean squared error of out-of-fold predictions of each terrain, (n,)."""
        rows = pd.Index(predicted.names.astype(str)).get_indexer(self.names)
        return ((predicted.predicted - predicted.observed)[rows] ** 2).mean(axis=1)


def cost(
    *,
    results: Path,
    scheme: str,
    networks: list[str],
    model: Path,
    cheap: list[str],
    settings: str,
    terrains: int = 12,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int,
    output: Path,
) -> None:
    """Measure seconds and error of the costly model, of cheaper forms of it, and of substitutes.

    Parameters
    ----------
    results
        Folder of the data set's results.
    scheme
        Scheme of the out-of-fold predictions.
    networks
        Networks among which the surrogate was chosen: their training is part of its price.
    model
        Folder of the saved surrogate, whose time is taken.
    cheap
        Cheap flow models that compete.
    settings
        By flow model its settings as JSON.
    terrains
        Number of terrains.
    resamples
        Bootstrap resamples of terrains.
    confidence
        Level of the intervals.
    seed
        Seed of the resampling.
    output
        kind (reference, solver, cheap, surrogate), model, seconds (of the processor, a flow), rmse,
        lower, upper, terrains, break_even (flows after which the surrogate, its training terrains
        and its training included, has cost no more than the costly model) (CSV).
    """
    one_thread()
    found = Results(results, [scheme], [])
    costly = str(read_metadata(results / "prepared.parquet")["solver"])
    chosen: dict[str, Any] = json.loads(settings)
    sample = Sample.of(found, terrains)
    drawn = cluster_weights([np.array(sample.names)], resamples, np.random.default_rng(seed))
    levels = [(1 - confidence) / 2, (1 + confidence) / 2]

    def row(kind: str, label: str, seconds: np.ndarray, squared: np.ndarray) -> dict[str, Any]:
        lower, upper = np.quantile(np.sqrt(drawn @ squared / drawn.sum(axis=1)), levels)
        return {
            "kind": kind,
            "model": label,
            "seconds": float(seconds.mean()),
            "rmse": float(np.sqrt(squared.mean())),
            "lower": float(lower),
            "upper": float(upper),
            "terrains": len(sample.names),
            "break_even": np.nan,
        }

    solver: Callable[..., Flow] = import_module(f"casestudies.wind.{costly}").solve
    full, truth = sample.solve(solver, 1, chosen[costly])
    if np.isnan(truth).any():
        raise InputError(
            f"{results / 'prepared.nc'}: the {costly} model failed on a terrain that it had solved "
            "before; make the flows again."
        )
    table = [row("reference", costly, full, np.zeros(len(sample.names)))]
    for label, factor, changes in progress(CHEAPER[costly], f"{costly}, made cheaper"):
        if any((nodes - 1) % factor for nodes in sample.elevation.shape[1:]):
            log.info("%s: left out, since the grid has no such cells", label)
            continue
        seconds, speeds = sample.solve(solver, factor, _cheaper(chosen[costly], changes))
        if np.isnan(speeds).any():
            log.info("%s: left out, since it failed on a terrain", label)
            continue
        table.append(row("solver", label, seconds, ((speeds - truth) ** 2).mean(axis=(1, 2))))
    for name in cheap:
        seconds = sample.each(
            lambda elevation, roughness, name=name: solve_cheap(
                name, elevation, sample.spacing, roughness, [sample.height], chosen.get(name, {})
            )
        )
        table.append(row("cheap", name, seconds, sample.errors(found.predictions(scheme, name))))
    surrogate = read_surrogate(model)
    name = surrogate.about.network
    found_by = found.predictions(scheme, name)
    last = row("surrogate", name, sample.each(surrogate.predict), sample.errors(found_by))
    trained = sum(
        read_metadata(results / "predictions" / scheme / f"{network}.parquet")["seconds"]
        for network in networks
    )
    spared = full.mean() - last["seconds"]
    if spared > 0:
        price = found.prepared["seconds"].sum() + trained
        last["break_even"] = price / spared
    write_table(pd.DataFrame([*table, last]), output)


if __name__ == "__main__":
    main(cost)
