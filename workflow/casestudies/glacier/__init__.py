"""Annual surface mass balance of glaciers from climate and topography."""

MONTHS = ("oct", "nov", "dec", "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep")
"""The months of the hydrological year, which is named by the year in which it ends."""

UNITS = {
    "mass_balance": "m w.e. a⁻¹",
    "mean_altitude": "m",
    "max_altitude": "m",
    "slope20": "°",
    "area": "km²",
    "longitude": "°",
    "latitude": "°",
    "aspect": "°",
    "cpdd": "K d",
    "winter_snow": "mm w.e.",
    "summer_snow": "mm w.e.",
    "cpdd_anomaly": "K d",
    "winter_snow_anomaly": "mm w.e.",
    "summer_snow_anomaly": "mm w.e.",
    **{f"temperature_{month}": "°C" for month in MONTHS},
    **{f"snow_{month}": "mm w.e." for month in MONTHS},
    **{f"temperature_anomaly_{month}": "K" for month in MONTHS},
    **{f"snow_anomaly_{month}": "mm w.e." for month in MONTHS},
}
"""Units of the measured columns of the prepared table, in the order of the table."""

IDENTIFIERS = ("sample", "glacier", "name", "massif", "year")
"""The columns before them."""

RAW_FILES = {
    "alpgm": (
        "SMB_raw_temporal.csv",
        "GLIMS_Rabatel_30_2015.csv",
        "GLIMS_1967.csv",
        "GLIMS_1985.csv",
        "GLIMS_2003.csv",
        "season_meteo_SMB.txt",
        "monthly_meteo_SMB.txt",
        "season_raw_meteo_anomalies_SMB.txt",
        "monthly_meteo_anomalies_SMB.txt",
    ),
    "csv": ("glaciers.csv", "mass_balance.csv", "climate.csv"),
}
"""The raw files that each reader needs."""

FIGURES: dict[str, set[str]] = {
    "scores": set(),
    "observed_predicted": {"lasso"},
    "leakage": {"paper_network", "paper_protocol"},
    "errors_by_year": {"loyo", "lasso"},
    "errors_by_glacier": {"logo", "lasso"},
    "cumulative": {"logo", "lasso"},
    "coverage": set(),
    "map": {"logo", "lasso"},
    "training_curves": {"paper_network"},
    "responses": {"lasso"},
    "importance": {"lasso"},
}
"""The figures, and the schemes and models without which each cannot be drawn."""

EXPLAINED = ("degree_day", "lasso", "ridge_regional", "extra_trees", "deep_ensemble")
"""The models whose responses are drawn."""
