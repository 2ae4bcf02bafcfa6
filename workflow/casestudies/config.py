"""The typed configuration: every key, its range and its meaning.

``config/config.yaml`` and ``config/schema.json`` are written from these models by
``python -m casestudies.config --folder config``; a test keeps them in step.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Any, Literal, Self, get_args
from zlib import crc32

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from casestudies.errors import InputError, nearest
from casestudies.schemes import (
    SCHEMES,
    Forward,
    LeaveGroupsOut,
    LeaveOneGroupOut,
    Scheme,
    Section,
)
from casestudies.steps import main
from casestudies.tables import write_json

GlacierModel = Literal[
    "mean",
    "year_mean",
    "degree_day",
    "ols",
    "lasso",
    "ridge",
    "ridge_regional",
    "extra_trees",
    "gradient_boosting",
    "gaussian_process",
]
GLACIER_DATASETS = ("simulated", "alpgm-corrected")
GlacierNetwork = Literal["paper_network", "paper_protocol", "deep_ensemble"]


class LocalDataSet(Section):
    """A user's own data, in the documented format."""

    path: Path
    """Folder with the raw files."""


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
    threads: int = Field(2, ge=1)
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


class GlacierSimulation(Section):
    """The simulated glaciers (see casestudies.glacier.simulate for the physics)."""

    glaciers: int = Field(32, ge=4, le=500)
    """Number of glaciers."""
    first_year: int = Field(1959, ge=1900)
    """First hydrological year, named by the year in which it ends."""
    last_year: int = Field(2015, le=2100)
    """Last hydrological year."""
    observation_error: float = Field(0.2, ge=0, le=2)
    """Standard deviation of an observed annual balance about the truth (m w.e.)."""

    @model_validator(mode="after")
    def _years_in_order(self) -> Self:
        if self.last_year - self.first_year < 19:
            raise ValueError("last_year must be at least 19 years after first_year")
        return self


class Glacier(Section):
    """The glacier study: annual surface mass balance from climate and topography."""

    datasets: list[str] = Field(["simulated"], min_length=1)
    """Data sets to run: simulated, alpgm-corrected, or names under `local`."""
    local: dict[str, LocalDataSet] = {}
    """A user's own data sets, by name."""
    audit: bool = False
    """Recompute the published scores from the authors' stored predictions (fetches alpgm)."""
    simulation: GlacierSimulation = GlacierSimulation()
    schemes: dict[str, Scheme] = Field(
        {
            "logo": LeaveOneGroupOut(group="glacier"),
            "loyo": LeaveOneGroupOut(group="year", test_from=1984),
            "lsygo": LeaveGroupsOut(groups=("glacier", "year"), parts=(4, 4), test_from=1984),
            "forward": Forward(time="year", cuts=[1994, 1999, 2004, 2009]),
        },
        min_length=1,
    )
    """Cross-validation schemes, by name."""
    models: list[GlacierModel] = Field(list(get_args(GlacierModel)), min_length=1)
    """Models fitted on the CPU."""
    networks: dict[GlacierNetwork, dict[str, Any]] = {}
    """Networks and the settings that differ from their defaults."""


class Config(Section):
    """The whole configuration."""

    seed: int = Field(2021, ge=0)
    """Seed of everything random; each job draws from a child of its own."""
    datasets: DataSets = DataSets()
    scores: Scores = Scores()
    training: Training = Training()
    glacier: Glacier = Glacier()


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
    local = config.glacier.local
    for position, name in enumerate(config.glacier.datasets):
        if name not in (*GLACIER_DATASETS, *local):
            hint = nearest(name, [*GLACIER_DATASETS, *local])
            raise InputError(f"configuration key glacier.datasets.{position}: {name!r}: {hint}")
    for name, dataset in local.items():
        key = f"configuration key glacier.local.{name}"
        if name in GLACIER_DATASETS:
            raise InputError(f"{key}: the name is taken by a built-in data set; choose another.")
        if not (folder / dataset.path).is_dir():
            raise InputError(f"{key}.path: {dataset.path} is not a folder.")
    return config


def _explain(problem: Mapping[str, Any]) -> str:
    """Return one line for one of pydantic's errors."""
    # Pydantic names the variant of a union in the path; the user's file does not.
    path = [str(part) for part in problem["loc"] if part not in _SCHEME_KINDS]
    key = ".".join(path) or "(top level)"
    if problem["type"] == "extra_forbidden":
        return f"  {key}: unknown key; {nearest(path[-1], _keys(problem['loc'][:-1]))}"
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


_SCHEME_KINDS = {kind.model_fields["kind"].default: kind for kind in SCHEMES}


def _keys(path: tuple[str | int, ...]) -> list[str]:
    """Return the valid keys of the section at ``path``."""
    section: Any = Config
    for part in path:
        if part in _SCHEME_KINDS:
            section = _SCHEME_KINDS[part]
        elif isinstance(section, type) and issubclass(section, BaseModel):
            section = section.model_fields[part].annotation
        else:  # a mapping of names to sections
            section = get_args(section)[1]
    fields = getattr(section, "model_fields", {})
    return list(fields)


def job_seed(seed: int, *names: str) -> int:
    """Return the seed of one job: a child of the configuration's seed, by the job's names."""
    import numpy as np

    child = np.random.SeedSequence(seed, spawn_key=[crc32(name.encode()) for name in names])
    return int(child.generate_state(1)[0])


def _yaml(config: Config) -> str:
    """Return the default configuration as YAML, each key preceded by its description."""

    def section(model: BaseModel, indent: int) -> list[str]:
        lines = []
        pad = "  " * indent
        for name, field in type(model).model_fields.items():
            value = getattr(model, name)
            if field.description:
                text = " ".join(field.description.split())
                lines += [f"{pad}# {line}" for line in wrap(text, 98 - len(pad))]
            if isinstance(value, BaseModel):
                lines += [f"{pad}{name}:", *section(value, indent + 1)]
                continue
            plain = json.loads(model.model_dump_json(include={name}, exclude_none=False))[name]
            nested = isinstance(plain, dict | list) or None
            text = yaml.safe_dump(
                {name: plain}, sort_keys=False, default_flow_style=None if nested else False, width=98
            )
            lines += [pad + line for line in text.rstrip().splitlines()]
        return lines

    header = [
        "# The default configuration. Written by `python -m casestudies.config --folder config`;",
        "# override keys with --configfile, or here.",
    ]
    return "\n".join([*header, *section(config, 0)]) + "\n"


def write(*, folder: Path) -> None:
    """Write config.yaml, the defaults with their meaning, and schema.json into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(_yaml(Config()), encoding="utf-8")
    write_json(Config.model_json_schema(), folder / "schema.json")


if __name__ == "__main__":
    main(write)
