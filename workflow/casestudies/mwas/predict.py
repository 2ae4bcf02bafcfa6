"""Probabilities of disease for new samples, from a fitted model that is a plain JSON file.

The model of a data set is results/mwas/<data set>/model.json (see casestudies.mwas.explain). It is
applied to any abundance table that the study reads:

    python -m casestudies.mwas.predict --model results/mwas/crc-cohorts/model.json
        --samples mine.tsv --output probabilities.csv
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from casestudies.errors import InputError
from casestudies.mwas.abundance import short_name
from casestudies.mwas.readers import read_abundances
from casestudies.steps import main
from casestudies.tables import write_table
from casestudies.validation import read_saved

log = logging.getLogger("casestudies")

FEW = 0.5
"""Share of the model's taxa, or of its coefficients, below which a table is warned about."""


class _Strict(BaseModel):
    # Names such as model_… belong to pydantic unless it is told otherwise; infinity is no number.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=())


class Taxon(_Strict):
    """What the model knows of one taxon."""

    name: str
    """Name in the training table, with its lineage if that had one."""
    prevalence: float = Field(ge=0, le=1)
    """Fraction of the training samples in which it is present."""
    mean: float
    """Mean of its transformed abundance in training."""
    scale: float = Field(gt=0)
    """Standard deviation of the same."""
    coefficient: float
    """Log odds of disease per standard deviation."""


class Calibration(_Strict):
    """How well the same kind of model did out of fold, under one cross-validation scheme."""

    scheme: str
    slope: float | None
    """Slope of the class on the predicted log odds; None if it has no finite value."""
    intercept: float
    """Observed less mean predicted frequency of disease."""
    auc: float
    auc_lower: float
    auc_upper: float
    """95 % interval (DeLong, subjects as units)."""
    samples: int
    subjects: int


class FittedModel(_Strict):
    """A penalised logistic regression of log odds of disease on transformed abundances.

    Abundances are divided by the sample's total over all its taxa, restricted to ``taxa``,
    transformed, standardised by ``mean`` and ``scale`` and weighted by the coefficients.
    """

    format: Literal[1] = 1
    study: Literal["mwas"] = "mwas"
    model: str
    """Name of the model in the study."""
    transform: Literal["log", "clr", "arcsine", "presence", "proportion"]
    pseudocount: float = Field(gt=0, lt=1)
    """Proportion that stands for absence."""
    minimum_prevalence: float = Field(ge=0, le=1)
    """Taxa less prevalent in training were left out."""
    penalty_ratio: float = Field(gt=0)
    """Penalty relative to the least at which a lasso is empty."""
    positive: str
    negative: str
    """Labels of cases and of controls."""
    cohorts: list[str]
    """Where the training samples come from."""
    samples: int = Field(gt=0)
    subjects: int = Field(gt=0)
    cases: int = Field(gt=0)
    controls: int = Field(gt=0)
    """Training counts."""
    disease_prevalence: float = Field(gt=0, lt=1)
    """Fraction of cases among the training samples."""
    calibration: Calibration
    intercept: float
    taxa: list[Taxon] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        if len({taxon.name for taxon in self.taxa}) < len(self.taxa):
            raise ValueError("a taxon is listed twice")
        return self

    def log_odds(self, proportions: np.ndarray) -> np.ndarray:
        """Return log odds of disease.

        Parameters
        ----------
        proportions
            Shape (samples, taxa), taxa in the order of the model, 0 where absent.

        Returns
        -------
        Log odds, (samples,).
        """
        from casestudies.mwas.transforms import AbundanceTransform  # imports scikit-learn

        transform = AbundanceTransform(self.transform, self.pseudocount)
        values = transform.fit_transform(proportions)
        mean, scale, coefficient = (
            np.array([getattr(taxon, name) for taxon in self.taxa])
            for name in ("mean", "scale", "coefficient")
        )
        return (values - mean) / scale @ coefficient + self.intercept


def read_model(path: Path) -> FittedModel:
    """Read a fitted model.

    Raises
    ------
    InputError
        If the file is missing, not JSON, not a model of this study, of a later format or damaged.
    """
    remedy = "give the model.json that the study writes, results/mwas/<data set>/model.json."
    return read_saved(Path(path), FittedModel, "mwas", remedy)


@dataclass(frozen=True)
class Matched:
    """The taxa of a table as a model wants them.

    Parameters
    ----------
    proportions
        Shape (samples, taxa of the model): of each sample's total over all taxa of the table.
    how
        For every taxon of the model "lineage", "species" or "missing".
    extra
        Columns of the table that the model does not use.
    """

    proportions: np.ndarray
    how: np.ndarray
    extra: list[str]


def _lineage(taxon: str) -> str:
    return re.sub(r"\s*[|;]\s*", "|", taxon.strip()).lower()


def _species(taxon: str) -> str:
    return short_name(_lineage(taxon))


def match_taxa(table: pd.DataFrame, wanted: list[str]) -> Matched:
    """Find a model's taxa in a table, by full lineage first, then by the last rank alone.

    Versions of MetaPhlAn place one species under different higher ranks. Columns of one species are
    added up. A species name that several taxa of the model share decides nothing.

    Parameters
    ----------
    table
        Abundances >= 0, samples by taxa, in any unit.

    Raises
    ------
    InputError
        If a sample is empty, or the table holds none of the taxa.
    """
    values = table.to_numpy(dtype=float)
    totals = values.sum(axis=1)
    if not (totals > 0).all():
        empty = table.index[int((totals <= 0).argmax())]
        raise InputError(f"sample {empty!r} holds no taxon at all; remove it from the table.")
    by_lineage: dict[str, list[int]] = {}
    for position, name in enumerate(map(str, table.columns)):
        by_lineage.setdefault(_lineage(name), []).append(position)
    found = [by_lineage.get(_lineage(name), []) for name in wanted]
    how = np.where([bool(columns) for columns in found], "lineage", "missing").astype(object)

    used = {column for columns in found for column in columns}
    by_species: dict[str, list[int]] = {}
    for position, name in enumerate(map(str, table.columns)):
        if position not in used:
            by_species.setdefault(_species(name), []).append(position)
    species = pd.Series([_species(name) for name in wanted])
    for position in np.flatnonzero((how == "missing") & ~species.duplicated(keep=False)):
        columns = by_species.get(species[position])
        if columns:
            found[position], how[position] = columns, "species"
            used.update(columns)
    if not used:
        raise InputError(
            f"none of the model's {len(wanted)} taxa is among the table's {table.shape[1]}; the "
            f"model names them like {wanted[0]!r}, the table like {str(table.columns[0])!r}. Give "
            "a table at the rank of species that is named by the same taxonomy."
        )
    summed = np.column_stack([values[:, columns].sum(axis=1) for columns in found])
    extra = [str(name) for k, name in enumerate(table.columns) if k not in used]
    return Matched(summed / totals[:, None], how, extra)


def _report(matched: Matched, fitted: FittedModel) -> None:
    """Say in the log what was found of the model's taxa, and what the probabilities rest on."""
    counts = {kind: int((matched.how == kind).sum()) for kind in ("lineage", "species", "missing")}
    size = np.abs([taxon.coefficient for taxon in fitted.taxa])
    present = matched.how != "missing"
    mass = float(size[present].sum() / size.sum()) if size.any() else 1.0
    log.info(
        "of the model's %d taxa, %d matched by full lineage, %d by species name; %d are missing "
        "and count as absent. %d other taxa of the table are not used",
        len(fitted.taxa),
        counts["lineage"],
        counts["species"],
        counts["missing"],
        len(matched.extra),
    )
    if present.mean() < FEW or mass < FEW:
        log.warning(
            "warning: the table holds %.0f %% of the model's taxa, with %.0f %% of its "
            "coefficients; the probabilities are hardly worth more than a guess",
            100 * present.mean(),
            100 * mass,
        )
    empty = int((matched.proportions.sum(axis=1) == 0).sum())
    if empty:
        log.warning("warning: %d samples hold none of the model's taxa", empty)
    measured = fitted.calibration
    log.info(
        "model %s, trained on %d cases (%s) and %d controls (%s). Out of fold (%s, %d samples): "
        "AUC %.3f (%.3f to %.3f), calibration slope %s, observed less predicted frequency %.3f",
        fitted.model,
        fitted.cases,
        fitted.positive,
        fitted.controls,
        fitted.negative,
        measured.scheme,
        measured.samples,
        measured.auc,
        measured.auc_lower,
        measured.auc_upper,
        "undefined" if measured.slope is None else f"{measured.slope:.2f}",
        measured.intercept,
    )
    log.info(
        "the probabilities hold where %.0f %% of the people are cases, as in training; they are "
        "no diagnosis",
        100 * fitted.disease_prevalence,
    )


def predict(*, model: Path, samples: Path, output: Path, counts: Path | None = None) -> None:
    """Predict the probability of disease for new samples.

    Taxa of the model that the table lacks count as absent; taxa that the model does not use have a
    part in a sample's total alone, as in training.

    Parameters
    ----------
    model
        Fitted model (model.json).
    samples
        Abundance table in any layout that the study reads, in any unit.
    output
        Table (CSV or Parquet): sample, probability, log_odds.
    counts
        Table of what was found: taxon, matched (lineage, species, missing, or extra for a taxon
        that the model does not use), present (number of new samples with it), coefficient.

    Raises
    ------
    InputError
        If a file cannot be used, or the table holds none of the model's taxa.
    """
    fitted = read_model(model)
    table, _, layout = read_abundances(samples)
    log.info("%s: %d samples, %d taxa (%s)", samples, *table.shape, layout)
    wanted = [taxon.name for taxon in fitted.taxa]
    try:
        matched = match_taxa(table, wanted)
    except InputError as error:
        raise InputError(f"{samples}: {error}") from error
    _report(matched, fitted)
    odds = fitted.log_odds(matched.proportions)
    done = pd.DataFrame(
        {
            "sample": table.index.astype(str),
            "probability": 1 / (1 + np.exp(-odds)),
            "log_odds": odds,
        }
    )
    write_table(done, output)
    if counts is not None:
        present = (matched.proportions > 0).sum(axis=0)
        others = (table[matched.extra].to_numpy() > 0).sum(axis=0)
        found = pd.DataFrame(
            {
                "taxon": [*wanted, *matched.extra],
                "matched": [*matched.how, *["extra"] * len(matched.extra)],
                "present": np.r_[present, others],
                "coefficient": [taxon.coefficient for taxon in fitted.taxa]
                + [np.nan] * len(matched.extra),
            }
        )
        write_table(found, counts)


if __name__ == "__main__":
    main(predict)
