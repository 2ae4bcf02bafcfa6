"""Readers of abundance tables: MetaPhlAn's merged tables, plain tables and BIOM.

The layout is recognised by the content of the file, not by its name:

=================== =======================================================================
layout              how it is recognised
=================== =======================================================================
metaphlan2          text; first column ``ID`` or ``#SampleID``, holding lineages
                    (Truong et al. 2015, https://doi.org/10.1038/nmeth.3589)
metaphlan3          text; first column ``clade_name``, mostly a column ``NCBI_tax_id``
                    (Beghini et al. 2021, https://doi.org/10.7554/eLife.65088)
metaphlan4          as metaphlan3, with rows ``t__SGB…`` or a database ``…SGB…`` named above
                    (Blanco-Míguez et al. 2023, https://doi.org/10.1038/s41587-023-01688-w)
taxa in rows        other text whose first column holds lineages or is called ``OTU ID``,
                    ``Feature ID``, ``taxon``, ``taxonomy`` or ``lineage``
samples in rows     all other text: samples in the column ``sample_id`` or else the first, all
                    others are taxa
biom-hdf5           BIOM 2 (McDonald et al. 2012, https://doi.org/10.1186/2047-217X-1-7)
biom-json           BIOM 1
=================== =======================================================================

The fields of a text are separated by tabs, or else by commas. A lineage is written
``k__Bacteria|p__…|s__…`` with ``|`` or ``;`` between ranks. A table of lineages at several ranks
counts the same reads at each of them: of such a table the species are kept. What a profiler found
but could not name (rows ``UNKNOWN`` or ``UNCLASSIFIED``) is no taxon and is left out.
"""

import csv
import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from casestudies.errors import InputError

log = logging.getLogger("casestudies")

MISSING = frozenset({"", "-", "na", "nan", "nd", "n/a", "#n/a", "null"})
"""How missing values are written in metadata, in upper or lower case and with spaces around."""

_HDF5 = b"\x89HDF\r\n\x1a\n"
_RANK = re.compile(r"(?:^|[|;])\s*([dkpcofgst])__[^|;]*$")
_RANKS = {
    "d": "domains",
    "k": "kingdoms",
    "p": "phyla",
    "c": "classes",
    "o": "orders",
    "f": "families",
    "g": "genera",
    "s": "species",
    "t": "strains",
}
_SAMPLES = ("sample_id", "sampleid", "sample")
_TAXA = ("otu id", "otu_id", "feature id", "taxon", "taxonomy", "lineage")
_EXTRA = ("ncbi_tax_id", "clade_taxid", "taxonomy")  # columns of text beside the samples
_UNNAMED = ("unknown", "unclassified")
_ROUNDING = 1.01  # totals of percent and of proportions exceed 100 and 1 by what was rounded


def read_abundances(path: Path) -> tuple[pd.DataFrame, str, str]:
    """Read a table of abundances in any of the layouts above.

    Returns
    -------
    tuple
        The abundances, of shape (samples, taxa), with the names of samples as index and of taxa as
        columns; their unit: percent, proportion or count; and the layout.

    Raises
    ------
    InputError
        If the file is missing, empty or of no known layout, a sample or taxon is there twice, an
        abundance is missing, negative or not a number, or the ranks hold no species.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    with path.open("rb") as stream:
        start = stream.read(4096)
    if start.startswith(_HDF5) or start.lstrip().startswith(b"{"):
        frame, layout, leaves = _read_biom(path, start.startswith(_HDF5))
    else:
        frame, layout = _read_text(path)
        leaves = False
    frame.index = frame.index.str.strip()
    frame.columns = frame.columns.str.strip()
    _once(frame.index, "sample", path)
    _once(frame.columns, "taxon", path)
    frame = numbers(frame, path)
    frame = _without_unnamed(frame, path)
    if 0 in frame.shape:
        raise InputError(
            f"{path}: read as {layout}, it holds {len(frame)} samples and {frame.shape[1]} taxa; "
            "both are needed."
        )
    if not leaves:
        frame = _one_rank(frame, path)
    return frame, _unit(frame, layout, path), layout


def read_metadata_table(path: Path) -> pd.DataFrame:
    """Read a table of metadata, separated by tabs or else by commas, as text.

    Returns
    -------
    pandas.DataFrame
        One row per line, no space around names and values, missing values as NaN.

    Raises
    ------
    InputError
        If the file is missing, empty or not such a table, or a column is there twice.
    """
    path = Path(path)
    fields, frame, _ = _lines(path)
    fields = [field.strip() for field in fields]
    _once(pd.Index(fields), "column", path)
    if frame.empty:
        raise InputError(f"{path}: holds no row below its header.")
    frame = frame.astype(object).set_axis(fields, axis=1)
    return frame.apply(without_codes)


def without_codes(column: pd.Series) -> pd.Series:
    """Return text with no space around it and with NaN in place of codes for missing values."""
    column = column.astype(object).where(column.notna(), "").astype(str).str.strip()
    return column.astype(object).mask(column.str.lower().isin(MISSING))


def numbers(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return abundances, of shape (samples, taxa), as numbers.

    Raises
    ------
    InputError
        If one is missing, negative or not a number; ``path`` is for the message.
    """
    if all(kind.kind in "iuf" for kind in frame.dtypes):
        values = found = frame.to_numpy(dtype=float)
    else:
        values = frame.astype(object).to_numpy()
        flat = pd.to_numeric(pd.Series(values.ravel()).astype(str), errors="coerce")
        found = flat.to_numpy(dtype=float).reshape(values.shape)
    wrong = ~np.isfinite(found)
    if wrong.any():
        empty = wrong.all(axis=0)
        if empty.any() and len(frame) > 1:
            raise InputError(
                f"{path}: taxon {frame.columns[int(empty.argmax())]!r} has a number in no sample; "
                "leave the column out if it is not a taxon, write 0 where a taxon is absent."
            )
        sample, taxon = np.argwhere(wrong)[0]
        value = values[sample, taxon]
        shown = str(value).strip()
        what = "missing" if shown in ("", "nan") else f"{shown!r}, not a number"
        raise InputError(
            f"{path}: abundance of taxon {frame.columns[taxon]!r} in sample "
            f"{frame.index[sample]!r} is {what}; write 0 where a taxon is absent."
        )
    if (found < 0).any():
        sample, taxon = np.argwhere(found < 0)[0]
        raise InputError(
            f"{path}: abundance of taxon {frame.columns[taxon]!r} in sample "
            f"{frame.index[sample]!r} is {found[sample, taxon]:g}; abundances are not negative: "
            "supply them before any transform (logarithm, log-ratio, scaling)."
        )
    return pd.DataFrame(found, index=frame.index, columns=frame.columns)


# Text -----------------------------------------------------------------------------------------


def _lines(path: Path, parsed: bool = False) -> tuple[list[str], pd.DataFrame, list[str]]:
    """Return the fields of the header, the rows below it, and the comments above it.

    Lines above the rows that start with # are comments, but for the last of them if it has more
    than one field and no other header follows: ``#SampleID``, ``#OTU ID``, ``#clade_name``.

    Parameters
    ----------
    parsed
        Whether columns of numbers are read as such, but for those that hold names; else all is
        text.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    comments: list[str] = []
    header = ""
    skipped = below = 0  # lines above the header, comments below it
    try:
        with path.open(encoding="utf-8-sig") as stream:
            for line in stream:
                if header and not line.startswith("#"):
                    break
                if header:
                    below += 1
                elif line.strip() and not line.startswith("#"):
                    header = line
                else:
                    skipped += 1
                    comments += [line.rstrip("\n")] if line.strip() else []
        if "\0" in header:
            raise InputError(f"{path}: not a table in text; save it as CSV, TSV or BIOM.")
        separator = "\t" if "\t" in header else ","
        # The first row that is no comment: a header, or data below a header that starts with #.
        first = next(csv.reader([header], delimiter=separator), [])
        above = next(csv.reader(comments[-1:], delimiter=separator), [])
        if len(above) > 1 and len(above) == len(first):
            fields, comments = above, comments[:-1]
        else:
            fields, skipped = first, skipped + 1 + below
        if not fields:
            raise InputError(f"{path}: is empty; a header and rows below it are needed.")
        if len(fields) == 1:
            raise InputError(
                f"{path}: the header {fields[0][:60]!r} has one column only; separate the fields "
                "by tabs or commas."
            )
        names = [_plain(field) for field in fields]
        types = {
            place: str
            for place, name in enumerate(names)
            if place == 0 or name in (*_SAMPLES, *_EXTRA)
        }
        try:
            frame = pd.read_csv(
                path,
                sep=separator,
                skiprows=skipped,
                header=None,
                dtype=types if parsed else str,
                keep_default_na=False,
                encoding="utf-8-sig",
            )
        except pd.errors.EmptyDataError:
            frame = pd.DataFrame(columns=range(len(fields)), dtype=object)
    except (ValueError, csv.Error) as error:  # pandas' parse errors are ValueErrors
        raise InputError(
            f"{path}: not a readable table ({str(error).strip().splitlines()[0]})."
        ) from error
    if frame.shape[1] != len(fields):
        raise InputError(
            f"{path}: the header has {len(fields)} fields, the row below it {frame.shape[1]}; each "
            "column needs a name and each row all its fields."
        )
    return fields, frame, comments


def _plain(field: str) -> str:
    return field.strip().lstrip("#").lower()


def _read_text(path: Path) -> tuple[pd.DataFrame, str]:
    """Return samples × taxa, as numbers where all of a column are, and the layout."""
    fields, frame, comments = _lines(path, parsed=True)
    names = [_plain(field) for field in fields]
    if "relative_abundance" in names:
        raise InputError(
            f"{path}: the profile of one sample; join the profiles of all samples into a table "
            "with MetaPhlAn's merge_metaphlan_tables.py."
        )
    lineages = frame[0].map(_rank).notna().mean() > 0.5 if len(frame) else False
    if names[0] == "clade_name":
        strains = frame[0].str.contains("|t__SGB", regex=False, na=False).any()
        layout = "metaphlan4" if strains or "SGB" in " ".join(comments) else "metaphlan3"
    elif names[0] in ("id", "sampleid") and lineages:
        layout = "metaphlan2"
    elif lineages or names[0] in _TAXA:
        layout = "taxa in rows"
    else:
        samples = next((names.index(name) for name in _SAMPLES if name in names), 0)
        return _named(frame, fields, samples), "samples in rows"
    kept = [0, *(place for place in range(1, len(names)) if names[place] not in _EXTRA)]
    table = _named(frame[kept], [fields[place] for place in kept], 0)
    return table.T, layout


def _named(frame: pd.DataFrame, fields: Sequence[str], identifier: int) -> pd.DataFrame:
    """Return the rows and columns with their names; those of rows are in one of the columns."""
    frame = frame.set_axis(list(fields), axis=1)
    rows = pd.Index(frame.iloc[:, identifier].astype(object).fillna(""), name=None)
    columns = [place for place in range(len(fields)) if place != identifier]
    return frame.iloc[:, columns].set_axis(rows, axis=0)


# BIOM -----------------------------------------------------------------------------------------


def _read_biom(path: Path, hdf5: bool) -> tuple[pd.DataFrame, str, bool]:
    """Return samples × taxa, the layout, and whether the taxa are leaves of a taxonomy.

    A taxon is called by its lineage, followed by its identifier where several share the lineage;
    by its identifier alone if the table holds no taxonomy. biom-format parses numbers and text
    only: nothing that a file holds is executed.
    """
    from biom import Table
    from biom.exception import BiomException

    layout = "biom-hdf5" if hdf5 else "biom-json"
    try:
        if hdf5:
            import h5py

            with h5py.File(path, "r") as stored:
                table = Table.from_hdf5(stored)
        else:
            table = Table.from_json(json.loads(path.read_text(encoding="utf-8")))
        values = table.matrix_data.toarray().T
    # What h5py and biom-format raise on a damaged file depends on the damage.
    except (
        OSError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        RuntimeError,
        BiomException,
    ) as error:
        message = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: not a readable BIOM table ({message[:200]}).") from error
    taxa = pd.Series([str(name) for name in table.ids("observation")], dtype=object)
    metadata = table.metadata(axis="observation") or [None] * len(taxa)
    lineages = pd.Series([_lineage(each) for each in metadata], dtype=object)
    known = lineages.notna()
    shared = lineages.duplicated(keep=False)
    taxa = taxa.where(~known, lineages.where(~shared, lineages + "|" + taxa))
    samples = pd.Index([str(name) for name in table.ids("sample")], dtype=object)
    return pd.DataFrame(values, index=samples, columns=taxa.tolist()), layout, bool(known.any())


def _lineage(metadata: Any) -> str | None:
    """Return the taxonomy of a BIOM table's row, its ranks joined; None if it has none."""
    for name, value in (metadata or {}).items():
        if name.lower() == "taxonomy" and value is not None:
            ranks = re.split("[|;]", value) if isinstance(value, str) else list(value)
            return "|".join(str(rank).strip() for rank in ranks if str(rank).strip()) or None
    return None


# Checks and choices ---------------------------------------------------------------------------


def _once(names: pd.Index, what: str, path: Path) -> None:
    empty = names == ""
    if empty.any():
        raise InputError(f"{path}: {what} {int(empty.argmax()) + 1} has no name; each needs one.")
    twice = names[names.duplicated()]
    if len(twice):
        raise InputError(
            f"{path}: {what} {str(twice[0])!r} is there twice; each may be there once only."
        )


def _without_unnamed(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    unnamed = frame.columns.str.lower().isin(_UNNAMED)
    if unnamed.any():
        log.info(
            "%s: left out %s, with %.3g of the total of a sample on average",
            path,
            ", ".join(frame.columns[unnamed]),
            frame.loc[:, unnamed].sum(axis=1).mean(),
        )
    return frame.loc[:, ~unnamed]


def _rank(name: object) -> str | None:
    """Return the letter of the last rank of a lineage; None if the name is no lineage."""
    found = _RANK.search(str(name))
    return found[1] if found else None


def _one_rank(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Keep the species of a table of lineages at several ranks."""
    ranks = pd.Series([_rank(name) for name in frame.columns], dtype=object)
    if ranks.notna().mean() <= 0.5:
        return frame
    if ranks.isna().any():
        raise InputError(
            f"{path}: {frame.columns[int(ranks.isna().argmax())]!r} is no lineage, as the other "
            "names of taxa are; move what is not an abundance into the metadata."
        )
    found = [_RANKS[rank] for rank in _RANKS if (ranks == rank).any()]
    if len(found) == 1:
        return frame
    if "species" not in found:
        raise InputError(
            f"{path}: holds {', '.join(found[:-1])} and {found[-1]}, but no species (s__…); supply "
            "a table with the species, or with one rank only."
        )
    species = (ranks == "s").to_numpy()
    log.info("%s: %d species of %d rows of several ranks", path, species.sum(), len(species))
    return frame.loc[:, species]


def _unit(frame: pd.DataFrame, layout: str, path: Path) -> str:
    """Return the unit that the values have: by the totals of samples, and by whether they count."""
    values = frame.to_numpy()
    largest = values.sum(axis=1).max(initial=0)
    whole = bool((values == np.round(values)).all()) and not layout.startswith("metaphlan")
    if not whole and largest <= _ROUNDING and not layout.startswith("metaphlan"):
        return "proportion"
    if not whole and largest <= 100 * _ROUNDING:
        return "percent"
    if not whole and not layout.startswith("metaphlan"):
        log.info(
            "%s: totals up to %.4g: neither percent nor counts; taken as counts", path, largest
        )
    return "count"
