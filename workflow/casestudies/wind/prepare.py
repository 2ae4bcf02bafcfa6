"""Gather terrains and the flows over them into analysis-ready files.

- ``prepared.nc``: elevation (terrain, y_node, x_node), roughness (terrain), the flow of the costly
  model u, v, w (terrain, height, y, x), that of the cheap models (``linear_u``, …), the cells that
  count (``interior``), and each cell's place on the slope (``position``).
- ``prepared.parquet``: one row a terrain. ``speed`` is the mean horizontal speed in the interior at
  the first height; it is missing where guard rails refuse the terrain or the costly model did not
  converge, with the ``reason``: such a terrain is neither learned from nor scored.
"""

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from scipy.ndimage import uniform_filter

from casestudies.errors import InputError
from casestudies.files import write_netcdf
from casestudies.steps import main
from casestudies.tables import write_table
from casestudies.wind import COMPONENTS
from casestudies.wind.features import cell_heights
from casestudies.wind.terrain import read_terrains, slopes

POSITIONS = ("level", "windward", "ridge", "lee")
"""Places on a slope, in the order of the codes of ``position``."""
NEIGHBOURHOOD = 500.0
"""Width of the square whose mean height a ridge stands above (m)."""
_KEPT = ("massif", "real", "roughness", "slope_p95", "relief")
_LEVEL = 0.05
"""Slopes along the wind below this are neither windward nor lee (m per m)."""


def slope_position(elevation: np.ndarray, spacing: float) -> np.ndarray:
    """Return the place of each cell on the slope as an index of POSITIONS.

    A ridge stands at least one standard deviation of its terrain above its neighbourhood
    (topographic position index; Weiss 2001). Elsewhere the slope along the wind decides: windward
    if it rises downwind, lee if it falls.

    Parameters
    ----------
    elevation
        Heights at nodes, (terrains, ny + 1, nx + 1) (m).
    spacing
        Size of a cell (m).

    Returns
    -------
    int8, (terrains, ny, nx).
    """
    height = cell_heights(elevation)
    width = 2 * int(NEIGHBOURHOOD / spacing / 2) + 1
    above = height - uniform_filter(height, (0, width, width), mode="nearest")
    rise, _ = slopes(elevation, spacing)
    position = np.where(rise > _LEVEL, 1, np.where(rise < -_LEVEL, 3, 0))
    spread = above.std(axis=(1, 2), keepdims=True)
    return np.where((above > spread) & (spread > 0), 2, position).astype(np.int8)


def prepare(
    *,
    terrains: Path,
    flows: list[Path],
    cheap: list[Path] | None = None,
    fields: Path,
    output: Path,
) -> None:
    """Gather terrains, the flows of the costly model, and those of cheap models.

    Parameters
    ----------
    terrains
        The terrains (NetCDF; see casestudies.wind.terrain).
    flows
        Flows of the costly model, in one file or in one for each terrain.
    cheap
        Flows of cheap models, one file each, called by the model's name.
    fields
        Output: terrains and flows (NetCDF).
    output
        Output: one row a terrain (Parquet).
    """
    land = read_terrains(terrains)
    target = _flows(flows, land.names)
    heights = target["height"].to_numpy()
    rejected = land.table["rejected"].to_numpy()
    reason = np.where(rejected == "", target["reason"].to_numpy(), rejected).astype(str)
    usable = xr.DataArray(reason == "", dims="terrain", coords={"terrain": target["terrain"]})
    inside = land.interior
    parts = {name: target[name].where(usable).astype(np.float32) for name in COMPONENTS}
    for path in cheap or []:
        found = _flows([path], land.names)
        if not np.array_equal(found["height"], heights):
            raise InputError(
                f"{path}: the flow is at {found['height'].to_numpy()} m, that of the costly model "
                f"at {heights} m; delete the file to have it made again."
            )
        parts |= {f"{path.stem}_{name}": found[name].astype(np.float32) for name in COMPONENTS}
    position = slope_position(land.elevation, land.spacing)
    done = xr.Dataset(
        {
            "elevation": (
                ("terrain", "y_node", "x_node"),
                land.elevation.astype(np.float32),
                {"units": "m", "long_name": "elevation"},
            ),
            "roughness": (
                "terrain",
                land.table["roughness"].to_numpy(),
                {"units": "m", "long_name": "roughness length"},
            ),
            **parts,
            "interior": (("y", "x"), inside.astype(np.int8)),
            "position": (("terrain", "y", "x"), position),
        },
        attrs={
            "Conventions": "CF-1.11",
            "spacing": land.spacing,
            "fringe": land.fringe,
            "solver": target.attrs["solver"],
        },
    ).drop_vars([name for name in ("x", "y") if name in target.coords], errors="ignore")
    done = done.assign_coords(
        {axis: (np.arange(target.sizes[axis]) + 0.5) * land.spacing for axis in ("x", "y")}
    )
    for axis, where in (("x", "downwind"), ("y", "to the left of the wind")):
        done[axis].attrs = {"units": "m", "long_name": f"distance {where}"}
    done["height"].attrs = {"units": "m", "long_name": "height above ground", "positive": "up"}
    for name in parts:
        done[name].attrs = {"units": "1", "long_name": f"{name}, relative to the inflow at 10 m"}
    done["position"].attrs = {
        "flag_values": np.arange(len(POSITIONS), dtype=np.int8),
        "flag_meanings": " ".join(POSITIONS),
    }
    done["interior"].attrs = {
        "flag_values": np.array([0, 1], dtype=np.int8),
        "flag_meanings": "fringe interior",
    }
    speed = np.hypot(parts["u"][:, 0], parts["v"][:, 0]).to_numpy()[:, inside].mean(axis=1)
    table = pd.DataFrame(
        {
            "sample": land.names,
            **{name: land.table[name] for name in _KEPT},
            "seconds": target["seconds"].to_numpy(),
            "iterations": target["iterations"].to_numpy(),
            "converged": target["converged"].to_numpy().astype(bool),
            "reason": reason,
            "speed": speed.astype(float),
        }
    )
    if table["speed"].notna().sum() == 0:
        raise InputError(
            f"{terrains}: none of the {len(table)} terrains can be used; the first is refused for: "
            f"{table['reason'].iloc[0]}"
        )
    packed = {name: {"zlib": True, "complevel": 1} for name in (*parts, "elevation")}
    write_netcdf(done, fields, packed)
    facts = {
        "long_name": "wind speed relative to the inflow",
        "height": float(heights[0]),
        "solver": target.attrs["solver"],
        "cells": int(inside.sum()),
        "units": {"slope_p95": "m m-1", "relief": "m", "roughness": "m", "speed": "1"},
    }
    write_table(table, output, facts)


def _flows(paths: list[Path], names: list[str]) -> xr.Dataset:
    """Return the flows over all terrains, in their order."""
    parts = []
    for path in paths:
        with xr.open_dataset(path, engine="h5netcdf") as opened:
            parts.append(opened.load())
    flows = parts[0] if len(parts) == 1 else xr.concat(parts, "terrain", combine_attrs="override")
    known = set(flows["terrain"].to_numpy().tolist())
    missing = [name for name in names if name not in known]
    if missing:
        raise InputError(
            f"{paths[0].parent}: no flow over {len(missing)} of {len(names)} terrains, the first "
            f"{missing[0]}; the flows belong to other terrains: delete them."
        )
    return flows.sel(terrain=names)


if __name__ == "__main__":
    main(prepare)
