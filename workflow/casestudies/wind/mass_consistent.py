"""The mass-consistent flow model: the least change of the inflow that conserves mass.

The logarithmic inflow u₀, laid over the terrain, is changed as little as possible so that no air is
made and none enters the ground (Sasaki 1958, J. Meteor. Soc. Japan 36, 77; Sherman 1978, J. Appl.
Meteor. 17, 312; WindNinja does the same: Forthofer et al. 2014, Int. J. Wildland Fire 23, 969). The
multiplier λ of that constraint solves, for every test function φ,

    ∫ (u₀ + K ∇λ) · ∇φ dV = 0,    K = 1 / (2 α²) in each direction,

with λ = 0 on the sides and on top, through which air may pass; the ground is the natural boundary.
The flow is u = u₀ + K ∇λ. Only the ratio of the two α counts: K_z / K_x = α².

Trilinear finite elements on a mesh that follows the terrain: with H the height of the top, h that
of the ground and s from 0 at the ground to 1 at the top, z = h + s D, D = H − h. In (x, y, s) the
bilinear form is a sum of products of vertical and horizontal factors,

    A = M ⊗ S − C ⊗ X − Cᵀ ⊗ Xᵀ + K₂ ⊗ P + K₀ ⊗ Q,

    M = ∫ N N ds        S = ∫ K_x D ∇N · ∇N dx dy
    C = ∫ (1−s) N′ N    X = ∫ K_x N (∇h · ∇N)         (of test function, of λ)
    K₂ = ∫ (1−s)² N′ N′ P = ∫ K_x |∇h|² / D N N
    K₀ = ∫ N′ N′        Q = ∫ K_z / D N N

and is the same as that of Gauss' rule with 2 × 2 × 2 points on each hexahedron. So only the
horizontal factors, stencils of 9 points, are assembled, and a product with A is a small dense
product along each column and one sparse product. Unknowns are the coefficients of the vertical
modes V of the horizontally averaged operator, (p K₂ + q K₀) V = M V μ: in them that operator is
diagonal after a sine transform along x and y, and its exact inverse preconditions the conjugate
gradients (fast diagonalisation: Lynch, Rice and Thomas 1964, Numer. Math. 6, 185). On flat terrain
it is the exact inverse.

Arrays are (terrain, column, level), columns without the sides, row by row. The same code runs on
NumPy arrays and, for many terrains at once, on the tensors of a GPU.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.fft import dst
from scipy.linalg import eigh
from scipy.optimize import brentq
from scipy.sparse import csr_array

from casestudies.config.wind import MassConsistent
from casestudies.validation import read_settings
from casestudies.wind.flow import Flow, at_heights, log_profile

if TYPE_CHECKING:
    import torch

Array = Any
"""A NumPy array or a tensor."""
Wind = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray | float, ...]]
"""u₀: x, y and height above ground (m) to its three components; a component may be 0."""

MOST_ITERATIONS = 200
_GAUSS = 1 / np.sqrt(3)
_CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))  # of a cell, along y and x; of its Gauss points, too
_FACTORS = 5
_LARGE = 160  # unknowns along an axis above which a fast sine transform beats a product (CPU)


def parse_settings(settings: Mapping[str, Any]) -> MassConsistent:
    """Return checked settings; what is not given has its default.

    Raises
    ------
    InputError
        If a key is unknown or a value out of range.
    """
    return read_settings(MassConsistent, settings, "wind.mass_consistent")


def levels(settings: MassConsistent) -> np.ndarray:
    """Return s at the levels, (levels + 1,), from 0 at the ground to 1 at the top.

    Cells grow upward by a constant ratio from ``first`` in a column as deep as ``top``; where
    ``first`` is more than an even share, they are of one size.
    """
    count, share = settings.levels, settings.first / settings.top
    if share * count >= 1 - 1e-9:
        return np.linspace(0, 1, count + 1)
    ratio = brentq(lambda r: share * (r**count - 1) / (r - 1) - 1, 1 + 1e-9, 1 / share)
    return share * (ratio ** np.arange(count + 1) - 1) / (ratio - 1)


# ------------------------------------------------------------------------------------- elements


def _shape(eta: float, xi: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the bilinear shape functions of the corners and their derivatives, (4,) each."""
    y, x = (2 * np.array(_CORNERS) - 1).T
    return (
        (1 + x * xi) * (1 + y * eta) / 4,
        x * (1 + y * eta) / 4,
        y * (1 + x * xi) / 4,
    )


_POINTS = [_shape((2 * b - 1) * _GAUSS, (2 * c - 1) * _GAUSS) for b, c in _CORNERS]


def _corners(nodes: np.ndarray) -> np.ndarray:
    """Return the values of nodes, (…, ny + 1, nx + 1), at the corners of cells, (…, ny, nx, 4)."""
    ny, nx = (size - 1 for size in nodes.shape[-2:])
    return np.stack([nodes[..., b : b + ny, c : c + nx] for b, c in _CORNERS], axis=-1)


def _vertical(s: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return M, C, K₂ and K₀ without the top, (levels, levels) each."""
    points, rise, shape, slope = _vertical_points(s)
    weight = rise / 2
    one, two = weight * (1 - points), weight * (1 - points) ** 2
    return (
        (shape * weight) @ shape.T,
        (slope * one) @ shape.T,
        (slope * two) @ slope.T,
        (slope * weight) @ slope.T,
    )


def _vertical_points(s: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return s and the cell's height at Gauss points, (2 levels,), and N, N′, (levels, ·)."""
    count, cell = len(s) - 1, np.repeat(np.arange(len(s) - 1), 2)
    share = np.tile([(1 - _GAUSS) / 2, (1 + _GAUSS) / 2], count)
    rise = np.diff(s)[cell]
    shape, slope = np.zeros((2, count + 1, 2 * count))
    column = np.arange(2 * count)
    shape[cell, column], shape[cell + 1, column] = 1 - share, share
    slope[cell, column], slope[cell + 1, column] = -1 / rise, 1 / rise
    return s[cell] + share * rise, rise, shape[:-1], slope[:-1]


def _horizontal(elevation: np.ndarray, depth: np.ndarray, spacing: float, kh: float, kv: float):
    """Return the stencils of S, Q, P, X and Xᵀ, (terrain, ny − 1, nx − 1, 9, 5).

    Neighbours run from that before in y and x to that behind; see the module for the factors.
    """
    n, ny, nx = (*elevation.shape[:1], *(size - 1 for size in elevation.shape[1:]))
    heights, area, scale = _corners(elevation), spacing**2 / 4, 2 / spacing
    depths = _corners(depth)
    values = np.empty((n, ny, nx, 4, 5))  # at Gauss points: D, 1 / D, |∇h|² / D, ∂h/∂x, ∂h/∂y
    weights = np.zeros((4, 5, 4, 4, _FACTORS))
    for g, (shape, along, across) in enumerate(_POINTS):
        column = depths @ shape
        hx, hy = heights @ along * scale, heights @ across * scale
        for k, value in enumerate((column, 1 / column, (hx**2 + hy**2) / column, hx, hy)):
            values[..., g, k] = value
        mass = np.outer(shape, shape) * area
        stiff = (np.outer(along, along) + np.outer(across, across)) * scale**2 * area
        weights[g, 0, :, :, 0] = kh * stiff
        weights[g, 1, :, :, 1] = kv * mass
        weights[g, 2, :, :, 2] = kh * mass
        for k, derivative in ((3, along), (4, across)):
            mixed = kh * np.outer(shape, derivative) * scale * area
            weights[g, k, :, :, 3] = mixed
            weights[g, k, :, :, 4] = mixed.T
    local = values.reshape(-1, 20) @ weights.reshape(20, -1)
    local = local.reshape(n, ny, nx, 4, 4, _FACTORS)
    stencil = np.zeros((n, ny + 1, nx + 1, 9, _FACTORS))
    for row, (b, c) in enumerate(_CORNERS):
        for column, (d, e) in enumerate(_CORNERS):
            neighbour = 3 * (d - b + 1) + e - c + 1
            stencil[:, b : b + ny, c : c + nx, neighbour] += local[..., row, column, :]
    return stencil[:, 1:-1, 1:-1]


@cache
def _pattern(rows: int, columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return which neighbours are inside, (rows, columns, 9), and the matrix's pointers, indices.

    The matrix has one row a column of air, and for each neighbour a column per factor.
    """
    j, i = np.arange(rows)[:, None, None], np.arange(columns)[:, None]
    dj, di = np.divmod(np.arange(9), 3)
    nj, ni = j + dj - 1, i + di - 1
    inside = (nj >= 0) & (nj < rows) & (ni >= 0) & (ni < columns)
    neighbour = (nj * columns + ni)[inside]
    indices = (neighbour[:, None] * _FACTORS + np.arange(_FACTORS)).ravel()
    pointers = np.concatenate([[0], np.cumsum(inside.sum(axis=-1).ravel() * _FACTORS)])
    return inside, pointers, indices


class System:
    """The discrete problem of several terrains of one grid.

    Parameters
    ----------
    elevation
        (terrains, ny + 1, nx + 1), m.
    spacing
        Size of a cell (m).
    settings
        Settings of the model.
    device
        A device of PyTorch, or None for NumPy.
    """

    def __init__(
        self,
        elevation: np.ndarray,
        spacing: float,
        settings: MassConsistent,
        device: "torch.device | None" = None,
    ) -> None:
        self.elevation, self.spacing = np.asarray(elevation, dtype=float), spacing
        self.kh, self.kv = 0.5, 0.5 * settings.stability**2
        self.s = levels(settings)
        top = self.elevation.max(axis=(1, 2)) + settings.top
        self.depth = top[:, None, None] - self.elevation
        terrains, ny, nx = self.elevation.shape
        self._rows, self._columns = ny - 2, nx - 2
        stencil = _horizontal(self.elevation, self.depth, spacing, self.kh, self.kv)
        modes = self._modes(stencil)
        self._to = _to(device)
        self._matrix = self._sparse(stencil, device)
        self._mix = self._to(modes)
        self._sines = [
            None if device is None and size > _LARGE else self._to(_sines(size))
            for size in (self._rows, self._columns)
        ]
        self._inverse = self._to(1 / self._eigenvalues())
        self.shape = (terrains, self._rows * self._columns, len(self.s) - 1)

    def _modes(self, stencil: np.ndarray) -> np.ndarray:
        """Set V and μ; return what a column is multiplied by for the five factors."""
        mass, cross, k2, k0 = _vertical(self.s)
        # Sums over a row of the stencils of P and Q are the coefficient times the cell's area.
        p, q = (stencil[..., k].sum(axis=-1).mean(axis=(1, 2)) / self.spacing**2 for k in (2, 1))
        self._mean_depth = self.depth.mean(axis=(1, 2))
        pairs = [eigh(a * k2 + b * k0, mass) for a, b in zip(p, q, strict=True)]
        self._mu, self.modes = (np.stack(part) for part in zip(*pairs, strict=True))
        V = self.modes
        eye = np.broadcast_to(np.eye(len(mass)), V.shape)
        turned = np.swapaxes(V, 1, 2)
        C = turned @ cross @ V
        parts = (eye, turned @ k0 @ V, turned @ k2 @ V, -np.swapaxes(C, 1, 2), -C)
        return np.concatenate(parts, axis=2)

    def _sparse(self, stencil: np.ndarray, device: "torch.device | None") -> Array:
        inside, pointers, indices = _pattern(self._rows, self._columns)
        terrains, columns = len(stencil), self._rows * self._columns
        size = terrains * columns
        shift = np.arange(terrains)
        data = stencil[:, inside].ravel()
        indices = (shift[:, None] * columns * _FACTORS + indices).ravel().astype(np.int32)
        ends = (shift[:, None] * pointers[-1] + pointers[1:]).ravel()
        pointers = np.concatenate([[0], ends]).astype(np.int32)
        if device is None:
            return csr_array((data, indices, pointers), shape=(size, size * _FACTORS))
        import torch

        parts = (self._to(part) for part in (pointers, indices, data))
        shape = (size, size * _FACTORS)
        return torch.sparse_csr_tensor(*parts, size=shape, check_invariants=False)

    def _eigenvalues(self) -> np.ndarray:
        """Return the eigenvalues of the averaged operator, (terrains, rows, columns, levels)."""
        cosines = [
            np.cos(np.pi * np.arange(1, size + 1) / (size + 1))
            for size in (self._rows, self._columns)
        ]
        (sy, sx) = ((2 - 2 * cosine) / self.spacing for cosine in cosines)
        (my, mx) = (self.spacing * (4 + 2 * cosine) / 6 for cosine in cosines)
        stiff = my[:, None] * sx + sy[:, None] * mx
        mass = my[:, None] * mx
        depth = self.kh * self._mean_depth[:, None, None, None]
        return depth * stiff[..., None] + mass[..., None] * self._mu[:, None, None, :]

    def apply(self, values: Array) -> Array:
        """Return A times coefficients, (terrains, columns, levels)."""
        mixed = (values @ self._mix).reshape(-1, self.shape[2])
        return (self._matrix @ mixed).reshape(self.shape)

    def precondition(self, values: Array) -> Array:
        """Return the inverse of the averaged operator times a residual."""
        return self._sine(self._sine(values) * self._inverse).reshape(self.shape)

    def _sine(self, values: Array) -> Array:
        terrains, _, count = self.shape
        along_y, along_x = self._sines
        values = _transform(along_y, values.reshape(terrains, self._rows, -1))
        values = values.reshape(terrains, self._rows, self._columns, count)
        return _transform(along_x, values)

    def load(self, winds: Sequence[Wind]) -> np.ndarray:
        """Return −∫ u₀ · ∇φ for every mode of every column, (terrains, columns, levels)."""
        points, rise, shape, slope = _vertical_points(self.s)
        ny, nx = (size - 1 for size in self.elevation.shape[1:])
        found = np.empty((len(winds), ny - 1, nx - 1, len(self.s) - 1))
        scale, weight = 2 / self.spacing, rise / 2 * self.spacing**2 / 4
        for k, wind in enumerate(winds):
            onto = [
                (part * weight).T @ self.modes[k] for part in (shape, slope * (1 - points), slope)
            ]
            nodes = np.zeros((ny + 1, nx + 1, len(self.s) - 1))
            heights, depths = _corners(self.elevation[k]), _corners(self.depth[k])
            for (N, along, across), (b, c) in zip(_POINTS, _CORNERS, strict=True):
                x = (np.arange(nx) + (1 + (2 * c - 1) * _GAUSS) / 2)[:, None] * self.spacing
                y = (np.arange(ny) + (1 + (2 * b - 1) * _GAUSS) / 2)[:, None, None] * self.spacing
                depth = (depths @ N)[..., None]
                u, v, w = wind(x, y, depth * points)
                # By corner: what multiplies its shape function, and its two derivatives.
                upright, parts = 0.0, []
                for value, derivative in ((u, along), (v, across)):
                    if np.ndim(value):
                        gradient = (heights @ derivative)[..., None] * scale
                        upright = upright + gradient * (value @ onto[1])
                        parts.append((depth * scale * (value @ onto[0]), derivative))
                if np.ndim(w):
                    upright = upright - w @ onto[2]
                for corner, (d, e) in enumerate(_CORNERS):
                    target = nodes[d : d + ny, e : e + nx]
                    target += N[corner] * upright
                    for value, derivative in parts:
                        target -= derivative[corner] * value
            found[k] = nodes[1:-1, 1:-1]
        return found.reshape(self.shape)

    def solve(
        self, load: np.ndarray, tolerance: float, limit: int = MOST_ITERATIONS
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Solve by preconditioned conjugate gradients.

        The residual is measured in the modes, relative to the load: in the nodes, that is the norm
        of the inverse of the vertical mass matrix, which does not depend on the levels.

        Returns
        -------
        λ in the modes, (terrains, columns, levels); iterations and the last relative residual,
        (terrains,) each.
        """
        r = self._to(load) * 1  # a copy
        x, p, steps, last = r * 0, r * 0, np.zeros(len(load), int), 1.0
        norm = _dot(r, r)
        norm = norm + (norm == 0)
        squared = _dot(r, r) / norm
        for _ in range(limit):
            active = squared > tolerance**2
            if not active.any():
                break
            steps += _numpy(active)
            z = self.precondition(r)
            product = _dot(r, z)
            p *= (product / last)[:, None, None]
            p += z
            q = self.apply(p)
            curvature = _dot(p, q)
            # Where a terrain has converged, it stays as it is.
            step = (active * product / (curvature + (curvature == 0)))[:, None, None]
            x += step * p
            r -= step * q
            last = product + (product == 0)
            squared = _dot(r, r) / norm
        return _numpy(x), steps, _numpy(squared) ** 0.5

    def velocity(
        self, solution: np.ndarray, k: int, wind: Wind, below: float = np.inf
    ) -> tuple[np.ndarray, ...]:
        """Return u, v, w and the height above ground at the centres of cells, (levels, ny, nx).

        Parameters
        ----------
        solution
            λ of terrain ``k`` in the modes, (columns, levels).
        below
            Height that the levels must enclose (m); those above are left out.
        """
        ny, nx = (size - 1 for size in self.elevation.shape[1:])
        middle = (self.s[1:] + self.s[:-1]) / 2
        depth = self.depth[k]
        count = min(len(middle), max(2, int((middle * depth.min() <= below).sum()) + 1))
        rise, turned = np.diff(self.s), self.modes[k].T
        nodes = np.zeros((2, ny + 1, nx + 1, count))
        after = np.pad(turned, ((0, 0), (0, 1)))[:, 1 : count + 1]
        for part, matrix in enumerate(
            ((turned[:, :count] + after) / 2, (after - turned[:, :count]) / rise[:count])
        ):
            nodes[part, 1:-1, 1:-1] = (solution @ matrix).reshape(ny - 1, nx - 1, count)
        value, upward = np.moveaxis(nodes, 3, 1)
        middle, spacing = middle[:count, None, None], self.spacing
        east, north = (
            np.diff(part, axis=axis) / spacing
            for part, axis in (
                ((value[:, 1:] + value[:, :-1]) / 2, 2),
                ((value[:, :, 1:] + value[:, :, :-1]) / 2, 1),
            )
        )
        upward = _centres(upward) / _centres(depth)
        hx = np.diff((self.elevation[k, 1:] + self.elevation[k, :-1]) / 2, axis=1) / spacing
        hy = np.diff((self.elevation[k, :, 1:] + self.elevation[k, :, :-1]) / 2, axis=0) / spacing
        above = middle * _centres(depth)
        x = (np.arange(nx) + 0.5) * spacing
        y = (np.arange(ny)[:, None] + 0.5) * spacing
        u, v, w = wind(x, y, above)
        return (
            u + self.kh * (east - (1 - middle) * hx * upward),
            v + self.kh * (north - (1 - middle) * hy * upward),
            w + self.kv * upward,
            above,
        )


def _centres(nodes: np.ndarray) -> np.ndarray:
    rows = nodes[..., 1:, :] + nodes[..., :-1, :]
    return (rows[..., 1:] + rows[..., :-1]) / 4


def _sines(size: int) -> np.ndarray:
    """Return the matrix of the sine transform, which is its own inverse."""
    number = np.arange(1, size + 1)
    return np.sqrt(2 / (size + 1)) * np.sin(np.pi * np.outer(number, number) / (size + 1))


def _transform(matrix: Array | None, values: Array) -> Array:
    """Return the sine transform along the last axis but one, fast (None) or by a matrix."""
    if matrix is None:
        return dst(values, 1, axis=-2, norm="ortho")
    return matrix @ values


def _dot(a: Array, b: Array) -> Array:
    """Return the inner products terrain by terrain, (terrains,)."""
    terrains = a.shape[0]
    return (a.reshape(terrains, 1, -1) @ b.reshape(terrains, -1, 1)).reshape(terrains)


def _numpy(values: Array) -> np.ndarray:
    return values if isinstance(values, np.ndarray) else values.cpu().numpy()


def _to(device: "torch.device | None") -> Callable[[np.ndarray], Array]:
    if device is None:
        return np.ascontiguousarray
    import torch

    return lambda values: torch.from_numpy(np.ascontiguousarray(values)).to(device)


# ---------------------------------------------------------------------------------------- flows


def inflow(roughness: float) -> Wind:
    """Return the logarithmic inflow as a function of the place."""
    return lambda x, y, above: (log_profile(above, roughness), 0.0, 0.0)


def solve(
    elevation: np.ndarray,
    spacing: float,
    roughness: float,
    heights: Sequence[float],
    settings: Mapping[str, Any],
) -> Flow:
    """Return the flow over one terrain.

    Parameters
    ----------
    elevation
        At nodes, (ny + 1, nx + 1), m.
    spacing
        Size of a cell (m).
    roughness
        Roughness length (m).
    heights
        Above ground (m).
    settings
        See casestudies.config.wind.MassConsistent.
    """
    return solve_many(elevation[None], spacing, np.array([roughness]), heights, settings)[0]


def solve_many(
    elevation: np.ndarray,
    spacing: float,
    roughness: np.ndarray,
    heights: Sequence[float],
    settings: Mapping[str, Any],
    device: "torch.device | None" = None,
) -> list[Flow]:
    """Return the flows over terrains of one grid, (terrains, ny + 1, nx + 1), solved together.

    On a GPU, many at once are fastest; on a CPU, one by one are. ``seconds`` of each is its share
    of the processor time (of the elapsed time on a GPU).
    """
    clock = time.process_time if device is None else time.perf_counter
    start = clock()
    checked = parse_settings(settings)
    system = System(elevation, spacing, checked, device)
    winds = [inflow(z0) for z0 in roughness]
    load = system.load(winds)
    solution, steps, residual = system.solve(load, checked.tolerance, MOST_ITERATIONS)
    fields = []
    for k, (wind, z0) in enumerate(zip(winds, roughness, strict=True)):
        *components, above = system.velocity(solution[k], k, wind, max(heights))
        fields.append([at_heights(part, above, heights, z0) for part in components])
    seconds = (clock() - start) / len(elevation)
    flows = []
    for k, (u, v, w) in enumerate(fields):
        if residual[k] <= checked.tolerance:
            flows.append(Flow(u, v, w, True, "", seconds, int(steps[k]), float(residual[k])))
            continue
        reason = f"residual {residual[k]:.1e} after {steps[k]} iterations"
        nothing = np.full(u.shape, np.nan)
        flows.append(
            Flow(*(nothing,) * 3, False, reason, seconds, int(steps[k]), float(residual[k]))
        )
    return flows
