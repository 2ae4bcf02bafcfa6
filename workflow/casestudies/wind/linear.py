"""Linear theory of flow over low hills, by Fourier transform: the cheapest flow model.

Jackson and Hunt (1975, Q. J. R. Meteorol. Soc. 101, 929), in three dimensions by Mason and Sykes
(1979, Q. J. R. Meteorol. Soc. 105, 383), with heights scaled wave by wave (Taylor, Walmsley and
Salmon 1983, Boundary-Layer Meteorol. 26, 169) and the shear of the middle layer of Hunt, Leibovich
and Richards (1988, Q. J. R. Meteorol. Soc. 114, 1435). With U the inflow, ĥ the transform of the
terrain, k = (kx, ky) and |k| its length, the outer flow is the potential flow over the hill; its
pressure drives the flow below:

    û = U(1/|k|)² / U(max(z, l)) ĥ kx² / |k| e^(−|k| z) [1 − K₀(2 √(i z / l)) / K₀(2 √(i z₀ / l))]
    v̂ = U(1/|k|)² / U(max(z, l)) ĥ kx ky / |k| e^(−|k| z) [1 − K₀(2 √(2 i z / l)) / K₀(…)]
    ŵ = i kx U(z) ĥ e^(−|k| z)

The inner layer, l ln(l / z₀) = 2 κ² / |kx|, is where stress matters; there z (∂û/∂z) is
diffused by 2 κ u* z (mixing length), v̂ by half of it, which gives the Bessel functions. It holds
for slopes below some 0.3 and has no separation: wrong in the lee of steep hills.
"""

import time
from collections.abc import Sequence

import numpy as np
from scipy.fft import irfft2, next_fast_len, rfft2
from scipy.special import kve

from casestudies.wind.flow import VON_KARMAN, Flow, log_profile

_NEWTON = 30


def inner_depth(wavenumber: np.ndarray, roughness: np.ndarray | float) -> np.ndarray:
    """Return l with l ln(l / z₀) = 2 κ² / |kx| (m), at least e z₀, by Newton's method."""
    ratio = 2 * VON_KARMAN**2 / (np.abs(wavenumber) * roughness)
    depth = np.maximum(ratio, np.e)  # of l / z₀; from above, where the iteration is monotone
    for _ in range(_NEWTON):
        depth = np.maximum((ratio + depth) / (np.log(depth) + 1), np.e)
    return depth * roughness


def _inner(height: float, depth: np.ndarray, roughness: np.ndarray, factor: float) -> np.ndarray:
    """Return 1 − K₀(2 √(factor i z / l)) / K₀(2 √(factor i z₀ / l)), z displaced by z₀."""
    at = [2 * np.sqrt(factor * 1j * z / depth) for z in (height + roughness, roughness)]
    ratio = kve(0, at[0]) / kve(0, at[1]) * np.exp(at[1] - at[0])
    return 1 - ratio


def perturbation(
    elevation: np.ndarray, spacing: float, roughness: np.ndarray, heights: Sequence[float]
) -> np.ndarray:
    """Return what terrain adds to the inflow.

    Parameters
    ----------
    elevation
        At nodes, (n, ny + 1, nx + 1), m; outside, the ground is taken for flat at the height of
        the mean of the edge.
    spacing
        Size of a cell (m).
    roughness
        Roughness length, (n,), m.
    heights
        Above ground (m).

    Returns
    -------
    At cell centres, (3, n, heights, ny, nx), relative to the inflow.
    """
    rows, columns = elevation.shape[-2:]
    ring = np.ones((rows, columns), dtype=bool)
    ring[1:-1, 1:-1] = False
    level = elevation[:, ring].mean(axis=1)
    size = tuple(next_fast_len(2 * nodes, real=True) for nodes in (rows, columns))
    transform = rfft2(elevation - level[:, None, None], s=size)
    ky = 2 * np.pi * np.fft.fftfreq(size[0], spacing)[:, None]
    kx = 2 * np.pi * np.fft.rfftfreq(size[1], spacing)
    # From nodes to centres, half a cell along x and y; waves of two cells vanish there.
    transform *= np.exp(0.5j * spacing * (kx + ky))
    for k, part in ((ky[:, 0], transform.swapaxes(1, 2)), (kx, transform)):
        part[..., np.abs(k) * spacing > np.pi * (1 - 1e-9)] = 0
    length = np.hypot(kx, ky)
    length[0, 0] = 1.0  # the mean is no hill: kx = 0 makes it vanish
    z0 = np.asarray(roughness, dtype=float)[:, None]
    depth = inner_depth(np.maximum(kx, kx[1]), z0)
    found = np.empty((3, len(elevation), len(heights), rows - 1, columns - 1))
    z0 = z0[..., None]
    outer = transform * (kx / length) * log_profile(1 / length, z0) ** 2
    for number, height in enumerate(heights):
        decay = np.exp(-length * height)
        drive = outer * decay / log_profile(np.maximum(height, depth), z0[..., 0])[:, None]
        parts = (
            drive * kx * _inner(height, depth, z0[..., 0], 1)[:, None],
            drive * ky * _inner(height, depth, z0[..., 0], 2)[:, None],
            transform * 1j * kx * decay * log_profile(height, z0),
        )
        for component, part in enumerate(parts):
            field = irfft2(part, s=size)
            found[component, :, number] = field[:, : rows - 1, : columns - 1]
    return found


def solve_many(
    elevation: np.ndarray, spacing: float, roughness: np.ndarray, heights: Sequence[float]
) -> list[Flow]:
    """Return the flows over terrains of one grid; see :func:`perturbation`."""
    start = time.process_time()
    u, v, w = perturbation(elevation, spacing, roughness, heights)
    u += log_profile(np.asarray(heights), np.asarray(roughness)[:, None])[:, :, None, None]
    seconds = (time.process_time() - start) / len(elevation)
    return [Flow(*parts, True, "", seconds, 0, float("nan")) for parts in zip(u, v, w, strict=True)]


def solve(
    elevation: np.ndarray, spacing: float, roughness: float, heights: Sequence[float]
) -> Flow:
    """Return the flow over one terrain, (ny + 1, nx + 1); see :func:`perturbation`."""
    return solve_many(elevation[None], spacing, np.array([roughness]), heights)[0]
