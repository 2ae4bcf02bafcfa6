"""The figures of the satellite study that look into its images and latents."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D

from casestudies.figures.style import (
    BLACK,
    BLUE,
    DIVERGING,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SEQUENTIAL,
    VERMILION,
    figure,
)
from casestudies.satellite.images import Images, block_means
from casestudies.satellite.results import (
    ALL_IMAGES,
    LABELS,
    NETWORKS,
    Results,
    best,
    days_of,
)
from casestudies.satellite.standardise import Standardiser

CYCLIC = LinearSegmentedColormap.from_list("year", [BLUE, GREEN, ORANGE, PURPLE, BLUE])
"""Colours of the year; none is lost on white, as the ends of other cyclic maps are."""
MISSING = "#BDBDBD"
CANDIDATES = 60
"""Frames among which the best, the median and the worst reconstruction are looked for."""
CANDIDATE_BYTES = 1 << 27
"""Memory of these frames; fewer are looked at where they are large, but no fewer than three."""
LEAST_VALID = 0.4
"""Fraction of valid pixels that a frame of the gallery needs."""
SIDE = 256
"""Pixels along a side to which pictures are thinned out; the report shows no more."""
DAYS_OF_MONTHS = (0, 59, 120, 181, 243, 304)
MONTHS = ("Jan", "Mar", "May", "Jul", "Sep", "Nov")


@dataclass(frozen=True)
class Decoder:
    """A fitted encoder and the way back from its latents to images."""

    transform: Callable[[Images, np.ndarray], np.ndarray]
    """Latents, (n, latent), of frames of an image series."""
    decode: Callable[[np.ndarray], np.ndarray]
    """Standardised images, (n, channels, y, x), of latents; NaN where nothing was ever seen."""
    standardiser: Standardiser


@dataclass(frozen=True)
class Shown:
    """A decoder, and what its pictures are of."""

    decoder: Decoder
    fold: int
    """Fold of its features; -1 where it was fitted on all images."""
    frames: np.ndarray
    """Labelled frames that it did not see, if there are any."""

    @property
    def words(self) -> str:
        return "held out" if self.fold >= 0 else "seen in training"


def load(results: Results, encoder: str) -> Shown:
    """Read a fitted encoder: that of the first test fold, or the one of all images if alone."""
    from casestudies.satellite.encode import load_encoder

    scope = results.scopes(encoder)[0]
    fold, samples = -1, results.prepared
    if scope != ALL_IMAGES:
        table = results.predictions(scope, encoder)
        fold = int(table["fold"].min())
        tested = table.loc[table["fold"] == fold, "sample"]
        samples = samples[samples["sample"].isin(tested)]
    fitted = load_encoder(results.folder / "encoders" / scope / f"{encoder}.safetensors", fold)
    if encoder == "pca":
        decoder = principal_decoder(fitted, results.images.shape[1:])
    else:
        decoder = Decoder(fitted.transform, fitted.decode, fitted.standardiser)
    return Shown(decoder, fold, np.unique(samples["frame"].to_numpy()))


def principal_decoder(encoder: Any, shape: tuple[int, ...]) -> Decoder:
    """Return the decoder of principal components of images (channels, y, x), or of block means."""
    arrays = encoder.arrays()
    whole = np.ones((1, *shape), np.float32)
    grid = block_means(whole, whole > 0, encoder.settings["side"]).shape[1:]
    block_of = [
        np.repeat(np.arange(n), np.diff(np.linspace(0, size, n + 1).round().astype(int)))
        for n, size in zip(grid[1:], shape[1:], strict=True)
    ]

    def decode(latents: np.ndarray) -> np.ndarray:
        vectors = arrays["mean"] + latents @ arrays["axes"].T
        return vectors.reshape(-1, *grid)[:, :, block_of[0]][..., block_of[1]]

    return Decoder(encoder.transform, decode, Standardiser.from_arrays(arrays))


def decoders(results: Results) -> list[str]:
    """Return the encoders whose images are shown: PCA and the best network."""
    return [name for name in ("pca", best(results, NETWORKS)) if name in results.encoders]


def picture(
    axis: Axes,
    values: np.ndarray,
    missing: np.ndarray | None,
    cmap: str,
    limits: Sequence[float],
    upwards: bool,
) -> AxesImage:
    """Show one channel of one image, (y, x), grey where missing; ``upwards``: y ascends."""
    step = -(-max(values.shape) // SIDE)
    if missing is not None:
        values = np.where(missing, np.nan, values)
    shown = axis.imshow(
        values[::step, ::step], cmap=cmap, vmin=limits[0], vmax=limits[1], origin="lower"
    )
    axis.set_facecolor(MISSING)
    if not upwards:
        axis.invert_yaxis()
    axis.set(xticks=[], yticks=[])
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    return shown


# -------------------------------------------------------------------------------- reconstruction


def reconstruction(results: Results, path: Path) -> None:
    """Input, mask, reconstruction and difference of the best, the median and the worst frame."""
    shown = {name: load(results, name) for name in decoders(results)}
    first = next(iter(shown.values()))
    frames = _candidates(first.frames, results.images)
    values, valid = first.decoder.standardiser.apply(results.images.read(frames))
    seen = valid.mean(axis=(1, 2, 3))
    kept = seen >= min(LEAST_VALID, seen.max())
    frames, values, valid = frames[kept], values[kept], valid[kept]
    made = {
        name: one.decoder.decode(one.decoder.transform(results.images, frames))
        for name, one in shown.items()
    }
    errors = {name: _root_mean_square(images - values, valid) for name, images in made.items()}
    ranked = np.argsort(np.mean(list(errors.values()), axis=0))
    chosen = {"best": ranked[0], "median": ranked[len(ranked) // 2], "worst": ranked[-1]}
    channels = _told_apart(values, made[list(made)[-1]], valid)
    up = bool(results.images.y[0] < results.images.y[-1])
    rows = [(word, place, channel) for word, place in chosen.items() for channel in channels]
    columns = 2 + 2 * len(made)
    width, height = _cell(results.images)
    size = ((width + 0.05) * columns + 1.5, (height + 0.12) * len(rows) + 1.5)
    with figure(path, len(rows), columns, size) as (drawing, axes):
        grid = np.array(axes).reshape(len(rows), columns)
        limits = np.quantile(values[:, channels][valid[:, channels]], [0.01, 0.99])
        for (word, place, channel), line in zip(rows, grid, strict=True):
            gaps = ~valid[place, channel]
            image_bar = picture(line[0], values[place, channel], gaps, SEQUENTIAL, limits, up)
            picture(line[1], np.where(gaps, 0.74, 1.0), None, "gray", (0, 1), up)
            line[1].spines[:].set_visible(True)
            line[1].spines[:].set_color("#DDDDDD")
            for k, images in enumerate(made.values()):
                image = images[place, channel]
                picture(line[2 + 2 * k], image, None, SEQUENTIAL, limits, up)
                change = picture(
                    line[3 + 2 * k],
                    image - values[place, channel],
                    gaps,
                    f"{DIVERGING}_r",
                    (-2, 2),
                    up,
                )
            when = str(results.images.times[frames[place]])[:13].replace("T", " ")
            name = results.images.channels[channel].name.replace("_", " ")
            _name(line[0], f"{word}\n{when} h\n{name}")
        grid[0, 0].set_title("input", fontsize=9)
        grid[0, 1].set_title("mask (valid: white)", fontsize=9)
        for k, name in enumerate(made):
            grid[0, 2 + 2 * k].set_title(LABELS[name].replace(" auto", "\nauto"), fontsize=9)
            grid[0, 3 + 2 * k].set_title("difference", fontsize=9)
        _bars(drawing, grid, image_bar, change)
        several = "; ".join(
            f"{LABELS[name]}: median error {np.median(error):.2f} sd"
            for name, error in errors.items()
        )
        drawing.suptitle(
            f"{len(frames)} frames {first.words}; {several}",
            fontsize=9,
            color=GREY,
            x=0.01,
            ha="left",
        )


def _candidates(frames: np.ndarray, images: Images) -> np.ndarray:
    """Return some of the frames, evenly over the time, that fit into memory."""
    fitting = CANDIDATE_BYTES // (4 * int(np.prod(images.shape[1:])))
    count = min(CANDIDATES, len(frames), max(3, fitting))
    return frames[np.linspace(0, len(frames) - 1, count).astype(int)]


def _cell(images: Images) -> tuple[float, float]:
    """Return width and height of one picture in inches; six of them are as wide as a page."""
    width = 1.3
    return width, width * images.shape[2] / images.shape[3]


def _name(axis: Axes, text: str) -> None:
    """Write the name of a row of pictures to its left."""
    axis.set_ylabel(text, fontsize=8, rotation=0, ha="right", va="center")


def _bars(drawing: Figure, grid: np.ndarray, shown: AxesImage, change: AxesImage) -> None:
    """Add the colour bars of images (sd of the channel) and of differences below the columns."""
    bars = (
        (shown, grid[:, :2], "image (sd of its channel)"),
        (change, grid[:, 2:], "difference: reconstruction − input (sd of the channel)"),
    )
    for what, below, label in bars:
        drawing.colorbar(
            what,
            ax=list(below.ravel()),
            location="bottom",
            label=label,
            shrink=0.8,
            aspect=25,
            pad=0.015,
            extend="both",
        )


def _root_mean_square(difference: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return the error of every frame over its valid pixels, (n,)."""
    total = np.where(valid, difference, 0.0).reshape(len(valid), -1)
    return np.sqrt((total**2).sum(axis=1) / valid.reshape(len(valid), -1).sum(axis=1))


def _told_apart(values: np.ndarray, made: np.ndarray, valid: np.ndarray) -> list[int]:
    """Return the channels that are reconstructed best and worst, in that order."""
    error = np.where(valid, (made - values) ** 2, 0.0).sum(axis=(0, 2, 3))
    error /= np.maximum(valid.sum(axis=(0, 2, 3)), 1)
    return list(dict.fromkeys([int(error.argmin()), int(error.argmax())]))


# --------------------------------------------------------------------------------------- latents


def latent_traversal(results: Results, path: Path, leading: int = 4) -> None:
    """Images decoded along each leading latent, the others at their mean."""
    name = best(results, NETWORKS) or "pca"
    one = load(results, name)
    table = results.features(results.scopes(name)[0], name)
    table = table[table["fold"] == one.fold]
    columns = [column for column in table if column.startswith("z")]
    latents = table[columns].to_numpy(float)
    mean, std = latents.mean(axis=0), latents.std(axis=0)
    labelled = table.set_index("frame").loc[results.prepared["frame"], columns].to_numpy(float)
    steps = np.array([-2.0, -1.0, 0.0, 1.0, 2.0])
    leading = min(leading, len(columns))
    up = bool(results.images.y[0] < results.images.y[-1])
    width, height = _cell(results.images)
    size = ((width + 0.05) * (len(steps) + 1) + 1.5, (height + 0.12) * leading + 1.5)
    with figure(path, leading, len(steps) + 1, size) as (drawing, axes):
        grid = np.array(axes).reshape(leading, len(steps) + 1)
        shown = []
        for k, line in enumerate(grid):
            points = np.tile(mean, (len(steps), 1))
            points[:, k] += steps * std[k]
            images = one.decoder.decode(points)
            change = images[-1] - images[0]
            channel = int(np.nanmean(change**2, axis=(1, 2)).argmax())
            limits = np.nanquantile(images[:, channel], [0.01, 0.99])
            for axis, image in zip(line, images, strict=False):
                picture(axis, image[channel], None, SEQUENTIAL, limits, up)
            shown.append(picture(line[-1], change[channel], None, f"{DIVERGING}_r", (-1, 1), up))
            r = np.corrcoef(labelled[:, k], results.prepared["label"])[0, 1]
            about = results.images.channels[channel].name.replace("_", " ")
            _name(line[0], f"latent {k + 1}\n{about}\nr with label {r:+.2f}".replace("-", "−"))
        for axis, step in zip(grid[0], steps, strict=False):
            axis.set_title(f"{step:+.0f} sd".replace("-", "−") if step else "mean", loc="center")
        grid[0, -1].set_title("change", loc="center")
        largest = max(float(np.nanmax(np.abs(image.get_array()))) for image in shown)
        for image in shown:
            image.set_clim(-largest, largest)
        drawing.colorbar(
            shown[0],
            ax=list(grid.ravel()),
            location="bottom",
            label="change from −2 to +2 sd of the latent (sd of the channel)",
            shrink=0.4,
            aspect=25,
            pad=0.015,
        )
        drawing.suptitle(
            f"{LABELS[name]}; latents of {len(table)} frames; r over {len(labelled)} labels",
            fontsize=9,
            color=GREY,
            x=0.01,
            ha="left",
        )


def latent_map(results: Results, path: Path, points: int = 4000) -> None:
    """The two leading latents of every frame, coloured by season, and by label where there is."""
    names = decoders(results) or results.encoders[:1]
    time = pd.DatetimeIndex(results.images.times)
    season = np.asarray(time.day_of_year, dtype=float) - 1
    with figure(path, len(names), 2, (9.4, 3.9 * len(names))) as (drawing, axes):
        for name, left, right in zip(names, axes[::2], axes[1::2], strict=True):
            scope = results.scopes(name)[-1]
            table = results.features(scope, name)
            table = table[table["fold"] == table["fold"].min()].set_index("frame")
            axes_of = [column for column in ("z0", "z1") if column in table]
            place = table[[axes_of[0], axes_of[-1]]].to_numpy(float)
            picked = np.unique(np.linspace(0, len(place) - 1, points).astype(int))
            frames = table.index.to_numpy()[picked]
            style = {"lw": 0, "rasterized": True}
            shown = left.scatter(
                *place[picked].T, c=season[frames], cmap=CYCLIC, vmin=0, vmax=365, s=7, **style
            )
            bar = drawing.colorbar(shown, ax=left)
            bar.set_ticks(DAYS_OF_MONTHS, labels=MONTHS)
            right.scatter(*place[picked].T, color="#DDDDDD", s=7, **style)
            labelled = table.loc[results.prepared["frame"], [axes_of[0], axes_of[-1]]]
            label = results.prepared["label"]
            shown = right.scatter(
                *labelled.to_numpy(float).T,
                c=label,
                cmap=SEQUENTIAL,
                vmin=label.quantile(0.02),
                vmax=label.quantile(0.98),
                s=16,
                **style,
            )
            drawing.colorbar(shown, ax=right, label=results.label, extend="both")
            what = "all images" if scope == ALL_IMAGES else "first fold"
            left.set_title(f"{LABELS[name]}, {what}, by season")
            right.set_title(f"by label: {len(labelled)} of {len(place)} frames")
            bounds = np.quantile(place, [0.002, 0.998], axis=0)
            margin = 0.08 * (bounds[1] - bounds[0])
            for axis in (left, right):
                axis.set(
                    xlim=(bounds[0, 0] - margin[0], bounds[1, 0] + margin[0]),
                    ylim=(bounds[0, 1] - margin[1], bounds[1, 1] + margin[1]),
                    xlabel="latent 1",
                )
            left.set_ylabel("latent 2")


# ------------------------------------------------------------------------------- autocorrelation


def without_season(values: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return what is left of a series when season and hour of the day are regressed out.

    Parameters
    ----------
    values
        (n,) or (n, k).
    time
        datetime64, (n,).

    Returns
    -------
    Residuals of a least-squares fit of a constant and the first harmonics of year and day.
    """
    moment = pd.DatetimeIndex(time)
    hour = np.asarray(moment.hour + moment.minute / 60, dtype=float)
    day = np.asarray(moment.day_of_year, dtype=float) - 1 + hour / 24
    angles = 2 * np.pi * np.stack([day / 365.25, hour / 24], axis=1)
    design = np.column_stack([np.ones(len(day)), np.sin(angles), np.cos(angles)])
    return values - design @ np.linalg.lstsq(design, values, rcond=None)[0]


def autocorrelation(
    days: np.ndarray, values: np.ndarray, step: float, longest: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return lags, autocorrelation and number of pairs of an irregular series.

    The series is put on a grid; places without a value are masked, not filled. The sums over pairs
    come from Fourier transforms of the padded series and of its mask.

    Parameters
    ----------
    days, values
        Times (days) and values, (n,).
    step, longest
        Spacing of the grid and longest lag (days).

    Returns
    -------
    Lags (days), correlations, pairs; lags without a pair are left out.
    """
    slot = np.rint((days - days.min()) / step).astype(int)
    size = slot.max() + 1
    count = np.bincount(slot, minlength=size).astype(float)
    mask = (count > 0).astype(float)
    grid = np.bincount(slot, values - values.mean(), size) / np.maximum(count, 1)
    width = 2 * size

    def sums(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Sum of left[t] right[t + lag] over t, for every lag."""
        product = np.conj(np.fft.rfft(left, width)) * np.fft.rfft(right, width)
        return np.fft.irfft(product, width)[:size]

    pairs = np.rint(sums(mask, mask))
    lags = step * np.arange(size)
    kept = (lags <= longest) & (pairs >= 10)
    square = grid**2
    with np.errstate(invalid="ignore", divide="ignore"):
        # Each lag is normalised by the variance of the values that enter it.
        spread_ = np.sqrt(sums(square, mask) * sums(mask, square))
        correlation = sums(grid, grid) / spread_
    return lags[kept], correlation[kept], pairs[kept].astype(int)


def autocorrelations(results: Results, path: Path, leading: int = 3) -> None:
    """Autocorrelation of label and leading latents against lag, and the gap of the scheme."""
    prepared = results.prepared
    spacing = float(np.median(np.diff(prepared["day"])))
    longest = max(3 * results.gap, 12 * spacing)
    days = days_of(results.images)
    hop = float(np.median(np.diff(days)))
    encoders = [name for name in (best(results, NETWORKS), "pca") if name in results.encoders]
    panels = [("label", None), *((name, results.scopes(name)[-1]) for name in encoders)]
    size = (3.1 * len(panels) + 0.4, 3.7)
    with figure(path, 1, len(panels), size, sharey=True) as (drawing, axes):
        for axis, (name, scope) in zip(axes, panels, strict=True):
            if scope is None:
                series = [(prepared["day"].to_numpy(), prepared["label"].to_numpy(), "label")]
                times, step, title = prepared["time"].to_numpy(), spacing, "label"
            else:
                table = results.features(scope, name)
                table = table[table["fold"] == table["fold"].iloc[0]]
                frames = table["frame"].to_numpy()
                names = [c for c in (f"z{k}" for k in range(leading)) if c in table]
                series = [(days[frames], table[c].to_numpy(float), c) for c in names]
                times, step, title = results.images.times[frames], hop, LABELS[name]
            for (when, values, label), colour in zip(
                series, (BLACK, BLUE, ORANGE) if scope else (VERMILION,), strict=False
            ):
                lags, correlation, pairs = autocorrelation(
                    when, without_season(values, times), step, longest
                )
                style = "-o" if len(lags) < 40 else "-"
                name_ = f"latent {int(label[1:]) + 1}" if scope else "label"
                axis.plot(lags, correlation, style, ms=3.5, lw=1.2, color=colour, label=name_)
            bound = 1.96 / np.sqrt(pairs)
            axis.fill_between(lags, -bound, bound, color="#E3E3E3", zorder=0, lw=0)
            axis.axvline(results.gap, color=PURPLE, ls="--", lw=1.6)
            axis.axhline(0, color=BLACK, lw=0.8)
            axis.set(xlim=(0, longest), ylim=(-0.62, 1.03), xlabel="lag (days)", title=title)
            axis.annotate(
                f"n = {len(values)}, one in {_duration(step)}",
                (0.98, 0.02),
                xycoords="axes fraction",
                ha="right",
                fontsize=8,
                color=GREY,
            )
            if scope:
                axis.legend(loc="lower left", fontsize=8, labelspacing=0.2)
        axes[0].set_ylabel("autocorrelation without season")
        drawing.legend(
            handles=[
                Line2D([], [], color=PURPLE, ls="--", label=f"gap of {results.gap:g} days"),
                Line2D([], [], color="#E3E3E3", lw=7, label="95 % of white noise"),
            ],
            loc="outside lower center",
            ncols=2,
        )


def _duration(days: float) -> str:
    return f"{days:.3g} days" if days >= 1.5 else f"{24 * days:.3g} h"
