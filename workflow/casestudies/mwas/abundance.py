"""The prepared table of a data set: samples, their covariates and their taxa."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from casestudies.errors import InputError
from casestudies.tables import read_metadata, read_table

TARGET = "disease"
IDENTIFIERS = ("sample", "subject", "cohort")


@dataclass(frozen=True)
class Abundances:
    """The samples of a data set.

    Parameters
    ----------
    samples
        One row per sample: sample, subject, cohort, covariates, disease (0 control, 1 case).
    taxa
        Abundances, one row per sample and one column per taxon, in the unit of ``about``.
    covariates
        Names of the covariates among the columns of ``samples``.
    about
        positive and negative (labels of cases and controls), abundance (unit), table (layout),
        defining (covariates that the label was made from, if any).
    """

    samples: pd.DataFrame
    taxa: pd.DataFrame
    covariates: list[str]
    about: dict[str, Any]

    @property
    def usable_covariates(self) -> list[str]:
        """The covariates that models may use: those that the label was not made from."""
        return [name for name in self.covariates if name not in self.about.get("defining", [])]

    @property
    def predictors(self) -> pd.DataFrame:
        """Covariates and taxa in one table, as models take them."""
        return pd.concat([self.samples[self.covariates], self.taxa], axis=1)


def load(path: Path) -> Abundances:
    """Read a prepared table.

    Raises
    ------
    InputError
        If the file is not a prepared table of this study.
    """
    table = read_table(path, complete=[*IDENTIFIERS, TARGET])
    about = read_metadata(path)
    if "covariates" not in about:
        raise InputError(f"{path}: not a prepared table of abundances; run the prepare step again.")
    split = table.columns.get_loc(TARGET) + 1
    covariates = about.pop("covariates")
    return Abundances(table.iloc[:, :split], table.iloc[:, split:], covariates, about)


def short_name(taxon: str) -> str:
    """Return the last rank of a lineage in words: ``…|s__Faecalibacterium_prausnitzii``."""
    return taxon.rsplit("|", 1)[-1].split("__", 1)[-1].replace("_", " ")
