"""What a result rests on: commit, versions, configuration, seeds, device, seconds, energy."""

import json
import platform
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from casestudies import __version__
from casestudies.files import write_json
from casestudies.steps import main

_PACKAGES = ("numpy", "pandas", "pyarrow", "scikit-learn", "scipy", "snakemake", "torch")


def provenance(config: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Return commit, versions, platform, configuration and seed, JSON-serialisable."""
    return {
        "commit": _commit(),
        "versions": {
            "casestudies": __version__,
            "python": platform.python_version(),
            **_versions(),
        },
        "platform": platform.platform(),
        "config": dict(config),
        "seed": seed,
    }


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # a step's environment need not hold every package
            continue
    return found


def _commit() -> str:
    """Return the commit of the checkout, marked if files were changed; "unknown" without git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return done.stdout.strip() or "unknown"


@contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Yield a dictionary that holds the elapsed ``seconds`` after the block."""
    measured: dict[str, float] = {}
    start = time.perf_counter()
    yield measured
    measured["seconds"] = round(time.perf_counter() - start, 3)


def collect(*, studies: list[Path], config: str, seed: int, output: Path) -> None:
    """Collect the provenance of all studies into one file, with the totals of the run.

    Parameters
    ----------
    studies
        The studies' provenance files, <study>/<data set>/provenance.json.
    config
        The whole configuration as JSON.
    seed
        The configuration's seed.
    output
        JSON: commit, versions, platform, configuration, seed, totals, and each study's steps.
    """
    parts = {
        "/".join(path.parts[-3:-1]): json.loads(path.read_text(encoding="utf-8"))["steps"]
        for path in studies
    }
    steps = [step for part in parts.values() for step in part.values()]
    totals = {
        key: round(sum(step.get(key) or 0 for step in steps), 6)
        for key in ("seconds", "joules", "co2e_kg")
    }
    write_json({**provenance(json.loads(config), seed), "totals": totals, "studies": parts}, output)


if __name__ == "__main__":
    main(collect)
