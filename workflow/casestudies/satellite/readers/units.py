"""Units: as they are spelt in files, how they convert, and what no value can exceed."""

import re

import numpy as np

from casestudies.errors import InputError

DOBSON = 2.6867e20
"""Molecules per m² in one Dobson unit: a layer of 10 µm of pure gas at 0 °C and 1013.25 hPa."""
AVOGADRO = 6.02214076e23
"""Molecules per mol."""

_COLUMN = "column"
# units: (quantity, factor, offset); value in the quantity's base unit = value * factor + offset
_UNITS: dict[str, tuple[str, float, float]] = {
    "1": ("fraction", 1, 0),
    "%": ("fraction", 0.01, 0),
    "K": ("temperature", 1, 0),
    "degC": ("temperature", 1, 273.15),
    "Pa": ("pressure", 1, 0),
    "hPa": ("pressure", 100, 0),
    "mPa": ("pressure", 1e-3, 0),
    "m": ("length", 1, 0),
    "km": ("length", 1000, 0),
    "molecules cm-2": (_COLUMN, 1, 0),
    "mol m-2": (_COLUMN, AVOGADRO * 1e-4, 0),
    "DU": (_COLUMN, DOBSON * 1e-4, 0),
    "mol mol-1": ("mole fraction", 1, 0),
    "umol mol-1": ("mole fraction", 1e-6, 0),
    "nmol mol-1": ("mole fraction", 1e-9, 0),
}
_SPELT = {
    "1": ("", "none", "unitless", "dimensionless"),
    "%": ("percent",),
    "K": ("degK", "kelvin", "Kelvin", "degree_Kelvin"),
    "degC": ("C", "°C", "celsius", "Celsius", "degrees_Celsius", "degree_Celsius"),
    "hPa": ("mbar", "mb", "millibar"),
    "m": ("meter", "metre", "meters", "metres"),
    "molecules cm-2": ("molec/cm2", "molec cm-2", "molecules/cm2", "molecules/cm^2", "molec/cm^2"),
    "mol m-2": ("mol/m2", "mol/m^2"),
    "DU": ("Dobson", "dobson", "dobsons", "du"),
    "mol mol-1": ("mol/mol",),
    "umol mol-1": ("umol/mol", "ppm", "ppmv"),
    "nmol mol-1": ("nmol/mol", "ppb", "ppbv"),
}
_STANDARD = {spelling: name for name, others in _SPELT.items() for spelling in others}
_POWER = re.compile(r"(?:1?[eE]|(?:1 ?[x*] ?)?10(?:\^|\*\*))(\d+) ?\*? ?(.+)")

# The column of all air is 2.15e25 molecules cm-2 and no trace gas has more; the other bounds are
# as wide, so that only a mistaken unit crosses them.
_BOUNDS = {
    "temperature": (20.0, 2000.0),
    _COLUMN: (-2.2e25, 2.2e25),
    "mole fraction": (-1.0, 1.0),
}


def standard(units: str) -> str:
    """Return the usual spelling of units; units that are not known stay as they are."""
    return _STANDARD.get(units.strip(), units.strip())


def _meaning(units: str) -> tuple[str, float, float] | None:
    name = standard(units)
    if name in _UNITS:
        return _UNITS[name]
    if power := _POWER.fullmatch(name):
        inner = _meaning(power[2])
        if inner is not None and inner[2] == 0:
            return inner[0], inner[1] * 10.0 ** int(power[1]), 0
    return None


def convert(values: np.ndarray, given: str, wanted: str, what: str) -> np.ndarray:
    """Convert values from the units ``given`` to those ``wanted``.

    Parameters
    ----------
    what
        File and field, for the message.

    Raises
    ------
    InputError
        If the units do not convert.
    """
    if standard(given) == standard(wanted):
        return values
    one, other = _meaning(given), _meaning(wanted)
    if one is None or other is None or one[0] != other[0]:
        raise InputError(
            f"{what} is in {given!r}, which does not convert to {wanted!r}; if the file is "
            "mistaken, state its true units in the option 'units'."
        )
    return ((values * one[1] + one[2]) - other[2]) / other[1]


def check_plausible(values: np.ndarray, units: str, what: str) -> None:
    """Refuse values that cannot be in the units stated.

    A wrong units attribute is not mended silently, since no rule tells which of two readings is
    right: the message gives both, and the user decides by the option ``units``.

    Raises
    ------
    InputError
        If a value is beyond what is physically possible.
    """
    meaning = _meaning(units)
    if meaning is None or meaning[0] not in _BOUNDS:
        return
    known = values[np.isfinite(values)]
    if known.size == 0:
        return
    low, high = (float(v) * meaning[1] + meaning[2] for v in (known.min(), known.max()))
    lower, upper = _BOUNDS[meaning[0]]
    if lower <= low and high <= upper:
        return
    power = _POWER.fullmatch(standard(units))
    hint = f"; the values fit {power[2]!r}, as if the power were counted twice" if power else ""
    raise InputError(
        f"{what}: values of {known.min():.3g} to {known.max():.3g} in {units!r} are physically "
        f"impossible for a {meaning[0]}{hint}. The units attribute is wrong: state the true units "
        "in the option 'units'."
    )
