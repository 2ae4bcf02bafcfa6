"""A car's fuel consumption at constant speed, from its physics.

Resistance F(v) = c_rr m g + ρ c_d A v² / 2 is overcome by an engine whose fuel power is, by
Willans' line, an idle part plus the power at the wheels over an efficiency:

    fuel power = P_idle + F(v) v / η,        consumption = fuel power / (v · heat of a litre)

so that the efficiency as a whole, F v / fuel power, rises with the load, and consumption is

    c(v) = a / v + b + c v²

with a from idling, b from rolling resistance and c from drag: it is large for crawling and racing
cars, and least in between. The same three terms make the model ``physics``.
"""

import numpy as np

from casestudies.config.lecture import Simulation
from casestudies.parameters import Parameter, values

# fmt: off
PARAMETERS: dict[str, Parameter] = {
    "mass": Parameter(1400.0, "kg", "assumption", "a compact car and its driver"),
    "gravity": Parameter(9.81, "m s-2", "convention"),
    "rolling_resistance": Parameter(0.011, "1", "assumption", "tyres on asphalt"),
    "air_density": Parameter(1.2, "kg m-3", "convention", "20 degC at sea level"),
    "drag_area": Parameter(0.65, "m2", "assumption", "drag coefficient times frontal area"),
    "efficiency": Parameter(0.36, "1", "assumption", "marginal: from fuel to wheels, above idling"),
    "idle_power": Parameter(7200.0, "W", "assumption", "of fuel, about 0.8 litres an hour"),
    "fuel_heat": Parameter(32.2e6, "J L-1", "assumption", "lower heating value of petrol"),
}
# fmt: on
VALUES = values(PARAMETERS)


def consumption(speed: np.ndarray) -> np.ndarray:
    """Return the true consumption (L/100 km) at ``speed`` (km/h), of any shape."""
    v = VALUES
    metres = np.asarray(speed, dtype=float) / 3.6
    rolling = v["rolling_resistance"] * v["mass"] * v["gravity"]
    force = rolling + v["air_density"] * v["drag_area"] * metres**2 / 2
    energy = v["idle_power"] / metres + force / v["efficiency"]  # J of fuel for a metre
    return energy / v["fuel_heat"] * 1e5


def measure(
    simulation: Simulation, measurements: int, rng: np.random.Generator, sets: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Draw sets of measurements: speed (km/h), uniform, and consumption (L/100 km).

    Returns
    -------
    Two arrays (sets, measurements).
    """
    speed = rng.uniform(simulation.slowest, simulation.fastest, (sets, measurements))
    return speed, consumption(speed) + rng.normal(0, simulation.noise, speed.shape)
