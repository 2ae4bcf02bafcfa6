"""What the models learn from: terrains and their flows, read from ``prepared.nc``.

The frame is that of casestudies.wind.flow. Only the interior of a terrain is learned and scored:
around it the terrain is blended to flat ground.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from casestudies.errors import InputError, nearest
from casestudies.evaluation.splits import Fold, read_folds
from casestudies.steps import progress
from casestudies.tables import read_table
from casestudies.wind import COMPONENTS
from casestudies.wind.features import stacked, terrain_features

_CALIBRATED = 128
"""Cells of a terrain by which intervals are calibrated, about: neighbours say the same."""
_STACK = 64
"""Terrains whose features are computed at once: bounds memory."""


@dataclass(frozen=True)
class Grid:
    """The grid that all terrains share.

    Parameters
    ----------
    shape
        Cells along y and x.
    interior
        First cell and the one after the last of the interior, along y and along x.
    heights
        Above ground (m), the scored one first.
    spacing
        Size of a cell (m).
    fringe
        Part of the terrain, on each side, that is blended to flat ground.
    """

    shape: tuple[int, int]
    interior: tuple[tuple[int, int], tuple[int, int]]
    heights: tuple[float, ...]
    spacing: float
    fringe: float

    @property
    def inside(self) -> tuple[Any, ...]:
        """The index of the interior in the last two dimensions of an array."""
        return (..., *(slice(*ends) for ends in self.interior))

    @property
    def points(self) -> np.ndarray:
        """The number of every interior cell, row * nx + column, in the order of its values."""
        return np.arange(self.shape[0] * self.shape[1]).reshape(self.shape)[self.inside].ravel()


@dataclass(frozen=True)
class Flows:
    """Terrains, and the flows over them divided by the inflow speed.

    Parameters
    ----------
    names
        Of the terrains, (n,).
    elevation
        On nodes, (n, ny + 1, nx + 1), m.
    roughness
        Roughness length, (n,), m.
    target
        The costly model's flow in the interior, (n, 3, heights, y, x); NaN where it is rejected.
    cheap
        By cheap model its flow in all cells, (n, 3, heights, ny, nx).
    """

    grid: Grid
    names: np.ndarray
    elevation: np.ndarray
    roughness: np.ndarray
    target: np.ndarray
    cheap: dict[str, np.ndarray]

    @property
    def scored(self) -> np.ndarray:
        """The costly model's flow at the first height, (n, 3, y, x)."""
        return self.target[:, :, 0]

    @cached_property
    def features(self) -> np.ndarray:
        """The features of all interior cells, (n, features, y, x): made once for all models."""
        parts = []
        starts = range(0, len(self.names), _STACK)
        for start in progress(starts, "features"):
            rows = slice(start, start + _STACK)
            found = terrain_features(self.elevation[rows], self.roughness[rows], self.grid.spacing)
            parts.append(stacked(found)[self.grid.inside])
        return np.ascontiguousarray(np.concatenate(parts))

    def take(self, rows: np.ndarray) -> "Flows":
        """Return some of the terrains."""
        cheap = {name: values[rows] for name, values in self.cheap.items()}
        parts = (self.names, self.elevation, self.roughness, self.target)
        return Flows(self.grid, *(part[rows] for part in parts), cheap)


def read_flows(path: Path, names: Sequence[str], cheap: Sequence[str] = ()) -> Flows:
    """Read terrains and flows.

    Parameters
    ----------
    path
        ``prepared.nc``.
    names
        Terrains wanted, in this order.
    cheap
        Cheap models whose flows are wanted.

    Raises
    ------
    InputError
        If the file is missing, or lacks a terrain or a variable.
    """
    import xarray as xr

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    wanted = [*COMPONENTS, *(f"{model}_{name}" for model in cheap for name in COMPONENTS)]
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        for name in ("terrain", "height", "elevation", "roughness", "interior", *wanted):
            if name not in dataset.variables:
                hint = nearest(name, map(str, dataset.variables))
                raise InputError(f"{path}: variable {name!r} is missing; {hint}")
        position = pd.Index(dataset["terrain"].values.astype(str)).get_indexer(list(names))
        if (position < 0).any():
            missing = names[int((position < 0).argmax())]
            raise InputError(f"{path}: holds no terrain {missing!r}; make it again.")
        grid = _grid(dataset, path)

        def fields(prefix: str, inside: tuple[Any, ...]) -> np.ndarray:
            parts = [
                dataset[prefix + name].transpose("terrain", "height", "y", "x")
                for name in COMPONENTS
            ]
            return np.stack(
                [part.values[inside].astype(np.float32)[position] for part in parts], axis=1
            )

        elevation = dataset["elevation"].transpose("terrain", "y_node", "x_node").values
        return Flows(
            grid,
            np.asarray(names, dtype=str),
            elevation.astype(np.float32)[position],
            dataset["roughness"].values.astype(float)[position],
            fields("", grid.inside),
            {model: fields(f"{model}_", (...,)) for model in cheap},
        )


def _grid(dataset: Any, path: Path) -> Grid:
    interior = dataset["interior"].transpose("y", "x").values.astype(bool)
    rows, columns = (np.flatnonzero(interior.any(axis=axis)) for axis in (1, 0))
    if len(rows) * len(columns) != interior.sum() or not len(rows):
        raise InputError(f"{path}: the interior must be a rectangle of cells.")
    for name in ("spacing", "fringe"):
        if name not in dataset.attrs:
            raise InputError(f"{path}: attribute {name!r} is missing; make the file again.")
    return Grid(
        interior.shape,
        tuple((int(one[0]), int(one[-1]) + 1) for one in (rows, columns)),
        tuple(dataset["height"].values.astype(float).tolist()),
        float(dataset.attrs["spacing"]),
        float(dataset.attrs["fringe"]),
    )


def read_samples(path: Path, units: Sequence[str] = ()) -> pd.DataFrame:
    """Read ``prepared.parquet``: one row per terrain; its speed is missing where rejected."""
    return read_table(path, columns=["speed"], complete=["sample", *units])


def read_usable_folds(path: Path, samples: pd.DataFrame) -> list[Fold]:
    """Read folds without the terrains whose flow was rejected, in training and in test.

    Raises
    ------
    InputError
        If a fold is left without terrains to train on or to test.
    """
    usable = samples["speed"].notna().to_numpy()
    folds = []
    for fold in read_folds(path, samples):
        inner = [tuple(rows[usable[rows]] for rows in pair) for pair in fold.inner]
        train, test = (rows[usable[rows]] for rows in (fold.train, fold.test))
        kept = replace(fold, train=train, test=test, inner=[p for p in inner if all(map(len, p))])
        if not len(test) or not kept.inner:
            raise InputError(
                f"{path}: fold {fold.fold} is left with {len(train)} terrains to train on, "
                f"{len(test)} to test and {len(kept.inner)} inner folds once rejected flows are "
                "out; simulate more terrains or choose fewer folds."
            )
        folds.append(kept)
    return folds


def mirrored(flow: np.ndarray, axis: int = 1) -> np.ndarray:
    """Return flows mirrored in y, (n, 3, …, y, x); ``axis`` is that of the components."""
    flipped = np.flip(flow, axis=-2).copy()
    np.moveaxis(flipped, axis, 0)[1] *= -1
    return flipped


def speed(flow: np.ndarray) -> np.ndarray:
    """Return the horizontal speed of flows (n, 3, …): (n, …)."""
    return np.hypot(flow[:, 0], flow[:, 1])


def prediction_table(
    flows: Flows,
    key: dict[str, int],
    rows: np.ndarray,
    speeds: np.ndarray,
    flow: np.ndarray | None = None,
) -> pd.DataFrame:
    """Return the rows of a prediction table for some terrains.

    Parameters
    ----------
    key
        ``repeat``, ``fold`` and perhaps ``inner``.
    rows
        The terrains, positions in ``flows``, (n,).
    speeds
        Their predicted speed at the first height, (n, y, x).
    flow
        The predicted components, too, (n, 3, y, x), if they are wanted in the table.
    """
    points = flows.grid.points
    names = pd.Categorical.from_codes(np.repeat(rows, len(points)), categories=flows.names.tolist())
    columns: dict[str, Any] = {"sample": names}
    columns |= {name: np.full(len(names), value, np.int16) for name, value in key.items()}
    columns["point"] = np.tile(points.astype(np.int32), len(rows))
    columns["observed"] = speed(flows.scored[rows]).astype(np.float32).ravel()
    columns["predicted"] = speeds.astype(np.float32).ravel()
    if flow is not None:
        for number, name in enumerate(COMPONENTS):
            columns[name] = flow[:, number].astype(np.float32).ravel()
    return pd.DataFrame(columns)


def calibration_part(inner: pd.DataFrame, points: np.ndarray) -> pd.DataFrame:
    """Return the rows of inner predictions by which intervals are calibrated: an even part."""
    chosen = points[:: max(1, round(len(points) / _CALIBRATED)) | 1]
    return inner[np.isin(inner["point"].to_numpy(), chosen)]


def units_of(samples: pd.DataFrame, units: Sequence[str]) -> pd.DataFrame:
    """Return the columns of the independent units, indexed by sample."""
    return samples.set_index("sample", drop=False)[list(units)]
