"""The numbers of a simulation, each with what it rests on, and the file that tells a user."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from casestudies.tables import write_json

Basis = Literal["literature", "unchecked", "gross", "adjusted", "assumption", "convention"]


@dataclass(frozen=True)
class Parameter:
    """A number of a simulation.

    ``basis`` is "literature" (the source was looked up), "unchecked" (literature cited from memory:
    look it up before quoting it), "gross" (set to gross statistics of published data), "adjusted"
    (begun from another value, then moved), "assumption" or "convention". What "gross" and
    "adjusted" refer to is said where a study's parameters are.
    """

    value: float
    unit: str
    basis: Basis
    source: str = ""


def values(parameters: Mapping[str, Parameter]) -> dict[str, float]:
    """Return the values alone, by name."""
    return {name: parameter.value for name, parameter in parameters.items()}


def write_parameters(
    path: Path, options: Mapping[str, Any], parameters: Mapping[str, Parameter], **facts: Any
) -> None:
    """Write what a simulated data set was made from (JSON): options, parameters, other facts."""
    described = {name: asdict(parameter) for name, parameter in parameters.items()}
    write_json({"options": dict(options), "parameters": described, **facts}, path)
