"""Features of a cell by its terrain, for models that see one cell at a time.

All are dimensionless and computed for whole stacks of terrains at once; the wind enters at x = 0.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.signal import oaconvolve

from casestudies.wind.terrain import slopes

HEIGHT = 100.0
"""Unit of heights (m)."""
SCALES = (0.0, 100.0, 200.0, 400.0, 800.0)
"""Standard deviations of the Gaussian filters under slopes and Laplacians (m); 0 is unfiltered."""
RADII = (150.0, 300.0, 600.0, 1200.0)
"""Radii of the neighbourhoods of the topographic position index (m)."""
REACHES = (200.0, 600.0, 1200.0)
"""How far the maximum slope angle is looked for, upwind and downwind (m)."""


def cell_heights(elevation: np.ndarray) -> np.ndarray:
    """Return heights of cells, (…, ny, nx), the means of their nodes (…, ny + 1, nx + 1)."""
    rows = elevation[..., 1:, :] + elevation[..., :-1, :]
    return (rows[..., 1:] + rows[..., :-1]) / 4


def edge_mean(elevation: np.ndarray) -> np.ndarray:
    """Return the mean height of the outermost nodes, (…, 1, 1)."""
    edges = (elevation[..., 0, :], elevation[..., -1, :], elevation[..., 0], elevation[..., -1])
    return np.concatenate(edges, axis=-1).mean(axis=-1)[..., None, None]


def terrain_features(
    elevation: np.ndarray, roughness: np.ndarray, spacing: float
) -> dict[str, np.ndarray]:
    """Return the features of every cell.

    - ``height`` above the mean of the edge, in units of HEIGHT.
    - ``slope_along_L``, ``slope_across_L``, ``laplacian_L`` of the terrain filtered at scale L,
      the Laplacian times L (times the spacing where unfiltered).
    - ``tpi_R``: topographic position index, height above the mean of a disc of radius R (Weiss
      2001), over R.
    - ``upwind_D``: Sx, the maximum slope angle to the terrain upwind within a distance D (Winstral
      & Marks 2002, Hydrol. Process. 16, 3585-3603), rad; ``downwind_D`` the same downwind.
    - ``log_roughness``: natural logarithm of the roughness length in metres.

    Parameters
    ----------
    elevation
        On nodes, (n, ny + 1, nx + 1), m.
    roughness
        Roughness length, (n,), m.
    spacing
        Size of a cell (m).

    Returns
    -------
    Each (n, ny, nx), float32.
    """
    nodes = (elevation - edge_mean(elevation)).astype(np.float32)
    heights = cell_heights(nodes)
    found = {"height": heights / HEIGHT}
    for scale in SCALES:
        width = scale / spacing
        smooth = gaussian_filter(nodes, (0, width, width), mode="nearest") if scale else nodes
        along, across = slopes(smooth, spacing)
        found[f"slope_along_{scale:g}"], found[f"slope_across_{scale:g}"] = along, across
        found[f"laplacian_{scale:g}"] = _laplacian(cell_heights(smooth), spacing) * (
            scale or spacing
        )
    for radius in RADII:
        found[f"tpi_{radius:g}"] = (heights - _disc_mean(heights, radius / spacing)) / radius
    found |= {f"upwind_{d:g}": steepest(heights, spacing, d) for d in REACHES}
    turned = heights[..., ::-1]
    found |= {f"downwind_{d:g}": steepest(turned, spacing, d)[..., ::-1] for d in REACHES}
    logarithm = np.log(np.asarray(roughness, dtype=np.float32))
    found["log_roughness"] = np.broadcast_to(logarithm[:, None, None], heights.shape)
    return {name: np.asarray(values, dtype=np.float32) for name, values in found.items()}


def steepest(heights: np.ndarray, spacing: float, distance: float) -> np.ndarray:
    """Return Sx, the maximum slope angle from a cell to those upwind of it, (…, ny, nx), rad.

    Ground goes on at the height of the edge; the angle is negative where all of it lies lower.
    """
    nx = heights.shape[-1]
    best = np.full_like(heights, -np.inf)
    for step in range(1, max(1, round(distance / spacing)) + 1):
        upwind = heights[..., np.maximum(np.arange(nx) - step, 0)]
        np.maximum(best, (upwind - heights) / (step * spacing), out=best)
    return np.arctan(best)


def stacked(features: dict[str, np.ndarray], names: Sequence[str] = ()) -> np.ndarray:
    """Return features as one array, (n, features, …), those called ``names`` or all."""
    return np.stack([features[name] for name in names or features], axis=1)


def _laplacian(heights: np.ndarray, spacing: float) -> np.ndarray:
    padded = np.pad(heights, [(0, 0), (1, 1), (1, 1)], mode="edge")
    around = padded[:, 2:, 1:-1] + padded[:, :-2, 1:-1] + padded[:, 1:-1, 2:] + padded[:, 1:-1, :-2]
    return (around - 4 * heights) / spacing**2


def _disc_mean(heights: np.ndarray, radius: float) -> np.ndarray:
    """Return means over discs (radius in cells); the ground goes on at the height of the edge."""
    reach = max(1, int(radius))
    offsets = np.arange(-reach, reach + 1)
    disc = (np.hypot(*np.meshgrid(offsets, offsets)) <= max(radius, 1.0)).astype(np.float32)
    padded = np.pad(heights, [(0, 0), (reach, reach), (reach, reach)], mode="edge")
    return oaconvolve(padded, (disc / disc.sum())[None], mode="valid", axes=(1, 2))
