"""The typed configuration: every key, its range and its meaning.

``config/config.yaml`` and ``config/schema.json`` are written from these models by
``python -m casestudies.config --folder config``; a test keeps them in step.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Self, Union, get_args, get_origin

from pydantic import BaseModel, Field, ValidationError, model_validator

from casestudies.config.glacier import Glacier
from casestudies.config.lecture import Lecture
from casestudies.config.mwas import Mwas
from casestudies.config.satellite import Satellite
from casestudies.config.schemes import Section, Study
from casestudies.config.wind import Wind
from casestudies.errors import InputError, nearest


class DataSets(Section):
    """Where raw data come from."""

    mirror: str | None = None
    """Folder, file:// or http(s):// address that replaces the publishers' hosts, laid out as
    <data set>/<file>. The environment variable CASESTUDIES_MIRROR does the same."""


class Scores(Section):
    """How scores and their intervals are computed."""

    bootstrap: int = Field(2000, ge=100, le=100_000)
    """Bootstrap resamples of the independent unit."""
    confidence: float = Field(0.95, gt=0.5, lt=1)
    """Confidence level of the intervals of scores."""
    coverage: float = Field(0.9, gt=0.5, lt=1)
    """Nominal coverage of prediction intervals."""


class Training(Section):
    """How networks are trained."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto takes a GPU if there is one; cuda without a GPU is an error."""
    gpu: int = Field(0, ge=0, le=1)
    """GPUs that a training job asks the scheduler for."""
    threads: int = Field(1, ge=1)
    """CPU threads of a training job."""
    checkpoint_every: float = Field(60, gt=0)
    """Seconds between checkpoints."""
    country: str = Field("FRA", pattern="^[A-Z]{3}$")
    """ISO 3166 code of the country whose electricity mix turns energy into CO2e."""

    @model_validator(mode="after")
    def _gpu_follows_device(self) -> Self:
        if self.device == "cuda" and self.gpu == 0:
            raise ValueError("gpu must be 1 when device is cuda, or no GPU will be allocated")
        return self


class Config(Section):
    """The whole configuration."""

    seed: int = Field(2021, ge=0)
    """Seed of everything random; each job draws from a child of its own."""
    datasets: DataSets = DataSets()
    scores: Scores = Scores()
    training: Training = Training()
    glacier: Glacier = Glacier()
    mwas: Mwas = Mwas()
    satellite: Satellite = Satellite()
    wind: Wind = Wind()
    lecture: Lecture = Lecture()

    @property
    def studies(self) -> dict[str, Study]:
        """Return the sections of the studies, by name."""
        return {name: one for name, one in self if isinstance(one, Study)}


def load(values: Mapping[str, Any], folder: Path = Path()) -> Config:
    """Check a configuration and return it typed.

    Parameters
    ----------
    values
        The merged configuration, as Snakemake or YAML gives it.
    folder
        Folder that relative paths of local data sets refer to.

    Raises
    ------
    InputError
        With one line per mistake: the key's path, what is wrong, and the nearest valid key.
    """
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        lines = [_explain(problem) for problem in error.errors()]
        raise InputError("\n".join(["the configuration is not valid:", *lines])) from None
    for study, section in config.studies.items():
        _check_datasets(study, section, folder)
    return config


def _check_datasets(study: str, section: Study, folder: Path) -> None:
    """Refuse unknown data sets, and local ones without a folder or under a taken name."""
    for position, name in enumerate(section.datasets):
        if name not in (*section.built_in, *section.local):
            hint = nearest(name, [*section.built_in, *section.local])
            raise InputError(f"configuration key {study}.datasets.{position}: {name!r}: {hint}")
    for name, dataset in section.local.items():
        key = f"configuration key {study}.local.{name}"
        if name in section.built_in:
            raise InputError(f"{key}: the name is taken by a built-in data set; choose another.")
        if not (folder / dataset.path).is_dir():
            raise InputError(f"{key}.path: {dataset.path} is not a folder.")


def _explain(problem: Mapping[str, Any]) -> str:
    """Return one line for one of pydantic's errors."""
    path, valid = _walk(problem["loc"])
    key = ".".join(path) or "(top level)"
    if problem["type"] == "extra_forbidden":
        return f"  {key}: unknown key; {nearest(path[-1], valid)}"
    if problem["type"] == "missing":
        return f"  {key}: required, but missing"
    value = problem["input"]
    if problem["type"] in ("literal_error", "union_tag_invalid"):
        context = problem["ctx"]
        valid = re.findall(r"'([^']+)'", context.get("expected") or context["expected_tags"])
        given = context.get("tag", value)
        tag = f".{context['discriminator'].strip(chr(39))}" if "tag" in context else ""
        return f"  {key}{tag}: {given!r} is not valid; {nearest(str(given), valid)}"
    message = problem["msg"].removeprefix("Value error, ")
    shown = "" if isinstance(value, Mapping) else f" (got {value!r})"
    return f"  {key}: {message[0].lower()}{message[1:]}{shown}"


def _walk(path: tuple[str | int, ...]) -> tuple[list[str], list[str]]:
    """Return the keys of a path, and what is valid in place of the last one.

    Pydantic also names the variant of a union in the path; the user's file does not.
    """
    section: Any = Config
    keys: list[str] = []
    fields: dict[str, Any] = {}
    for part in path:
        while get_origin(section) is Annotated:
            section = get_args(section)[0]
        if get_origin(section) in (Union, UnionType):
            section = _variants(section).get(part)
            continue
        keys.append(str(part))
        fields = getattr(section, "model_fields", {})
        if fields:
            section = fields[part].annotation if part in fields else None
        else:  # a mapping of names to sections, or a list
            section = next(iter(get_args(section)[-1:]), None)
    return keys, list(fields)


def _variants(union: Any) -> dict[str | int, type[BaseModel]]:
    """Return the sections that a union holds, by the value that tells them apart."""
    return {
        tag: section
        for section in get_args(union)
        if isinstance(section, type) and issubclass(section, BaseModel)
        for field in section.model_fields.values()
        if get_origin(field.annotation) is Literal
        for tag in get_args(field.annotation)
    }
