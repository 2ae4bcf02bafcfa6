"""What the studies' sections share: data sets of one's own, and cross-validation schemes.

The schemes are made by casestudies.evaluation.splits.

The grouping follows the claim: a new glacier, a new year, a new cohort, a later season.
"""

from pathlib import Path
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, field_validator


class Section(BaseModel):
    """A section of the configuration: unknown keys are refused, values are immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class LocalDataSet(Section):
    """A user's own data, in the documented format."""

    path: Path
    """Folder with the raw files."""


class Headline(NamedTuple):
    """What the table of published results says of a study (see casestudies.published)."""

    model: str
    """The model that the lecture's claim is about."""
    label: str
    """Its name in words."""
    baseline: tuple[str, str]
    """The model that knows next to nothing: its name, and its name in words."""
    rivals: dict[str, str]
    """The models that it has to beat, by name, with their names in words."""
    held_out: dict[str, str]
    """What is new to a model under each scheme that is published, in words."""
    measure: str = "RMSE"
    """What the scores are, in words; the unit is added."""
    digits: int = 2


class Study(Section):
    """What the sections of all studies have in common."""

    name: ClassVar[str]
    title: ClassVar[str]
    """Its category in the report."""
    target: ClassVar[str]
    """Column of the prepared table that is predicted."""
    task: ClassVar[Literal["regression", "classification"]] = "regression"
    built_in: ClassVar[tuple[str, ...]]
    """Data sets that need no path."""
    headline: ClassVar[Headline | None] = None
    """What the table of published results says of it, if there are published data."""

    def folder(self, dataset: str) -> str:
        """Return the folder of a data set's raw files."""
        if dataset in self.local:
            return str(self.local[dataset].path)
        return f"data/raw/{self.source(dataset)}"

    def source(self, dataset: str) -> str:
        """Return the folder below data/raw: the published data set, or the study's simulation."""
        return f"simulated/{self.name}" if dataset == "simulated" else dataset

    def sources(self, dataset: str) -> tuple[str, ...]:
        """Return the folders below data/raw that a data set is made from."""
        return (self.source(dataset),)

    def schemes_of(self, dataset: str) -> list[str]:
        """Return the cross-validation schemes that a data set allows."""
        return list(self.schemes)


class _Scheme(Section):
    inner_folds: int = Field(5, ge=2, le=20)
    """Inner folds of each outer training set, for every choice and for calibration."""

    @property
    def columns(self) -> list[str]:
        """Return the columns of the samples that the scheme needs."""
        named = [getattr(self, name, None) for name in ("group", "inner_group", "time")]
        return [*dict.fromkeys([*self.units, *filter(None, named)])]


class LeaveOneGroupOut(_Scheme):
    """Each group is held out once; inner folds keep groups whole."""

    kind: Literal["leave_one_group_out"] = "leave_one_group_out"
    group: str
    """Column whose values are the groups."""
    test_from: int | None = None
    """Hold out only groups from this value on (earlier ones stay in every training set)."""
    unit: str | None = None
    """Column of the independent unit; by default the group itself."""
    inner_group: str | None = None
    """Column of the groups of inner folds; by default the same."""

    @property
    def units(self) -> list[str]:
        return [self.unit or self.group]


class LeaveGroupsOut(_Scheme):
    """A cell of some groups and some others is held out; training shares neither with it."""

    kind: Literal["leave_groups_out"] = "leave_groups_out"
    groups: tuple[str, str]
    """The two grouping columns."""
    parts: tuple[Annotated[int, Field(ge=2)], Annotated[int, Field(ge=2)]]
    """Into how many random parts the values of each are divided; every cell is held out once."""
    test_from: int | None = None
    """Hold out only values of the second column from this one on."""

    @property
    def units(self) -> list[str]:
        return list(self.groups)


class Forward(_Scheme):
    """Trained on the past, tested on what follows."""

    kind: Literal["forward"] = "forward"
    time: str
    """Column of time."""
    cuts: list[int] = Field(min_length=1)
    """Last value of each training period, ascending; the test period ends at the next cut."""
    gap: int = Field(0, ge=0)
    """Units of time left out between training and test."""

    @property
    def units(self) -> list[str]:
        return [self.time]

    @field_validator("cuts")
    @classmethod
    def _ascending(cls, cuts: list[int]) -> list[int]:
        if sorted(set(cuts)) != cuts:
            raise ValueError("must be in ascending order, each once")
        return cuts


class Blocked(_Scheme):
    """Contiguous blocks of time, each held out once with a gap on either side."""

    kind: Literal["blocked"] = "blocked"
    time: str
    """Column of time (a number)."""
    blocks: int = Field(ge=2)
    """Number of blocks."""
    gap: float = Field(0, ge=0)
    """Time left out of training on either side of a block."""
    unit: str | None = None
    """Column of the independent unit; by default time itself."""

    @property
    def units(self) -> list[str]:
        return [self.unit or self.time]


class RepeatedKFold(_Scheme):
    """Repeated k-fold stratified by class, with the samples of a subject kept together."""

    kind: Literal["repeated_stratified_kfold"] = "repeated_stratified_kfold"
    subject: str = "sample"
    """Column of the independent unit."""
    folds: int = Field(10, ge=2)
    """Outer folds."""
    repeats: int = Field(1, ge=1)
    """How often the folds are drawn anew."""

    @property
    def units(self) -> list[str]:
        return [self.subject]


class RandomKFold(_Scheme):
    """Random folds of samples, blind to any dependence between them."""

    kind: Literal["random_kfold"] = "random_kfold"
    folds: int = Field(5, ge=2)
    """Outer folds."""
    unit: str = "sample"
    """Column of the independent unit, for the intervals of scores."""

    @property
    def units(self) -> list[str]:
        return [self.unit]


SCHEMES = (LeaveOneGroupOut, LeaveGroupsOut, Forward, Blocked, RepeatedKFold, RandomKFold)
Scheme = Annotated[
    LeaveOneGroupOut | LeaveGroupsOut | Forward | Blocked | RepeatedKFold | RandomKFold,
    Field(discriminator="kind"),
]
