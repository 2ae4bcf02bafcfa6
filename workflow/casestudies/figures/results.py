"""The tables of a data set that the figures of every study draw."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import pandas as pd

from casestudies.errors import InputError
from casestudies.tables import read_table


@dataclass(frozen=True)
class StudyResults:
    """The tables of one data set, read from its folder as the workflow lays it out.

    Parameters
    ----------
    folder
        results/<study>/<data set>.
    schemes
        Cross-validation schemes; the first is the one that counts.
    models
        Models that were scored.
    """

    questions: ClassVar[Mapping[str, str]] = {}
    """What each scheme of the study asks."""

    folder: Path
    schemes: list[str]
    models: list[str]

    @cached_property
    def scores(self) -> pd.DataFrame:
        return read_table(self.folder / "scores.csv", complete=["scheme", "model", "metric"])

    def score(self, scheme: str, metric: str, model: str) -> pd.Series:
        """Return the row of one score.

        Raises
        ------
        InputError
            If there is none.
        """
        rows = self.scores.query("scheme == @scheme and metric == @metric and model == @model")
        if rows.empty:
            raise InputError(f"{self.folder / 'scores.csv'}: no {metric} of {model} on {scheme}.")
        return rows.iloc[0]

    def title(self, scheme: str) -> str:
        """Return what a scheme asks, for a panel's title."""
        return f"{scheme}: {self.questions[scheme]}" if scheme in self.questions else scheme
