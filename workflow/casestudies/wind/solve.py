"""Run a flow model on terrains: on all, or on some of them as a job of its own.

Terrains that guard rails reject are not run; their reason goes on record, as does that of a flow
that did not converge. All are in the file, in the order of the terrains.

Where a flow takes long, each is kept as soon as it is solved, so that a killed job goes on with the
next one.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from casestudies.errors import InputError, nearest
from casestudies.files import writing
from casestudies.sources import sources
from casestudies.steps import log, main, progress
from casestudies.wind import COMPONENTS
from casestudies.wind.flow import Flow
from casestudies.wind.terrain import Terrains, read_terrains

SOLVERS = ("linear", "mass_consistent", "openfoam")
_MEANINGS = {"u": "downwind", "v": "to the left", "w": "upward"}
_CELLS = 1 << 18  # columns of the terrains that are solved at once, where that is faster

Run = Callable[[np.ndarray, np.ndarray, Sequence[str]], list[Flow]]
"""Elevations, (n, ny + 1, nx + 1), roughness lengths, (n,), and names of terrains to flows."""


def _runner(
    solver: str,
    settings: Mapping[str, Any],
    spacing: float,
    heights: Sequence[float],
    shape: tuple[int, int],
    device: str,
    logs: Path,
) -> tuple[Run, int]:
    """Return what runs a solver, and how many terrains it should be given at once."""
    cells = shape[0] * shape[1]
    match solver:
        case "linear":
            from casestudies.wind import linear

            if settings:
                raise InputError("wind.linear: has no settings; leave --settings out.")
            return (
                lambda elevation, roughness, _: linear.solve_many(
                    elevation, spacing, roughness, heights
                ),
                max(1, _CELLS // cells),
            )
        case "mass_consistent":
            from casestudies.wind import mass_consistent

            mass_consistent.parse_settings(settings)
            where = None
            if device != "cpu":
                from casestudies.training import device as devices

                found = devices.device(device)
                where = found if found.type == "cuda" else None
            return (
                lambda elevation, roughness, _: mass_consistent.solve_many(
                    elevation, spacing, roughness, heights, settings, where
                ),
                1 if where is None else max(1, _CELLS // cells),
            )
        case "openfoam":
            from casestudies.wind import openfoam

            return (
                lambda elevation, roughness, names: [
                    openfoam.solve(
                        elevation[0],
                        spacing,
                        float(roughness[0]),
                        heights,
                        settings,
                        logs / names[0],
                    )
                ],
                1,
            )
        case _:
            raise InputError(f"--solver {solver!r} is unknown; {nearest(solver, SOLVERS)}")


def _flows(run: Run, size: int, rows: np.ndarray, data: Terrains) -> Iterator[tuple[int, Flow]]:
    """Yield the flow of each row, ``size`` of them solved at once."""
    roughness = data.table["roughness"].to_numpy(dtype=float)
    for first in range(0, len(rows), size):
        batch = rows[first : first + size]
        names = [data.names[row] for row in batch]
        found = run(data.elevation[batch], roughness[batch], names)
        yield from zip(batch.tolist(), found, strict=True)


def solve(
    *,
    terrains: Path,
    solver: str,
    output: Path,
    heights: list[float],
    settings: str = "{}",
    number: int | None = None,
    per_job: int = 1,
    checkpoint: Path | None = None,
    threads: int = 1,
    device: str = "cpu",
) -> None:
    """Write the flows over terrains, divided by the inflow speed at 10 m above flat ground.

    Parameters
    ----------
    terrains
        terrains.nc.
    solver
        linear, mass_consistent or openfoam.
    output
        File of flows (NetCDF) to write: u, v, w (terrain, height, y, x), NaN where there is a
        reason why not.
    heights
        Heights above ground (m).
    settings
        Settings of the flow model (JSON); what is not given has its default.
    number
        Run the terrains of this job alone, counted from 0; by default all. Beyond the last one, a
        file without terrains is written: jobs are planned before it is known how many tiles there
        will be.
    per_job
        Terrains of a job: the first job has the first ``per_job`` of them, and so on.
    checkpoint
        Folder of flows that are solved already; a killed step goes on from it, and a finished one
        removes it. By default none are kept.
    threads
        CPU threads of linear algebra; OpenFOAM uses one.
    device
        cpu, cuda, or auto for a GPU if there is one; of mass_consistent only.

    Raises
    ------
    InputError
        If the terrains cannot be read, an option is wrong, or the flow model is not installed.
    """
    try:
        chosen = json.loads(settings)
    except json.JSONDecodeError as error:
        raise InputError(f"--settings is no JSON ({error}).") from error
    if not isinstance(chosen, dict):
        raise InputError("--settings must be a JSON object, like '{\"levels\": 16}'.")
    if not heights or not all(0 < height < np.inf for height in heights):
        raise InputError(f"--heights is {heights}; give heights above 0 m.")
    if threads < 1:
        raise InputError(f"--threads is {threads}; give at least 1.")
    if number is not None and number < 0:
        raise InputError(f"--number is {number}; jobs are counted from 0.")
    if per_job < 1:
        raise InputError(f"--per-job is {per_job}; give at least 1.")
    data = read_terrains(terrains)

    from scipy.fft import set_workers
    from threadpoolctl import threadpool_limits

    rows = np.arange(len(data))
    if number is not None:
        rows = rows[rows // per_job == number]
    reasons = data.table["rejected"].to_numpy()
    wanted = rows[reasons[rows] == ""]
    logs = output.parent / f"{output.stem}.logs"
    run, size = _runner(solver, chosen, data.spacing, heights, data.shape, device, logs)
    shape = (len(heights), *data.shape)
    flows = {int(row): Flow.failed(shape, reasons[row], 0.0) for row in rows}
    facts = {"solver": solver, "settings": json.dumps(chosen, sort_keys=True)}
    kept = None
    if checkpoint is not None:
        kept = _Kept(checkpoint, data, heights, facts)
        solved = {int(row): flow for row in wanted if (flow := kept.read(int(row)))}
        flows.update(solved)
        wanted = wanted[~np.isin(wanted, list(solved))]
        if solved:
            log.info("%s: goes on, %d flows are solved already", solver, len(solved))
    with threadpool_limits(threads), set_workers(threads):
        for row, flow in progress(_flows(run, size, wanted, data), solver, len(wanted)):
            flows[row] = flow
            if kept is not None:
                kept.write(row, flow)
    ordered = [flows[int(row)] for row in rows]
    names = [data.names[row] for row in rows]
    write_flows(output, names, ordered, data.shape, heights, data.spacing, facts)
    if kept is not None:
        kept.remove()
    failed = sum(bool(flow.reason) for flow in ordered)
    log.info(
        "%s: %d terrains, %d without a flow, %.1f s of processor time",
        solver,
        len(ordered),
        failed,
        sum(flow.seconds for flow in ordered),
    )


class _Kept:
    """Flows of a job that is not done yet, one file each.

    A flow is taken for that of a terrain only if terrain, heights, solver, its settings and the
    code are the same.
    """

    def __init__(
        self, folder: Path, data: Terrains, heights: Sequence[float], facts: Mapping[str, str]
    ) -> None:
        self.folder, self.data, self.heights, self.facts = folder, data, heights, facts
        about = hashlib.sha256(json.dumps([dict(facts), list(heights), data.spacing]).encode())
        for path in sources(f"wind.{facts['solver']}"):
            about.update(path.read_bytes())
        self.about = about.digest()

    def _path(self, row: int) -> Path:
        return self.folder / f"{row}.nc"

    def _identity(self, row: int) -> str:
        terrain = [self.data.elevation[row], self.data.table["roughness"].to_numpy(float)[row]]
        parts = (np.ascontiguousarray(part).tobytes() for part in terrain)
        return hashlib.sha256(b"".join([self.about, *parts])).hexdigest()

    def write(self, row: int, flow: Flow) -> None:
        """Keep the flow over a terrain."""
        write_flows(
            self._path(row),
            [self.data.names[row]],
            [flow],
            self.data.shape,
            self.heights,
            self.data.spacing,
            {**self.facts, "identity": self._identity(row)},
        )

    def read(self, row: int) -> Flow | None:
        """Return the flow over a terrain if it is there."""
        import xarray as xr

        path = self._path(row)
        if not path.is_file():
            return None
        try:
            with xr.open_dataset(path, engine="h5netcdf") as opened:
                found = opened.isel(terrain=0).load()
            if found.attrs["identity"] != self._identity(row):
                log.warning("%s: of another terrain, setting or code, not used", path)
                return None
            return Flow(
                *(found[name].to_numpy() for name in COMPONENTS),
                bool(found["converged"]),
                str(found["reason"].item()),
                float(found["seconds"]),
                int(found["iterations"]),
                float(found["residual"]),
            )
        except (OSError, KeyError, ValueError, IndexError) as error:
            log.warning("%s: damaged, not used (%s)", path, error)
            return None

    def remove(self) -> None:
        """Delete the kept flows of all terrains, and the folder."""
        for path in self.folder.glob("*.nc"):
            path.unlink()
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()


def write_flows(
    path: Path,
    names: Sequence[str],
    flows: Sequence[Flow],
    shape: tuple[int, int],
    heights: Sequence[float],
    spacing: float,
    facts: Mapping[str, str],
) -> None:
    """Write flows (NetCDF), atomically."""
    import xarray as xr

    ny, nx = shape
    dataset = xr.Dataset(
        coords={
            "terrain": ("terrain", np.array(names, dtype=object)),
            "height": (
                "height",
                np.asarray(heights, dtype=float),
                {"long_name": "height above ground", "units": "m", "positive": "up"},
            ),
            "y": (
                "y",
                spacing * (np.arange(ny) + 0.5),
                {"long_name": "distance to the left", "units": "m"},
            ),
            "x": (
                "x",
                spacing * (np.arange(nx) + 0.5),
                {"long_name": "distance downwind", "units": "m"},
            ),
        },
        attrs={"Conventions": "CF-1.11", **facts},
    )
    size = (len(flows), len(heights), ny, nx)
    for name in COMPONENTS:
        dataset[name] = (
            ("terrain", "height", "y", "x"),
            np.reshape([getattr(flow, name) for flow in flows], size).astype(np.float32),
            {"long_name": f"wind {_MEANINGS[name]}, over the inflow at 10 m", "units": "1"},
        )
    for name, kind, long_name, unit in (
        ("converged", np.int8, "1 if the solver met its tolerance", "1"),
        ("reason", object, "why the flow is not to be used; empty if it is", None),
        ("seconds", float, "processor time", "s"),
        ("iterations", np.int32, "iterations of the solver", "1"),
        ("residual", float, "last relative residual", "1"),
    ):
        values = np.array([getattr(flow, name) for flow in flows], dtype=kind)
        dataset[name] = ("terrain", values, {"long_name": long_name})
        if unit:
            dataset[name].attrs["units"] = unit
    with writing(path) as temporary:
        dataset.to_netcdf(temporary, engine="h5netcdf")


if __name__ == "__main__":
    main(solve)
