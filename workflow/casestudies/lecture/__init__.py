"""The argument that the lecture builds before its applications, figure by figure.

The smallest study, and the one to read first: ``car`` holds the physics, ``models`` the polynomials
and their fits, ``variance`` what becomes of an error; every other module is a step.
"""

RAW_FILE = "measurements.csv"
"""The raw file of a data set: speed (km/h) and consumption (L/100 km)."""

FIGURES = ("fits", "validation", "descent", "prediction")
"""The figures of a data set."""

EXPERIMENT_FIGURES = (
    "bias_variance",
    "optimisation",
    "networks",
    "local_minima",
    "approximation",
    "magnitude",
)
"""The figures of the experiments, which need no data set."""
