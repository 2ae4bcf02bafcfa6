"""From raw files to one table: samples, covariates, label, taxa.

Three readers make the same table: ``pasolli2016`` and ``crc-cohorts`` for the published data sets,
and ``tables``, for simulated data and data of one's own.

The format ``tables``
---------------------
A folder with two files:

``abundance.tsv`` (or .txt, .csv, .biom)
    Abundances in percent, proportions or counts: MetaPhlAn's merged table, a plain table with
    samples in rows or in columns, or a BIOM table. See :mod:`casestudies.mwas.readers`, which
    recognises the layout by the content of the file.

``metadata.csv`` (or .tsv)
    One row per sample, separated by tabs or commas, columns in any order. Values that are missing
    are left empty or written NA, nd or ``-``.

============== ========================================================================
column         meaning
============== ========================================================================
``sample_id``  identifier, as in the abundances; each once
the label      named by the configuration, ``disease`` if it says nothing
``subject_id`` optional: who gave the sample; the samples of a subject share a fold. Give
               people of different cohorts different names
``study_name`` optional: the cohort, that is the study that collected the sample
``age``        optional covariate: years, 0 to 120
``sex``        optional covariate: female or male; ``gender`` is read as ``sex``
``bmi``        optional covariate: kg m⁻², 5 to 150
all others     covariates: numbers, or text with fewer than 20 different values (``country``).
               Leave out what follows from the disease, such as its stage or its treatment
============== ========================================================================

Labels 0 (control) and 1 (case) need no more. With others the configuration says which are cases
(``positive``) and which are controls (``negative``, not needed if one other is left); samples with
another label, or none, are left out. So are samples that only one of the two files holds.

In the prepared table, taxa that no kept sample has are left out.
"""

import logging
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.datasets import find, verify
from casestudies.errors import InputError, nearest
from casestudies.mwas import RAW_FILES
from casestudies.mwas.abundance import IDENTIFIERS, TARGET
from casestudies.mwas.readers import (
    numbers,
    read_abundances,
    read_metadata_table,
    without_codes,
)
from casestudies.steps import main
from casestudies.tables import write_table

log = logging.getLogger("casestudies")

_RENAMED = {
    "sample_id": "sample",
    "sampleID": "sample",
    "subject_id": "subject",
    "subjectID": "subject",
    "study_name": "cohort",
    "dataset_name": "cohort",
    "gender": "sex",
    "BMI": "bmi",
}
_COVARIATES = ("age", "sex", "bmi", "country")
_BOUNDS = {"age": (0, 120), "bmi": (5, 150)}  # outside is a wrong unit or a code for missing
_SEX = {"female": "female", "f": "female", "male": "male", "m": "male"}
_CATEGORIES = 20  # text with as many values is an identifier, not a covariate

TASKS: dict[str, tuple[str, list[str], list[str]]] = {
    "cirrhosis": ("Cirrhosis", ["cirrhosis"], ["n"]),
    "colorectal": ("Colorectal", ["cancer"], ["n", "small_adenoma"]),
    "ibd": ("IBD", ["ibd_ulcerative_colitis", "ibd_crohn_disease"], ["n"]),
    "obesity": ("Obesity", ["obesity"], ["leaness"]),
    "t2d": ("T2D", ["t2d"], ["n"]),
    "wt2d": ("WT2D", ["t2d"], ["n"]),
}
"""Tasks of Pasolli et al. (2016): name of the member, labels of cases and of controls as stored."""

_DEFINING = {"obesity": ["bmi"]}
"""Covariates that the label was made from."""


def read_pasolli2016(folder: Path, task: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a task of the published archive.

    The member of the task has samples in columns: 211 rows of metadata, then the taxa that
    MetaPhlAn 2 found, without the ranks above (species, and genera whose species is not known).

    Returns
    -------
    Metadata, one row per sample, and abundances (percent), of shape (samples, taxa).

    Raises
    ------
    InputError
        If the archive or its member cannot be read, or lacks a row of metadata.
    """
    archive, member = folder / "abundance.zip", f"abundance_{TASKS[task][0]}.txt"
    try:
        with zipfile.ZipFile(archive) as stored, stored.open(member) as stream:
            table = pd.read_csv(stream, sep="\t", header=None, index_col=0, dtype=str).T
        taxa = table.columns.str.startswith("k__", na=False)
        abundance = table.loc[:, taxa]
        metadata = table[_PASOLLI_ROWS].apply(without_codes)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{archive}: cannot read {member} ({str(error).strip()}); delete it to have it fetched "
            "again."
        ) from error
    abundance = numbers(abundance.set_axis(metadata["sampleID"], axis=0), archive)
    # One of the Danes of IBD, who are 42 to 69 years old, has age 0: it is not known.
    metadata["age"] = metadata["age"].where(metadata["age"] != "0")
    return metadata, abundance


_PASOLLI_ROWS = [
    "dataset_name",
    "sampleID",
    "subjectID",
    "disease",
    "age",
    "gender",
    "bmi",
    "country",
]


def read_crc_cohorts(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the seven cohorts; a species that a cohort's file lacks is absent there.

    Returns
    -------
    Metadata, one row per sample, and abundances (percent), of shape (samples, taxa).
    """
    names = [name for name in RAW_FILES["crc-cohorts"] if name != "metadata.csv"]
    parts = [read_abundances(folder / name)[0] for name in names]
    return read_metadata_table(folder / "metadata.csv"), pd.concat(parts).fillna(0.0)


def read_tables(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, str, str]:
    """Read a folder in the format of this module: metadata, abundances, unit, layout."""
    abundance = _only(folder, "abundance", (".tsv", ".txt", ".csv", ".biom"))
    metadata = read_metadata_table(_only(folder, "metadata", (".csv", ".tsv")))
    return metadata, *read_abundances(abundance)


def _only(folder: Path, stem: str, suffixes: tuple[str, ...]) -> Path:
    found = [folder / f"{stem}{suffix}" for suffix in suffixes]
    found = [path for path in found if path.is_file()]
    if len(found) != 1:
        names = " or ".join(f"{stem}{suffix}" for suffix in suffixes)
        have = f"has {', '.join(path.name for path in found)}" if found else "has none"
        raise InputError(f"{folder}: needs one file {names}, and {have}.")
    return found[0]


def join(
    metadata: pd.DataFrame,
    abundance: pd.DataFrame,
    label: str,
    positive: list[str],
    negative: list[str],
    source: str,
) -> tuple[pd.DataFrame, list[str], dict[str, str]]:
    """Bring metadata and abundances of the labelled samples into the prepared layout.

    Returns
    -------
    The prepared table (identifiers, covariates, disease, taxa), the names of its covariates, and
    the labels of its cases (``positive``) and controls (``negative``).

    Raises
    ------
    InputError
        If a column is missing, a sample is there twice, no sample is in both tables, or the label
        has not two classes.
    """
    metadata = _renamed(metadata, label, source)
    for column, shown in (("sample", "sample_id"), (label, label)):
        if column not in metadata.columns:
            raise InputError(
                f"{source}: metadata column {shown!r} is missing; it has "
                f"{', '.join(metadata.columns)}; {nearest(shown, metadata.columns)}"
            )
    unnamed = metadata["sample"].isna().to_numpy()
    if unnamed.any():
        raise InputError(
            f"{source}: metadata: row {int(unnamed.argmax()) + 1} has no sample_id; each needs one."
        )
    for where, names in (("metadata", metadata["sample"]), ("abundances", abundance.index)):
        twice = names.duplicated()
        if twice.any():
            raise InputError(
                f"{source}: {where}: sample {names[twice].tolist()[0]!r} is there twice; each may "
                "be there once only."
            )
    both = [name for name in metadata["sample"] if name in abundance.index]
    if not both:
        raise InputError(
            f"{source}: no sample is in both tables: the metadata name {_some(metadata['sample'])}"
            f", the abundances {_some(abundance.index)}. Give samples the same names in both, and "
            "check that the abundances have samples where the reader found them."
        )
    for text, missing in (
        ("samples of the metadata have no abundances", len(metadata) - len(both)),
        ("samples of the abundances have no metadata", len(abundance) - len(both)),
    ):
        if missing:
            log.warning("%s: %d %s; left out", source, missing, text)
    metadata = metadata.set_index("sample", drop=False).loc[both]
    positive, negative = _labels(metadata[label], positive, negative, label, source)
    target = _classes(metadata[label], positive, negative, label, source)
    kept = target.notna().to_numpy()
    if not kept.all():
        log.info("%s: %d samples without one of the two labels; left out", source, (~kept).sum())
    metadata, target = metadata[kept], target[kept]
    columns = {
        "sample": metadata["sample"],
        "subject": metadata.get("subject", metadata["sample"]).fillna(metadata["sample"]),
        "cohort": metadata.get("cohort", pd.Series("all", metadata.index)).fillna("unknown"),
    }
    covariates = _covariates(metadata.drop(columns=[label, *columns], errors="ignore"), source)
    classes = target.groupby(columns["subject"]).nunique()
    if (classes > 1).any():
        log.warning(
            "%s: %d subjects are both case and control, %r the first; their samples share a fold",
            source,
            (classes > 1).sum(),
            classes[classes > 1].index[0],
        )
    cohorts = columns["cohort"].groupby(columns["subject"]).nunique()
    if (cohorts > 1).any():
        log.warning(
            "%s: %d subjects are in several cohorts, %r the first; if these are different people, "
            "give them different names in subject_id; if not, no cohort is new to the others",
            source,
            (cohorts > 1).sum(),
            cohorts[cohorts > 1].index[0],
        )
    taxa = abundance.loc[metadata["sample"]]
    empty = ~(taxa > 0).any(axis=1).to_numpy()
    if empty.any():
        raise InputError(
            f"{source}: abundances: sample {taxa.index[int(empty.argmax())]!r} has no taxon, all "
            f"are 0 (so have {empty.sum()} samples); take it out of the metadata."
        )
    taxa = taxa.loc[:, (taxa > 0).any()]
    clash = [name for name in taxa.columns if name in (*IDENTIFIERS, TARGET, *covariates.columns)]
    if clash:
        raise InputError(
            f"{source}: {clash[0]!r} is a column of the abundances and of the metadata; what is "
            "not a taxon belongs into the metadata only."
        )
    table = pd.concat(
        [pd.DataFrame(columns), covariates, target.rename(TARGET), taxa.set_axis(metadata.index)],
        axis=1,
    )
    labels = {"positive": ", ".join(positive), "negative": ", ".join(negative)}
    return table.reset_index(drop=True), list(covariates.columns), labels


def _renamed(metadata: pd.DataFrame, label: str, source: str) -> pd.DataFrame:
    """Give the columns of metadata the names that they have in the prepared table."""
    found: dict[str, str] = {}
    for name in metadata.columns:
        new = name if name == label else _RENAMED.get(name, name)
        if name.lower() in _COVARIATES and name != label:
            new = name.lower()
        if new in found.values():
            first = next(old for old, other in found.items() if other == new)
            raise InputError(
                f"{source}: metadata: the columns {first!r} and {name!r} both give {new!r}; leave "
                "one out."
            )
        if new == TARGET and label != TARGET:
            raise InputError(
                f"{source}: metadata: column {name!r} is not the label, which is {label!r}; leave "
                "it out or call it otherwise."
            )
        found[name] = new
    return metadata.rename(columns=found)


def _some(names: pd.Series | pd.Index) -> str:
    return " and ".join(repr(str(name)) for name in list(names)[:2])


def _labels(
    column: pd.Series, positive: list[str], negative: list[str], name: str, source: str
) -> tuple[list[str], list[str]]:
    """Return the labels of cases and of controls, if need be by the values that there are."""
    values = column.dropna().unique().tolist()
    if not positive and not negative and set(values) <= {*_CASE, *_CONTROL}:
        return (
            [value for value in _CASE if value in values],
            [value for value in _CONTROL if value in values],
        )
    if not positive:
        raise InputError(
            f"{source}: label {name!r} has the values {_listed(values)}, not 0 and 1; say by the "
            "configuration key positive which are cases, and by negative which are controls."
        )
    if both := [value for value in positive if value in negative]:
        raise InputError(
            f"{source}: label {name!r}: {both[0]!r} is both positive and negative; it can be one."
        )
    if unknown := [value for value in [*positive, *negative] if value not in values]:
        raise InputError(
            f"{source}: label {name!r} has no value {unknown[0]!r}; {nearest(unknown[0], values)}"
        )
    if not negative:
        negative = [value for value in values if value not in positive]
        if len(negative) > 1:
            raise InputError(
                f"{source}: label {name!r} has the values {_listed(values)}; say by the "
                "configuration key negative which of them are controls."
            )
    return positive, negative


_CASE, _CONTROL = ("1", "1.0"), ("0", "0.0")


def _classes(
    column: pd.Series, positive: list[str], negative: list[str], name: str, source: str
) -> pd.Series:
    """Return 1.0 for cases, 0.0 for controls, NaN for others."""
    classes = pd.Series(np.nan, column.index)
    classes[column.isin(positive)] = 1.0
    classes[column.isin(negative)] = 0.0
    if classes.nunique() < 2:
        raise InputError(
            f"{source}: label {name!r} leaves {int((classes == 1).sum())} cases and "
            f"{int((classes == 0).sum())} controls; both classes are needed."
        )
    return classes


def _listed(values: list[str]) -> str:
    more = f" and {len(values) - 8} more" if len(values) > 8 else ""
    return ", ".join(repr(value) for value in sorted(values)[:8]) + more


def _covariates(metadata: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return numbers as numbers and text with few values; the usual covariates first."""
    found = {}
    order = [name for name in _COVARIATES if name in metadata.columns]
    for name in dict.fromkeys([*order, *metadata.columns]):
        column = metadata[name]
        if column.isna().all():
            log.info("%s: metadata: column %r is empty; no covariate", source, name)
            continue
        if name == "sex":
            column = column.str.lower().map(_SEX).where(column.notna())
            _refuse(
                column.isna() & metadata[name].notna(), metadata[name], "female or male", source
            )
        parsed = pd.to_numeric(column, errors="coerce").replace([np.inf, -np.inf], np.nan)
        if name in _BOUNDS:
            low, high = _BOUNDS[name]
            wrong = column.notna() & ~parsed.between(low, high)
            _refuse(wrong, column, f"a number from {low} to {high}", source)
        if parsed.notna().sum() == column.notna().sum():
            found[name] = parsed.astype(float)
        elif column.nunique() < _CATEGORIES:
            found[name] = column.astype(object).where(column.notna(), None)
        else:
            log.info(
                "%s: metadata: column %r is text with %d values; no covariate",
                source,
                name,
                column.nunique(),
            )
    return pd.DataFrame(found, index=metadata.index)


def _refuse(wrong: pd.Series, column: pd.Series, wanted: str, source: str) -> None:
    if wrong.any():
        sample = column.index[int(wrong.to_numpy().argmax())]
        raise InputError(
            f"{source}: metadata: {column.name} of sample {sample!r} is {column[sample]!r}, not "
            f"{wanted}; check its unit, and leave empty what is missing."
        )


def prepare(
    *,
    raw: Path,
    reader: str,
    task: str | None = None,
    published: str | None = None,
    label: str = "disease",
    positive: list[str] | None = None,
    negative: list[str] | None = None,
    defining: list[str] | None = None,
    output: Path,
) -> None:
    """Bring the raw files of a data set into one table.

    Parameters
    ----------
    raw
        Folder of the raw files.
    reader
        Layout of that folder: pasolli2016, crc-cohorts or tables (see the module).
    task
        Task of pasolli2016: cirrhosis, colorectal, ibd, obesity, t2d or wt2d.
    published
        Name of the published data set, whose checksums the files must have.
    label
        Column of the metadata with the label; for tables only.
    positive
        Labels of cases; for tables only.
    negative
        Labels of controls; for tables only.
    defining
        Covariates that the label was made from; for tables only.
    output
        Parquet file to write; its metadata says which columns are covariates, which of them the
        label was made from (``defining``), what cases and controls are, and the unit.
    """
    if not raw.is_dir():
        raise InputError(f"{raw}: no such folder; --raw names the folder of a raw data set.")
    if reader not in RAW_FILES:
        raise InputError(f"--reader {reader}: {nearest(reader, RAW_FILES)}")
    if published:
        verify(find(published), raw, RAW_FILES[reader])
    positive, negative = positive or [], negative or []
    defining = defining or []
    unit, layout = "percent", "MetaPhlAn 2"
    if reader == "pasolli2016":
        if task not in TASKS:
            raise InputError(f"--task {task}: {nearest(str(task), TASKS)}")
        metadata, abundance = read_pasolli2016(raw, task)
        _, positive, negative = TASKS[task]
        defining = _DEFINING.get(task, [])
    elif reader == "crc-cohorts":
        metadata, abundance = read_crc_cohorts(raw)
        layout = "curatedMetagenomicData"
        label, positive, negative = "study_condition", ["CRC"], ["control"]
    else:
        metadata, abundance, unit, layout = read_tables(raw)
    table, covariates, labels = join(metadata, abundance, label, positive, negative, str(raw))
    for name in set(defining) - set(covariates):
        raise InputError(f"--defining: no covariate {name!r} in {raw}; {nearest(name, covariates)}")
    about = {
        "covariates": covariates,
        **labels,
        "defining": defining,
        "abundance": unit,
        "table": layout,
    }
    cases = int(table[TARGET].sum())
    repeated = table["subject"].duplicated(keep=False)
    log.info(
        "%d samples (%d cases, %d controls) of %d cohorts, %d taxa, %d subjects sampled repeatedly",
        len(table),
        cases,
        len(table) - cases,
        table["cohort"].nunique(),
        table.shape[1] - len(IDENTIFIERS) - len(covariates) - 1,
        table.loc[repeated, "subject"].nunique(),
    )
    missing = table[covariates].isna().sum()
    log.info(
        "covariates (missing): %s",
        ", ".join(f"{name} ({missing[name]})" for name in covariates) or "none",
    )
    write_table(table, output, about)


if __name__ == "__main__":
    main(prepare)
