"""What the jobs of a run have used, from the benchmark files that Snakemake leaves in its logs."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

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


# ------------------------------------------------------------------------------------- the table
