"""The configuration of the MWAS study."""

from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from casestudies.config.schemes import (
    Headline,
    LeaveOneGroupOut,
    LocalDataSet,
    RepeatedKFold,
    Scheme,
    Section,
    Study,
)

Linear = Literal[
    "ridge",
    "ridge_log",
    "ridge_clr",
    "ridge_proportion",
    "lasso",
    "lasso_log",
    "lasso_clr",
    "elastic_net",
]
Model = (
    Literal["null_model", "covariates"]
    | Linear
    | Literal["ridge_log_covariates", "random_forest", "gradient_boosting"]
)
TASKS = ("cirrhosis", "colorectal", "ibd", "obesity", "t2d", "wt2d")
"""The tasks of pasolli2016; each is a data set of its own."""


class Simulation(Section):
    """The simulated gut metagenomes (see casestudies.mwas.simulate)."""

    cohorts: int = Field(4, ge=2, le=50)
    """Number of cohorts."""
    samples: int = Field(70, ge=20, le=5000)
    """Samples of each cohort."""
    taxa: int = Field(300, ge=50, le=5000)
    """Number of species."""
    associated: int = Field(20, ge=2)
    """Species whose abundance depends on the disease."""
    effect: float = Field(1.5, ge=0, le=5)
    """Mean absolute change of their log abundance with the disease."""
    confounded: int = Field(20, ge=0)
    """Species whose abundance depends on age, which differs between cases and controls."""

    @model_validator(mode="after")
    def _fewer_than_all(self) -> Self:
        if self.associated + self.confounded > self.taxa // 2:
            raise ValueError("associated and confounded must together be at most half of taxa")
        return self


class LocalAbundances(LocalDataSet):
    """A user's own abundance table and metadata (see casestudies.mwas.prepare)."""

    label: str = "disease"
    """Column of the metadata with the label."""
    positive: list[str] = []
    """Labels of cases; may be empty if the label is 0/1."""
    negative: list[str] = []
    """Labels of controls; may be empty if there is one other label."""
    defining: list[str] = []
    """Covariates from which the label was made, such as the body mass index of obesity: they are
    shown, but do not compete with the abundances."""
    several_cohorts: bool = False
    """Whether to leave out whole cohorts and to carry models from one to another."""


class Stability(Section):
    """Stability selection of taxa along the lasso path."""

    pairs: int = Field(50, ge=10, le=1000)
    """Pairs of disjoint halves of the samples."""
    threshold: float = Field(0.75, gt=0.5, le=1)
    """Selection probability from which a taxon counts as selected."""
    expected_false: float = Field(1.0, gt=0)
    """Bound on the expected number of falsely selected taxa, which sets how many may enter."""


class Mwas(Study):
    """The MWAS study: disease from the abundances of species in the gut."""

    name = "mwas"
    title = "MWAS"
    target = "disease"
    task = "classification"
    built_in = ("simulated", *(f"pasolli2016-{task}" for task in TASKS), "crc-cohorts")
    headline = Headline(
        model="linear",
        label="linear, by inner folds",
        baseline=("covariates", "covariates only"),
        rivals={"random_forest": "random forest"},
        held_out={"cv": "subjects", "lodo": "a cohort"},
        measure="AUC",
        digits=3,
    )

    datasets: list[str] = Field(["simulated"], min_length=1)
    """Data sets to run: simulated, pasolli2016-cirrhosis, -colorectal, -ibd, -obesity, -t2d, -wt2d,
    crc-cohorts, or names under `local`."""
    local: dict[str, LocalAbundances] = {}
    """A user's own data sets, by name."""
    simulation: Simulation = Simulation()
    schemes: dict[str, Scheme] = Field(
        {
            "cv": RepeatedKFold(subject="subject", folds=10, repeats=1, inner_folds=5),
            "lodo": LeaveOneGroupOut(group="cohort", inner_folds=10),
        },
        min_length=1,
    )
    """Cross-validation schemes, by name; lodo leaves out cohorts and serves only data sets with
    several."""
    models: list[Model] = Field(
        ["null_model", "covariates", *get_args(Linear), *get_args(get_args(Model)[-1])],
        min_length=1,
    )
    """Models. ridge, lasso and elastic_net choose transform and penalty by inner folds, those with
    a transform in their name the penalty alone."""
    transfer: list[Linear] = ["ridge_log", "lasso_log"]
    """Models carried from one cohort to another."""
    permutations: int = Field(19, ge=0, le=10_000)
    """Permutations of the labels for the null distribution of the AUC of lasso_log."""
    bootstrap: int = Field(200, ge=20, le=10_000)
    """Bootstrap samples for the signs of coefficients."""
    stability: Stability = Stability()
    caliper_age: float = Field(5.0, gt=0)
    """Largest difference in age (years) of a matched pair of case and control."""
    caliper_bmi: float = Field(2.0, gt=0)
    """Largest difference in body mass index (kg m⁻²) of a matched pair."""

    def source(self, dataset: str) -> str:
        """Return the folder below data/raw; the tasks of pasolli2016 share one."""
        return "pasolli2016" if dataset.startswith("pasolli2016-") else super().source(dataset)

    def reader(self, dataset: str) -> str:
        """Return the reader of a data set's raw files."""
        source = self.source(dataset)
        return source if source in ("pasolli2016", "crc-cohorts") else "tables"

    def prepare_options(self, dataset: str) -> list[str]:
        """Return the options of the prepare step that go with a data set."""
        source = self.source(dataset)
        if dataset in self.local:
            own = self.local[dataset]
            lists = {
                "--positive": own.positive,
                "--negative": own.negative,
                "--defining": own.defining,
            }
            given = [word for name, values in lists.items() if values for word in (name, *values)]
            return ["--label", own.label, *given]
        if dataset == "simulated":
            return ["--positive", "case", "--negative", "control"]
        task = ["--task", dataset.removeprefix("pasolli2016-")] if source == "pasolli2016" else []
        return [*task, "--published", source]

    def several_cohorts(self, dataset: str) -> bool:
        """Return whether models can be carried from some cohorts of a data set to others."""
        if dataset in self.local:
            return self.local[dataset].several_cohorts
        return dataset in ("simulated", "crc-cohorts")

    def schemes_of(self, dataset: str) -> list[str]:
        """Return the schemes that a data set allows: leaving out cohorts takes several."""
        return [
            name
            for name, scheme in self.schemes.items()
            if self.several_cohorts(dataset) or "cohort" not in scheme.units
        ]

    def predictors(self, dataset: str, scheme: str) -> list[str]:
        """Return everything that is scored under a scheme, the average of linear ones included."""
        return [*self.models, "linear"]

    @property
    def linear(self) -> list[str]:
        """The penalised linear models of abundances alone, of which `linear` averages some."""
        return [model for model in self.models if model in get_args(Linear)]

    @property
    def one_transform(self) -> list[str]:
        """Those of them that leave the inner folds no transform to choose."""
        return [model for model in self.linear if model.startswith(("ridge_", "lasso_"))]

    @model_validator(mode="after")
    def _needed(self) -> Self:
        if all("cohort" in scheme.units for scheme in self.schemes.values()):
            raise ValueError("schemes needs one that does not leave out cohorts")
        if not self.one_transform:
            raise ValueError("models needs a linear one of a fixed transform, such as lasso_log")
        for name, scheme in self.schemes.items():
            if ("cohort" in scheme.units) != (name == "lodo"):
                raise ValueError("the scheme that leaves out cohorts, and no other, is called lodo")
        return self
