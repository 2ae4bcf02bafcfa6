"""The figures of the lecture's experiments, which need no data set."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    VERMILION,
    figure,
)
from casestudies.lecture.landscape import BOX, STATIONARY, hessian, loss
from casestudies.lecture.magnitude import (
    AGE_OF_UNIVERSE,
    PARAMETERS,
    RATE,
    log10_seconds,
    searchable,
)
from casestudies.lecture.summarise import number
from casestudies.steps import main
from casestudies.tables import read_metadata, read_table

SQUARE = "(L/100 km)²"
_TOP = 1e3  # squared errors beyond are not drawn
_YEAR = 365.25 * 86400
_ENDS = {
    "global minimum": BLUE,
    "local minimum": ORANGE,
    "saddle": VERMILION,
    "on its way": GREY,
}
_MARKS = {"global minimum": "*", "local minimum": "o", "saddle": "X"}


@dataclass(frozen=True)
class Results:
    """The tables of the experiments, read from the study's folder."""

    folder: Path

    def table(self, name: str) -> pd.DataFrame:
        return read_table(self.folder / f"{name}.parquet")

    @cached_property
    def polynomials(self) -> pd.DataFrame:
        return self.table("bias_variance")

    @property
    def redrawn(self) -> dict:
        """What is known of the redrawn sets: noise (L/100 km), sets."""
        return read_metadata(self.folder / "bias_variance.parquet")


def bias_variance(results: Results, path: Path) -> None:
    """Bias², variance and expected error of polynomials against their degree."""
    rows = results.polynomials
    rows = rows[rows["measurements"] == rows["measurements"].max()]
    noise = results.redrawn["noise"]
    with figure(path, 1, 1, (7.5, 4.6)) as (_, (axis,)):
        parts = (("bias2", "bias²", BLUE, "--"), ("variance", "variance", VERMILION, "-."))
        for name, label, colour, style in (*parts, ("error", "their sum", BLACK, "-")):
            axis.plot(rows["degree"], rows[name], color=colour, ls=style, label=label)
            axis.fill_between(
                rows["degree"],
                rows[f"{name}_lower"],
                rows[f"{name}_upper"],
                color=colour,
                alpha=0.15,
                lw=0,
            )
        axis.plot(
            rows["degree"],
            rows["measured"] - noise**2,
            "o",
            color=BLACK,
            mfc="white",
            ms=5,
            label="error against new measurements, less noise",
        )
        axis.plot(rows["degree"], rows["median"], color=GREY, ls=":", label="median of the sets")
        best = rows.loc[rows["error"].idxmin()]
        axis.axvline(best["degree"], color=GREY, lw=0.8)
        axis.annotate(
            f"least at degree {best['degree']:.0f}",
            (best["degree"], 0.93),
            xycoords=("data", "axes fraction"),
            xytext=(5, 2),
            textcoords="offset points",
            color=GREY,
            fontsize=9,
        )
        bottom = min(rows["bias2"].min(), rows["variance"].min()) / 2
        axis.set(
            yscale="log",
            ylim=(bottom, _TOP),
            xlabel="degree of the polynomial",
            ylabel=f"mean squared error {SQUARE}",
        )
        axis.set_title(
            f"{results.redrawn['sets']} redrawn sets of {best['measurements']:.0f} measurements"
        )
        axis.legend(loc="lower right", bbox_to_anchor=(1, 0.08))


def optimisation(results: Results, path: Path) -> None:
    """Paths over the loss, and where descents end."""
    ends, paths = results.table("descents"), results.table("paths")
    methods = list(ends["method"].unique())
    (left, right), (low, high) = BOX
    grid = np.stack(np.meshgrid(np.linspace(left, right, 161), np.linspace(low, high, 121)), -1)
    values = loss(grid)
    kinds = list(ends["start"].unique())
    with figure(path, 2, len(methods), (2.5 * len(methods), 5.4)) as (drawing, axes):
        for axis, method in zip(axes, methods, strict=False):
            axis.contour(
                grid[..., 0],
                grid[..., 1],
                values,
                colors="#BDBDBD",
                linewidths=0.6,
                linestyles="solid",
                levels=values.min() + np.geomspace(0.01, np.ptp(values), 14),
            )
            chosen = paths[(paths["method"] == method) & (paths["start"] == "anywhere")]
            final = ends[(ends["method"] == method) & (ends["start"] == "anywhere")]
            for number, line in chosen.groupby("number"):
                end = final.loc[final["number"] == number, "end"].iloc[0]
                axis.plot(line["x"], line["y"], color=_ENDS[end], lw=0.7, alpha=0.8)
                axis.plot(line["x"].iloc[0], line["y"].iloc[0], ".", color=_ENDS[end], ms=5)
            for name, place in STATIONARY.items():
                axis.plot(*place, _MARKS[name], color=_ENDS[name], mec=BLACK, mew=0.8, ms=10)
            axis.set(title=method, xlabel="x", xlim=BOX[0], ylim=BOX[1])
            axis.grid(visible=False)
        axes[0].set_ylabel("y")
        for axis, method in zip(axes[len(methods) :], methods, strict=True):
            rows = ends[ends["method"] == method]
            share = pd.crosstab(rows["start"], rows["end"], normalize="index").reindex(kinds)
            edge = np.zeros(len(kinds))
            for end, colour in _ENDS.items():
                part = share[end].to_numpy() if end in share else np.zeros(len(kinds))
                axis.barh(range(len(kinds)), part, left=edge, color=colour, height=0.62)
                for place, (start, width) in enumerate(zip(edge, part, strict=True)):
                    if width > 0.08:
                        axis.text(
                            start + width / 2,
                            place,
                            f"{width:.0%}",
                            ha="center",
                            va="center",
                            fontsize=8,
                            color=BLACK if end == "local minimum" else "white",
                        )
                edge += part
            axis.set(xlim=(0, 1), xlabel="share of descents", ylim=(len(kinds) - 0.5, -0.5))
            axis.set_yticks(range(len(kinds)), kinds if axis is axes[len(methods)] else [])
            axis.grid(visible=False)
        axes[len(methods)].set_ylabel("start")
        handles = [
            axes[0].plot(
                [], [], _MARKS.get(end, "."), color=colour, mec=BLACK, ms=9, label=_named(end)
            )[0]
            for end, colour in _ENDS.items()
            if end in set(ends["end"]) | set(_MARKS)
        ]
        count = int(ends.groupby(["start", "method"]).size().iloc[0])
        title = f"Ends, and the Hessian's eigenvalues there ({count} descents of each kind)"
        drawing.legend(handles=handles, loc="outside lower center", ncols=4, title=title)


def _named(end: str) -> str:
    if end not in STATIONARY:
        return end
    values = np.linalg.eigvalsh(hessian(np.array(STATIONARY[end])))
    return f"{end}: {values[0]:.2f}, {values[1]:.2f}".replace("-", "−")


def networks(results: Results, path: Path) -> None:
    """Bias² and variance of networks against their parameters, and of polynomials."""
    table = results.table("variance")
    few = results.polynomials
    few = few[few["measurements"] == few["measurements"].min()]
    noise = results.redrawn["noise"]
    with figure(path, 1, 2, (9.6, 4.6), sharey=True) as (drawing, axes):
        panels = ((few, "Polynomials, least squares"), (table, "Networks of one hidden layer, SGD"))
        for axis, (rows, title) in zip(axes, panels, strict=True):
            for name, label, colour, style, mark in (
                ("bias2", "bias²", BLUE, "--", "s"),
                ("variance", "variance", VERMILION, "-", "o"),
            ):
                axis.plot(
                    rows["parameters"],
                    rows[name],
                    color=colour,
                    ls=style,
                    marker=mark,
                    ms=4,
                    label=label,
                )
                axis.fill_between(
                    rows["parameters"],
                    rows[f"{name}_lower"],
                    rows[f"{name}_upper"],
                    color=colour,
                    alpha=0.15,
                    lw=0,
                )
            axis.axhline(noise**2, color=GREY, ls=":", lw=1.2, label="variance of the noise")
            axis.set(title=title, xscale="log", xlabel="parameters")
        axes[1].plot(
            table["parameters"],
            table["initialisation"],
            color=PURPLE,
            ls="-.",
            lw=1.2,
            label="part of the variance from initial weights and order",
        )
        axes[1].plot(
            table["parameters"],
            table["train"] ** 2,
            color=GREEN,
            lw=1.2,
            label="squared training error",
        )
        axes[0].axvline(few["measurements"].iloc[0], color=GREY, lw=0.8)
        axes[0].annotate(
            "as many as measurements ",
            (few["measurements"].iloc[0], 0.02),
            xycoords=("data", "axes fraction"),
            ha="right",
            fontsize=8,
            color=GREY,
        )
        least = [few["bias2"].min(), table["initialisation"].min(), table["bias2"].min()]
        axes[0].set(yscale="log", ylim=(min(least) / 2, _TOP), ylabel=f"mean square {SQUARE}")
        wide = axes[1].secondary_xaxis("top", functions=(_width, _parameters))
        wide.set_xlabel("width (hidden units)")
        axes[0].set_xticks([2, 5, 10, 20], ["2", "5", "10", "20"])
        axes[0].minorticks_off()
        handles, labels = axes[1].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=3)


def _width(parameters: np.ndarray) -> np.ndarray:
    return np.maximum(parameters - 1, 1e-9) / 4


def _parameters(width: np.ndarray) -> np.ndarray:
    return 4 * width + 1


def local_minima(results: Results, path: Path) -> None:
    """The losses at which many starts end, against the width."""
    table = results.table("starts")
    widths = sorted(table["width"].unique())
    rng = np.random.default_rng(0)  # spreads points sideways only
    with figure(path, 1, 2, (9.6, 4.3), sharey=True) as (_, axes):
        for axis, (column, title) in zip(
            axes, {"loss": "points learned from", "test": "other points"}.items(), strict=True
        ):
            for place, width in enumerate(widths):
                values = table.loc[table["width"] == width, column].to_numpy()
                across = place + rng.uniform(-0.28, 0.28, len(values))
                axis.plot(across, values, ".", color=BLUE, alpha=0.45, ms=5)
                low, middle, high = np.quantile(values, [0.1, 0.5, 0.9])
                axis.plot([place, place], [low, high], color=VERMILION, lw=2)
                axis.plot([place - 0.3, place + 0.3], [middle, middle], color=VERMILION, lw=2)
            axis.set(title=title, yscale="log", xlabel="width (hidden units)")
            axis.set_xticks(range(len(widths)), widths)
            axis.grid(axis="x", visible=False)
        count = int(table.groupby("width").size().iloc[0])
        axes[0].set_ylabel("mean squared error (variances of the function)")
        axes[1].legend(
            [axes[1].plot([], [], ".", color=BLUE)[0], axes[1].plot([], [], color=VERMILION)[0]],
            [f"a start ({count} of each width)", "median, and 10 to 90 %"],
        )


def approximation(results: Results, path: Path) -> None:
    """Error of networks of growing width and depth on a function of two variables."""
    table = results.table("approximation")
    with figure(path, 1, 2, (9.6, 4.2), sharey=True) as (_, axes):
        styles = ((BLUE, "o", "-"), (VERMILION, "s", "--"), (GREEN, "^", "-."), (PURPLE, "v", ":"))
        for number, (depth, rows) in enumerate(table.groupby("depth")):
            colour, mark, style = styles[number % len(styles)]
            label = f"{depth} hidden layer{'s' * (depth > 1)}"
            for axis, column in zip(axes, ("width", "parameters"), strict=True):
                axis.plot(
                    rows[column], rows["error"], mark, color=colour, mfc="none", ms=4, alpha=0.6
                )
                mean = rows.groupby(column)["error"].mean()
                axis.plot(mean.index, mean, color=colour, ls=style, marker=mark, label=label)
        widths = sorted(table["width"].unique())
        axes[0].set(xscale="log", yscale="log", xlabel="width (hidden units of a layer)")
        axes[0].set_xticks(widths, widths)
        axes[0].minorticks_off()
        axes[0].set_ylabel("root mean square error\n(deviations of the function)")
        ticks = [tick for tick in (0.01, 0.03, 0.1, 0.3, 1) if _within(tick, axes[0].get_ylim())]
        axes[0].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes[1].set(xscale="log", xlabel="parameters")
        starts = table["start"].nunique()
        axes[1].legend(title=f"open: each of {starts} networks; line: mean")


def _within(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] <= value <= limits[1]


def magnitude(results: Results, path: Path) -> None:
    """Time that trying all combinations of binary parameters takes."""
    count = np.geomspace(34, PARAMETERS * 4, 200)
    with figure(path, 1, 1, (7.5, 4.4)) as (_, (axis,)):
        axis.plot(count, log10_seconds(count), color=BLUE)
        marks = {"a year": _YEAR, "age of the universe": AGE_OF_UNIVERSE}
        for place, (name, seconds) in enumerate(marks.items()):
            fits = searchable(seconds)
            axis.plot(fits, np.log10(seconds), "o", color=VERMILION, ms=6)
            axis.annotate(
                f"{name}: {fits} parameters",
                (fits, np.log10(seconds)),
                xytext=(14, -8 + 4 * place),
                textcoords="offset points",
                fontsize=9,
            )
        axis.plot(PARAMETERS, log10_seconds(PARAMETERS), "s", color=VERMILION, ms=7)
        axis.annotate(
            f"{number(PARAMETERS)} parameters:\n10^({number(log10_seconds(PARAMETERS))}) s",
            (PARAMETERS, log10_seconds(PARAMETERS)),
            xytext=(-12, -4),
            ha="right",
            textcoords="offset points",
            fontsize=9,
        )
        axis.set(
            xscale="log",
            yscale="log",
            xlabel="binary parameters",
            ylabel="log₁₀ of the seconds of a search",
            title=f"All combinations, {number(RATE)} a second",
        )


FIGURES: dict[str, Callable[[Results, Path], None]] = {
    "bias_variance": bias_variance,
    "optimisation": optimisation,
    "networks": networks,
    "local_minima": local_minima,
    "approximation": approximation,
    "magnitude": magnitude,
}


def illustrate(*, results: Path, figures: list[str], output: Path) -> None:
    """Draw the figures of the experiments.

    Parameters
    ----------
    results
        Folder of the study, results/lecture.
    figures
        Names of the figures to draw.
    output
        Folder for <figure>.svg.
    """
    tables = Results(results)
    for name in figures:
        FIGURES[name](tables, output / f"{name}.svg")


if __name__ == "__main__":
    main(illustrate)
