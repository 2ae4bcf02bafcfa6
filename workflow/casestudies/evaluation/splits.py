"""Cross-validation splits, made once per scheme and kept as a file that every model reads.

The split table is long: ``sample, repeat, fold, inner, role``. ``inner`` is -1 for the outer split
and 0, 1, … for the inner folds of that outer fold; ``role`` is ``train`` or ``test``. Training rows
have an observed target; test rows of the outer split may lack one (predicted, never scored).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import TypeAdapter

from casestudies.config.schemes import (
    Blocked,
    Forward,
    LeaveGroupsOut,
    LeaveOneGroupOut,
    RandomKFold,
    RepeatedKFold,
    Scheme,
)
from casestudies.errors import InputError
from casestudies.steps import main
from casestudies.tables import read_table, write_table

Pair = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Fold:
    """One outer fold: positions (int arrays) into the table of samples."""

    repeat: int
    fold: int
    train: np.ndarray
    test: np.ndarray
    inner: list[Pair] = field(default_factory=list)


def make_folds(
    samples: pd.DataFrame, target: str, scheme: Scheme, seed: int | np.random.SeedSequence
) -> list[Fold]:
    """Return the outer folds of a scheme with their inner folds.

    Parameters
    ----------
    samples
        One row per sample, with the columns that the scheme names; a missing ``target`` marks an
        unobserved sample.
    seed
        Seed of every random partition.

    Raises
    ------
    InputError
        If a column is missing, a fold would have no training or no observed test sample, the target
        is a class (0 or 1) and a training part holds one class only, or it is a quantity and the
        inner folds test one independent unit only, too few to calibrate intervals.
    """
    for column in [*scheme.columns, target]:
        if column not in samples.columns:
            raise InputError(
                f"scheme {scheme.kind!r} needs column {column!r}, which the samples lack; they "
                f"have {', '.join(samples.columns)}."
            )
    values = samples[target].to_numpy()
    observed = samples[target].notna().to_numpy()
    two_classes = set(np.unique(values[observed])) == {0.0, 1.0}
    rng = np.random.default_rng(seed)
    folds = []
    for repeat, fold, train, test in _outer(samples, target, scheme, observed, rng):
        train = train[observed[train]]
        if not len(train) or not observed[test].any():
            raise InputError(
                f"scheme {scheme.kind!r}: fold {fold} has {len(train)} training and "
                f"{observed[test].sum()} observed test samples; choose fewer folds or other groups."
            )
        inner = list(_inner(samples, target, scheme, train, rng))
        if not inner or not all(len(rows) for rows, _ in inner):
            raise InputError(
                f"scheme {scheme.kind!r}: fold {fold} leaves too few groups among its "
                f"{len(train)} training samples for inner folds; choose fewer inner_folds, or "
                "leave the scheme out."
            )
        if two_classes:
            for rows, _ in [(train, test), *inner]:
                if len(np.unique(values[rows])) < 2:
                    raise InputError(
                        f"scheme {scheme.kind!r}: the {len(rows)} training samples of fold {fold} "
                        f"or of one of its inner folds are all of one class of {target!r}; choose "
                        "fewer folds, other groups, or leave the scheme out."
                    )
        else:
            tested = samples.iloc[np.concatenate([rows for _, rows in inner])]
            for unit in scheme.units:
                if tested[unit].nunique() < 2:
                    raise InputError(
                        f"scheme {scheme.kind!r}: the inner folds of fold {fold} test samples of "
                        f"one {unit} only, and prediction intervals need two; take more "
                        "data, or other folds."
                    )
        folds.append(Fold(repeat, fold, train, test, inner))
    if not folds:
        raise InputError(f"scheme {scheme.kind!r} yields no fold on these samples.")
    return folds


def _outer(
    samples: pd.DataFrame,
    target: str,
    scheme: Scheme,
    observed: np.ndarray,
    rng: np.random.Generator,
) -> Iterator[tuple[int, int, np.ndarray, np.ndarray]]:
    everything = np.arange(len(samples))
    match scheme:
        case LeaveOneGroupOut():
            groups = samples[scheme.group].to_numpy()
            held_out = _values(groups[observed], scheme.test_from)
            for fold, group in enumerate(held_out):
                yield 0, fold, everything[groups != group], everything[groups == group]
        case LeaveGroupsOut():
            first, second = (samples[column].to_numpy() for column in scheme.groups)
            rows = _partition(_values(first[observed]), scheme.parts[0], rng)
            columns = _partition(_values(second[observed], scheme.test_from), scheme.parts[1], rng)
            fold = 0
            for row in rows:
                for column in columns:
                    in_row, in_column = np.isin(first, row), np.isin(second, column)
                    test = in_row & in_column & observed
                    if test.any():
                        yield 0, fold, everything[~in_row & ~in_column], everything[test]
                        fold += 1
        case Forward():
            time = samples[scheme.time].to_numpy()
            ends = [*scheme.cuts[1:], time[observed].max()]
            for fold, (cut, end) in enumerate(zip(scheme.cuts, ends, strict=True)):
                test = (time > cut + scheme.gap) & (time <= end) & observed
                yield 0, fold, everything[time <= cut], everything[test]
        case Blocked():
            time = samples[scheme.time].to_numpy()
            for fold, (train, test) in enumerate(_blocks(time, scheme.blocks, scheme.gap)):
                yield 0, fold, everything[train], everything[test & observed]
        case RepeatedKFold():
            rows = everything[observed]
            for repeat in range(scheme.repeats):
                pairs = _stratified(samples, target, scheme, rows, scheme.folds, rng)
                for fold, (train, test) in enumerate(pairs):
                    yield repeat, fold, train, test
        case RandomKFold():
            rows = everything[observed]
            for fold, test in enumerate(_partition(rows, scheme.folds, rng)):
                yield 0, fold, np.setdiff1d(rows, test), np.sort(test)


def _inner(
    samples: pd.DataFrame, target: str, scheme: Scheme, train: np.ndarray, rng: np.random.Generator
) -> Iterator[Pair]:
    """Yield inner folds of the observed rows ``train`` that make the same claim as the outer."""
    parts = scheme.inner_folds
    match scheme:
        case LeaveOneGroupOut():
            groups = samples[scheme.inner_group or scheme.group].to_numpy()[train]
            for part in _partition(_values(groups), parts, rng):
                held_out = np.isin(groups, part)
                yield train[~held_out], train[held_out]
        case LeaveGroupsOut():
            # A diagonal of cells: every group and every other is held out once, with few fits.
            first, second = (samples[column].to_numpy()[train] for column in scheme.groups)
            rows = _partition(_values(first), parts, rng)
            columns = _partition(_values(second), parts, rng)
            for row, column in zip(rows, columns, strict=False):
                in_row, in_column = np.isin(first, row), np.isin(second, column)
                if (in_row & in_column).any() and (~in_row & ~in_column).any():
                    yield train[~in_row & ~in_column], train[in_row & in_column]
        case Forward():
            # The last third of the training period, block by block, each from what precedes it:
            # enough units to calibrate by, yet trained on nearly as much as the outer fold.
            time = samples[scheme.time].to_numpy()[train]
            values = _values(time)
            for block in np.array_split(values[2 * len(values) // 3 :], parts):
                if len(block):
                    past = time < block[0] - scheme.gap
                    yield train[past], train[np.isin(time, block)]
        case Blocked():
            time = samples[scheme.time].to_numpy()[train]
            for past, block in _blocks(time, parts, scheme.gap):
                yield train[past], train[block]
        case RepeatedKFold():
            yield from _stratified(samples, target, scheme, train, parts, rng)
        case RandomKFold():
            for test in _partition(train, parts, rng):
                yield np.setdiff1d(train, test), np.sort(test)


def _values(groups: np.ndarray, start: int | None = None) -> np.ndarray:
    """Return the distinct groups in order of appearance, or of value from ``start`` on."""
    values = pd.unique(groups)
    if values.dtype.kind in "iuf":
        values = np.sort(values)
    return values if start is None else values[values >= start]


def _partition(values: np.ndarray, parts: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Divide ``values`` into random parts of nearly equal size, none empty."""
    return np.array_split(rng.permutation(values), min(parts, len(values)))


def _blocks(time: np.ndarray, blocks: int, gap: float) -> Iterator[Pair]:
    """Yield boolean (train, test) per contiguous block of time, ``gap`` apart on either side."""
    for block in np.array_split(np.unique(time), blocks):
        if len(block):
            test = (time >= block[0]) & (time <= block[-1])
            yield (time < block[0] - gap) | (time > block[-1] + gap), test


def _stratified(
    samples: pd.DataFrame,
    target: str,
    scheme: RepeatedKFold,
    rows: np.ndarray,
    folds: int,
    rng: np.random.Generator,
) -> Iterator[Pair]:
    # Two seconds that others need not pay.
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    labels = samples[target].to_numpy()[rows]
    smallest = np.unique(labels, return_counts=True)[1].min()
    if smallest < folds:
        raise InputError(
            f"{folds} stratified folds need {folds} samples of each class, but a class of "
            f"{target!r} has {smallest}; choose fewer folds."
        )
    subjects = samples[scheme.subject].to_numpy()[rows]
    options = {"shuffle": True, "random_state": int(rng.integers(2**31))}
    # Grouping takes a thousand times as long, to no purpose where nobody gave two samples.
    if pd.Index(subjects).has_duplicates:
        pairs = StratifiedGroupKFold(folds, **options).split(rows, labels, subjects)
    else:
        pairs = StratifiedKFold(folds, **options).split(rows, labels)
    for train, test in pairs:
        yield rows[train], rows[test]


def folds_to_table(folds: list[Fold], samples: pd.DataFrame) -> pd.DataFrame:
    """Return the long split table of ``folds`` (see the module)."""
    pieces = []
    for fold in folds:
        for inner, pair in enumerate([(fold.train, fold.test), *fold.inner], start=-1):
            for role, rows in zip(("train", "test"), pair, strict=True):
                pieces.append((rows, fold.repeat, fold.fold, inner, role))
    counts = [len(piece[0]) for piece in pieces]
    names = pd.Categorical.from_codes(
        np.concatenate([piece[0] for piece in pieces]), categories=samples["sample"].tolist()
    )
    columns: dict[str, Any] = {"sample": names}
    for position, (name, dtype) in enumerate(
        {"repeat": "int16", "fold": "int16", "inner": "int16"}.items(), start=1
    ):
        values = np.array([piece[position] for piece in pieces], dtype=dtype)
        columns[name] = np.repeat(values, counts)
    columns["role"] = pd.Categorical(np.repeat([piece[4] for piece in pieces], counts))
    return pd.DataFrame(columns)


def read_folds(path: Path, samples: pd.DataFrame) -> list[Fold]:
    """Read a split table as folds of positions into ``samples``.

    Raises
    ------
    InputError
        If the file is not a split table, or names a sample that ``samples`` lacks.
    """
    table = read_table(path, complete=["sample", "repeat", "fold", "inner", "role"])
    names = table["sample"].astype("category").cat
    position = pd.Index(samples["sample"]).get_indexer(names.categories)[names.codes]
    if (position < 0).any():
        unknown = table["sample"].iloc[(position < 0).argmax()]
        raise InputError(
            f"{path}: sample {unknown!r} is not among the prepared samples; the splits belong to "
            "other data. Delete the file to have it made again."
        )
    table = table.assign(position=position)
    folds = []
    for (repeat, fold), rows in table.groupby(["repeat", "fold"], sort=True):
        pairs = [
            tuple(part["position"].to_numpy()[part["role"] == role] for role in _ROLES)
            for _, part in rows.groupby("inner", sort=True)
        ]
        folds.append(Fold(int(repeat), int(fold), *pairs[0], pairs[1:]))
    return folds


_ROLES = ("train", "test")


def split(*, samples: Path, target: str, scheme: str, seed: int, output: Path) -> None:
    """Make the outer and inner folds of one cross-validation scheme.

    Parameters
    ----------
    samples
        Prepared table with a column ``sample`` and the scheme's grouping columns.
    target
        Column to be predicted; rows without a value are never trained on.
    scheme
        The scheme as JSON, as in the configuration.
    seed
        Seed of the random partitions.
    output
        Split table (Parquet).
    """
    table = read_table(samples, columns=[target], complete=["sample"])
    parsed = TypeAdapter(Scheme).validate_json(scheme)
    folds = make_folds(table, target, parsed, seed)
    write_table(folds_to_table(folds, table), output, {"scheme": parsed.model_dump(mode="json")})


if __name__ == "__main__":
    main(split)
