"""The configuration of the lecture study."""

from typing import Annotated, Literal, Self, get_args

from pydantic import Field, model_validator

from casestudies.config.schemes import LocalDataSet, RandomKFold, Section, Study

Fit = Literal["least_squares", "gradient_descent", "momentum", "sgd"]
EXPERIMENTS = ("variance", "starts", "approximation")
"""The experiments with networks; each has a section of its settings."""
Count = Annotated[int, Field(ge=1, le=4096)]


class Simulation(Section):
    """The simulated car (see casestudies.lecture.car for the physics)."""

    measurements: int = Field(60, ge=12, le=10_000)
    """Number of measurements."""
    slowest: float = Field(10.0, gt=0, le=400)
    """Lowest speed measured (km/h)."""
    fastest: float = Field(130.0, gt=0, le=400)
    """Highest speed measured (km/h)."""
    noise: float = Field(0.4, gt=0, le=10)
    """Standard deviation of a measurement about the truth (L/100 km)."""

    @model_validator(mode="after")
    def _speeds_in_order(self) -> Self:
        if self.fastest < 1.5 * self.slowest:
            raise ValueError("fastest must be at least 1.5 times slowest")
        return self


class Descent(Section):
    """How a polynomial is fitted step by step."""

    steps: int = Field(2000, ge=10, le=1_000_000)
    """Gradient steps."""
    momentum: float = Field(0.9, gt=0, lt=1)
    """Inertia: the part of the last step that is kept, where there is any."""
    batch: int = Field(8, ge=1)
    """Measurements of a step of SGD."""


class Redraw(Section):
    """Polynomials fitted to many redrawn sets of measurements."""

    sets: int = Field(2000, ge=50, le=100_000)
    """Redrawn sets of measurements."""
    degrees: int = Field(30, ge=2, le=60)
    """Largest degree."""


class Landscape(Section):
    """Descent in two dimensions, with a local minimum and a saddle."""

    starts: int = Field(1000, ge=10, le=100_000)
    """Starts of each kind."""
    steps: int = Field(600, ge=10)
    """Steps of each descent."""
    learning_rate: float = Field(0.05, gt=0, le=0.4)
    momentum: float = Field(0.9, gt=0, lt=1)
    """Inertia, where there is any."""
    noises: list[Annotated[float, Field(gt=0)]] = Field([1.0, 3.0], min_length=1)
    """Standard deviations of the gradient's noise at the first step, where there is any; it falls
    linearly to nothing at three quarters of the steps."""


class Networks(Section):
    """Networks of one hidden layer trained by SGD on few measurements, redrawn."""

    widths: list[Count] = Field([2**i for i in range(1, 11)], min_length=2)
    """Hidden units."""
    measurements: int = Field(20, ge=8, le=1000)
    """Measurements of a set."""
    sets: int = Field(24, ge=4)
    """Redrawn sets of measurements."""
    seeds: int = Field(2, ge=2)
    """Networks of each set, which differ in initial weights and order of measurements."""
    steps: int = Field(1500, ge=10)
    """Gradient steps."""
    batch: int = Field(5, ge=1)
    """Measurements of a step."""
    learning_rate: float = Field(0.3, gt=0)
    """Learning rate times width (plus four)."""


class Starts(Section):
    """Networks of one hidden layer trained by SGD from many starts on the same points."""

    widths: list[Count] = Field([2**i for i in range(1, 9)], min_length=2)
    """Hidden units."""
    starts: int = Field(48, ge=8)
    """Starts of each width."""
    points: int = Field(100, ge=10)
    """Points of the function that is learned."""
    steps: int = Field(1500, ge=10)
    """Gradient steps."""
    batch: int = Field(10, ge=1)
    """Points of a step."""
    learning_rate: float = Field(0.15, gt=0)
    """Learning rate times width (plus four)."""


class Approximation(Section):
    """Networks of growing width and depth trained by Adam on a function without noise."""

    widths: list[Count] = Field([4, 8, 16, 32, 64], min_length=2)
    """Hidden units of a layer."""
    depths: list[Count] = Field([1, 2, 3], min_length=1)
    """Hidden layers."""
    starts: int = Field(4, ge=2)
    """Networks of each form."""
    points: int = Field(1024, ge=50)
    """Points to learn from, and as many to test on."""
    steps: int = Field(1000, ge=10)
    """Gradient steps."""
    batch: int = Field(64, ge=1)
    """Points of a step."""
    learning_rate: float = Field(5e-3, gt=0)


class Lecture(Study):
    """The lecture study: the argument that the lecture builds before its applications."""

    name = "lecture"
    title = "Lecture"
    target = "consumption"
    built_in = ("simulated",)

    datasets: list[str] = Field(["simulated"], min_length=1)
    """Data sets to run: simulated, or names under `local`."""
    local: dict[str, LocalDataSet] = {}
    """A user's own measurements, by name: a folder with measurements.csv."""
    simulation: Simulation = Simulation()
    schemes: dict[str, RandomKFold] = Field(
        {"kfold": RandomKFold(folds=3, inner_folds=3)}, min_length=1
    )
    """Cross-validation schemes, by name."""
    parameters: list[Annotated[int, Field(ge=1, le=60)]] = Field([2, 6, 30], min_length=2)
    """Numbers of parameters of the polynomials (degree plus one)."""
    fits: list[Fit] = Field(list(get_args(Fit)), min_length=1)
    """How each is fitted; least_squares must be among them."""
    predict_at: float = Field(180.0, gt=0, le=400)
    """Speed at which nobody measured and all predict (km/h)."""
    bootstrap: int = Field(200, ge=50, le=10_000)
    """Bootstrap samples of the measurements for the spread of that prediction."""
    descent: Descent = Descent()
    redraw: Redraw = Redraw()
    landscape: Landscape = Landscape()
    variance: Networks = Networks()
    starts: Starts = Starts()
    approximation: Approximation = Approximation()

    @property
    def models(self) -> list[str]:
        """The baselines, and every polynomial fitted in every way."""
        polynomials = [
            f"polynomial_{count}{'' if fit == 'least_squares' else '_' + fit}"
            for count in self.parameters
            for fit in self.fits
        ]
        return ["mean", "physics", *polynomials]

    def predictors(self, dataset: str, scheme: str) -> list[str]:
        """Return everything that is scored under a scheme."""
        return self.models

    @model_validator(mode="after")
    def _needed(self) -> Self:
        if "least_squares" not in self.fits:
            raise ValueError("fits needs least_squares, the fit that the others are compared to")
        for name in ("parameters", "fits"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name} holds a value twice")
        return self
