"""Simulate measurements of a car's fuel consumption: the data set that needs no download."""

from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.config.lecture import Simulation
from casestudies.lecture import RAW_FILE
from casestudies.lecture.car import PARAMETERS, consumption, measure
from casestudies.parameters import write_parameters
from casestudies.steps import main
from casestudies.tables import write_table

_DECIMALS = 2  # of a measurement, as an instrument shows it


def simulate(*, settings: str = "{}", until: float = 180.0, seed: int, output: Path) -> None:
    """Simulate measurements, and keep the truth that they scatter about.

    Parameters
    ----------
    settings
        Settings that differ from the defaults (casestudies.config.lecture.Simulation), as JSON.
    until
        Speed (km/h) up to which the truth is kept.
    seed
        Seed of speeds and noise.
    output
        Folder for measurements.csv (speed in km/h, consumption in L/100 km), truth.csv (the same
        columns) and parameters.json.
    """
    simulation = Simulation.model_validate_json(settings)
    speed, observed = measure(simulation, simulation.measurements, np.random.default_rng(seed))
    table = pd.DataFrame({"speed": speed[0], "consumption": observed[0]})
    grid = np.linspace(simulation.slowest, max(until, simulation.fastest), 201)
    truth = pd.DataFrame({"speed": grid, "consumption": consumption(grid)})
    write_table(table.round(_DECIMALS), output / RAW_FILE)
    write_table(truth, output / "truth.csv")
    options = {**simulation.model_dump(mode="json"), "until": until, "seed": seed}
    write_parameters(output / "parameters.json", options, PARAMETERS)


if __name__ == "__main__":
    main(simulate)
