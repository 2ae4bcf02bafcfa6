"""Simulate hourly satellite images and a balloon a day: the data set that needs no download.

A raw folder holds what an observer would have: ``images.zarr`` (four channels, hourly, by day)
and ``soundings/YYYYMMDD.csv`` (ozonesondes in the extended CSV of the World Ozone and Ultraviolet
Radiation Data Centre, WOUDC, launched at 12 UTC). Beside them ``states.csv`` keeps the truth and
``parameters.json`` what each value rests on.

The scene of the ``plume`` scenario, x to the right and y down in fractions of the image, states
s₀…s₅ independent stationary Ornstein-Uhlenbeck processes of unit variance (Uhlenbeck and Ornstein
1930), σ the season, 1 in January and −1 in July:

    axis           y₀ = 0.45 + 0.11 (s₀ cos 2πx + s₁ sin 2πx) + 0.05 (s₂ cos 4πx + s₃ sin 4πx)
    concentration  c = 0.12 + exp(0.45 s₄ − 0.15 σ) (1 + 0.25 s₅ cos 2πx) exp(−(y − y₀)² / 0.0288)
    cloud          f = logistic(4·0.9 (g − q)),  g Gaussian of unit variance, q from ``cloud``
    ultraviolet    (1 − f) a exp(−1.1 c) + 0.5 f exp(−0.3 c)      absorption: Beer-Lambert
    visible        (1 − f) a + 0.6 f                              a: albedo of the ground
    infrared       (1 − f)(1 − 0.06 c) + 0.4 f
    water vapour   0.35 tanh(2 (y − y₀) / 0.35)(1 − 0.5 f)

Each pixel gets Gaussian noise; a share of the frames has a gap between two swaths; the ground near
the station is never observed. So few numbers rule the images and the label, in a curved way, and
far more numbers (cloud, noise) are in the way. Reflectances are those after division by the
illumination: the day's cycle is out. At the hours of an image, by default 8 to 16 UTC, the sun is
above the horizon of the station on every day of the year; images at other hours, which a test of
scale may ask for, show what a sensor would see that needs no sun. All lengths are fractions of the
image and all fields are sums of kernels on lattices that do not depend on the pixels: the scene of
one seed is the same at any size. Only the sensor's noise is drawn pixel by pixel.

The label is the ozone of the layer from 500 to 200 hPa in Dobson units: proportional to the mean of
c over a footprint about the station that is as wide as a balloon drifts.

Scenarios: ``plume``, as above. ``tracer``, the counter-example: two layers of tracers are carried
by their winds, diffuse and are renewed, the label is the upper one at the point of the station,
and the pixels over it are observed: hundreds of modes, of which the station's pixels know the one
that counts. ``null``: the label comes from a second plume, without season, that no image shows.
``leak``: the label is a slow process of its own, and so is each mode of a pattern on the ground.
Images of neighbouring days look alike and their labels are alike, so that random folds find skill
where none is; folds with a gap do not.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from casestudies.errors import InputError, nearest
from casestudies.parameters import Parameter, values, write_parameters
from casestudies.satellite.images import Channel, ImageWriter
from casestudies.steps import main, progress
from casestudies.tables import write_table, writing

if TYPE_CHECKING:
    import torch

Array = NDArray[np.float64]

SCENARIOS = ("plume", "tracer", "null", "leak")
HOURS = range(8, 17)  # of a day, at which the sun is up all year
LAUNCH = 12
LAYER = (500.0, 200.0)  # hPa, bottom and top
BATCH_VALUES = 1 << 21  # of an image batch that is in memory at a time, at least one frame

# -------------------------------------------------------------------------------- parameters


# "adjusted": set in trials with models like those of this study, so that the scenario shows what it
# is for: the data can decide a claim, they cannot support it. "gross": near the gross statistics of
# the published soundings of Melbourne.
# fmt: off
PARAMETERS: dict[str, Parameter] = {
    # Place
    "north": Parameter(50.0, "degrees_north", "assumption", "upper edge of the image"),
    "south": Parameter(30.0, "degrees_north", "assumption", "lower edge"),
    "west": Parameter(-13.2, "degrees_east", "assumption", "left edge"),
    "east": Parameter(10.8, "degrees_east", "assumption", "right edge"),
    "station_y": Parameter(0.40, "1", "assumption", "of the image, from above"),
    "station_x": Parameter(0.55, "1", "assumption", "of the image, from the left: longitude 0"),
    "station_height": Parameter(100.0, "m", "assumption"),
    "footprint": Parameter(
        0.06, "1", "assumption", "sd of the weight about the station, some 130 km: the drift"),
    # Plume
    "axis": Parameter(0.45, "1", "assumption", "mean, of the image, from above"),
    "meander_first": Parameter(0.11, "1", "assumption", "per state, wave number 1"),
    "meander_second": Parameter(0.05, "1", "assumption", "per state, wave number 2"),
    "plume_width": Parameter(0.12, "1", "assumption", "sd across the axis"),
    "emission_sd": Parameter(0.45, "log", "assumption"),
    "emission_season": Parameter(0.15, "log", "assumption", "lower in January"),
    "contrast": Parameter(0.25, "1", "assumption", "per state, west against east"),
    "background": Parameter(0.12, "1", "assumption", "concentration outside the plume"),
    "absorption": Parameter(1.1, "1", "adjusted", "optical depth per concentration"),
    "absorption_infrared": Parameter(0.06, "1", "assumption", "radiance lost per concentration"),
    "absorption_above": Parameter(0.3, "1", "assumption", "optical depth above a cloud"),
    "vapour": Parameter(0.35, "1", "assumption", "contrast in the water vapour channel"),
    "vapour_width": Parameter(0.35, "1", "assumption", "over which tanh goes through 2 units"),
    "albedo_mean": Parameter(0.25, "1", "assumption"),
    "albedo_sd": Parameter(0.05, "1", "assumption"),
    "albedo_length": Parameter(1 / 12, "1", "assumption", "sd of the kernel"),
    "column": Parameter(
        15.0, "DU", "gross", "of the layer per concentration; median label near 11"),
    # Cloud and gaps
    "cloud_sharpness": Parameter(3.6, "1", "assumption", "logistic, per sd of the field"),
    "cloud_ultraviolet": Parameter(0.5, "1", "assumption", "reflectance"),
    "cloud_visible": Parameter(0.6, "1", "assumption", "reflectance"),
    "cloud_infrared": Parameter(0.4, "1", "assumption", "radiance, relative to clear ground"),
    "cloud_vapour": Parameter(0.5, "1", "assumption", "share of the signal that it hides"),
    "cloud_length": Parameter(0.7 / 48, "1", "adjusted", "sd of the kernel"),
    "cloud_lifetime": Parameter(2.0, "h", "assumption"),
    "cloud_drift": Parameter(1 / 48, "h-1", "assumption", "eastward, about 12 m/s"),
    "swath_width": Parameter(0.125, "1", "assumption", "of the image"),
    # Tracer
    "tracer_concentration": Parameter(0.7, "1", "assumption", "mean of each layer"),
    "tracer_sd": Parameter(0.3, "1", "assumption", "relative to the mean"),
    "tracer_length": Parameter(0.035, "1", "adjusted", "of the sources; was 0.05"),
    "tracer_lifetime": Parameter(48.0, "h", "assumption"),
    "tracer_diffusion": Parameter(7e-6, "h-1", "assumption", "image lengths squared, 1e4 m2/s"),
    "tracer_footprint": Parameter(0.02, "1", "assumption", "sd: a point value"),
    "wind_upper": Parameter(0.02, "h-1", "assumption", "image lengths eastward, about 12 m/s"),
    "wind_lower": Parameter(0.008, "h-1", "assumption"),
    "wind_sd": Parameter(0.008, "h-1", "assumption", "of each component and layer"),
    "wind_memory": Parameter(72.0, "h", "assumption"),
    # Leak
    "leak_memory": Parameter(
        360.0, "h", "adjusted", "of the label and of each mode of the ground; was 120"),
    "leak_label_sd": Parameter(0.45, "log", "assumption"),
    "leak_ground_sd": Parameter(0.4, "log", "adjusted", "of the albedo; was 0.06 in all"),
    "leak_modes": Parameter(12.0, "1", "adjusted", "of the ground's pattern, per side"),
    # Balloon
    "ascent": Parameter(5.0, "m s-1", "gross"),
    "interval": Parameter(20.0, "s", "gross", "between the levels of a profile"),
    "burst_mean": Parameter(31_000.0, "m", "gross"),
    "burst_sd": Parameter(2_000.0, "m", "gross"),
    "early_burst": Parameter(0.03, "1", "assumption", "share below the top of the layer"),
    "level_error": Parameter(0.03, "log", "assumption", "sd, independent from level to level"),
}
# fmt: on
VALUES = values(PARAMETERS)

STATION = (  # latitude and longitude, degrees
    round(VALUES["north"] - VALUES["station_y"] * (VALUES["north"] - VALUES["south"]), 4),
    round(VALUES["west"] + VALUES["station_x"] * (VALUES["east"] - VALUES["west"]), 4),
)
_PLUME_STATES = {  # name: decorrelation time, h
    "meander of wave number 1, cosine": 60.0,
    "meander of wave number 1, sine": 60.0,
    "meander of wave number 2, cosine": 36.0,
    "meander of wave number 2, sine": 36.0,
    "log emission": 72.0,
    "contrast between west and east": 48.0,
}
_LATTICE = 48  # cells per side of the lattices of cloud and ground, at any number of pixels
_MODES = 12  # largest wave number of a tracer
_YEAR = 8766.0  # hours

# ------------------------------------------------------------------------------------ fields


class Walk:
    """Independent stationary Ornstein-Uhlenbeck processes of unit variance, exact at each hour.

    Parameters
    ----------
    memory
        Decorrelation times, h, of any shape: one process each.
    """

    def __init__(self, memory: Array, rng: np.random.Generator) -> None:
        self._decay = np.exp(-1 / np.asarray(memory))
        self._rng = rng
        self.value = rng.standard_normal(self._decay.shape)

    def step(self) -> None:
        fresh = self._rng.standard_normal(self.value.shape)
        self.value = self._decay * self.value + np.sqrt(1 - self._decay**2) * fresh


def kernel(position: Array, cells: int, width: float) -> Array:
    """Return the weights that turn white noise on a periodic lattice into a smooth field.

    With W of shape (cells, cells), independent and of unit variance, ``kernel(y) @ W @
    kernel(x).T`` is a Gaussian field of unit variance at every point.

    Parameters
    ----------
    position
        In [0, 1], shape (n,).
    cells
        Of the lattice, per side.
    width
        Standard deviation of the Gaussian kernel, of the unit length.

    Returns
    -------
    Shape (n, cells), rows of unit norm.
    """
    distance = position[:, None] - (np.arange(cells) + 0.5) / cells
    distance -= np.rint(distance)
    weight = np.exp(-((distance / width) ** 2) / 2)
    return weight / np.linalg.norm(weight, axis=1, keepdims=True)


def centres(pixels: int) -> Array:
    """Return the centres of the pixels in fractions of the image, shape (pixels,)."""
    return (np.arange(pixels) + 0.5) / pixels


# ------------------------------------------------------------------------------------ scenes

Snapshot = dict[str, NDArray[Any]]
Tensors = Mapping[str, "torch.Tensor"]


class Scene(Protocol):
    """What goes on in front of the satellite, hour by hour.

    ``snapshot`` keeps what an hour's image and label depend on; ``column`` and ``label`` work on
    snapshots stacked along a first axis of length B.
    """

    def step(self) -> None:
        """Go on by an hour."""

    def snapshot(self, season: float) -> Snapshot:
        """Return what is needed later of this hour; ``states`` of shape (k,) among it."""

    def column(
        self, now: Tensors, y: "torch.Tensor", x: "torch.Tensor"
    ) -> tuple["torch.Tensor", "torch.Tensor"]:
        """Return the absorbing column and the argument of the water vapour's tanh, (B, y, x)."""

    def label(self, now: Tensors) -> "torch.Tensor":
        """Return the concentration at the station, (B,), above 0."""


class Plume:
    """A meandering plume, six states."""

    states = tuple(_PLUME_STATES)

    def __init__(self, rng: np.random.Generator) -> None:
        self._walk = Walk(np.array(list(_PLUME_STATES.values())), rng)

    def step(self) -> None:
        self._walk.step()

    def snapshot(self, season: float) -> Snapshot:
        return {"states": self._walk.value, "season": np.array(season)}

    def column(
        self, now: Tensors, y: "torch.Tensor", x: "torch.Tensor"
    ) -> tuple["torch.Tensor", "torch.Tensor"]:
        s0, s1, s2, s3, s4, s5 = now["states"].T[:, :, None, None]
        season = now["season"][:, None, None]
        v, y, x = VALUES, y[:, None], 2 * math.pi * x
        first, second = s0 * x.cos() + s1 * x.sin(), s2 * (2 * x).cos() + s3 * (2 * x).sin()
        distance = y - (v["axis"] + v["meander_first"] * first + v["meander_second"] * second)
        emission = (v["emission_sd"] * s4 - v["emission_season"] * season).exp()
        emission = emission * (1 + v["contrast"] * s5 * x.cos())
        column = emission * (distance.square() / (-2 * v["plume_width"] ** 2)).exp()
        return (column + v["background"]).clamp(min=0.02), 2 / v["vapour_width"] * distance

    def label(self, now: Tensors) -> "torch.Tensor":
        import torch

        # A quadrature of its own: the label does not depend on the pixels.
        offset = torch.linspace(-3, 3, 25, dtype=torch.float64)
        weight = (-offset.square() / 2).exp()
        weight /= weight.sum()
        y, x = (VALUES[f"station_{axis}"] + VALUES["footprint"] * offset for axis in "yx")
        return torch.einsum("byx,y,x->b", self.column(now, y, x)[0], weight, weight)


class Tracers:
    """Two layers of a tracer, each carried by its own uniform wind, diffusing and renewed.

    Each layer is a sum of waves with complex amplitudes A(k): advection turns their phases,
    diffusion and loss shrink them, Gaussian sources renew them, all exactly over an hour.
    """

    states = (
        "upper wind, southward",
        "upper wind, eastward",
        "lower wind, southward",
        "lower wind, eastward",
        "upper layer at the station",
        "lower layer at the station",
    )

    def __init__(self, rng: np.random.Generator) -> None:
        v = VALUES
        self._rng = rng
        self._wind = Walk(np.full((2, 2), v["wind_memory"]), rng)
        wave = np.arange(-_MODES, _MODES + 1)
        self._ky, self._kx = np.meshgrid(wave, wave, indexing="ij")
        square = (2 * math.pi) ** 2 * (self._ky**2 + self._kx**2)
        power = np.exp(-square * v["tracer_length"] ** 2)
        power[_MODES, _MODES] = 0  # the mean does not move
        self._size = np.sqrt(2 * power / power.sum())
        self._decay = np.exp(-1 / v["tracer_lifetime"] - v["tracer_diffusion"] * square)
        self._amplitude = self._fresh()
        # The value at the station, averaged over its footprint.
        phase = np.exp(2j * math.pi * (self._ky * v["station_y"] + self._kx * v["station_x"]))
        self._station = phase * np.exp(-square * v["tracer_footprint"] ** 2 / 2)

    def _fresh(self) -> NDArray[np.complex128]:
        real, imaginary = self._rng.standard_normal((2, 2, *self._size.shape))
        return self._size * (real + 1j * imaginary) / math.sqrt(2)

    def _winds(self) -> Array:
        mean = np.array([[0, VALUES["wind_upper"]], [0, VALUES["wind_lower"]]])
        return mean + VALUES["wind_sd"] * self._wind.value

    def step(self) -> None:
        self._wind.step()
        south, east = (self._winds()[:, k, None, None] for k in (0, 1))
        carried = np.exp(-2j * math.pi * (self._ky * south + self._kx * east))
        self._amplitude = self._decay * carried * self._amplitude
        self._amplitude += np.sqrt(1 - self._decay**2) * self._fresh()

    def snapshot(self, season: float) -> Snapshot:
        here = (self._amplitude * self._station).real.sum(axis=(1, 2))
        return {
            "states": np.concatenate([self._wind.value.ravel(), here]),
            "amplitude": np.stack([self._amplitude.real, self._amplitude.imag]),
        }

    def column(
        self, now: Tensors, y: "torch.Tensor", x: "torch.Tensor"
    ) -> tuple["torch.Tensor", "torch.Tensor"]:
        import torch

        wave = 2 * math.pi * torch.arange(-_MODES, _MODES + 1, device=y.device, dtype=y.dtype)
        waves_y, waves_x = (torch.exp(1j * axis[:, None] * wave) for axis in (y, x))
        amplitude = torch.complex(now["amplitude"][:, 0], now["amplitude"][:, 1])
        upper, lower = ((waves_y @ amplitude[:, k] @ waves_x.T).real for k in (0, 1))
        return (_tracer(upper) + _tracer(lower)) / 2, upper

    def label(self, now: Tensors) -> "torch.Tensor":
        return _tracer(now["states"][:, 4])


def _tracer(anomaly: "torch.Tensor") -> "torch.Tensor":
    """Return a concentration from its standardised anomaly."""
    return VALUES["tracer_concentration"] * (1 + VALUES["tracer_sd"] * anomaly).clamp(min=0.05)


class Hidden:
    """A plume whose label is that of another plume, which no image shows and no season moves."""

    def __init__(self, shown: Plume, other: Plume) -> None:
        self._shown, self._other = shown, other
        self.column = shown.column

    def step(self) -> None:
        self._shown.step()
        self._other.step()

    def snapshot(self, season: float) -> Snapshot:
        hidden = self._other.snapshot(0.0)
        return {**self._shown.snapshot(season), "hidden": hidden["states"]}

    def label(self, now: Tensors) -> "torch.Tensor":
        return self._other.label({"states": now["hidden"], "season": 0 * now["season"]})


class Drifting:
    """A plume over a ground that drifts slowly; the label drifts as slowly, by itself."""

    def __init__(self, shown: Plume, rng: np.random.Generator) -> None:
        self._shown = shown
        self.column = shown.column
        modes, memory = int(VALUES["leak_modes"]), VALUES["leak_memory"]
        for_ground, for_label = rng.spawn(2)
        self._ground = Walk(np.full((modes, modes), memory), for_ground)
        self._label = Walk(np.array(memory), for_label)

    def step(self) -> None:
        for part in (self._shown, self._ground, self._label):
            part.step()

    def snapshot(self, season: float) -> Snapshot:
        return {
            **self._shown.snapshot(season),
            "ground": self._ground.value,
            "drift": np.asarray(self._label.value),
        }

    def label(self, now: Tensors) -> "torch.Tensor":
        return 0.7 * (VALUES["leak_label_sd"] * now["drift"]).exp()


def make_scene(scenario: str, shown: np.random.Generator, hidden: np.random.Generator) -> Scene:
    """Return the scene of a scenario; what no image shows is drawn from ``hidden``."""
    if scenario == "tracer":
        return Tracers(shown)
    plume = Plume(shown)
    if scenario == "null":
        return Hidden(plume, Plume(hidden))
    if scenario == "leak":
        return Drifting(plume, hidden)
    return plume


# ------------------------------------------------------------------------------------ images


@dataclass(frozen=True)
class Sensor:
    """What the satellite adds to the scene and what it misses; see :func:`simulate`."""

    pixels: int
    noise: float
    cloud: float
    swath_gap: float
    gap_radius: float

    def channels(self) -> tuple[Channel, ...]:
        """Return the channels: the sensor saturates six standard deviations beyond the scene."""
        spare = 6 * self.noise
        described = (
            ("ultraviolet", "reflectance in the ultraviolet", 0.0, 1.0),
            ("visible", "reflectance in the visible", 0.0, 1.0),
            ("infrared", "radiance in the infrared window, relative to clear ground", 0.0, 1.0),
            ("water_vapour", "anomaly in the water vapour channel, relative", -0.35, 0.35),
        )
        return tuple(Channel(n, "1", t, a - spare, b + spare) for n, t, a, b in described)


@dataclass(frozen=True)
class Frame:
    """One hour: the image (4, y, x), NaN where missing, and the truth (label in DU)."""

    time: np.datetime64
    states: Array
    label: float
    image: NDArray[np.float32]


def _hours(
    scene: Scene,
    start: np.datetime64,
    days: int,
    between: tuple[int, int],
    sensor: Sensor,
    rng: np.random.Generator,
) -> Iterator[tuple[np.datetime64, Snapshot]]:
    """Yield the hours of images with all that their images depend on but the noise."""
    cloud = Walk(np.full((_LATTICE, _LATTICE), VALUES["cloud_lifetime"]), rng)
    drift = round(VALUES["cloud_drift"] * _LATTICE)
    for hour in range(24 * days):
        scene.step()
        cloud.step()
        cloud.value = np.roll(cloud.value, drift, axis=1)
        # Drawn at every hour, so that no option shifts the numbers of another.
        missing, place = rng.random(2)
        if not between[0] <= hour % 24 <= between[1]:
            continue
        time = start + np.timedelta64(hour, "h")
        into_year = (time - time.astype("datetime64[Y]")) / np.timedelta64(1, "h")
        gap = place * (1 - VALUES["swath_width"]) if missing < sensor.swath_gap else np.nan
        snapshot = scene.snapshot(math.cos(2 * math.pi * into_year / _YEAR))
        yield time, {**snapshot, "cloud": cloud.value, "gap": np.array(gap)}


def frames(
    scenario: str,
    start: np.datetime64,
    days: int,
    sensor: Sensor,
    device: str,
    seed: int,
    between: tuple[int, int] = (HOURS[0], HOURS[-1]),
) -> Iterator[Frame]:
    """Yield the frames in the order of time; no more than a small batch is in memory.

    States, labels, clouds and gaps depend on ``seed`` alone; the pixels' noise also on the number
    of pixels and on the kind of device.

    Raises
    ------
    InputError
        If the device is not there.
    """
    import torch

    from casestudies.training import device as devices

    where = devices.device(device)
    streams = [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(4)]
    for_scene, for_hidden, for_cloud, for_ground = streams
    scene = make_scene(scenario, for_scene, for_hidden)
    generator = torch.Generator(where).manual_seed(devices.generator(seed, 4).initial_seed())
    view = _View(sensor, for_ground, where)
    size = max(1, BATCH_VALUES // (4 * sensor.pixels**2))
    hours = _hours(scene, start, days, between, sensor, for_cloud)
    while batch := list(islice(hours, size)):
        times, snapshots = zip(*batch, strict=True)
        now = {key: torch.from_numpy(np.stack([s[key] for s in snapshots])) for key in snapshots[0]}
        labels = VALUES["column"] * scene.label(now).numpy()
        images = view.render(scene, now, generator).cpu().numpy()
        yield from map(Frame, times, now["states"].numpy(), labels.tolist(), images)


class _View:
    """Renders snapshots on a device; holds what is the same in all frames."""

    def __init__(self, sensor: Sensor, rng: np.random.Generator, where: "torch.device") -> None:
        import torch

        def put(values: Array) -> torch.Tensor:
            return torch.as_tensor(values, dtype=torch.float32, device=where)

        v, axis = VALUES, centres(sensor.pixels)
        self._sensor, self._put, self._axis = sensor, put, put(axis)
        self._cloud = put(kernel(axis, _LATTICE, v["cloud_length"]))
        # 0.7 of a cell, as for the clouds: about as many independent modes as cells.
        modes = int(v["leak_modes"])
        self._ground = put(kernel(axis, modes, 0.7 / modes))
        smooth = kernel(axis, _LATTICE, v["albedo_length"])
        field = smooth @ rng.standard_normal((_LATTICE, _LATTICE)) @ smooth.T
        self._albedo = put(v["albedo_mean"] + v["albedo_sd"] * field)
        self._threshold = NormalDist().inv_cdf(1 - sensor.cloud)
        self._limits = [(channel.minimum, channel.maximum) for channel in sensor.channels()]

    def render(self, scene: Scene, now: Tensors, generator: "torch.Generator") -> "torch.Tensor":
        """Return images of shape (B, 4, y, x), NaN where missing."""
        import torch

        now = {key: self._put(value) for key, value in now.items()}
        column, gradient = scene.column(now, self._axis, self._axis)
        field = self._cloud @ now["cloud"] @ self._cloud.T
        v = VALUES
        cloud = (v["cloud_sharpness"] * (field - self._threshold)).sigmoid()
        clear, albedo = 1 - cloud, self._albedo
        if "ground" in now:
            drift = self._ground @ now["ground"] @ self._ground.T
            albedo = albedo * (v["leak_ground_sd"] * drift).exp()
        image = torch.empty(len(cloud), 4, *cloud.shape[1:], device=cloud.device)
        image.normal_(generator=generator).mul_(self._sensor.noise)
        ground = clear * albedo
        image[:, 0] += ground * (-v["absorption"] * column).exp()
        image[:, 0] += v["cloud_ultraviolet"] * cloud * (-v["absorption_above"] * column).exp()
        image[:, 1] += ground + v["cloud_visible"] * cloud
        image[:, 2] += clear * (1 - v["absorption_infrared"] * column) + v["cloud_infrared"] * cloud
        image[:, 3] += v["vapour"] * gradient.tanh() * (1 - v["cloud_vapour"] * cloud)
        for k, (low, high) in enumerate(self._limits):
            image[:, k].clamp_(low, high)
        start = now["gap"][:, None]
        swath = (self._axis >= start) & (self._axis < start + v["swath_width"])
        missing = swath[:, None, :]
        if not isinstance(scene, Tracers):
            y, x = (self._axis - v[f"station_{axis}"] for axis in "yx")
            near = y[:, None].square() + x.square() < self._sensor.gap_radius**2
            missing = missing | near
        return image.masked_fill_(missing[:, None], math.nan)


# --------------------------------------------------------------------------------- soundings

_GAS = 287.05  # J kg-1 K-1, dry air
_GRAVITY = 9.80665  # m s-2
# 1 mPa of ozone over a change of ln(pressure) by 1, in Dobson units: N_A / (g M) / 2.687e20 m-2.
DOBSON_PER_MPA = 1e-3 * 6.02214e23 / (_GRAVITY * 0.0289644) / 2.687e20
# The standard atmosphere (ISO 2533), degC at m.
_TEMPERATURE = ((0.0, 11_000.0, 20_000.0, 32_000.0, 47_000.0), (15.0, -56.5, -56.5, -44.5, -2.5))


def pressure_at(height: Array) -> Array:
    """Return the pressure, hPa, at heights below 40 km, m: hydrostatic standard atmosphere."""
    grid = np.arange(0.0, 40_001.0, 10.0)
    slope = -_GRAVITY / (_GAS * (np.interp(grid + 5, *_TEMPERATURE) + 273.15))
    fall = np.concatenate([[0.0], np.cumsum(10.0 * slope[:-1])])
    return 1013.25 * np.exp(np.interp(height, grid, fall))


def ozone_at(pressure: Array, column: float) -> Array:
    """Return a partial pressure of ozone, mPa, with ``column`` DU in the layer.

    Background: 35 nmol mol⁻¹ at the ground rising to 60 at 200 hPa, and a stratosphere with its
    maximum at 28 hPa. In the layer it is multiplied by one factor, which fades away outside over
    0.15 in the logarithm of pressure.
    """
    log = np.log(pressure)

    def background(log: Array) -> Array:
        fraction = np.interp(log, np.log([200.0, 1000.0]), [60e-9, 35e-9])
        stratosphere = 14 * np.exp(-(((log - math.log(28)) / 0.85) ** 2) / 2)
        fade = 1 / (1 + np.exp(-(log - math.log(150)) / 0.1))  # the troposphere ends near 150 hPa
        return fraction * np.exp(log) * 1e5 * fade + stratosphere

    bottom, top = np.log(LAYER)
    inside = np.linspace(top, bottom, 401)
    known = DOBSON_PER_MPA * np.trapezoid(background(inside), inside)
    outside = np.maximum(np.maximum(log - bottom, top - log), 0)
    return background(log) * (column / known) ** np.exp(-((outside / 0.15) ** 2) / 2)


_HEADER = """#CONTENT
Class,Category,Level,Form
WOUDC,OzoneSonde,1.0,1

#DATA_GENERATION
Date,Agency,Version,ScientificAuthority
{date},SIM,1.0,nobody

* Simulated: no balloon ever flew here

#PLATFORM
Type,ID,Name,Country,GAW_ID
STN,999,Simulated,XXX,

#INSTRUMENT
Name,Model,Number
ECC,6A,sim{number:05d}

#LOCATION
Latitude,Longitude,Height
{latitude:.4f},{longitude:.4f},{height:.1f}

#TIMESTAMP
UTCOffset,Date,Time
+00:00:00,{date},{hour:02d}:00:00

#FLIGHT_SUMMARY
IntegratedO3,CorrectionCode,SondeTotalO3,CorrectionFactor,TotalO3,WLCode,ObsType,Instrument,Number
{integrated:.1f},0,{total:.1f},,,,,,

#AUXILIARY_DATA
MeteoSonde,ib1,ib2,PumpRate,BackgroundCorr,SampleTemperatureType,MinutesGroundO3
Simulated,,,,,,

#PROFILE
Pressure,O3PartialPressure,Temperature,WindSpeed,WindDirection,LevelCode,Duration,GPHeight,\
RelativeHumidity,SampleTemperature,Latitude,Longitude
"""
_ROW = "%.1f,%.2f,%.1f,%.1f,%d,,%d,%d,%d,%.1f,%.4f,%.4f\n"


def sounding(
    day: np.datetime64, number: int, column: float, label_error: float, rng: np.random.Generator
) -> str:
    """Return one ozonesonde's flight as the text of a WOUDC extended CSV file.

    Parameters
    ----------
    column
        True ozone of the layer, DU.
    label_error
        Standard deviation of the logarithm of the one factor by which all of a flight's ozone is
        wrong (pump, solution), over and above small errors of each level.

    Returns
    -------
    Levels from the ground to the burst: pressure (hPa), ozone partial pressure (mPa), temperature
    (degC), wind (m s⁻¹, degrees it comes from), seconds since launch, geopotential height (m),
    relative humidity (%), temperature of the pump (degC), where the balloon has drifted (degrees).
    """
    v = VALUES
    draws = rng.standard_normal(6)
    burst = min(max(v["burst_mean"] + v["burst_sd"] * draws[0], 24_000.0), 38_000.0)
    early, where = rng.random(2)
    if early < v["early_burst"]:
        burst = 3_000 + 7_500 * where  # the layer ends near 11,800 m
    height = np.arange(v["station_height"], burst, v["ascent"] * v["interval"])
    time = v["interval"] * np.arange(len(height))
    pressure = pressure_at(height)

    error = label_error * draws[1] + v["level_error"] * rng.standard_normal(len(height))
    ozone = ozone_at(pressure, column) * np.exp(error)
    temperature = np.interp(height, *_TEMPERATURE) + 3 * draws[2] * np.exp(-height / 8000)
    temperature += 0.3 * rng.standard_normal(len(height))
    humidity = (70 * np.exp(-height / 4000)).clip(min=1)

    # A jet at 11 km above a weak wind near the ground, from about the west.
    speed = (4 + 26 * np.exp(-(((height - 11_000) / 5000) ** 2))) * math.exp(0.3 * draws[3])
    comes_from = (265 + 25 * draws[4] + 10 * draws[5] * height / 10_000) % 360
    goes_to = np.radians(comes_from + 180)
    moved = np.concatenate([[0.0], speed[:-1] * v["interval"]]) / 111_195  # degrees of arc
    latitude = STATION[0] + np.cumsum(moved * np.cos(goes_to))
    longitude = STATION[1] + np.cumsum(moved * np.sin(goes_to)) / math.cos(math.radians(STATION[0]))

    log = np.log(pressure)
    integrated = -DOBSON_PER_MPA * np.trapezoid(ozone, log)
    head = _HEADER.format(
        date=str(day),
        number=number,
        latitude=STATION[0],
        longitude=STATION[1],
        height=v["station_height"],
        hour=LAUNCH,
        integrated=integrated,
        # Above the burst the mixing ratio is taken as constant.
        total=integrated + DOBSON_PER_MPA * ozone[-1],
    )
    pump = np.linspace(30, 12, len(height))
    columns = (pressure, ozone, temperature, speed, comes_from, time, height, humidity, pump)
    rows = np.column_stack([*columns, latitude, longitude])
    return head + "".join([_ROW % tuple(row) for row in rows.tolist()])


# -------------------------------------------------------------------------------------- step


def _check(
    scenario: str,
    pixels: int,
    days: int,
    hours: tuple[int, int],
    start: str,
    sensor: Sensor,
    label_error: float,
    seed: int,
) -> np.datetime64:
    """Refuse options that describe no data set; return the first day."""
    try:
        first = np.datetime64(start, "D")
    except ValueError:
        first = np.datetime64("NaT")
    problems = (
        (
            scenario not in SCENARIOS,
            f"--scenario {scenario!r} is unknown; {nearest(scenario, SCENARIOS)}",
        ),
        (not 8 <= pixels <= 8192, f"--pixels is {pixels}; give 8 to 8192"),
        (days < 1, f"--days is {days}; give at least 1"),
        (
            not 0 <= hours[0] <= LAUNCH <= hours[1] < 24,
            f"--hours is {hours}; give the first and the last hour of a day with an image, from 0 "
            f"to 23, with that of the balloon, {LAUNCH}, among them",
        ),
        (np.isnat(first), f"--start {start!r} is no date; write one like 2019-01-01"),
        (not 0 <= sensor.noise < np.inf, f"--noise is {sensor.noise}; give 0 or more"),
        (not 0 < sensor.cloud < 1, f"--cloud is {sensor.cloud}; give a share between 0 and 1"),
        (
            not 0 <= sensor.swath_gap <= 1,
            f"--swath-gap is {sensor.swath_gap}; give a share from 0 to 1",
        ),
        (
            not 0 <= sensor.gap_radius <= 0.3,
            f"--gap-radius is {sensor.gap_radius}; give 0 to 0.3 of the image",
        ),
        (not 0 <= label_error < np.inf, f"--label-error is {label_error}; give 0 or more"),
        (seed < 0, f"--seed is {seed}; give 0 or more"),
    )
    for wrong, message in problems:
        if wrong:
            raise InputError(f"simulate: {message}.")
    return first


def simulate(
    *,
    output: Path,
    scenario: str = "plume",
    pixels: int = 48,
    days: int = 250,
    hours: tuple[int, int] = (HOURS[0], HOURS[-1]),
    start: str = "2019-01-01",
    noise: float = 0.05,
    cloud: float = 0.13,
    swath_gap: float = 0.3,
    gap_radius: float = 0.14,
    label_error: float = 0.05,
    device: str = "auto",
    threads: int = 1,
    seed: int = 0,
) -> None:
    """Write a simulated raw data set: images.zarr, soundings/*.csv, states.csv, parameters.json.

    Parameters
    ----------
    output
        Folder to write to; soundings that are there from before are removed.
    scenario
        plume, tracer, null or leak.
    pixels
        Per side of the image; coordinates are the pixels' centres in degrees north (falling) and
        east.
    days
        Number of days, each with a frame an hour and one balloon.
    hours
        First and last hour of a day (UTC) with a frame.
    start
        First day, like 2019-01-01.
    noise
        Standard deviation of the sensor's noise, in the channels' units (contrasts are 0.05 to
        0.35).
    cloud
        Share of the pixels with more than half of cloud.
    swath_gap
        Share of the frames with a gap between swaths, an eighth of the image wide.
    gap_radius
        Radius about the station that is never observed, of the image; not in the tracer scenario.
    label_error
        Standard deviation of the logarithm of a balloon's ozone.
    device
        auto, cpu or cuda. The pixels' noise differs between kinds of device, nothing else does
        beyond rounding.
    threads
        CPU threads.
    seed
        Seed of all random numbers.

    Raises
    ------
    InputError
        If the options describe no data set or the device is not there; nothing is written then.
    """
    options = {key: value for key, value in locals().items() if key not in ("output", "threads")}
    sensor = Sensor(pixels, noise, cloud, swath_gap, gap_radius)
    first = _check(scenario, pixels, days, hours, start, sensor, label_error, seed)

    from casestudies.training import device as devices

    devices.set_threads(threads)
    devices.device(device)
    folder = output / "soundings"
    for old in folder.glob("*.csv"):
        old.unlink()

    for_balloons = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(5,)))
    y, x = _coordinates(pixels)
    place = {"station_latitude": STATION[0], "station_longitude": STATION[1]}
    facts = {"source": "simulated", "scenario": scenario, **place}
    total = days * (hours[1] - hours[0] + 1)
    times, states, labels = [], [], []
    with ImageWriter(output / "images.zarr", sensor.channels(), total, y, x, facts) as writer:
        start_hour = first.astype("datetime64[h]")
        series = frames(scenario, start_hour, days, sensor, device, seed, hours)
        for frame in progress(series, "frames", total):
            writer.append(frame.time, frame.image)
            times.append(frame.time)
            states.append(frame.states)
            labels.append(frame.label)
            day = frame.time.astype("datetime64[D]")
            if frame.time == day + np.timedelta64(LAUNCH, "h"):
                number = (day - first).astype(int) + 1
                text = sounding(day, number, frame.label, label_error, for_balloons)
                with writing(folder / f"{str(day).replace('-', '')}.csv") as temporary:
                    temporary.write_text(text, encoding="utf-8", newline="\n")

    table = pd.DataFrame(np.array(states), columns=[f"state_{k}" for k in range(len(states[0]))])
    table.insert(0, "time", np.array(times).astype("datetime64[s]"))
    table["label"] = labels
    write_table(table, output / "states.csv")
    meanings = (Tracers if scenario == "tracer" else Plume).states
    memory = {"value": list(_PLUME_STATES.values()), "unit": "h", "basis": "assumption"}
    write_parameters(
        output / "parameters.json",
        options,
        PARAMETERS,
        plume_memory={**memory, "source": "state by state"},
        states={f"state_{k}": meaning for k, meaning in enumerate(meanings)},
        label={
            "long_name": "ozone between 500 and 200 hPa",
            "units": "DU",
            "layer": {"bottom": LAYER[0], "top": LAYER[1], "units": "hPa"},
        },
        station={"latitude": STATION[0], "longitude": STATION[1]},
    )


Coordinate = tuple[Array, dict[str, str]]


def _coordinates(pixels: int) -> tuple[Coordinate, Coordinate]:
    """Return y and x of the image, degrees, with their CF attributes."""
    v, axis = VALUES, centres(pixels)
    latitude = v["north"] - (v["north"] - v["south"]) * axis
    longitude = v["west"] + (v["east"] - v["west"]) * axis
    return tuple(
        (values, {"units": units, "standard_name": name, "long_name": name})
        for values, units, name in (
            (latitude, "degrees_north", "latitude"),
            (longitude, "degrees_east", "longitude"),
        )
    )


if __name__ == "__main__":
    main(simulate)
