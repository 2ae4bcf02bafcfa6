"""Simulate terrain: Gaussian random fields, the data set that needs no download.

Correlation length, slope, spectral exponent and roughness length (the last in its logarithm) are
drawn by a Latin hypercube; see casestudies.wind.terrain for the spectrum, the fringe and the guard
rails. A raw folder holds ``terrains.nc`` and ``parameters.json``. The flow is not simulated here:
flow models are (casestudies.wind.solve).
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import qmc

from casestudies.errors import InputError
from casestudies.parameters import write_parameters
from casestudies.steps import log, main, progress
from casestudies.wind import RANDOM_FIELD
from casestudies.wind.terrain import Terrains, blend, guard, random_field


def draw(terrains: int, ranges: dict[str, tuple[float, float]], seed: int) -> dict[str, np.ndarray]:
    """Return the parameters of random fields, (terrains,) each, by a Latin hypercube."""
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(0,)))
    unit = qmc.LatinHypercube(len(ranges), rng=rng).random(terrains)
    drawn = {}
    for share, (name, (low, high)) in zip(unit.T, ranges.items(), strict=True):
        drawn[name] = (
            low * (high / low) ** share if name == "roughness" else low + (high - low) * share
        )
    return drawn


def _check(options: dict[str, Any]) -> None:
    problems = [
        (options["terrains"] < 1, "terrains", "give at least 1"),
        (options["cells"] < 16, "cells", "give at least 16"),
        (not 0 < options["spacing"] < np.inf, "spacing", "give a size above 0 m"),
        (not 0.1 <= options["fringe"] <= 0.4, "fringe", "give 0.1 to 0.4 of the terrain"),
        (not options["steepest"] > 0, "steepest", "give a slope above 0"),
        (not options["relief"] > 0, "relief", "give a height above 0 m"),
        (options["seed"] < 0, "seed", "give 0 or more"),
    ]
    for name in ("correlation_length", "slope", "spectral_exponent", "roughness"):
        low, high = options[name]
        least = 2 if name == "spectral_exponent" else 0
        problems.append(
            (not least < low <= high < np.inf, name, f"give two numbers above {least} in order")
        )
    for wrong, name, remedy in problems:
        if wrong:
            raise InputError(f"simulate: --{name.replace('_', '-')} is {options[name]}; {remedy}.")


def simulate(
    *,
    output: Path,
    terrains: int = 72,
    correlation_length: tuple[float, float] = (250.0, 800.0),
    slope: tuple[float, float] = (0.05, 0.35),
    spectral_exponent: tuple[float, float] = (3.0, 5.0),
    roughness: tuple[float, float] = (0.005, 0.5),
    cells: int = 48,
    spacing: float = 60.0,
    fringe: float = 0.25,
    steepest: float = 1.0,
    relief: float = 700.0,
    seed: int = 0,
) -> None:
    """Write simulated terrain: terrains.nc and parameters.json.

    Parameters
    ----------
    output
        Folder to write to.
    terrains
        Number of random fields.
    correlation_length
        Range of the correlation length (m).
    slope
        Range of the root mean square slope (m per m), before the fringe is blended.
    spectral_exponent
        Range of the exponent with which the spectrum falls off at small scales.
    roughness
        Range of the roughness length (m), drawn evenly in its logarithm.
    cells
        Cells on each side.
    spacing
        Size of a cell (m).
    fringe
        Part of the terrain, on each side, in which it is blended to flat ground.
    steepest
        Terrains whose 95th percentile of slope is above this are rejected (m per m).
    relief
        Terrains of more relief are rejected (m).
    seed
        Seed of all random numbers.

    Raises
    ------
    InputError
        If the options describe no terrain; nothing is written then.
    """
    options = {key: value for key, value in locals().items() if key != "output"}
    _check(options)
    ranges = {
        "correlation_length": correlation_length,
        "slope": slope,
        "spectral_exponent": spectral_exponent,
        "roughness": roughness,
    }
    drawn = draw(terrains, ranges, seed)
    elevation = np.empty((terrains, cells + 1, cells + 1))
    for k in progress(range(terrains), "terrains"):
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1, k)))
        field = random_field(
            cells,
            spacing,
            drawn["correlation_length"][k],
            drawn["slope"][k],
            drawn["spectral_exponent"][k],
            rng,
        )
        elevation[k] = blend(field, fringe)
    percentile, heights, rejected = guard(elevation, spacing, steepest, relief)
    table = pd.DataFrame(
        {
            "terrain": [f"field-{k:04d}" for k in range(terrains)],
            "roughness": drawn["roughness"],
            "massif": RANDOM_FIELD,
            "real": 0,
            "rejected": rejected,
            "slope_p95": percentile,
            "relief": heights,
            "correlation_length": drawn["correlation_length"],
            "slope_rms": drawn["slope"],
            "spectral_exponent": drawn["spectral_exponent"],
            "x": np.nan,
            "y": np.nan,
            "direction": np.nan,
        }
    )
    Terrains(elevation, table, spacing, fringe).write(output / "terrains.nc")
    write_parameters(
        output / "parameters.json",
        options,
        {},
        spectrum="von Kármán; see casestudies.wind.terrain.random_field",
        rejected=int((rejected != "").sum()),
    )
    log.info("%d of %d terrains are rejected by guard rails", (rejected != "").sum(), terrains)


if __name__ == "__main__":
    main(simulate)
