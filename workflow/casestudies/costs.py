"""What a run costs: expected, from measurements at smaller sizes, or as its own files tell.

``python -m casestudies.costs --configfile config/full.yaml`` plans the run and prints, for each
step, jobs, core-hours, memory and disk. Expected values come from ``benchmarks/costs.csv``, where
``benchmarks/measure_costs.py`` has put what steps took at several sizes (casestudies.scaling). Cost
is taken as a constant (the start of a program) and a power of each size,

    y = s + c · Πₖ xₖ^eₖ,   s ≥ 0,  0 ≤ eₖ ≤ 2.5,

fitted by least squares of its logarithm. The range given with it is that of the fits that leave out
one of the measurements each, widened by the largest residual: it tells what the measurements do not
settle, not what another machine or a busy one would take.

``python -m casestudies.costs --logs logs`` prints what a run has used. A rule's ``benchmark:``
leaves ``logs/….tsv`` beside its log. Snakemake samples memory and processor time twice a second for
the first half minute of a job, then twice a minute: a short peak late in a long job can be missed,
and the last samples of processor time as well.
"""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from casestudies.errors import InputError

STUDIES = ("glacier", "mwas", "satellite", "wind", "lecture")
_SHARED = ("split", "score")  # rules that serve all studies and are not called after one


@dataclass(frozen=True)
class Usage:
    """What a job used, or the jobs of a step.

    Parameters
    ----------
    jobs
        Number of jobs.
    seconds
        Wall time of the longest (s).
    cpu_seconds
        Processor time of all (s).
    max_rss
        Most memory that one had resident, its child processes included (MB); None if no job ran
        long enough for a sample.
    """

    jobs: int
    seconds: float
    cpu_seconds: float
    max_rss: float | None


def read_usage(logs: Path) -> dict[str, Usage]:
    """Return what each job used, by the path of its benchmark file below ``logs``.

    Raises
    ------
    InputError
        If there is no benchmark file, or one cannot be read.
    """
    logs = Path(logs)
    found = {}
    for path in sorted(logs.rglob("*.tsv")):
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
        try:
            used = [
                Usage(
                    1,
                    float(row["s"]),
                    float(row["cpu_time"] if row["cpu_time"] != "NA" else 0),
                    float(row["max_rss"]) if row["max_rss"] != "NA" else None,
                )
                for row in rows
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}: not a benchmark file of Snakemake ({error}); delete it."
            ) from error
        if used:
            found[path.relative_to(logs).as_posix()] = _together(used)
    if not found:
        raise InputError(f"{logs}: holds no benchmark file (*.tsv); run the workflow first.")
    return found


def by_step(usage: dict[str, Usage]) -> dict[str, Usage]:
    """Return what the jobs of each step used together; see :func:`step_of`."""
    steps: dict[str, list[Usage]] = {}
    for path, used in usage.items():
        steps.setdefault(step_of(path), []).append(used)
    return {step: _together(used) for step, used in sorted(steps.items())}


def step_of(path: str) -> str:
    """Return the step of a benchmark file or log, named by its path below ``logs``.

    A step is called as its rule is, without what tells apart the rules of several jobs
    (``fit_satellite`` of ``fit_satellite_oracle``, ``fetch`` of ``fetch_melbourne-ozonesondes``).
    """
    parts = Path(path).with_suffix("").parts
    if parts[0] not in STUDIES:
        return parts[0]
    name = parts[min(len(parts), 3) - 1]  # <study>/<step>, or below a data set
    if name == "plot_transfer":
        return f"{name}_{parts[0]}"
    if name == "solve_openfoam":
        return f"solve_{parts[0]}_openfoam"
    verb = name.split("_")[0]
    return verb if verb in _SHARED else f"{verb}_{parts[0]}"


def _together(used: Iterable[Usage]) -> Usage:
    used = list(used)
    memory = [one.max_rss for one in used if one.max_rss is not None]
    return Usage(
        sum(one.jobs for one in used),
        max(one.seconds for one in used),
        sum(one.cpu_seconds for one in used),
        max(memory, default=None),
    )


# ----------------------------------------------------------------------------------- expectations

MEASURED = ("cpu_seconds", "peak_mb", "written_mb")
"""Quantities of a step, by the column of the table of measurements."""
_STEEPEST = 2.5


@dataclass(frozen=True)
class Estimate:
    """An expected value, and the range that the measurements leave."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Law:
    """How a quantity grows with sizes; see the module.

    Parameters
    ----------
    names
        Of the sizes.
    exponents
        Of each of them.
    measured
        Smallest and largest value of each size that was measured.
    measurements
        Number of measurements.
    """

    names: tuple[str, ...]
    constant: float
    factor: float
    exponents: tuple[float, ...]
    measured: tuple[tuple[float, float], ...]
    measurements: int
    variants: tuple[tuple[float, ...], ...]
    spread: float

    @classmethod
    def fit(cls, names: Sequence[str], sizes: np.ndarray, values: np.ndarray) -> "Law":
        """Fit the law.

        Parameters
        ----------
        sizes
            (n, sizes), above 0.
        values
            (n,), above 0.
        """
        varied = [k for k in range(len(names)) if len(np.unique(sizes[:, k])) > 1]
        logs = np.log(sizes[:, varied])
        best = _least_squares(logs, values)
        variants = [best]
        if varied:
            rows = range(len(values))
            variants += [_least_squares(np.delete(logs, i, 0), np.delete(values, i)) for i in rows]
        residuals = np.abs(np.log(values) - np.log(_evaluate(best, logs)))
        return cls(
            tuple(names[k] for k in varied),
            best[0],
            best[1],
            tuple(best[2:]),
            tuple((sizes[:, k].min(), sizes[:, k].max()) for k in varied),
            len(values),
            tuple(map(tuple, variants)),
            float(residuals.max()),
        )

    def __call__(self, sizes: Mapping[str, float]) -> Estimate:
        """Return the quantity expected at some sizes."""
        logs = np.log([[max(sizes[name], 1e-9) for name in self.names]])
        found = [float(_evaluate(one, logs)[0]) for one in self.variants]
        widen = math.exp(self.spread)
        return Estimate(found[0], min(found) / widen, max(found) * widen)


def _evaluate(law: Sequence[float], logs: np.ndarray) -> np.ndarray:
    constant, factor, *exponents = law
    return constant + factor * np.exp(logs @ np.asarray(exponents, dtype=float))


def _least_squares(logs: np.ndarray, values: np.ndarray) -> list[float]:
    """Return constant, factor and exponents of the law that fits best, in logarithms."""
    from scipy.optimize import least_squares

    least, count = float(values.min()), logs.shape[1]
    if not count:
        return [float(np.exp(np.log(values).mean())), 0.0]
    middle = logs.mean(axis=0)

    def split(found: np.ndarray) -> list[float]:
        factor = math.exp(found[1] - middle @ found[2:])
        return [least * found[0], factor, *found[2:]]

    def residuals(found: np.ndarray) -> np.ndarray:
        return np.log(_evaluate(split(found), logs)) - np.log(values)

    lowest = [0.0, math.log(least) - 20, *[0.0] * count]
    highest = [1.0, math.log(float(values.max())) + 20, *[_STEEPEST] * count]
    tries = [
        least_squares(
            residuals,
            [share, float(np.log(values).mean()), *[exponent] * count],
            bounds=(lowest, highest),
        )
        for share, exponent in ((0.1, 1.0), (0.9, 1.0), (0.5, 0.5))
    ]
    return split(min(tries, key=lambda one: one.cost).x)
