"""How cost grows with the size of the work: fitted to what steps took at several sizes.

Cost is taken as a constant (the start of a program) and a power of each size,

    y = s + c · Πₖ xₖ^eₖ,   0 ≤ s ≤ min y,  0 ≤ eₖ ≤ 2,

fitted by least squares of its logarithm. Where the measurements hardly tell, all but constant as
they are, a weak pull takes the exponents of time and disk to 1 and those of memory to 0; a size
that was not varied has that exponent. Memory is fitted to the sizes of what is held at a time
alone, not to how often that is done, and disk to those of what is kept (WITHOUT). Intervals of what
is expected come from the fits that leave out one of the measurements each (the jackknife; Efron and
Stein 1981, Ann. Stat. 9, 586-596) and from the residuals, with Student's t: they tell what the
measurements do not settle, not what another machine or a busy one would take. A factor of ten
either way stands for them where there are fewer than two measurements more than parameters, or
where a size is asked for that was not varied. None is wider than a factor of a hundred: that a law
does not hold at all is told by no interval.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from casestudies.errors import InputError

MEASURED = {"cpu_seconds": 1.0, "peak_mb": 0.0, "written_mb": 1.0}
"""Quantities of a step, by the column of the table of measurements, and the exponent that is taken
for them where the measurements do not tell."""
_PASSES = ("fits", "frame passes", "row passes", "cell passes", "label reads")
REPEATED = (*_PASSES, "flows", "frames")
"""Sizes that only say how often the same is done: their exponent is 1."""
WITHOUT = {"cpu_seconds": (), "peak_mb": REPEATED, "written_mb": _PASSES}
"""Sizes that a quantity does not grow with: what is done so often is let go before the next, and
leaves one result."""
STEEPEST = 2.0
WIDEST = 100.0
_PULL = 0.1
"""A residual for each exponent, times its distance from the usual one."""


@dataclass(frozen=True)
class Estimate:
    """An expected value and its 90 % interval."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True)
class Law:
    """How a quantity grows with sizes; see the module.

    Parameters
    ----------
    names
        Of the sizes.
    measured
        Smallest and largest value of each that was measured.
    measurements
        Number of measurements.
    best
        Constant, factor and exponents of the best fit, one for each of the names.
    others
        Those of the fits that leave out a measurement each.
    spread
        Standard deviation of the residuals, in logarithms.
    freedom
        Measurements less what was fitted to them; 0 at least.
    """

    names: tuple[str, ...]
    measured: tuple[tuple[float, float], ...]
    measurements: int
    best: tuple[float, ...]
    others: tuple[tuple[float, ...], ...]
    spread: float
    freedom: int

    @property
    def exponents(self) -> tuple[float, ...]:
        """The exponents of the best fit, in the order of the names."""
        return self.best[2:]

    @classmethod
    def fit(
        cls, names: Sequence[str], sizes: np.ndarray, values: np.ndarray, usual: float = 1.0
    ) -> "Law":
        """Fit the law.

        Parameters
        ----------
        names
            Of the sizes.
        sizes
            (n, sizes), above 0.
        values
            (n,), above 0.
        usual
            Exponent where the measurements do not tell.
        """
        logs = np.log(sizes)
        fixed = [
            1.0 if name in REPEATED else usual if np.ptp(logs[:, k]) == 0 else None
            for k, name in enumerate(names)
        ]
        best = _least_squares(fixed, logs, values, usual)
        others = [
            _least_squares(fixed, np.delete(logs, i, 0), np.delete(values, i), usual, best)
            for i in range(len(values) if len(values) > 1 else 0)
        ]
        residuals = np.log(values) - np.log(_evaluate(best, logs))
        fitted = (2 if np.ptp(logs) else 1) + fixed.count(None) if names else 1
        freedom = max(0, len(values) - fitted)
        spread = math.sqrt(float(residuals @ residuals) / max(1, freedom))
        ranges = tuple((float(one.min()), float(one.max())) for one in sizes.T)
        return cls(tuple(names), ranges, len(values), best, tuple(others), spread, freedom)

    def __call__(self, sizes: Mapping[str, float]) -> Estimate:
        """Return the quantity expected at some sizes."""
        logs = np.log([[max(sizes[name], 1e-9) for name in self.names]])
        value = float(_evaluate(self.best, logs)[0])
        if self.names and (self.freedom < 2 or self._asks_what_was_not_varied(sizes)):
            return Estimate(value, value / 10, value * 10)
        others = np.log([float(_evaluate(one, logs)[0]) for one in self.others] or [value])
        count = len(others)
        variance = (count - 1) * others.var() + self.spread**2
        widen = math.exp(float(student.ppf(0.95, max(1, self.freedom))) * math.sqrt(variance))
        widen = min(widen, WIDEST)
        return Estimate(value, value / widen, value * widen)

    def _asks_what_was_not_varied(self, sizes: Mapping[str, float]) -> bool:
        return any(
            low == high != sizes[name] and name not in REPEATED
            for name, (low, high) in zip(self.names, self.measured, strict=True)
        )

    def beyond(self, sizes: Mapping[str, float]) -> float:
        """Return how many times larger than any that was measured the work of these sizes is."""
        pairs = zip(self.names, self.measured, strict=True)
        return math.prod(max(1.0, sizes[name] / high) for name, (_, high) in pairs)


def _evaluate(law: Sequence[float], logs: np.ndarray) -> np.ndarray:
    constant, factor, *exponents = law
    return constant + factor * np.exp(logs @ np.asarray(exponents, dtype=float))


def _least_squares(
    fixed: Sequence[float | None],
    logs: np.ndarray,
    values: np.ndarray,
    usual: float,
    start: Sequence[float] | None = None,
) -> tuple[float, ...]:
    """Return constant, factor and exponents of the law that fits best, in logarithms.

    Parameters
    ----------
    fixed
        For each size its exponent, or None if that is to be fitted.
    start
        A law to start from; by default several are tried.
    """
    from scipy.optimize import least_squares

    least, mean = float(values.min()), float(np.log(values).mean())
    if not len(fixed):
        return (math.exp(mean), 0.0)
    middle = logs.mean(axis=0)
    known = np.array([np.nan if one is None else one for one in fixed])
    free = np.isnan(known)

    def law(found: np.ndarray) -> tuple[float, ...]:
        exponents = known.copy()
        exponents[free] = found[2:]
        return (least * found[0], math.exp(found[1] - middle @ exponents), *exponents.tolist())

    def residuals(found: np.ndarray) -> np.ndarray:
        misfit = np.log(_evaluate(law(found), logs)) - np.log(values)
        return np.append(misfit, _PULL * (found[2:] - usual))

    count = int(free.sum())
    if not np.ptp(logs, axis=0).any():  # of one size alone: nothing tells a constant apart
        return law(np.array([0.0, mean, *[usual] * count]))
    if start is None:
        tries = [[share, mean, *[power] * count] for share, power in ((0.1, 1.0), (0.9, usual))]
    else:
        powers = np.array(start[2:])
        factor = math.log(max(start[1], 1e-300)) + middle @ powers
        tries = [[start[0] / least, factor, *powers[free]]]
    low = np.array([0.0, mean - 30, *[0.0] * count])
    high = np.array([1.0, mean + 30, *[STEEPEST] * count])
    found = [
        least_squares(residuals, np.clip(one, low + 1e-6, high - 1e-6), bounds=(low, high))
        for one in tries
    ]
    return law(min(found, key=lambda one: one.cost).x)


def read_laws(path: Path) -> dict[str, dict[str, Law]]:
    """Return the laws of each part of the work, by quantity.

    Raises
    ------
    InputError
        If the table of measurements is missing or damaged.
    """
    try:
        with Path(path).open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        measured: dict[str, list[tuple[dict[str, float], list[float]]]] = {}
        for row in rows:
            pairs = (pair.split(" = ") for pair in row["sizes"].split("; ") if pair)
            sizes = {name: float(value) for name, value in pairs}
            values = [max(float(row[name]), 1e-4) for name in MEASURED]
            measured.setdefault(row["part"], []).append((sizes, values))
    except (OSError, KeyError, ValueError) as error:
        raise InputError(
            f"{path}: not a table of measured costs ({error}); `python "
            "benchmarks/measure_costs.py` writes it."
        ) from error
    laws: dict[str, dict[str, Law]] = {}
    for part, found in measured.items():
        for column, (name, usual) in enumerate(MEASURED.items()):
            sizes = [one for one in found[0][0] if one not in WITHOUT[name]]
            table = np.array([[one[size] for size in sizes] for one, _ in found])
            values = np.array([values[column] for _, values in found])
            law = Law.fit(sizes, table.reshape(len(found), len(sizes)), values, usual)
            laws.setdefault(part, {})[name] = law
    return laws
