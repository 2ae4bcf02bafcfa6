"""What the figures of the glacier study share: the tables, and the models' names and colours."""

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from casestudies.figures.results import StudyResults
from casestudies.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION
from casestudies.tables import read_table

SCHEMES = {
    "logo": "new glacier",
    "loyo": "new year",
    "lsygo": "new glacier, new year",
    "forward": "later years",
}

UNITS = {
    "logo": ["glaciers"],
    "loyo": ["years"],
    "lsygo": ["glaciers", "years"],
    "forward": ["years"],
}

MODELS: dict[str, tuple[str, str]] = {
    "mean": ("mean", GREY),
    "year_mean": ("same-year mean", GREY),
    "degree_day": ("degree-day", GREEN),
    "ols": ("least squares", BLUE),
    "lasso": ("lasso", BLUE),
    "ridge": ("ridge", BLUE),
    "ridge_regional": ("ridge, regional + local", BLUE),
    "extra_trees": ("extra trees", ORANGE),
    "gradient_boosting": ("gradient boosting", ORANGE),
    "ridge_trees": ("ridge + trees on its residual", ORANGE),
    "gaussian_process": ("Gaussian process", ORANGE),
    "paper_network": ("paper's network", VERMILION),
    "paper_protocol": ("paper's, stopped on held-out fold", PURPLE),
    "deep_ensemble": ("deep ensemble", VERMILION),
    "chosen": ("inner choice", BLACK),
    "stack": ("stack", BLACK),
}
"""Label and colour of every model, in the order of the figures."""
LABELS = {name: label for name, (label, _) in MODELS.items()}
COLOURS = {name: colour for name, (_, colour) in MODELS.items()}


@dataclass(frozen=True)
class Results(StudyResults):
    """The tables of one data set."""

    questions = SCHEMES

    @cached_property
    def prepared(self) -> pd.DataFrame:
        return read_table(self.folder / "prepared.parquet", complete=["sample", "glacier", "year"])

    @cached_property
    def coverage(self) -> pd.DataFrame:
        return read_table(self.folder / "coverage.csv", complete=["scheme", "model", "unit"])

    @property
    def published(self) -> bool:
        """Whether the published scores refer to these data."""
        return self.folder.name.startswith("alpgm")

    def predictions(self, scheme: str, model: str, observed: bool = True) -> pd.DataFrame:
        """Return out-of-fold predictions with glacier, name, massif and year."""
        table = read_table(self.folder / "predictions" / scheme / f"{model}.parquet")
        about = self.prepared[["sample", "glacier", "name", "massif", "year"]]
        table = table.merge(about, on="sample")
        return table[table["observed"].notna()] if observed else table

    def sizes(self, scheme: str) -> str:
        """Return how many samples and independent units a scheme has, in words."""
        rows = self.scores.query("scheme == @scheme and metric == 'rmse'")
        row = rows.loc[rows["samples"].idxmax()]
        return f"n = {row['samples']}, {_groups(scheme, row)}"

    def has(self, *models: str) -> bool:
        return set(models) <= set(self.models)

    @property
    def network(self) -> str | None:
        """The network that the figures show: ours if it was trained, else the paper's."""
        return next((n for n in ("deep_ensemble", "paper_network") if self.has(n)), None)

    @property
    def shown(self) -> list[str]:
        """A linear model, a network and the inner choice, as far as they were fitted."""
        wanted = ["lasso", self.network, "chosen"]
        return [model for model in wanted if model in self.models]


def _groups(scheme: str, row: pd.Series) -> str:
    """Return the independent units of a score in words, such as ``32 glaciers × 32 years``."""
    counts = str(row["groups"]).split("x")
    names = UNITS.get(scheme, ["units"] * len(counts))
    return " × ".join(f"{count} {name}" for count, name in zip(counts, names, strict=True))
