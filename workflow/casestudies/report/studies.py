"""What decides each study's claim, which figures show results, and what its models are called."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec


@dataclass(frozen=True)
class Layout:
    """The places of a study's figures.

    Parameters
    ----------
    decides
        Names of figures that decide the claim, the first that there is.
    results
        Figures that show results, in this order; all others are diagnostics.
    metric
        The metric by which its models are compared first.
    """

    decides: tuple[str, ...] = ("scores",)
    results: tuple[str, ...] = ("scores",)
    metric: str = "rmse"


LAYOUTS = {
    "glacier": Layout(
        ("scores",),
        ("scores", "leakage", "cumulative", "errors_by_glacier", "errors_by_year", "map"),
    ),
    "mwas": Layout(
        ("tasks", "scores"),
        ("scores", "confounding", "transfer", "roc_pr", "stability", "top_taxa", "coefficients"),
        "auc",
    ),
    "satellite": Layout(
        ("skill", "label_curves", "scores"),
        ("scores", "label_curves", "overfitting", "reconstruction", "cost"),
        "r2",
    ),
    "wind": Layout(
        ("pareto", "scores"),
        ("scores", "pareto", "gallery", "streamlines", "positions", "learning_curve"),
    ),
    "lecture": Layout(
        ("networks", "validation"),
        ("fits", "validation", "descent", "prediction"),
    ),
}
"""By study; one that is not named here has the same pages in the plain order."""

OF_ALL_DECIDES = ("tasks", "skill")
"""Figures over all data sets, which decide only where there are several."""

ACRONYMS = {
    "auc": "AUC",
    "auprc": "AUPRC",
    "clr": "CLR",
    "cnn": "CNN",
    "fno": "FNO",
    "mae": "MAE",
    "ols": "OLS",
    "pca": "PCA",
    "r2": "R²",
    "rmse": "RMSE",
    "unet": "U-Net",
    "co2e": "CO2e",
}


def words(name: str) -> str:
    """Return a name of the configuration as words: ``unet_corrected`` is "U-Net corrected"."""
    return " ".join(ACRONYMS.get(part, part) for part in name.replace("-", " ").split("_"))


def model_label(study: str | None, model: str) -> str:
    """Return what a study's figures call a model; its name as words where they do not show it."""
    return _labels(study).get(model) or words(model)


@cache
def _labels(study: str | None) -> Mapping[str, str]:
    """Return the labels of a study's models; none where casestudies.<study>.results is missing."""
    parents = f"casestudies.{study}"
    if not study or find_spec(parents) is None or find_spec(f"{parents}.results") is None:
        return {}
    return import_module(f"{parents}.results").LABELS
