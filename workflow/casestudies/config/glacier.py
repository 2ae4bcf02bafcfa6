"""The configuration of the glacier study."""

from typing import ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from casestudies.config.schemes import (
    Forward,
    Headline,
    LeaveGroupsOut,
    LeaveOneGroupOut,
    LocalDataSet,
    Scheme,
    Section,
    Study,
)

Model = Literal[
    "mean",
    "year_mean",
    "degree_day",
    "ols",
    "lasso",
    "ridge",
    "ridge_regional",
    "extra_trees",
    "gradient_boosting",
    "ridge_trees",
    "gaussian_process",
]
Network = Literal["paper_network", "paper_protocol", "deep_ensemble"]


class Simulation(Section):
    """The simulated glaciers (see casestudies.glacier.balance for the physics)."""

    glaciers: int = Field(24, ge=4, le=500)
    """Number of glaciers."""
    first_year: int = Field(1959, ge=1900)
    """First hydrological year, named by the year in which it ends."""
    last_year: int = Field(2015, le=2100)
    """Last hydrological year."""
    dense_from: int = 1984
    """First year in which most glaciers are observed; before it, only a few are."""
    observed_fraction: float = Field(0.96, gt=0, le=1)
    """Fraction of glaciers observed in each year from then on."""
    observation_noise: float = Field(0.2, ge=0, le=2)
    """Standard deviation of an observed annual balance about the truth (m w.e.)."""

    @model_validator(mode="after")
    def _years_in_order(self) -> Self:
        if self.last_year - self.first_year < 19:
            raise ValueError("last_year must be at least 19 years after first_year")
        return self


class PaperSettings(Section):
    """Settings of paper_network and paper_protocol."""

    known_year_epochs: int = Field(40, ge=1, le=5000)
    """Epochs of every network where the year is known (2000 to 3000 in the paper)."""
    new_year_epochs: int = Field(30, ge=1, le=5000)
    """Epochs where it is new. The inner error is on a noisy plateau after about 30; the published
    protocol finds better held-out epochs the longer it looks."""


class Candidate(Section):
    """One form of network that the inner folds of deep_ensemble choose from."""

    predictors: Literal["regional", "regional_monthly", "monthly"] = "regional"
    """regional: seasons, local deviation, memory, topography; regional_monthly: with the region's
    months; monthly: the paper's 34."""
    hidden: tuple[int, ...] = (32,)
    """Widths of the hidden layers."""
    skip: bool = True
    """A linear path from the predictors to the output, beside the hidden layers."""
    dropout: float = Field(0.3, ge=0, lt=1)
    input_dropout: float = Field(0.5, ge=0, lt=1)
    weight_decay: float = Field(1.0, ge=0)
    ridge: float | None = Field(None, gt=0)
    """Penalty of a ridge regression fitted in the fold, whose residual is learned; None: none."""
    neighbours: float | None = Field(None, gt=0)
    """Length (km) of the weights of the same year's observations at the training glaciers, an
    input and offset where the year is not new; None: not used."""


NEW_YEAR = [
    Candidate(hidden=(16,), dropout=0.2, weight_decay=0.3),
    Candidate(ridge=1000.0),
    Candidate(predictors="regional_monthly"),
    Candidate(predictors="regional_monthly", ridge=1000.0),
]
KNOWN_YEAR = [
    Candidate(hidden=(64, 32), input_dropout=0.2, weight_decay=0.1, ridge=1000.0, neighbours=15.0),
    *(
        Candidate(
            predictors="regional_monthly",
            hidden=(64, 32),
            skip=False,
            dropout=0.2,
            input_dropout=0.0,
            weight_decay=0.1,
            ridge=ridge,
            neighbours=20.0,
        )
        for ridge in (1000.0, None)
    ),
]


class EnsembleSettings(Section):
    """Settings of deep_ensemble."""

    members: int = Field(2, ge=1, le=100)
    """Networks of each candidate averaged in every fold."""
    steps: int = Field(120, ge=1)
    """Gradient steps of every network."""
    evaluate_every: int = Field(20, ge=1)
    """Steps between two predictions, from which the inner folds choose."""
    batch: int = Field(128, ge=2)
    learning_rate: float = Field(5e-3, gt=0)
    keep: int = Field(3, ge=1)
    """Candidates, the best by inner error, whose predictions are averaged."""
    tolerance: float = Field(0.05, ge=0, lt=1)
    """Predictions are averaged over all numbers of steps whose inner squared error is within this
    fraction of the smallest. On a flat curve the very smallest is chance, and a chance that
    depends on which rows are held out: taking it costs more than it gains."""
    new_year: list[Candidate] = Field(NEW_YEAR, min_length=1)
    """Candidates where the year is new."""
    known_year: list[Candidate] = Field(KNOWN_YEAR, min_length=1)
    """Candidates where other glaciers are observed in the same year."""


class Glacier(Study):
    """The glacier study: annual surface mass balance from climate and topography."""

    name = "glacier"
    title = "Glacier"
    target = "mass_balance"
    built_in = ("simulated", "alpgm-corrected")
    headline = Headline(
        model="deep_ensemble",
        label="deep ensemble",
        baseline=("mean", "mean"),
        rivals={"lasso": "lasso", "ridge_regional": "ridge, regional + local"},
        held_out={
            "logo": "a glacier",
            "loyo": "a year",
            "lsygo": "a glacier and a year",
            "forward": "later years",
        },
    )
    combinations: ClassVar[tuple[str, ...]] = ("chosen", "stack")

    datasets: list[str] = Field(["simulated"], min_length=1)
    """Data sets to run: simulated, alpgm-corrected, or names under `local`."""
    local: dict[str, LocalDataSet] = {}
    """A user's own data sets, by name."""
    audit: bool = False
    """Recompute the published scores from the authors' stored predictions (fetches alpgm)."""
    simulation: Simulation = Simulation()
    schemes: dict[str, Scheme] = Field(
        {
            "logo": LeaveOneGroupOut(group="glacier", inner_folds=3),
            "loyo": LeaveOneGroupOut(group="year", test_from=2000, inner_folds=3),
            "lsygo": LeaveGroupsOut(
                groups=("glacier", "year"), parts=(4, 4), test_from=1984, inner_folds=3
            ),
            "forward": Forward(time="year", cuts=[1994, 1999, 2004, 2009], inner_folds=3),
        },
        min_length=1,
    )
    """Cross-validation schemes, by name."""
    models: list[Model] = Field(list(get_args(Model)), min_length=1)
    """Models fitted on the CPU."""
    networks: list[Network] = list(get_args(Network))
    """Networks. paper_protocol picks its checkpoint on the held-out fold, as published: it shows
    what that is worth and competes with nothing."""
    paper_network: PaperSettings = PaperSettings()
    paper_protocol: PaperSettings = PaperSettings()
    deep_ensemble: EnsembleSettings = EnsembleSettings()

    def settings(self, network: str) -> Section:
        """Return the settings of a network."""
        return getattr(self, network)

    def reader(self, dataset: str) -> str:
        """Return the reader of a data set's raw files: a user's own are CSV files."""
        return "csv" if dataset in self.local else "alpgm"

    def classical(self, scheme: str) -> list[str]:
        """Return the models that are no network and are defined under a scheme.

        The mean of the same year needs training glaciers in that year.
        """
        new_years = "year" in self.schemes[scheme].units
        return [model for model in self.models if not (model == "year_mean" and new_years)]

    def fitting_jobs(self) -> dict[str, tuple[list[str], list[str]]]:
        """Return by job the classical models and the schemes under which it fits them."""
        jobs: dict[str, tuple[list[str], list[str]]] = {}
        for name, scheme in self.schemes.items():
            job = "new_year" if "year" in scheme.units else "known_year"
            if models := self.classical(name):
                jobs.setdefault(job, (models, []))[1].append(name)
        return jobs

    def fitted(self, scheme: str) -> list[str]:
        """Return the models and networks that are defined under a scheme."""
        return [*self.classical(scheme), *self.networks]

    def honest(self, scheme: str) -> list[str]:
        """Return those that choose nothing on the data that they are tested on."""
        return [name for name in self.fitted(scheme) if name != "paper_protocol"]

    def predictors(self, dataset: str, scheme: str) -> list[str]:
        """Return everything that is scored under a scheme, combinations included."""
        return [*self.fitted(scheme), *self.combinations]
