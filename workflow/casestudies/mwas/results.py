"""What the figures of the MWAS study share: the tables, and the models' names and colours."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from casestudies.figures.results import StudyResults
from casestudies.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE
from casestudies.mwas.abundance import TARGET, Abundances, load
from casestudies.tables import read_table

LODO = "lodo"
SCHEMES = {"cv": "new subjects", LODO: "new cohort"}

MODELS: dict[str, tuple[str, str]] = {
    "null_model": ("prevalence", GREY),
    "covariates": ("covariates only", GREY),
    "ridge_log_covariates": ("ridge, log + covariates", GREEN),
    "ridge_proportion": ("ridge, proportions", BLUE),
    "ridge_log": ("ridge, log", BLUE),
    "ridge_clr": ("ridge, CLR", BLUE),
    "ridge": ("ridge, transform chosen", BLUE),
    "lasso_log": ("lasso, log", BLUE),
    "lasso_clr": ("lasso, CLR", BLUE),
    "lasso": ("lasso, transform chosen", BLUE),
    "elastic_net": ("elastic net", BLUE),
    "random_forest": ("random forest", ORANGE),
    "gradient_boosting": ("gradient boosting", ORANGE),
    "linear": ("linear, by inner folds", BLACK),
    "chosen": ("inner choice, all", BLACK),
}
"""Label and colour of every model, in the order of the figures."""
LABELS = {name: label for name, (label, _) in MODELS.items()}
COLOURS = {name: colour for name, (_, colour) in MODELS.items()}


@dataclass(frozen=True)
class Results(StudyResults):
    """The tables of one data set."""

    questions = SCHEMES
    truth: Path | None = None

    @cached_property
    def data(self) -> Abundances:
        return load(self.folder / "prepared.parquet")

    @cached_property
    def stability(self) -> pd.DataFrame:
        """Taxa by falling selection probability."""
        table = read_table(
            self.folder / "stability.parquet", complete=["taxon", "probability", "threshold"]
        )
        return table.sort_values("probability", ascending=False, kind="stable", ignore_index=True)

    @cached_property
    def coefficients(self) -> pd.DataFrame:
        return read_table(
            self.folder / "coefficients.parquet", complete=["model", "taxon", "coefficient"]
        )

    @cached_property
    def roles(self) -> pd.Series | None:
        """What is true of each taxon, where the data are simulated."""
        if self.truth is None:
            return None
        return read_table(self.truth, complete=["taxon", "role"]).set_index("taxon")["role"]

    @property
    def labels(self) -> tuple[str, str]:
        """Names of cases and controls, with their numbers."""
        cases = int(self.data.samples[TARGET].sum())
        controls = len(self.data.samples) - cases
        return f"cases (n = {cases})", f"controls (n = {controls})"

    @property
    def best(self) -> str:
        """The linear models that the inner folds prefer, or the lasso where they are missing."""
        return "linear" if "linear" in self.models else "lasso_log"

    def predictions(self, scheme: str, model: str) -> pd.DataFrame:
        """Return out-of-fold probabilities with subject and cohort."""
        path = self.folder / "predictions" / scheme / f"{model}.parquet"
        table = read_table(path, columns=["repeat", "sample", "observed", "predicted"])
        table = table[table["observed"].notna() & table["predicted"].notna()]
        return table.merge(self.data.samples[["sample", "subject", "cohort"]], on="sample")

    def effects(self) -> pd.Series:
        """Return a coefficient per taxon: of the lasso, or of the ridge where that is zero."""
        wide = self.coefficients.pivot(index="taxon", columns="model", values="coefficient")
        lasso = wide["lasso_log"]
        return lasso.where(lasso != 0, wide["ridge_log"]) if "ridge_log" in wide else lasso
