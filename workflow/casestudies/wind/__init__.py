"""The near-surface wind over topography: networks that stand in for a costly flow model."""

COMPONENTS = ("u", "v", "w")
"""Wind components: downwind, to the left of it, upward; divided by the inflow speed (unit 1)."""

REFERENCE_HEIGHT = 10.0
"""Height above flat ground at which the inflow speed is 1 (m)."""

RANDOM_FIELD = "random field"
"""The massif of a terrain that is simulated."""

FIGURES: dict[str, set[str]] = {
    "scores": set(),
    "gallery": set(),
    "streamlines": set(),
    "observed_predicted": {"log_law"},
    "positions": {"log_law"},
    "spectra": set(),
    "learning_curve": set(),
    "pareto": set(),
    "training_curves": set(),
    "coverage": set(),
    "solver": set(),
}
"""The figures of every data set, and the models without which each cannot be drawn."""
