"""The costly flow model: steady k-ε RANS of the neutral surface layer, solved by OpenFOAM.

A block of hexahedra is sheared to the terrain. The inflow is the logarithmic profile of
:func:`~casestudies.wind.flow.log_profile` with the k and ε that are in equilibrium with it
(Richards and Hoxey 1993, J. Wind Eng. Ind. Aerodyn. 46-47, 145-153), the ground a rough wall, sides
and top slip, the outlet at constant pressure. simpleFoam iterates by SIMPLEC.

The inflow is written as values of the inlet's faces, not as OpenFOAM's atmBoundaryLayerInlet
conditions: it ends at the height where that of the other flow models does, and versions of OpenFOAM
that differ in those conditions give one flow.

Near the ground the flow depends on the mesh: lower cells there (more levels, or a larger grading)
give faster wind at 10 m, mostly on ridges and in the lee. They cannot be much lower than some ten
roughness lengths, or the rough wall no longer keeps the profile over flat ground.

Each case is one process in a temporary folder; a cluster runs many side by side.
"""

import errno
import logging
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from casestudies.config.wind import OpenFoam
from casestudies.errors import InputError
from casestudies.files import WriteError, named
from casestudies.validation import read_settings
from casestudies.wind import REFERENCE_HEIGHT
from casestudies.wind.flow import VON_KARMAN, Flow, at_heights, log_profile

log = logging.getLogger("casestudies")

SPEED = 10.0
"""Inflow speed at 10 m (m/s); results are divided by it."""
C_MU = 0.09
"""Coefficient of the k-ε model, which is the standard one (Launder and Spalding 1974)."""
PATIENCE = 40e-6
"""Seconds allowed for a cell and iteration, some fifteen times what a free core needs."""

_OWN_SIGNALS = {signal.SIGFPE, signal.SIGSEGV, signal.SIGABRT, signal.SIGILL}
_LEAST_FREE = 1 << 20  # bytes of the disk of a case; with less it was full
_BASHRC = ("/usr/share/openfoam/etc/bashrc", "/usr/lib/openfoam/openfoam*/etc/bashrc")
_SOLVED = re.compile(r"^(?:GAMG|\w+): +Solving for p, Initial residual = ([^,]+),", re.M)
_ITERATION = re.compile(r"^Time = (\S+)$", re.M)
_ERROR = re.compile(r"--> FOAM FATAL (?:IO )?ERROR:? *\n(.+)", re.M)


class _Rejected(Exception):
    """A flow that is not to be used; the message is the reason on record."""


def parse_settings(settings: Mapping[str, Any]) -> OpenFoam:
    """Return checked settings; what is not given has its default.

    Raises
    ------
    InputError
        If a key is unknown or a value out of range.
    """
    return read_settings(OpenFoam, settings, "wind.openfoam")


@cache
def environment() -> dict[str, str]:
    """Return the environment variables with which OpenFOAM's programs run.

    The environment itself if it is that of OpenFOAM already; else that which the ``etc/bashrc`` of
    an installation sets: of ``$WM_PROJECT_DIR``, of the ``simpleFoam`` that is on the PATH, or of
    a Debian package.

    Raises
    ------
    InputError
        If there is no OpenFOAM.
    """
    project = os.environ.get("WM_PROJECT_DIR")
    if project and shutil.which("simpleFoam"):
        return dict(os.environ)
    candidates = [Path(project) / "etc/bashrc"] if project else []
    if found := shutil.which("simpleFoam"):
        candidates += [parent / "etc/bashrc" for parent in Path(found).resolve().parents]
    for pattern in _BASHRC:
        candidates += sorted(Path("/").glob(pattern.removeprefix("/")), reverse=True)
    for bashrc in candidates:
        if bashrc.is_file() and (sourced := _sourced(bashrc)):
            return sourced
    raise InputError(
        "simpleFoam: OpenFOAM is not installed, or not where it is looked for: WM_PROJECT_DIR, "
        "the PATH, /usr/share/openfoam and /usr/lib/openfoam. Install it, on Debian and Ubuntu "
        "with `apt-get install openfoam` (410 MB), elsewhere with `conda install -c conda-forge "
        "openfoam`, or from https://www.openfoam.com; or choose the solver mass_consistent, which "
        "needs nothing."
    )


def _sourced(bashrc: Path) -> dict[str, str] | None:
    """Return the environment that ``bashrc`` sets, or None if simpleFoam is not in it."""
    script = 'bashrc=$1; set --; . "$bashrc" >/dev/null 2>&1; env -0'
    done = subprocess.run(
        [shutil.which("bash") or "bash", "-c", script, "bash", str(bashrc)],
        capture_output=True,
        timeout=60,
        check=False,
    )
    pairs = (entry.split("=", 1) for entry in done.stdout.decode(errors="replace").split("\0"))
    found = {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
    return found if shutil.which("simpleFoam", path=found.get("PATH", "")) else None


@dataclass(frozen=True)
class Mesh:
    """A block of hexahedra sheared to the terrain; z is above the lowest ground.

    Parameters
    ----------
    points
        (nz+1, ny+1, nx+1, 3) m.
    above_ground
        Heights of the centres of the cells, (nz, ny, nx) m.
    inlet
        Heights of the centres of the inlet's faces above the ground, (nz, ny) m.
    """

    points: np.ndarray
    above_ground: np.ndarray
    inlet: np.ndarray


def mesh(elevation: np.ndarray, spacing: float, settings: OpenFoam) -> Mesh:
    """Return the mesh over a terrain, its layers growing geometrically and flat at the top.

    Parameters
    ----------
    elevation
        (ny+1, nx+1) m.
    spacing
        Size of a cell (m).
    """
    levels, top = settings.levels, settings.top
    ground = elevation - elevation.min()
    if ground.max() > 0.8 * top:
        raise _Rejected(f"relief of {ground.max():.0f} m, too much below a top at {top:.0f} m")
    layers = settings.grading ** (np.arange(levels) / (levels - 1))
    sigma = np.concatenate([[0.0], np.cumsum(layers) / layers.sum()])[:, None, None]
    z = ground + sigma * (top - ground)
    y, x = (spacing * np.arange(n) for n in elevation.shape)
    points = np.empty((*z.shape, 3))
    points[..., 0], points[..., 1], points[..., 2] = x, y[:, None], z
    above = z - ground
    edges = (above[:, 1:] + above[:, :-1]) / 2
    centres = (edges[1:] + edges[:-1]) / 2
    return Mesh(points, (centres[..., 1:] + centres[..., :-1]) / 2, centres[..., 0])


def solve(
    elevation: np.ndarray,
    spacing: float,
    roughness: float,
    heights: Sequence[float],
    settings: Mapping[str, Any],
    folder: Path | None = None,
) -> Flow:
    """Return the flow over a terrain.

    A case that does not converge, ends in an error, takes too long or gives an unphysical flow is
    no error: it is returned with its reason, and its logs are kept.

    Parameters
    ----------
    elevation
        (ny+1, nx+1) m, at the nodes.
    spacing
        Size of a cell (m).
    roughness
        Roughness length z0 (m).
    heights
        Heights above ground at which the flow is wanted (m).
    settings
        Settings of the model, see casestudies.config.wind.OpenFoam; what is not given has its
        default.
    folder
        Where the logs of a rejected case are kept; by default nowhere.

    Raises
    ------
    InputError
        If a setting is wrong, OpenFOAM is not installed, or it was killed.
    WriteError
        If the disk of temporary files is full.
    """
    chosen = parse_settings(settings)
    programs = environment()
    elevation = np.asarray(elevation, dtype=float)
    ny, nx = elevation.shape[0] - 1, elevation.shape[1] - 1
    start, iterations, residual = _seconds(), 0, float("nan")
    with tempfile.TemporaryDirectory(prefix="openfoam-") as temporary:
        case = Path(temporary)
        try:
            grid = mesh(elevation, spacing, chosen)
            with named(case):
                _write(case, grid, roughness, chosen)
            limit = 60 + PATIENCE * grid.above_ground.size * chosen.iterations
            _run(["blockMesh"], case, programs, limit)
            _list(case / "constant/polyMesh/points", "vectorField", "points", grid.points)
            try:
                _run(["simpleFoam"], case, programs, limit)
            finally:
                iterations, residual, converged = _progress(case / "simpleFoam.log")
            if not converged:
                raise _Rejected(f"not converged after {iterations} iterations")
            velocity = _velocity(case, grid.above_ground.shape) / SPEED
            flow = [
                at_heights(component, grid.above_ground, heights, roughness)
                for component in np.moveaxis(velocity, -1, 0)
            ]
            _guard(flow, heights, roughness, chosen.fastest)
        except _Rejected as error:
            if shutil.disk_usage(case).free < _LEAST_FREE:
                raise WriteError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(case)) from error
            _keep_logs(case, folder)
            failed = Flow.failed((len(heights), ny, nx), str(error), _seconds() - start)
            return replace(failed, iterations=iterations, residual=residual)
    return Flow(*flow, True, "", _seconds() - start, iterations, residual)


def _seconds() -> float:
    """Return the processor time of this process and of the programs that it has run."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _run(command: list[str], case: Path, programs: dict[str, str], limit: float) -> None:
    """Run a program in a case, its output going to a log; raise _Rejected if it fails."""
    path = case / f"{command[0]}.log"
    with path.open("wb") as stream:
        try:
            done = subprocess.run(
                command,
                cwd=case,
                env={**programs, "PWD": str(case)},
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise _Rejected(f"{command[0]} took more than {limit:.0f} s") from None
    if done.returncode == 0:
        return
    # With -n, a signal; the usual one is SIGFPE, from a division by 0 or an overflow.
    status = done.returncode
    ended = signal.Signals(-status).name if status < 0 else f"status {status}"
    # What came from outside says nothing about the flow: it must not count as one that fails.
    if status < 0 and -status not in _OWN_SIGNALS:
        raise InputError(
            f"{command[0]} was ended by {ended} from outside; SIGKILL most often means that memory "
            "ran out. Free memory, or run fewer jobs at a time, and run again."
        )
    message = _ERROR.search(path.read_text(errors="replace"))
    raise _Rejected(
        f"{command[0]} ended with {ended}" + (f": {message[1].strip()}" if message else "")
    )


def _progress(path: Path) -> tuple[int, float, bool]:
    """Return iterations, last initial residual of the pressure, and whether it converged."""
    text = path.read_text(errors="replace") if path.is_file() else ""
    residuals = _SOLVED.findall(text)
    residual = float(residuals[-1]) if residuals else float("nan")
    return len(_ITERATION.findall(text)), residual, "SIMPLE solution converged" in text


def _guard(
    flow: Sequence[np.ndarray], heights: Sequence[float], roughness: float, fastest: float
) -> None:
    """Raise _Rejected if a flow is not finite, or faster than any that is physical."""
    speed = np.sqrt(sum(component**2 for component in flow))
    if not np.isfinite(speed).all():
        raise _Rejected("not finite")
    inflow = log_profile(np.asarray(heights), roughness)[:, None, None]
    if (highest := (speed / inflow).max()) > fastest:
        raise _Rejected(f"speed-up of {highest:.2f}, above {fastest:g}")


def _keep_logs(case: Path, folder: Path | None) -> None:
    logs = sorted(case.glob("*.log"))
    if folder is None or not logs:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for path in logs:
        shutil.copyfile(path, folder / path.name)
    log.info("%s: the logs of OpenFOAM", folder)


# The case ---------------------------------------------------------------------------------------


def _write(case: Path, grid: Mesh, roughness: float, settings: OpenFoam) -> None:
    """Write all files of a case but the mesh, of which only the topology is described."""
    levels, ny, nx = grid.above_ground.shape
    friction = VON_KARMAN * SPEED / np.log1p(REFERENCE_HEIGHT / roughness)
    energy = friction**2 / C_MU**0.5
    fields = {
        name: (inside, inflow)
        for name, inside, inflow in zip(
            ("U", "k", "epsilon"),
            _equilibrium(grid.above_ground, roughness, friction),
            _equilibrium(grid.inlet, roughness, friction),
            strict=True,
        )
    }
    texts = {
        "system/blockMeshDict": _BLOCK.format(cells=f"{nx} {ny} {levels}"),
        "system/controlDict": _CONTROL.format(iterations=settings.iterations),
        "system/fvSchemes": _SCHEMES,
        "system/fvSolution": _SOLUTION.format(residual=settings.residual),
        "constant/transportProperties": "transportModel Newtonian; nu 1.5e-05;",
        "constant/turbulenceProperties": _TURBULENCE,
    }
    for name, text in texts.items():
        path = case / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_header("dictionary", path.name) + text, encoding="ascii")
    boundary = {
        "U": (
            "[0 1 -1 0 0 0 0]",
            "type inletOutlet; inletValue uniform (0 0 0); value uniform (0 0 0);",
            "type noSlip;",
        ),
        "k": (
            "[0 2 -2 0 0 0 0]",
            f"type inletOutlet; inletValue uniform {energy:.8g}; value uniform {energy:.8g};",
            f"type kqRWallFunction; value uniform {energy:.8g};",
        ),
        "epsilon": (
            "[0 2 -3 0 0 0 0]",
            "type inletOutlet; inletValue uniform 0.01; value uniform 0.01;",
            f"type epsilonWallFunction; kappa {VON_KARMAN}; value uniform 0.01;",
        ),
    }
    (case / "0").mkdir()
    for name, (dimensions, outlet, terrain) in boundary.items():
        inside, inflow = (_field(values) for values in fields[name])
        _write_field(
            case, name, dimensions, inside, f"type fixedValue; value {inflow};", outlet, terrain
        )
    _write_field(
        case,
        "p",
        "[0 2 -2 0 0 0 0]",
        "uniform 0",
        "type zeroGradient;",
        "type fixedValue; value uniform 0;",
        "type zeroGradient;",
    )
    calculated = "type calculated; value uniform 0;"
    _write_field(
        case,
        "nut",
        "[0 2 -1 0 0 0 0]",
        "uniform 0",
        calculated,
        calculated,
        f"type nutkAtmRoughWallFunction; kappa {VON_KARMAN}; z0 uniform {roughness:.8g}; "
        "value uniform 0;",
    )


def _equilibrium(
    above_ground: np.ndarray, roughness: float, friction: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return U (n, 3), k (n) and ε (n) of the logarithmic layer at heights above ground."""
    height = above_ground.ravel()
    velocity = np.zeros((height.size, 3))
    velocity[:, 0] = SPEED * log_profile(height, roughness)
    energy = np.full(height.size, friction**2 / C_MU**0.5)
    return velocity, energy, friction**3 / (VON_KARMAN * (height + roughness))


def _header(kind: str, name: str) -> str:
    return f"FoamFile {{ version 2.0; format ascii; class {kind}; object {name}; }}\n"


def _values(values: np.ndarray) -> str:
    """Return numbers (n) or vectors (n, 3) as a list of OpenFOAM."""
    form = "(%.8g %.8g %.8g)" if values.ndim == 2 else "%.8g"
    lines = "\n".join([form] * len(values)) % tuple(values.ravel().tolist())
    return f"{len(values)}\n(\n{lines}\n)"


def _field(values: np.ndarray) -> str:
    kind = "vector" if values.ndim == 2 else "scalar"
    return f"nonuniform List<{kind}> {_values(values)}"


def _list(path: Path, kind: str, name: str, values: np.ndarray) -> None:
    path.write_text(_header(kind, name) + _values(values.reshape(-1, 3)) + "\n", encoding="ascii")


def _write_field(
    case: Path, name: str, dimensions: str, inside: str, inlet: str, outlet: str, terrain: str
) -> None:
    """Write an initial field; sides and top are slip walls."""
    kind = "volVectorField" if name == "U" else "volScalarField"
    (case / "0" / name).write_text(
        f"{_header(kind, name)}dimensions {dimensions};\ninternalField {inside};\n"
        f"boundaryField\n{{\n    inlet {{ {inlet} }}\n    outlet {{ {outlet} }}\n"
        f"    terrain {{ {terrain} }}\n    sides {{ type slip; }}\n    top {{ type slip; }}\n}}\n",
        encoding="ascii",
    )


def _velocity(case: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Read the velocity of the last iteration, (*shape, 3) m/s; cells run along x first."""
    times = [path for path in case.iterdir() if path.name.isdigit() and path.name != "0"]
    path = max(times, key=lambda each: int(each.name)) / "U"
    text = path.read_text(encoding="ascii")
    found = re.search(r"internalField\s+nonuniform List<vector>\s+(\d+)\s*\(", text)
    if not found or int(found[1]) != np.prod(shape):
        raise _Rejected("simpleFoam wrote no velocity of every cell")
    inside = text[found.end() : text.index("\n)", found.end())]
    numbers = inside.replace("(", " ").replace(")", " ").split()
    return np.array(numbers, dtype=float).reshape(*shape, 3)


# The unit cube: its points are replaced by those of the sheared mesh, in the same order.
_BLOCK = """
scale 1;
vertices ((0 0 0) (1 0 0) (1 1 0) (0 1 0) (0 0 1) (1 0 1) (1 1 1) (0 1 1));
blocks (hex (0 1 2 3 4 5 6 7) ({cells}) simpleGrading (1 1 1));
edges ();
boundary
(
    inlet {{ type patch; faces ((0 4 7 3)); }}
    outlet {{ type patch; faces ((1 2 6 5)); }}
    sides {{ type patch; faces ((0 1 5 4) (3 7 6 2)); }}
    top {{ type patch; faces ((4 5 6 7)); }}
    terrain {{ type wall; faces ((0 3 2 1)); }}
);
mergePatchPairs ();
"""

_CONTROL = """
application simpleFoam;
startFrom startTime; startTime 0; stopAt endTime; endTime {iterations}; deltaT 1;
writeControl timeStep; writeInterval {iterations}; purgeWrite 1;
writeFormat ascii; writePrecision 8; writeCompression off;
timeFormat general; timePrecision 6; runTimeModifiable false;
libs ("libatmosphericModels.so");
"""

_SCHEMES = """
ddtSchemes { default steadyState; }
gradSchemes { default Gauss linear; }
divSchemes
{
    default none;
    div(phi,U) bounded Gauss linearUpwind grad(U);
    div(phi,k) bounded Gauss upwind;
    div(phi,epsilon) bounded Gauss upwind;
    div((nuEff*dev2(T(grad(U))))) Gauss linear;
}
laplacianSchemes { default Gauss linear limited corrected 0.5; }
interpolationSchemes { default linear; }
snGradSchemes { default limited corrected 0.5; }
wallDist { method meshWave; }
"""

_SOLUTION = """
solvers
{{
    p {{ solver GAMG; smoother GaussSeidel; tolerance 1e-8; relTol 0.05; }}
    "(U|k|epsilon)"
    {{
        solver smoothSolver; smoother symGaussSeidel; nSweeps 1; tolerance 1e-9; relTol 0.1;
    }}
}}
SIMPLE
{{
    consistent yes;
    nNonOrthogonalCorrectors 0;
    residualControl {{ ".*" {residual:g}; }}
}}
relaxationFactors {{ equations {{ U 0.9; "(k|epsilon)" 0.8; }} }}
cache {{ grad(U); }}
"""

# The standard coefficients. The Prandtl number of ε that makes the logarithmic layer an exact
# solution (1.11; Richards and Hoxey 1993) keeps the wind at 10 m over flat ground less well on
# meshes whose lowest cells are metres high.
_TURBULENCE = """
simulationType RAS;
RAS
{
    RASModel kEpsilon;
    turbulence on;
    printCoeffs off;
    kEpsilonCoeffs { Cmu 0.09; C1 1.44; C2 1.92; sigmak 1.0; sigmaEps 1.3; }
}
"""
