"""Disease from the abundances of species in the gut (a metagenome-wide association study)."""

RAW_FILES = {
    "pasolli2016": ("abundance.zip",),
    "crc-cohorts": (
        "FengQ_2015.csv",
        "ThomasAM_2018a.csv",
        "ThomasAM_2018b.csv",
        "ThomasAM_2019_c.csv",
        "VogtmannE_2016.csv",
        "YuJ_2015.csv",
        "ZellerG_2014.csv",
        "metadata.csv",
    ),
    "tables": ("abundance.tsv", "metadata.csv"),
}
"""The raw files that each reader needs; a user's own tables may have other suffixes."""

FIGURES: dict[str, set[str]] = {
    "scores": set(),
    "roc_pr": {"ridge_log", "lasso_log"},
    "calibration": {"ridge_log", "lasso_log"},
    "coefficients": {"ridge_log", "lasso_log"},
    "cladogram": {"lasso_log"},
    "lasso_path": {"lasso_log"},
    "stability": set(),
    "confounding": {"covariates"},
    "top_taxa": set(),
    "ordination": set(),
    "permutation": {"lasso_log"},
    "transfer": {"lodo"},
}
"""The figures, and the schemes and models without which each cannot be drawn."""

PUBLISHED_AUC: dict[str, dict[str, float]] = {
    "Pasolli et al. 2016": {
        "cirrhosis": 0.945,
        "colorectal": 0.873,
        "ibd": 0.890,
        "obesity": 0.655,
        "t2d": 0.744,
        "wt2d": 0.762,
    },
    "SIAMCAT 2021": {
        "cirrhosis": 0.943,
        "colorectal": 0.869,
        "ibd": 0.891,
        "obesity": 0.675,
        "t2d": 0.743,
        "wt2d": 0.765,
    },
}
"""Cross-validated AUC of random forests on the tasks of pasolli2016: as published (Pasolli et al.
2016, PLoS Comput. Biol. 12, e1004977) and as reproduced (Wirbel et al. 2021, Genome Biol. 22, 93),
both as listed in github.com/zellerlab/siamcat_paper."""
