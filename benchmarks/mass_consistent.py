"""The mass-consistent model against algebraic multigrid and Jacobi, and how accurate it is.

Run ``python benchmarks/mass_consistent.py`` (about a minute, one thread). In one run it prints

- the order of convergence to a known solution, under refinement of the mesh;
- iterations at steepest slopes of 0.2 to 1.4 on several grids;
- on 100 × 100 × 20 nodes and a steepest slope of 1.4: CPU seconds of the study's own model
  (assembly, solution and velocity) beside conjugate gradients that are preconditioned by pyamg's
  smoothed aggregation and Ruge-Stüben multigrid and by the diagonal (set-up and solution, of a
  matrix assembled hexahedron by hexahedron); how far each is from a tight solution; and what is
  left of divergence and of the flow through the ground;
- CPU seconds of the step on 72 terrains of 48 × 48 × 16 cells, its imports included.

Times are the median of several rounds, in turn, so that a busy machine slows all sides. Without
pyamg (``pip install casestudies[benchmark]``) its sides are skipped.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array, csr_array, diags_array
from scipy.sparse.linalg import LinearOperator, cg
from threadpoolctl import threadpool_limits

from casestudies.config.wind import MassConsistent
from casestudies.wind.mass_consistent import System, Wind, inflow
from casestudies.wind.terrain import blend, random_field, slopes

BARS = {"order": 1.8, "iterations": 40, "seconds": 1.5, "agreement": 1e-6, "step": 25.0}
"""At least this order; at most so many iterations, seconds, distance, and seconds of the step."""


def steep_terrain(cells: int, spacing: float, slope: float) -> np.ndarray:
    """Return a blended random field of a given steepest slope, (cells + 1, cells + 1), m."""
    rng = np.random.default_rng(np.random.SeedSequence([2, cells]))
    elevation = blend(random_field(cells, spacing, cells * spacing / 12, 0.3, 4.0, rng), 0.25)
    return elevation * (slope / np.hypot(*slopes(elevation, spacing)).max())


def assemble(
    elevation: np.ndarray, spacing: float, s: np.ndarray, top: float, k: np.ndarray, wind: Wind
) -> tuple[csr_array, np.ndarray, np.ndarray]:
    """Assemble the same problem hexahedron by hexahedron, with 2 × 2 × 2 Gauss points.

    Parameters
    ----------
    elevation
        (ny + 1, nx + 1), m.
    s
        Levels from 0 to 1.
    top
        Height of the top (m).
    k
        Diagonal of K, (3,), along x, y and z.

    Returns
    -------
    Matrix and load of the free nodes, and their numbers among all, (levels + 1) (ny + 1) (nx + 1),
    levels first.
    """
    ny, nx, nz = elevation.shape[0] - 1, elevation.shape[1] - 1, len(s) - 1
    number = np.arange((nz + 1) * (ny + 1) * (nx + 1)).reshape(nz + 1, ny + 1, nx + 1)
    corner = np.array(list(np.ndindex(2, 2, 2)))
    nodes = np.stack(
        [number[a : nz + a, b : ny + b, c : nx + c].ravel() for a, b, c in corner], axis=-1
    )
    z = elevation + s[:, None, None] * (top - elevation)
    y, x = np.meshgrid(*(spacing * np.arange(size) for size in elevation.shape), indexing="ij")
    ground = np.broadcast_to(elevation, z.shape)
    place = np.stack(
        [np.broadcast_to(part, z.shape).ravel()[nodes] for part in (x, y, z, ground)], axis=-1
    )
    local = np.zeros((len(nodes), 8, 8))
    load = np.zeros((len(nodes), 8))
    sign = 2 * corner - 1.0
    for point in sign / np.sqrt(3):
        share = (1 + sign * point) / 2
        N = share.prod(axis=1)
        # Derivatives along x, y and z of the cube: (8, 3), the axes of `corner` reversed.
        derivative = np.stack(
            [sign[:, a] / 2 * np.delete(share, a, axis=1).prod(axis=1) for a in (2, 1, 0)], axis=1
        )
        jacobian = np.swapaxes(place[..., :3], 1, 2) @ derivative
        gradient = derivative @ np.linalg.inv(jacobian)
        volume = np.linalg.det(jacobian)
        at = np.einsum("enc,n->ce", place, N)
        u = np.stack([np.broadcast_to(part, at[0].shape) for part in wind(*at[:2], at[2] - at[3])])
        local += (gradient * k * volume[:, None, None]) @ np.swapaxes(gradient, 1, 2)
        load -= (gradient @ u.T[..., None])[..., 0] * volume[:, None]
    free = number[:-1, 1:-1, 1:-1].ravel()
    rows, columns = (np.repeat(nodes, 8, axis=1).ravel(), np.tile(nodes, 8).ravel())
    matrix = coo_array((local.ravel(), (rows, columns)), shape=(number.size,) * 2).tocsr()
    total = np.bincount(nodes.ravel(), load.ravel(), number.size)
    return matrix[free][:, free], total[free], free


def in_nodes(system: System, solution: np.ndarray) -> np.ndarray:
    """Return λ of the first terrain at the free nodes, levels first, from its modes."""
    return (solution[0] @ system.modes[0].T).T.ravel()


def manufactured(length: float, height: float, top: float) -> tuple[np.ndarray, Wind, Callable]:
    """Return a hill, a wind that a known λ takes away altogether, and that λ.

    λ = sin(πx/L) sin(πy/L) (H − z) / top; with u₀ = −K ∇λ nothing of the wind is left.
    """

    def hill(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return height * np.exp(-((x - length / 2) ** 2 + (y - length / 2) ** 2) / (length / 6) ** 2)

    def parts(x: np.ndarray, y: np.ndarray, above: np.ndarray) -> tuple[np.ndarray, ...]:
        a, b = np.pi * x / length, np.pi * y / length
        return a, b, (height + top - hill(x, y) - above) / top

    def wind(x: np.ndarray, y: np.ndarray, above: np.ndarray) -> tuple[np.ndarray, ...]:
        a, b, depth = parts(x, y, above)
        u = np.pi / length * np.cos(a) * np.sin(b) * depth
        v = np.pi / length * np.sin(a) * np.cos(b) * depth
        return -0.5 * u, -0.5 * v, 0.5 * np.sin(a) * np.sin(b) / top + 0 * above

    def exact(x: np.ndarray, y: np.ndarray, above: np.ndarray) -> np.ndarray:
        a, b, depth = parts(x, y, above)
        return np.sin(a) * np.sin(b) * depth

    return hill, wind, exact


def convergence(cells: int) -> tuple[float, float]:
    """Return the root mean square errors of λ and of the velocity on a mesh."""
    length, top = 2000.0, 1000.0
    hill, wind, exact = manufactured(length, 300.0, top)
    spacing = length / cells
    x = np.arange(cells + 1) * spacing
    elevation = hill(x, x[:, None])
    levels = cells // 2
    system = System(elevation[None], spacing, MassConsistent(levels=levels, top=top, first=top))
    solution = system.solve(system.load([wind]), 1e-11)[0]
    above = system.s[:-1, None, None] * system.depth[0, 1:-1, 1:-1]
    wanted = exact(x[1:-1], x[1:-1, None], above)
    found = in_nodes(system, solution).reshape(wanted.shape)
    u, v, w, _ = system.velocity(solution[0], 0, wind)
    before = np.stack([np.broadcast_to(part, u.shape) for part in wind(*_middles(system))])
    error = np.sqrt(np.mean((found - wanted) ** 2))
    return float(error), float(np.sqrt(np.mean(u**2 + v**2 + w**2) / np.mean(before**2)))


def _middles(system: System) -> tuple[np.ndarray, ...]:
    depth = system.depth[0]
    centre = (depth[1:, 1:] + depth[1:, :-1] + depth[:-1, 1:] + depth[:-1, :-1]) / 4
    middle = (system.s[1:] + system.s[:-1]) / 2
    x = (np.arange(depth.shape[1] - 1) + 0.5) * system.spacing
    y = (np.arange(depth.shape[0] - 1)[:, None] + 0.5) * system.spacing
    return x, y, middle[:, None, None] * centre


def iterations(cells: int, levels: int, slope: float) -> int:
    """Return the iterations to 1e-6 on a terrain of a given steepest slope."""
    elevation = steep_terrain(cells, 60.0, slope)
    system = System(elevation[None], 60.0, MassConsistent(levels=levels))
    return int(system.solve(system.load([inflow(0.05)]), 1e-6)[1][0])


def _timed(run: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    start = time.process_time()
    found = run()
    return time.process_time() - start, found


def sides(A: csr_array, b: np.ndarray, tolerance: float) -> dict[str, Callable[[], np.ndarray]]:
    """Return the other solvers: each sets up its preconditioner and solves."""

    def jacobi() -> np.ndarray:
        return cg(A, b, rtol=tolerance, M=diags_array(1 / A.diagonal()))[0]

    found: dict[str, Callable[[], np.ndarray]] = {"Jacobi": jacobi}
    try:
        import pyamg
    except ImportError:
        print("pyamg is not installed: its sides are skipped (pip install pyamg)")
        return found
    # pyamg takes matrices with 32-bit indices.
    B = A.copy()
    B.indices, B.indptr = B.indices.astype(np.int32), B.indptr.astype(np.int32)

    def multigrid(make: Callable[..., object]) -> np.ndarray:
        M = make(B).aspreconditioner()
        return cg(B, b, rtol=tolerance, M=LinearOperator(B.shape, M.matvec))[0]

    found["smoothed aggregation"] = lambda: multigrid(pyamg.smoothed_aggregation_solver)
    found["Ruge-Stüben"] = lambda: multigrid(pyamg.ruge_stuben_solver)
    return found


def compare(repeats: int) -> bool:
    """Time all sides on 100 × 100 × 20 nodes, print, and return whether the bars are met."""
    elevation, settings, wind = (
        steep_terrain(99, 60.0, 1.4),
        MassConsistent(levels=19),
        inflow(0.05),
    )

    def run(tolerance: float) -> tuple[System, np.ndarray, tuple[np.ndarray, ...]]:
        system = System(elevation[None], 60.0, settings)
        solution = system.solve(system.load([wind]), tolerance)[0]
        return system, solution, system.velocity(solution[0], 0, wind)

    system = run(1e-6)[0]
    top = float(elevation.max()) + settings.top
    k = np.array([system.kh, system.kh, system.kv])
    start = time.process_time()
    A, b, _ = assemble(elevation, 60.0, system.s, top, k, wind)
    assembly = time.process_time() - start
    tight = cg(A, b, rtol=1e-12, M=diags_array(1 / A.diagonal()))[0]
    others = sides(A, b, 1e-6)
    seconds: dict[str, list[float]] = {name: [] for name in ("ours", *others)}
    errors = {}
    for _ in range(repeats):
        took, (system, solution, flow) = _timed(lambda: run(1e-6))
        seconds["ours"].append(took)
        errors["ours"] = in_nodes(system, solution)
        for name, solve in others.items():
            took, errors[name] = _timed(solve)
            seconds[name].append(took)
    print(f"100 × 100 × 20 nodes, steepest slope 1.4 (conventional assembly: {assembly:.2f} s)")
    medians = {name: float(np.median(times)) for name, times in seconds.items()}
    for name, median in medians.items():
        distance = np.linalg.norm(errors[name] - tight) / np.linalg.norm(tight)
        what = "all" if name == "ours" else "set-up and solution only"
        print(f"  {name:21s} {median:7.3f} s ({what})   distance from tight {distance:.1e}")
    system, solution, flow = run(1e-9)
    closest = in_nodes(system, solution)
    agreement = np.abs(closest - tight).max() / np.abs(tight).max()
    print(f"  at 1e-9, ours and the tight solution of the other matrix agree to {agreement:.1e}")
    loose = run(1e-6)[2]
    change = max(np.abs(a - c).max() for a, c in zip(loose[:3], flow[:3], strict=True))
    print(f"  largest change of velocity, 1e-6 against 1e-9: {change:.1e} of the inflow")
    lam = in_nodes(*run(1e-6)[:2])
    left, before = (r.reshape(len(system.s) - 1, -1) for r in (b - A @ lam, b))
    for what, rows in (("divergence", slice(1, None)), ("flow through the ground", slice(1))):
        ratio = np.linalg.norm(left[rows]) / np.linalg.norm(before[rows])
        print(f"  {what}: {ratio:.1e} of that of the inflow is left")
    met = medians["ours"] <= BARS["seconds"] and agreement <= BARS["agreement"]
    return met and all(medians["ours"] < medians[name] for name in others)


def step_seconds() -> float:
    """Return the CPU seconds of the step on the default simulated terrains."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = [sys.executable, "-m"]
        simulate = ["casestudies.wind.simulate", "--output", str(folder)]
        subprocess.run([*python, *simulate], check=True, capture_output=True)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        solve = ["casestudies.wind.solve", "--solver", "mass_consistent", "--heights", "10", "50"]
        paths = ["--terrains", str(folder / "terrains.nc"), "--output", str(folder / "flows.nc")]
        subprocess.run([*python, *solve, *paths], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    met = True
    with threadpool_limits(1):
        print("cells   error of λ and its order, error of velocity and its order")
        last = None
        for cells in (16, 32, 64, 96):
            errors = np.array(convergence(cells))
            orders = ["  –  "] * 2
            if last is not None:
                found = np.log(last[1] / errors) / np.log(cells / last[0])
                orders = [f"{order:5.2f}" for order in found]
                met &= bool((found >= BARS["order"]).all())
            print(
                f"{cells:5d}   {errors[0]:.2e}  {orders[0]}   {errors[1]:.2e}           {orders[1]}"
            )
            last = cells, errors
        slopes_ = (0.2, 0.5, 1.0, 1.4)
        print("iterations to 1e-6 at steepest slopes of", *slopes_)
        for cells, levels in ((24, 10), (48, 16), (99, 19), (160, 32)):
            counts = [iterations(cells, levels, slope) for slope in slopes_]
            met &= max(counts) <= BARS["iterations"]
            print(f"  {cells} × {cells} × {levels} cells:", *counts)
        met &= compare(repeats)
    took = step_seconds()
    met &= took <= BARS["step"]
    print(f"72 terrains of 48 × 48 × 16 cells: {took:.1f} CPU s, imports included")
    print("all bars met" if met else "NOT all bars met")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
