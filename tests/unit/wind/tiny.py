"""A tiny study: random fields, and a flow that departs from linear theory where it is steep."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from casestudies.config.schemes import RandomKFold
from casestudies.evaluation.splits import Fold, folds_to_table, make_folds
from casestudies.tables import write_table
from casestudies.wind import COMPONENTS, RANDOM_FIELD
from casestudies.wind.flows import Flows, read_flows, read_usable_folds
from casestudies.wind.linear import solve_many
from casestudies.wind.terrain import blend, guard, interior, random_field, slopes

TERRAINS, CELLS, SPACING, FRINGE = 24, 16, 60.0, 0.25
HEIGHTS = (10.0, 50.0)
REJECTED = 5
"""Position of the terrain whose flow is missing."""
SETTINGS = '{"width": 4, "epochs": 12, "batch": 3, "learning_rate": 0.01}'


@dataclass(frozen=True)
class Study:
    """The files, and what they hold."""

    folder: Path
    samples: pd.DataFrame
    flows: Flows
    folds: list[Fold]

    @property
    def given(self) -> dict:
        """What every step is given."""
        names = {
            "prepared": "prepared.nc",
            "samples": "prepared.parquet",
            "splits": "splits.parquet",
        }
        return {key: self.folder / name for key, name in names.items()} | {"seed": 3}


def terrains(count: int = TERRAINS, seed: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Return elevations (n, CELLS + 1, CELLS + 1) and roughness lengths (n,)."""
    rng = np.random.default_rng(seed)
    fields = [
        random_field(CELLS, SPACING, 250.0, rng.uniform(0.05, 0.3), 4.0, rng) for _ in range(count)
    ]
    return blend(np.stack(fields), FRINGE), np.exp(rng.uniform(*np.log([0.01, 0.3]), count))


def make_study(folder: Path, shuffle: int | None = None, spoil: np.ndarray | None = None) -> Study:
    """Write the study.

    Parameters
    ----------
    shuffle
        Seed of a permutation of the flows among terrains.
    spoil
        Terrains whose flow is replaced by another.
    """
    folder.mkdir(parents=True, exist_ok=True)
    elevation, roughness = terrains()
    found = solve_many(elevation, SPACING, roughness, HEIGHTS)
    cheap = np.stack([np.stack([one.u, one.v, one.w]) for one in found])
    along, across = slopes(elevation, SPACING)
    target = cheap.copy()
    target[:, 0] -= 0.8 * (along**2 + across**2)[:, None]
    target[:, 1] += 0.8 * (along * across)[:, None]
    if shuffle is not None:
        target = target[np.random.default_rng(shuffle).permutation(TERRAINS)]
    if spoil is not None:
        target[spoil] = target[spoil] * 3 + 1
    target[REJECTED] = np.nan
    names = [f"field-{k:04d}" for k in range(TERRAINS)]
    inside = interior((CELLS, CELLS), FRINGE)
    dims = ("terrain", "height", "y", "x")
    fields = {name: (dims, target[:, k]) for k, name in enumerate(COMPONENTS)}
    fields |= {f"linear_{name}": (dims, cheap[:, k]) for k, name in enumerate(COMPONENTS)}
    xr.Dataset(
        {
            "elevation": (("terrain", "y_node", "x_node"), elevation.astype(np.float32)),
            "roughness": ("terrain", roughness),
            "interior": (("y", "x"), inside.astype(np.int8)),
            **{
                name: (where, values.astype(np.float32)) for name, (where, values) in fields.items()
            },
        },
        coords={"terrain": names, "height": list(HEIGHTS)},
        attrs={"spacing": SPACING, "fringe": FRINGE},
    ).to_netcdf(folder / "prepared.nc", engine="h5netcdf")
    slope, relief, _ = guard(elevation, SPACING, np.inf, np.inf)
    samples = pd.DataFrame(
        {
            "sample": names,
            "massif": RANDOM_FIELD,
            "real": 0,
            "roughness": roughness,
            "slope_p95": slope,
            "relief": relief,
            "speed": np.hypot(target[:, 0, 0], target[:, 1, 0])[:, inside].mean(axis=1),
        }
    )
    write_table(samples, folder / "prepared.parquet", {"solver": "mass_consistent"})
    folds = make_folds(samples, "speed", RandomKFold(folds=3, inner_folds=2), 0)
    write_table(folds_to_table(folds, samples), folder / "splits.parquet")
    flows = read_flows(folder / "prepared.nc", names, ["linear"])
    return Study(folder, samples, flows, read_usable_folds(folder / "splits.parquet", samples))
