"""The configuration of the wind study."""

from typing import Any, Literal, Self, get_args

from pydantic import Field, model_validator

from casestudies.config.schemes import (
    LeaveOneGroupOut,
    LocalDataSet,
    RandomKFold,
    Scheme,
    Section,
    Study,
)

Solver = Literal["mass_consistent", "openfoam"]
DEMS = ("davos", "aletsch", "big_butte", "oetztal")
"""The published elevation models, which are the massifs of real terrain."""

SOLVERS: dict[str, Solver] = {
    "simulated": "mass_consistent",
    "simulated-rans": "openfoam",
    "massifs": "mass_consistent",
    "massifs-rans": "openfoam",
}
"""The data sets that come with the study, and the costly flow model of each: random fields, or
random fields and tiles of the published elevation models."""

Baseline = Literal[
    "log_law", "linear", "mass_consistent", "ridge", "gradient_boosting", "nearest_terrains"
]
Network = Literal["unet", "unet_corrected", "fno", "fno_corrected"]


class Simulation(Section):
    """The simulated terrain (see casestudies.wind.simulate)."""

    terrains: int = Field(72, ge=6, le=100_000)
    """Number of random fields."""
    correlation_length: tuple[float, float] = (250.0, 800.0)
    """Range of the correlation length (m)."""
    slope: tuple[float, float] = (0.05, 0.35)
    """Range of the root mean square slope (m per m)."""
    spectral_exponent: tuple[float, float] = (3.0, 5.0)
    """Range of the exponent with which the spectrum falls off at small scales."""
    roughness: tuple[float, float] = (0.005, 0.5)
    """Range of the roughness length (m), drawn evenly in its logarithm."""


class Tile(Section):
    """The grid of a terrain, simulated or real."""

    cells: int = Field(48, ge=16, le=1024)
    """Cells on each side."""
    spacing: float = Field(60.0, gt=0, le=1000)
    """Size of a cell (m)."""
    fringe: float = Field(0.25, ge=0.1, le=0.4)
    """Part of the tile, on each side, in which the terrain is blended to flat ground."""
    steepest: float = Field(1.0, gt=0)
    """Terrains whose 95th percentile of slope is above this are rejected (m per m)."""
    relief: float = Field(700.0, gt=0)
    """Terrains of more relief are rejected (m)."""
    heights: list[float] = Field([10.0, 50.0], min_length=1)
    """Heights above ground of the flow (m); scores are those of the first."""
    per_massif: int = Field(40, ge=4)
    """Tiles of each elevation model, at most; they do not overlap."""


class MassConsistent(Section):
    """Settings of the mass-consistent model (see casestudies.wind.mass_consistent)."""

    levels: int = Field(16, ge=6, le=200)
    """Cells in the vertical."""
    top: float = Field(1500.0, ge=500)
    """Height of the top above the highest ground (m)."""
    first: float = Field(6.0, gt=0)
    """Height of the lowest cell (m)."""
    stability: float = Field(1.0, gt=0)
    """α, the ratio of the weights of horizontal and vertical adjustment; 1 is neutral."""
    tolerance: float = Field(1e-6, gt=0, lt=1)
    """Relative residual at which the iteration ends."""


class OpenFoam(Section):
    """Settings of the RANS model (see casestudies.wind.openfoam)."""

    levels: int = Field(20, ge=10, le=200)
    """Cells in the vertical."""
    top: float = Field(1500.0, ge=500)
    """Height of the top above the lowest ground (m)."""
    grading: float = Field(60.0, gt=1)
    """Height of the uppermost cell over that of the lowest."""
    iterations: int = Field(600, ge=10)
    """Iterations, at most."""
    residual: float = Field(1e-4, gt=0, lt=1)
    """Initial residual of the pressure at which a case has converged."""
    fastest: float = Field(2.5, gt=1)
    """Speed-ups above this are unphysical: the case is rejected."""


class Training(Section):
    """How the networks are trained (see casestudies.wind.networks)."""

    width: int = Field(8, ge=4, le=512)
    """Channels of the first level of the U-Net, and of every layer of the FNO."""
    epochs: int = Field(16, ge=1)
    """Passes through the training terrains; the learning rate falls to nought at their end."""
    batch: int = Field(3, ge=1)
    """Terrains of a step."""
    learning_rate: float = Field(6e-3, gt=0)
    """Highest learning rate."""


class LocalTerrain(LocalDataSet):
    """A user's own elevation models: a folder of GeoTIFFs (see casestudies.wind.tile)."""

    solver: Solver = "mass_consistent"
    """The costly flow model."""
    roughness: float = Field(0.05, gt=0, le=5)
    """Roughness length (m)."""


class Wind(Study):
    """The wind study: a network in place of a costly flow model over topography."""

    name = "wind"
    title = "Wind"
    target = "speed"
    built_in = tuple(SOLVERS)

    datasets: list[str] = Field(["simulated"], min_length=1)
    """Data sets to run: simulated and simulated-rans (random fields), massifs and massifs-rans
    (random fields and tiles of published elevation models), or names under `local`."""
    local: dict[str, LocalTerrain] = {}
    """A user's own data sets, by name."""
    simulation: Simulation = Simulation()
    tile: Tile = Tile()
    mass_consistent: MassConsistent = MassConsistent()
    openfoam: OpenFoam = OpenFoam()
    flows_per_job: int = Field(4, ge=1, le=1000)
    """Terrains of a job of the RANS model. On a cluster, where each job waits in a queue, some 16
    or more (minutes of work); on one machine no more than lets all cores end at about the same
    time."""
    schemes: dict[str, Scheme] = Field(
        {
            "terrain": RandomKFold(folds=3, inner_folds=3),
            "massif": LeaveOneGroupOut(group="massif", unit="sample", inner_folds=3),
            "real": LeaveOneGroupOut(
                group="real", test_from=1, unit="sample", inner_group="sample", inner_folds=3
            ),
        },
        min_length=1,
    )
    """Cross-validation schemes, by name: unseen terrains; unseen massifs; trained on random fields
    alone and tested on real terrain. The last two serve only data sets with real terrain."""
    baselines: list[Baseline] = list(get_args(Baseline))
    """Models that are no network; mass_consistent is one only where it is not the target."""
    networks: list[Network] = Field(["unet", "unet_corrected", "fno"], min_length=1)
    """Networks; those called corrected are given the flow of a cheap model, too."""
    unet: Training = Training()
    fno: Training = Training()
    training_sizes: list[int] = Field([6, 16], min_length=1)
    """Numbers of training terrains of the learning curve, below that of a whole training fold."""
    cost_terrains: int = Field(12, ge=2)
    """Terrains on which seconds and errors of flow models and surrogate are measured."""
    askervein: list[Literal["linear", "mass_consistent", "openfoam"]] = []
    """Flow models to compare with the masts of Askervein, beside the surrogates of the data sets
    (fetches askervein)."""

    def solver(self, dataset: str) -> Solver:
        """Return the costly flow model of a data set."""
        return self.local[dataset].solver if dataset in self.local else SOLVERS[dataset]

    def cheap(self, dataset: str) -> str:
        """Return the cheap flow model that corrected networks are given."""
        return "mass_consistent" if self.solver(dataset) == "openfoam" else "linear"

    def sources(self, dataset: str) -> tuple[str, ...]:
        """Return the folders below data/raw that a data set is made from."""
        if dataset in self.local:
            return ()
        return ("simulated/wind", "dem") if dataset.startswith("massifs") else ("simulated/wind",)

    def schemes_of(self, dataset: str) -> list[str]:
        """Return the schemes that a data set allows: some need real terrain of several massifs."""
        if dataset.startswith("massifs"):
            return list(self.schemes)
        return [name for name, one in self.schemes.items() if one.kind != "leave_one_group_out"]

    def fitting_jobs(self) -> dict[str, tuple[list[str], list[str]]]:
        """Return by costly flow model the baselines that are fitted to it, and its data sets."""
        jobs: dict[str, tuple[list[str], list[str]]] = {}
        for dataset in (*SOLVERS, *self.local):
            target = self.solver(dataset)
            if models := [name for name in self.baselines if name != target]:
                jobs.setdefault(target, (models, []))[1].append(dataset)
        return jobs

    def fitted(self, dataset: str) -> list[str]:
        """Return the models that rest on no other model's predictions."""
        target = self.solver(dataset)
        return [*(name for name in self.baselines if name != target), *self.networks]

    def predictors(self, dataset: str, scheme: str) -> list[str]:
        """Return everything that is scored under a scheme, the choice among networks included."""
        return [*self.fitted(dataset), "surrogate"]

    def settings(self, name: str) -> dict[str, Any]:
        """Return the settings of a flow model or of a network."""
        section = getattr(self, name.removesuffix("_corrected"), None)
        return section.model_dump(mode="json") if section else {}

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for name in ("correlation_length", "slope", "spectral_exponent", "roughness"):
            low, high = getattr(self.simulation, name)
            if not 0 < low <= high:
                raise ValueError(f"simulation.{name} must be two positive numbers in order")
        return self
