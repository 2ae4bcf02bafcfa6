"""Terrains: Gaussian random fields, the fringe of flat ground, guard rails, and their file.

A terrain is a square grid of elevations at nodes (m), in the frame of casestudies.wind.flow. Around
its edge, the fringe, it is blended to flat ground, so that the undisturbed wind may come in; only
its interior is learned and scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.fft import next_fast_len, rfft2
from scipy.optimize import brentq
from scipy.special import gamma, kv

from casestudies.errors import InputError
from casestudies.files import write_netcdf

_COLUMNS = {  # name: (long name, unit); text has no unit
    "roughness": ("roughness length", "m"),
    "massif": ("massif, or random field", None),
    "real": ("1 for real terrain, 0 for a random field", "1"),
    "rejected": ("why guard rails reject the terrain; empty if they do not", None),
    "slope_p95": ("95th percentile of the slope", "1"),
    "relief": ("highest less lowest elevation", "m"),
    "correlation_length": ("correlation length of a random field, as drawn", "m"),
    "slope_rms": ("root mean square slope of a random field, as drawn", "1"),
    "spectral_exponent": ("spectral exponent of a random field, as drawn", "1"),
    "x": ("easting of the centre of real terrain, in the system of its elevation model", None),
    "y": ("northing of the centre of real terrain, in the system of its elevation model", None),
    "direction": ("direction that the wind comes from, clockwise from grid north", "degree"),
}
_TEXT = ("massif", "rejected")
_COMPLETE = ("roughness", "real", "slope_p95", "relief")
COLUMNS = tuple(_COLUMNS)
"""Columns of the table of terrains, beside ``terrain``, its identifier."""

# ------------------------------------------------------------------------------------- geometry


def slopes(elevation: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Return ∂z/∂x and ∂z/∂y at cell centres, (…, ny, nx), of nodes (…, ny + 1, nx + 1)."""
    along = np.diff(elevation, axis=-1) / spacing
    across = np.diff(elevation, axis=-2) / spacing
    return (
        (along[..., 1:, :] + along[..., :-1, :]) / 2,
        (across[..., 1:] + across[..., :-1]) / 2,
    )


def interior(shape: tuple[int, int], fringe: float) -> np.ndarray:
    """Return which cells lie outside the fringe, bool (ny, nx)."""
    inside = []
    for cells in shape:
        centre = (np.arange(cells) + 0.5) / cells
        inside.append((centre >= fringe) & (centre <= 1 - fringe))
    return inside[0][:, None] & inside[1]


def taper(nodes: int, fringe: float) -> np.ndarray:
    """Return the weight of the terrain along one axis, (nodes,).

    It rises as 3t² − 2t³ from 0 at the edge to 1 where the fringe ends: smoothly, and steeper than
    a straight line by half.
    """
    place = np.arange(nodes) / (nodes - 1)
    t = np.clip(np.minimum(place, 1 - place) / fringe, 0, 1)
    return t**2 * (3 - 2 * t)


def blend(elevation: np.ndarray, fringe: float) -> np.ndarray:
    """Blend the fringe of terrains to flat ground.

    The level of that ground makes the slopes that blending adds least: with weight w, blending adds
    (z − level) ∇w, so that it is the mean of z weighted by ∇w².

    Parameters
    ----------
    elevation
        (…, ny + 1, nx + 1), m.
    fringe
        Part of the terrain on each side.
    """
    rows, columns = (taper(nodes, fringe) for nodes in elevation.shape[-2:])
    weight = rows[:, None] * columns
    steep = np.hypot(*np.gradient(weight)) ** 2
    level = (elevation * steep).sum(axis=(-2, -1), keepdims=True) / steep.sum()
    return level + weight * (elevation - level)


def guard(
    elevation: np.ndarray, spacing: float, steepest: float, relief: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Judge whether flow models can be trusted on terrains.

    Parameters
    ----------
    elevation
        (n, ny + 1, nx + 1), m.
    steepest
        Largest 95th percentile of slope that is allowed (m per m).
    relief
        Largest relief that is allowed (m).

    Returns
    -------
    The 95th percentile of slope, the relief (m), and the reason to reject, or "": (n,) each.
    """
    percentile = np.percentile(np.hypot(*slopes(elevation, spacing)), 95, axis=(-2, -1))
    range_ = elevation.max(axis=(-2, -1)) - elevation.min(axis=(-2, -1))
    reasons = []
    for slope, height in zip(percentile, range_, strict=True):
        found = []
        if slope > steepest:
            found.append(f"95th percentile of slope {slope:.2f} above {steepest:g}")
        if height > relief:
            found.append(f"relief {height:.0f} m above {relief:g} m")
        reasons.append("; ".join(found))
    return percentile, range_, np.array(reasons, dtype=object)


# -------------------------------------------------------------------------------- random fields


def _outer_scale(exponent: float) -> float:
    """Return the outer scale of von Kármán's spectrum per distance of correlation 1 / e."""
    order = exponent / 2 - 1

    def excess(distance: float) -> float:
        near = 2 ** (1 - order) / gamma(order) * distance**order * kv(order, distance)
        return float(near - np.exp(-1))

    return 1 / brentq(excess, 1e-6, 50)


def random_field(
    cells: int,
    spacing: float,
    correlation_length: float,
    slope: float,
    exponent: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Return a Gaussian random field with the spectrum of von Kármán, (cells + 1, cells + 1), m.

    The power at wavenumber k is (1 + (k l)²)^(−β/2) (von Kármán 1948, PNAS 34, 530; for topography
    Goff and Jordan 1988, J. Geophys. Res. 93(B11), 13589), so that it falls off as k^−β at small
    scales. Waves shorter than some four cells, which no flow model on the grid resolves, are damped
    by exp(−(k spacing / (π/2))⁴). The field is made on a larger periodic domain, of which it is a
    part: its edges know nothing of each other.

    Parameters
    ----------
    correlation_length
        Distance at which the correlation is 1 / e (m), damping apart; it sets the outer scale l.
    slope
        Root mean square slope (m per m), which this field has exactly.
    exponent
        β, above 2.
    """
    outer = correlation_length * _outer_scale(exponent)
    size = next_fast_len(cells + 1 + int(np.ceil(6 * correlation_length / spacing)), real=True)
    noise = rfft2(rng.standard_normal((size, size)))
    k = 2 * np.pi * np.fft.fftfreq(size, spacing)
    squared = k[:, None] ** 2 + (2 * np.pi * np.fft.rfftfreq(size, spacing)) ** 2
    power = (1 + squared * outer**2) ** (-exponent / 2)
    damped = power * np.exp(-((squared * (spacing / (np.pi / 2)) ** 2) ** 2))
    field = np.fft.irfft2(noise * np.sqrt(damped), s=(size, size))[: cells + 1, : cells + 1]
    field -= field.mean()
    return field * (slope / np.sqrt(np.mean(np.square(slopes(field, spacing))) * 2))


# ----------------------------------------------------------------------------------------- file


@dataclass(frozen=True)
class Terrains:
    """Terrains on one grid.

    Parameters
    ----------
    elevation
        At nodes, (n, ny + 1, nx + 1), m, float64.
    table
        One row a terrain: its identifier ``terrain``, and COLUMNS.
    spacing
        Size of a cell (m).
    fringe
        Part of the terrain, on each side, that is blended to flat ground.
    """

    elevation: np.ndarray
    table: pd.DataFrame
    spacing: float
    fringe: float

    def __len__(self) -> int:
        return len(self.elevation)

    @property
    def names(self) -> list[str]:
        """The identifiers."""
        return self.table["terrain"].tolist()

    @property
    def shape(self) -> tuple[int, int]:
        """Cells along y and x."""
        return self.elevation.shape[1] - 1, self.elevation.shape[2] - 1

    @property
    def interior(self) -> np.ndarray:
        """Which cells are scored, bool (ny, nx)."""
        return interior(self.shape, self.fringe)

    @classmethod
    def join(cls, parts: Sequence["Terrains"]) -> "Terrains":
        """Return terrains of one grid, one set after another."""
        first = parts[0]
        elevation = np.concatenate([part.elevation for part in parts])
        table = pd.concat([part.table for part in parts], ignore_index=True)
        return cls(elevation, table, first.spacing, first.fringe)

    def write(self, path: Path) -> None:
        """Write ``terrains.nc``, atomically."""
        import xarray as xr

        ny, nx = self.shape
        dataset = xr.Dataset(
            {
                "elevation": (
                    ("terrain", "y_node", "x_node"),
                    self.elevation.astype(np.float32),
                    {"long_name": "elevation, the fringe blended to flat ground", "units": "m"},
                )
            },
            coords={
                "terrain": ("terrain", self.table["terrain"].to_numpy(dtype=object)),
                "y_node": ("y_node", self.spacing * np.arange(ny + 1.0)),
                "x_node": ("x_node", self.spacing * np.arange(nx + 1.0)),
            },
            attrs={"Conventions": "CF-1.11", "spacing": self.spacing, "fringe": self.fringe},
        )
        dataset["x_node"].attrs.update({"long_name": "distance downwind", "units": "m"})
        dataset["y_node"].attrs.update({"long_name": "distance to the left", "units": "m"})
        for name, (long_name, unit) in _COLUMNS.items():
            values = self.table[name].to_numpy()
            kind = object if name in _TEXT else np.int8 if name == "real" else float
            dataset[name] = ("terrain", values.astype(kind), {"long_name": long_name})
            if unit:
                dataset[name].attrs["units"] = unit
        write_netcdf(dataset, path)


def read_terrains(path: Path) -> Terrains:
    """Read ``terrains.nc`` and check it.

    Raises
    ------
    InputError
        If the file is missing, is no NetCDF-4 file, lacks a variable, or a value is out of range.
    """
    import xarray as xr

    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    try:
        dataset = xr.load_dataset(path, engine="h5netcdf")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as NetCDF-4 ({error}); make it again.") from error
    missing = {"terrain", "elevation", *COLUMNS} - set(dataset.variables)
    missing |= {"spacing", "fringe"} - set(dataset.attrs)
    if missing:
        raise InputError(f"{path}: {', '.join(sorted(missing))} missing; make the file again.")
    dimensions = ("terrain", "y_node", "x_node")
    if set(dataset["elevation"].dims) != set(dimensions):
        raise InputError(f"{path}: elevation must have the dimensions {', '.join(dimensions)}.")
    elevation = dataset["elevation"].transpose(*dimensions).to_numpy().astype(float)
    table = pd.DataFrame({name: dataset[name].to_numpy() for name in ("terrain", *COLUMNS)})
    for name in ("terrain", *_TEXT):
        table[name] = table[name].astype(str).astype(object)
    terrains = Terrains(
        elevation, table, float(dataset.attrs["spacing"]), float(dataset.attrs["fringe"])
    )
    _check(terrains, path)
    return terrains


def _check(terrains: Terrains, path: Path) -> None:
    table = terrains.table
    problems = [
        ("elevation", ~np.isfinite(terrains.elevation).all(axis=(1, 2)), "is not finite"),
        ("roughness", ~(table["roughness"] > 0), "must be above 0"),
        ("real", ~table["real"].isin([0, 1]), "must be 0 or 1"),
        ("terrain", table["terrain"].duplicated(), "is there twice"),
    ]
    problems += [(name, table[name].isna(), "is missing") for name in _COMPLETE]
    for name, wrong, message in problems:
        if np.any(wrong):
            first = table["terrain"].iloc[int(np.argmax(wrong))]
            raise InputError(f"{path}: {name} of terrain {first!r} {message}.")
    if not terrains.spacing > 0 or not 0 <= terrains.fringe < 0.5 or min(terrains.shape) < 2:
        raise InputError(
            f"{path}: spacing must be above 0, fringe from 0 to below 0.5, the grid at least 2 × "
            f"2 cells; they are {terrains.spacing}, {terrains.fringe} and {terrains.shape}."
        )
