"""The figures of the satellite study: those of its tables, and the step that draws them all."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullFormatter, NullLocator

from casestudies.figures.shared import observed_against_predicted, spread, subtitle
from casestudies.figures.style import BLACK, BLUE, GREEN, GREY, VERMILION, figure, panel_grid
from casestudies.satellite.gallery import (
    autocorrelations,
    latent_map,
    latent_traversal,
    reconstruction,
)
from casestudies.satellite.results import (
    ALL_IMAGES,
    COLOURS,
    FAMILIES,
    LABELS,
    MARKERS,
    MODELS,
    NETWORKS,
    RANDOM,
    SUFFIX,
    Results,
    base,
)
from casestudies.steps import main
from casestudies.tables import read_metadata, read_table

SHOWN = ("season", "raw_pixels", "cnn", "latent")
"""Models whose predictions are shown one by one."""
BANDED = ("latent", "raw_pixels", "cnn", "oracle")
"""Models of the label curves with a band; more bands would hide each other."""
WHOLE = ("latent", "autoencoder")
"""Encoders whose label curves are also drawn for all images; more would hide each other."""
RIVALS = ("raw_pixels", "cnn", "pca")
"""Models that the latent is compared with, label by label."""
FLOOR = -0.5
"""Where axes of R² end: far below 0 it does not matter how far."""
DEEP = -1.0
"""Where that of overfitting ends."""


# ---------------------------------------------------------------------------------------- scores


def scores(results: Results, path: Path) -> None:
    """R² of every model on every scheme, with intervals; encoders fitted in the fold and on all."""
    order = [m for m in MODELS if m in results.models or m + SUFFIX in results.models]
    both = any(model.endswith(SUFFIX) for model in results.models)
    panel = (3.4, 0.3 * len(order) + 0.9)
    with panel_grid(path, len(results.schemes), panel, (2.4, 1), sharey=True) as (drawing, axes):
        for axis, scheme in zip(axes, results.schemes, strict=True):
            rows = results.scores.query("scheme == @scheme and metric == 'r2'").set_index("model")
            low = max(FLOOR, min(rows["lower"].min(), 0.0))
            axis.set_xlim(low - 0.03, 1.17)
            for position, model in enumerate(order):
                shift = 0.17 if model + SUFFIX in rows.index and model in rows.index else 0.0
                for name, y in ((model, position - shift), (model + SUFFIX, position + shift)):
                    if name not in rows.index:
                        continue
                    _score(axis, rows.loc[name], y, name, low)
                    if scheme == RANDOM:
                        first = results.score(results.schemes[0], "r2", name)["estimate"]
                        axis.plot(max(first, low), y, "|", color=GREY, ms=11, mew=2)
            axis.axvline(0, color=BLACK, lw=0.8)
            axis.set_yticks(range(len(order)), [LABELS[model] for model in order])
            axis.set_ylim(len(order) - 0.4, -0.6)
            axis.grid(axis="y", visible=False)
            axis.set_xlabel("R² out of fold")
            axis.set_title(results.title(scheme))
            subtitle(axis, f"n = {rows['samples'].max()} labels")
        drawn = {COLOURS[model] for model in order}
        handles = [
            Line2D([], [], color=colour, marker="o", label=label)
            for label, colour in FAMILIES.items()
            if colour in drawn
        ]
        if both:
            handles.append(
                Line2D(
                    [],
                    [],
                    color=BLACK,
                    marker="o",
                    mfc="white",
                    label="open: encoder saw the test frames",
                )
            )
        if RANDOM in results.schemes:
            label = f"the same on {results.schemes[0]}"
            handles.append(Line2D([], [], color=GREY, marker="|", ls="", ms=11, mew=2, label=label))
        drawing.legend(handles=handles, loc="outside lower center", ncols=3)


def _score(axis: Axes, row: pd.Series, y: float, model: str, low: float) -> None:
    """Draw one estimate with its interval, cut off at ``low``; its number stands at the right."""
    colour = COLOURS[base(model)]
    if row["upper"] > low:
        axis.plot([max(row["lower"], low), row["upper"]], [y, y], color=colour, lw=1.8)
        if row["lower"] < low:
            axis.plot(low, y, "<", color=colour, ms=5)
    face = "white" if model.endswith(SUFFIX) else colour
    marker = "<" if row["estimate"] < low else "o"
    axis.plot(max(row["estimate"], low), y, marker, color=colour, mfc=face, ms=5.5, mew=1.4)
    text = f"{row['estimate']:z.2f}".replace("-", "−")
    axis.annotate(text, (1.15, y), va="center", ha="right", fontsize=7.5, color=GREY)


def observed_predicted(results: Results, path: Path) -> None:
    """Observed against predicted label, out of fold, with prediction intervals."""
    models = [model for model in SHOWN if model in results.models]
    schemes = [scheme for scheme in results.schemes if scheme != RANDOM]
    size = (2.35 * len(models) + 0.5, 2.6 * len(schemes) + 0.5)
    with figure(path, len(schemes), len(models), size, sharex=True, sharey=True) as (drawing, axes):
        cells = [(scheme, model) for scheme in schemes for model in models]
        everything = []
        for axis, (scheme, model) in zip(axes, cells, strict=True):
            table = results.predictions(scheme, model)
            bounded = table[table["lower"].notna()]
            observed, predicted = table["observed"].to_numpy(), table["predicted"].to_numpy()
            bars = axis.vlines(
                bounded["observed"], bounded["lower"], bounded["upper"], color=COLOURS[model]
            )
            bars.set(alpha=0.12, linewidth=1.2, rasterized=True)
            row = results.score(scheme, "r2", model)
            note = f"R² {row['estimate']:.2f} [{row['lower']:.2f}, {row['upper']:.2f}]\n"
            inside = bounded["observed"].between(bounded["lower"], bounded["upper"])
            note += f"n = {len(table)}" + (
                f", bars cover {100 * inside.mean():.0f} %" if len(bounded) else ""
            )
            observed_against_predicted(
                axis, observed, predicted, COLOURS[model], note.replace("-", "−")
            )
            everything.append(np.r_[observed, predicted])
            axis.set_title(LABELS[model])
            if model == models[0]:
                axis.set_ylabel(results.title(scheme) + "\npredicted")
        values = np.concatenate(everything)
        low, high = np.quantile(values, [0.001, 0.999])
        margin = high - low
        for axis in axes:  # room for the note above the cloud
            axis.set(xlim=(low - 0.06 * margin, high + 0.06 * margin), aspect="auto")
            axis.set_ylim(low - 0.06 * margin, high + 0.3 * margin)
        drawing.supxlabel(f"observed: {results.label}", fontsize=10)


# ---------------------------------------------------------------------------------- label curves


def label_curves(results: Results, path: Path) -> None:
    """R² against the number of labels, and how far the latent is ahead of raw pixels and CNN."""
    columns = ["model", "labels", "estimate", "lower", "upper", "draws", "samples"]
    table = read_table(results.folder / "label_curves.csv", complete=columns[:3], columns=columns)
    pairs = read_table(
        results.folder / "label_differences.csv",
        complete=["model", "reference", "labels", "difference"],
        columns=["lower", "upper"],
    )
    known = set(table["model"])
    models = [n for m in MODELS for n in (m, m + SUFFIX) if n in known and (n == m or m in WHOLE)]
    with figure(path, 2, 1, (9.4, 9.4), height_ratios=[1.8, 1]) as (drawing, axes):
        main, side = axes
        ends = {}
        for model in models:
            rows = table[table["model"] == model].sort_values("labels")
            name = base(model)
            strong = name in BANDED
            inductive = model == name
            main.plot(
                rows["labels"],
                rows["estimate"],
                ":" if name == "oracle" else "-" if inductive else "--",
                color=COLOURS[name],
                marker=MARKERS[name],
                mfc=COLOURS[name] if inductive else "white",
                ms=6 if strong else 4.5,
                lw=2 if strong else 1.1,
                zorder=4 if strong else 3,
            )
            if model in BANDED:
                main.fill_between(
                    rows["labels"], rows["lower"], rows["upper"], color=COLOURS[name], alpha=0.13
                )
            ends[model] = float(rows["estimate"].iloc[-1])
        lowest = max(FLOOR, float(table["estimate"].min()) - 0.05)
        top = min(1.02, max(0.5, float(table["upper"].max()) + 0.04))
        main.set_ylim(min(lowest, -0.08), top)
        _name_lines(main, ends, float(table["labels"].max()))
        main.axhline(0, color=BLACK, lw=0.8)
        main.set_ylabel("R² out of fold")
        draws, samples = int(table["draws"].max()), int(table["samples"].max())
        main.set_title(f"n = {samples} held-out labels; {draws} draws of the training labels")
        _differences(side, pairs)
        for axis in axes:
            counts = sorted(table["labels"].unique())
            axis.set_xscale("log")
            axis.xaxis.set_major_locator(FixedLocator(counts))
            axis.xaxis.set_minor_locator(NullLocator())
            axis.set_xticks(counts, [f"{count:g}" for count in counts])
            axis.set_xlabel("labels to learn from")
        drawing.legend(
            handles=[
                Line2D([], [], color=BLACK, label="encoder fitted inside the fold"),
                Line2D(
                    [],
                    [],
                    color=BLACK,
                    ls="--",
                    marker="o",
                    mfc="white",
                    label="encoder saw all images, never a label",
                ),
            ],
            loc="outside lower center",
            ncols=2,
        )


def _name_lines(axis: Axes, ends: Mapping[str, float], last: float) -> None:
    """Write the names of lines to the right of their last points, at ``last``, without overlap."""
    low, high = axis.get_ylim()
    wanted = np.clip(list(ends.values()), low, high)
    placed = spread(wanted, 0.047 * (high - low), low, high)
    for model, start, end in zip(ends, wanted, placed, strict=True):
        name = base(model)
        axis.annotate(
            LABELS[model],
            (last, start),
            xytext=(1.045, (end - low) / (high - low)),
            textcoords="axes fraction",
            va="center",
            fontsize=8.5,
            color=COLOURS[name],
            weight="bold" if name in BANDED else "normal",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": COLOURS[name],
                "lw": 0.5,
                "relpos": (0, 0.5),
                "shrinkA": 1,
                "shrinkB": 4,
            },
        )


def _differences(axis: Axes, pairs: pd.DataFrame) -> None:
    """Draw the paired differences in R² of the latent and its rivals, with intervals."""
    pairs = pairs[(pairs["model"] == "latent") & pairs["reference"].isin(RIVALS)]
    rivals = [name for name in RIVALS if name in set(pairs["reference"])]
    for position, rival in enumerate(rivals):
        rows = pairs[pairs["reference"] == rival].sort_values("labels")
        x = rows["labels"] * 1.06 ** (position - (len(rivals) - 1) / 2)
        axis.vlines(x, rows["lower"], rows["upper"], color=COLOURS[rival], lw=1.8)
        style = {"color": COLOURS[rival], "ms": 6.5, "label": f"latent − {LABELS[rival]}"}
        axis.plot(x, rows["difference"], MARKERS[rival], **style)
    axis.axhline(0, color=BLACK, lw=0.8)
    axis.set(title="paired, on the same labels", ylabel="difference in R²")
    if rivals:
        low = max(float(pairs["lower"].min()), -1.0)
        high = min(float(pairs["upper"].max()), 1.5)
        axis.set_ylim(min(low, 0.0) - 0.05, high + 0.25 * (high - low))  # room for the legend
        axis.legend(loc="upper right")


# ----------------------------------------------------------------------------------- overfitting

METHODS = {"least_squares": ("least squares", VERMILION, "s"), "ridge": ("ridge", BLUE, "o")}


def overfitting(results: Results, path: Path) -> None:
    """Error of a regression on pixels, in training and in test, as its parameters grow."""
    table = read_table(
        results.folder / "overfitting.parquet",
        complete=["method", "pixels", "parameters", "train_r2", "test_r2"],
        columns=["labels"],
    )
    with figure(path, 1, 1, (8, 4.8)) as (drawing, (axis,)):
        for method, (label, colour, marker) in METHODS.items():
            grouped = table[table["method"] == method].groupby("parameters")
            for column, style, face in (("train_r2", "--", "white"), ("test_r2", "-", colour)):
                middle = grouped[column].mean()
                part = "training" if column == "train_r2" else "held out"
                axis.plot(
                    middle.index,
                    middle,
                    style,
                    marker=marker,
                    color=colour,
                    mfc=face,
                    ms=5.5,
                    label=f"{label}, {part}",
                )
                low, high = grouped[column].min(), grouped[column].max()
                axis.fill_between(middle.index, low, high, color=colour, alpha=0.12, lw=0)
                below = middle[middle < DEEP]
                axis.plot(below.index, np.full(len(below), DEEP), "v", color=colour, ms=7)
        sizes = table.groupby("parameters")["pixels"].first()
        for position, (parameters, pixels) in enumerate(sizes.items()):
            axis.annotate(
                f"{pixels:g}²",
                (parameters, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center" if position else "left",
                fontsize=8,
                color=GREY,
            )
        labels = float(table["labels"].median())
        label = f"as many parameters as labels to learn from ({labels:.0f})"
        axis.axvline(labels, color=BLACK, ls=":", lw=1.4, label=label)
        axis.axhline(0, color=BLACK, lw=0.8)
        axis.set(xscale="log", xlabel="parameters of the regression", ylabel="R²")
        axis.set_ylim(max(DEEP, axis.get_ylim()[0]) - 0.04, 1.05)
        axis.set_title("image coarsened to … pixels", pad=16, weight="normal", color=GREY)
        drawing.legend(loc="outside lower center", ncols=3)


# ------------------------------------------------------------------------------ training and cost


def training_curves(results: Results, path: Path) -> None:
    """Loss of the networks along their training, every fold, training and validation."""
    networks = [name for name in NETWORKS if name in results.encoders]
    panel = (6.5 if len(networks) == 1 else 4.4, 2.8)
    with panel_grid(path, len(networks), panel, (0.5, 0.9)) as (drawing, axes):
        for axis, encoder in zip(axes, networks, strict=True):
            positive = True
            for scope in results.scopes(encoder):
                file = results.folder / "features" / scope / f"{encoder}_curves.parquet"
                table = read_table(
                    file, columns=["fold", "step", "training_loss", "validation_loss"]
                )
                colour = BLACK if scope == ALL_IMAGES else GREEN
                for _, rows in table.groupby("fold"):
                    for column, style in (("training_loss", ":"), ("validation_loss", "-")):
                        known = rows[rows[column].notna()]
                        axis.plot(known["step"], known[column], style, color=colour, lw=1.2)
                        positive &= bool((known[column] > 0).all())
            if positive:
                axis.set_yscale("log")
                for side in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
                    side("{x:g}")
            axis.set(title=LABELS[encoder], xlabel="gradient steps")
        for axis in axes[::2]:
            axis.set_ylabel("mean squared error (sd²)")
        handles = [
            Line2D([], [], color=GREEN, label="fitted inside the fold, one line a fold"),
            Line2D([], [], color=BLACK, label="fitted on all images"),
            Line2D([], [], color=GREY, ls=":", label="training frames"),
            Line2D([], [], color=GREY, label="frames kept back for validation"),
        ]
        drawing.legend(handles=handles, loc="outside lower center", ncols=2)


def cost(results: Results, path: Path) -> None:
    """Time and energy of every encoder, and of the CNN, beside the R² that they earn."""
    scheme, rows = results.schemes[0], []
    for encoder in results.encoders:
        for scope in results.scopes(encoder):
            model = encoder if scope != ALL_IMAGES else encoder + SUFFIX
            about = read_metadata(results.folder / "features" / scope / f"{encoder}.parquet")
            fits = results.features(scope, encoder)["fold"].nunique()
            rows.append((model, about, fits, results.score(scheme, "r2", model)))
    if "cnn" in results.models:
        about = read_metadata(results.folder / "predictions" / scheme / "cnn.parquet")
        fits = results.predictions(scheme, "cnn")["fold"].nunique()
        rows.append(("cnn", about, fits, results.score(scheme, "r2", "cnn")))
    columns = (("seconds", 1.0, "time per fold (s)"), ("joules", 3600.0, "energy per fold (Wh)"))
    with figure(path, 1, 3, (10, 0.36 * len(rows) + 1.7), sharey=True) as (drawing, axes):
        for y, (model, about, fits, score) in enumerate(rows):
            colour = COLOURS[base(model)]
            face = "white" if model.endswith(SUFFIX) else colour
            for axis, (key, unit, _) in zip(axes, columns, strict=False):
                value = about.get(key)
                if value is None:
                    axis.annotate(
                        "not measured",
                        (0.03, y),
                        xycoords=("axes fraction", "data"),
                        va="center",
                        fontsize=8,
                        color=GREY,
                    )
                    continue
                axis.plot(value / unit / fits, y, "o", color=colour, mfc=face, ms=7, mew=1.5)
                axis.annotate(
                    f"{value / unit / fits:.2g}",
                    (value / unit / fits, y),
                    xytext=(8, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=8,
                    color=GREY,
                )
            axes[2].plot([score["lower"], score["upper"]], [y, y], color=colour, lw=2)
            axes[2].plot(score["estimate"], y, "o", color=colour, mfc=face, ms=7, mew=1.5)
        names = [LABELS[model] for model, *_ in rows]
        axes[0].set_yticks(range(len(rows)), names)
        axes[0].set_ylim(len(rows) - 0.5, -0.5)
        for axis, (_, _, label) in zip(axes, columns, strict=False):
            axis.set(xscale="log", xlabel=label)
            axis.xaxis.set_minor_formatter(NullFormatter())  # the numbers stand beside the dots
            low, high = axis.get_xlim()
            axis.set_xlim(low / 1.5, max(high * 3, 10 * low))
        axes[2].axvline(0, color=BLACK, lw=0.8)
        axes[2].set_xlim(left=max(FLOOR, axes[2].get_xlim()[0]))
        axes[2].set_xlabel(f"R² on {scheme}")
        for axis in axes:
            axis.grid(axis="y", visible=False)
        devices = sorted({str(about["device"]) for _, about, *_ in rows if "device" in about})
        methods = sorted({str(about["method"]) for _, about, *_ in rows if "method" in about})
        samples = int(rows[0][3]["samples"])
        drawing.suptitle(
            f"device: {', '.join(devices)}; energy: {', '.join(methods)}; n = {samples} labels",
            fontsize=9,
            color=GREY,
            x=0.99,
            ha="right",
        )


FIGURES: dict[str, Callable[[Results, Path], None]] = {
    "scores": scores,
    "label_curves": label_curves,
    "observed_predicted": observed_predicted,
    "overfitting": overfitting,
    "reconstruction": reconstruction,
    "latent_traversal": latent_traversal,
    "latent_map": latent_map,
    "autocorrelation": autocorrelations,
    "training_curves": training_curves,
    "cost": cost,
}


def plot(
    *,
    results: Path,
    schemes: list[str],
    models: list[str],
    gap: float,
    figures: list[str],
    output: Path,
) -> None:
    """Draw the figures of the satellite study.

    Parameters
    ----------
    results
        Folder of the data set, results/satellite/<data set>.
    schemes
        Cross-validation schemes, in the order of the panels; the first is the one that counts.
    models
        Models that were scored.
    gap
        Days that the first scheme leaves out on either side of a test block.
    figures
        Names of the figures to draw.
    output
        Folder for <figure>.svg.
    """
    tables = Results(results, schemes, models, gap)
    for name in figures:
        FIGURES[name](tables, output / f"{name}.svg")


if __name__ == "__main__":
    main(plot)
