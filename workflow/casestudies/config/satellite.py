"""The configuration of the satellite study."""

from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, model_validator

from casestudies.config.schemes import (
    Blocked,
    LeaveOneGroupOut,
    LocalDataSet,
    RandomKFold,
    Scheme,
    Section,
    Study,
)

SCENARIOS = {
    "simulated": "plume",
    "simulated-tracer": "tracer",
    "simulated-null": "null",
    "simulated-leak": "leak",
}
"""The simulated data sets and the scenario of each (see casestudies.satellite.simulate)."""

PAIRS = {
    "melbourne-total-ozone": ("toms-omi-ozone", "melbourne-ozonesondes"),
    "melbourne-upper-tropospheric-ozone": ("toms-omi-ozone", "melbourne-ozonesondes"),
    "edmonton-air-temperature": ("nmc-air-temperature",),
    "boulder-air-temperature": ("nmc-air-temperature",),
    "mauna-loa-ozone": ("nmc-air-temperature", "mauna-loa-ozone"),
}
"""The published data sets that images and labels are taken from."""

MANY_YEARS = ("melbourne-total-ozone", "melbourne-upper-tropospheric-ozone")
"""Those from which a year can be left out: with a third, the inner folds too are by year."""

ALL_IMAGES = "all_images"
"""The scope of an encoder that sees every image, also those of the test period, but no label."""

Baseline = Literal["mean", "season", "neighbourhood", "raw_pixels", "coarse_pixels", "oracle"]
LEAKING = ("season", "raw_pixels", "coarse_pixels", f"pca_{ALL_IMAGES}")
"""Models that show under random folds what the autocorrelation is worth; no other needs them."""
ClosedForm = Literal["pca", "slow_features", "random_features", "slow_random_features"]
Autoencoder = Literal[
    "autoencoder", "masked_autoencoder", "variational_autoencoder", "temporal_autoencoder"
]
Head = Literal["ridge", "gaussian_process", "gradient_boosting"]


class Simulation(Section):
    """The simulated images and soundings (see casestudies.satellite.simulate)."""

    pixels: int = Field(48, ge=32, le=2000)
    """Pixels on each side of an image."""
    days: int = Field(250, ge=30, le=3660)
    """Length of the series, one sounding a day (d)."""
    hours: tuple[Annotated[int, Field(ge=0, le=12)], Annotated[int, Field(ge=12, le=23)]] = (8, 16)
    """First and last hour of a day (UTC) with an image; the sun is up from 8 to 16 all year."""
    noise: float = Field(0.05, ge=0, le=10)
    """Standard deviation of the noise of a pixel, of a range of about 1."""
    swath_gap: float = Field(0.3, ge=0, le=1)
    """Fraction of frames with a gap between swaths."""
    label_error: float = Field(0.05, ge=0, le=1)
    """Standard deviation of the logarithm of a sounding's measurement error."""


class Network(Section):
    """Settings of an autoencoder (casestudies.satellite.networks)."""

    latent: int = Field(16, ge=1, le=1024)
    """Size of the latent."""
    width: int = Field(16, ge=1, le=512)
    """Channels of the first level; doubled at every further one."""
    steps: int = Field(400, ge=1)
    """Gradient steps."""
    batch: int = Field(32, ge=1)
    """Frames of a step."""
    learning_rate: float = Field(3e-3, gt=0)


class Cnn(Section):
    """Settings of cnn, the network trained end to end on labelled images alone."""

    width: int = Field(16, ge=1, le=512)
    """Channels of the first level; doubled at every further one."""
    steps: int = Field(100, ge=10)
    """Gradient steps, at most; the inner folds choose how many."""
    batch: int = Field(16, ge=1)
    """Labels of a step."""
    learning_rate: float = Field(1e-3, gt=0)


class LabelCurves(Section):
    """Skill against the number of labels."""

    scheme: str = "blocked"
    """Scheme whose folds are tested on."""
    labels: list[int] = Field([12, 25, 50, 100], min_length=1)
    """Numbers of labels to train on."""
    draws: int = Field(2, ge=1, le=1000)
    """Random draws of so many labels in each fold."""


class GridImages(Section):
    """CF NetCDF or Zarr (time, y, x), or Zarr stores of SEVIRI."""

    reader: Literal["grid", "seviri"]
    channels: list[str] = []
    """All there are, if none is named."""
    units: dict[str, str] = {}
    """True units of a channel, where a file's attribute is mistaken or missing."""


class GoesImages(Section):
    """GOES ABI level 2."""

    reader: Literal["goes"]
    channels: list[str] = []
    units: dict[str, str] = {}
    window: tuple[int, int, int, int] | None = None
    """First row, end of rows, first column, end of columns."""
    quality: int = Field(0, ge=0)
    """Highest quality flag taken."""


class TropomiImages(Section):
    """TROPOMI level 2, gridded."""

    reader: Literal["tropomi"]
    channels: list[str] = Field(["ozone_total_vertical_column"], min_length=1)
    units: dict[str, str] = {}
    region: tuple[float, float, float, float] = (-90, 90, -180, 180)
    """South, north, west, east (degrees)."""
    step: float = Field(1.0, gt=0)
    """Of the grid (degrees)."""
    qa: float = Field(0.5, ge=0, le=1)
    """Lowest quality taken."""


class TomsImages(Section):
    """Text grids of TOMS and OMI."""

    reader: Literal["toms"]


class Balloons(Section):
    """Soundings, a file each."""

    reader: Literal["woudc", "shadoz"]
    layer: Literal["total"] | tuple[float, float]
    """total, or bottom and top (hPa) of the column that is the label."""


class Station(Section):
    """EBAS series of a station (NASA Ames)."""

    reader: Literal["ames"]
    component: str
    units: str
    daily: bool = False
    """Means of days with enough valid hours."""


class Table(Section):
    """labels.csv with the columns time and value."""

    reader: Literal["table"]
    long_name: str
    units: str
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=360)


class Options(Section):
    """How the files of a user's own data set are read."""

    images: GridImages | GoesImages | TropomiImages | TomsImages = Field(discriminator="reader")
    soundings: Balloons | Station | Table = Field(discriminator="reader")
    tolerance: float = Field(1.0, gt=0)
    """Largest distance in time between label and frame (h)."""
    log: bool = False
    """Whether the logarithm of the label is predicted."""
    pixel: tuple[int, int] | None = None
    """Row and column of the station, where the images' coordinates do not tell."""


class LocalImages(LocalDataSet):
    """A user's own images and soundings (see casestudies.satellite.prepare)."""

    options: Options
    """The readers and their options, and the layer of the atmosphere."""
    several_years: bool = False
    """Whether to leave out whole years, of which there must be three at least."""


class Satellite(Study):
    """The satellite study: pollution aloft from images and a few balloon soundings."""

    name = "satellite"
    title = "Satellite"
    target = "label"
    built_in = (*SCENARIOS, *PAIRS)

    datasets: list[str] = Field(["simulated"], min_length=1)
    """Data sets to run: simulated, simulated-tracer, -null, -leak, melbourne-total-ozone,
    melbourne-upper-tropospheric-ozone, edmonton-air-temperature, boulder-air-temperature,
    mauna-loa-ozone, or names under `local`."""
    local: dict[str, LocalImages] = {}
    """A user's own data sets, by name."""
    simulation: Simulation = Simulation()
    schemes: dict[str, Scheme] = Field(
        {
            "blocked": Blocked(time="day", blocks=3, gap=7, unit="period", inner_folds=4),
            "random": RandomKFold(folds=4, unit="period", inner_folds=4),
            "loyo": LeaveOneGroupOut(group="year", inner_folds=4),
        },
        min_length=1,
    )
    """Cross-validation schemes, by name; those that leave out years serve only data sets of
    three or more. random shows what overlooking the autocorrelation would flatter, and is no
    finding."""
    baselines: list[Baseline] = list(get_args(Baseline))
    """Models without an encoder; oracle, the true states, is for simulated data alone."""
    encoders: list[ClosedForm | Autoencoder] = Field(
        ["pca", "slow_features", "random_features", "autoencoder", "temporal_autoencoder"],
        min_length=1,
    )
    """Encoders, trained without the test fold's images and, as <name>_all_images, on all. There are
    also slow_random_features, masked_autoencoder and variational_autoencoder."""
    heads: list[Head] = Field(list(get_args(Head)), min_length=1)
    """Regressions from the latent, from which the inner folds choose, with its leading part."""
    latent_sizes: list[int] = Field([4, 8, 16, 32], min_length=1)
    """Numbers of leading latents, from which the inner folds choose."""
    autoencoder: Network = Network()
    masked_autoencoder: Network = Network()
    variational_autoencoder: Network = Network()
    temporal_autoencoder: Network = Network()
    cnn: Cnn = Cnn()
    label_curves: LabelCurves = LabelCurves()

    def source(self, dataset: str) -> str:
        """Return the folder below data/raw; the published pairs share theirs."""
        if dataset in SCENARIOS:
            return f"simulated/satellite/{SCENARIOS[dataset]}"
        return super().source(dataset)

    def sources(self, dataset: str) -> tuple[str, ...]:
        """Return the folders below data/raw that images and labels come from, images first."""
        return PAIRS.get(dataset) or (self.source(dataset),)

    def schemes_of(self, dataset: str) -> list[str]:
        """Return the schemes that a data set allows: leaving out years takes three at least."""
        own = self.local.get(dataset)
        several = own.several_years if own else dataset in MANY_YEARS
        return [
            name for name, scheme in self.schemes.items() if several or "year" not in scheme.units
        ]

    def fitted(self, dataset: str, scheme: str) -> list[str]:
        """Return the models that rest on no other model's predictions."""
        baselines = [name for name in self.baselines if name != "oracle" or dataset in SCENARIOS]
        everything = [f"{name}_{ALL_IMAGES}" for name in self.encoders]
        if self.schemes[scheme].kind == "random_kfold":
            return [name for name in (*baselines, *everything) if name in LEAKING]
        return [*baselines, *self.encoders, *everything, "cnn"]

    def predictors(self, dataset: str, scheme: str) -> list[str]:
        """Return everything that is scored under a scheme, the choices among encoders included."""
        if self.schemes[scheme].kind == "random_kfold":
            return self.fitted(dataset, scheme)
        return [*self.fitted(dataset, scheme), "latent", f"latent_{ALL_IMAGES}"]

    @property
    def networks(self) -> list[str]:
        """The encoders that are trained."""
        return [name for name in self.encoders if name in get_args(Autoencoder)]

    def fitting_jobs(self) -> dict[str, tuple[list[str], list[str]]]:
        """Return by job its models and the schemes under which it fits them."""
        honest = [name for name, scheme in self.schemes.items() if scheme.kind != "random_kfold"]
        random = [name for name in self.schemes if name not in honest]
        jobs: dict[str, tuple[list[str], list[str]]] = {}
        if honest:
            models = self.predictors("simulated", honest[0])
            jobs |= {job: (one, honest) for job, one in _jobs(models).items() if job != "cnn"}
        if random and (models := self.predictors("simulated", random[0])):
            jobs["leaking"] = (models, random)
        return jobs

    def curve_jobs(self) -> dict[str, list[str]]:
        """Return by job the models whose label curves it makes."""
        return _jobs(self.fitted("simulated", self.label_curves.scheme))

    def settings(self, name: str) -> dict[str, Any]:
        """Return the settings of a network; an encoder in closed form has none here."""
        section = getattr(self, name, None)
        return section.model_dump(mode="json") if section else {}

    def gap(self, scheme: str) -> float:
        """Return the days about a test period whose images an encoder does not see either."""
        return getattr(self.schemes[scheme], "gap", 0.0)

    @model_validator(mode="after")
    def _needed(self) -> Self:
        if self.label_curves.scheme not in self.schemes:
            raise ValueError("label_curves.scheme must be one of schemes")
        return self


def _jobs(models: list[str]) -> dict[str, list[str]]:
    """Return models by job: one each for the network and the oracle, of simulated data alone."""
    alone = ("oracle", "cnn")
    jobs = {"models": [name for name in models if name not in alone]}
    jobs |= {name: [name] for name in alone if name in models}
    return {job: one for job, one in jobs.items() if one}
