"""The figures of a data set of the lecture study."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from casestudies.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILION, figure
from casestudies.lecture.models import Model
from casestudies.lecture.summarise import FITS, number, polynomials, truth_at
from casestudies.steps import main
from casestudies.tables import read_metadata, read_table

UNIT = "L/100 km"
COLOURS = {
    "least_squares": VERMILION,
    "gradient_descent": BLUE,
    "momentum": GREEN,
    "sgd": ORANGE,
}
_CUT = 1e3  # errors along a descent beyond are not drawn
_NEAR = 25.0  # consumption up to which predictions are drawn on a linear scale
_BOTTOM, _TOP = 0.03, 10.0  # errors of folds beyond are drawn at the edge, large ones with value
MARKERS = {"least_squares": "o", "gradient_descent": "s", "momentum": "^", "sgd": "v"}
STYLES = {"least_squares": "-", "gradient_descent": "--", "momentum": "-.", "sgd": ":"}


@dataclass(frozen=True)
class Results:
    """The tables of one data set, read from its folder as the workflow lays it out."""

    folder: Path
    scheme: str
    truth_path: Path | None

    @cached_property
    def prepared(self) -> pd.DataFrame:
        return read_table(self.folder / "prepared.parquet", complete=["speed", "consumption"])

    @cached_property
    def curves(self) -> pd.DataFrame:
        return read_table(self.folder / "curves.parquet", complete=["model", "speed", "predicted"])

    @cached_property
    def points(self) -> pd.DataFrame:
        return read_table(self.folder / "extrapolation.parquet", complete=["model", "predicted"])

    @cached_property
    def errors(self) -> pd.DataFrame:
        return read_table(self.folder / f"errors/{self.scheme}.parquet", complete=["model", "step"])

    @cached_property
    def truth(self) -> pd.DataFrame | None:
        return None if self.truth_path is None else read_table(self.truth_path)

    @property
    def predict_at(self) -> float:
        """The speed at which nobody measured (km/h)."""
        return read_metadata(self.folder / "extrapolation.parquet")["speed"]

    @property
    def models(self) -> list[str]:
        return list(self.curves["model"].unique())

    @property
    def counts(self) -> dict[int, str]:
        """The polynomials fitted by least squares, by number of parameters."""
        return polynomials(self.models)

    def of(self, count: int) -> dict[str, str]:
        """Return the polynomials of so many parameters, by how they are fitted."""
        found = {fit: polynomials(self.models, fit).get(count) for fit in FITS}
        return {fit: name for fit, name in found.items() if name is not None}


def fits(results: Results, path: Path) -> None:
    """Every polynomial over the measurements, and where it goes beyond them."""
    counts = results.counts
    measured = results.prepared
    low, high = measured["consumption"].min(), measured["consumption"].max()
    with figure(path, 1, len(counts), (3.3 * len(counts), 4.4), sharey=True) as (drawing, axes):
        for axis, count in zip(axes, counts, strict=True):
            axis.axvspan(measured["speed"].max(), results.predict_at, color="#F0F0F0", lw=0)
            if results.truth is not None:
                axis.plot(
                    results.truth["speed"],
                    results.truth["consumption"],
                    color=GREY,
                    lw=2.5,
                    alpha=0.6,
                    label="truth",
                )
            axis.plot(
                measured["speed"], measured["consumption"], ".", color=BLACK, ms=5, label="measured"
            )
            for fit, name in results.of(count).items():
                line = results.curves[results.curves["model"] == name]
                axis.plot(
                    line["speed"],
                    line["predicted"],
                    color=COLOURS[fit],
                    ls=STYLES[fit],
                    label=FITS[fit],
                )
                if fit == "least_squares":
                    axis.fill_between(
                        line["speed"],
                        line["lower"],
                        line["upper"],
                        color=COLOURS[fit],
                        alpha=0.15,
                        lw=0,
                    )
            axis.set(title=f"{count} parameters", xlabel="speed (km/h)")
            axis.set_xlim(0, results.predict_at)
            # A polynomial may go anywhere beyond the measurements; what leaves the panel is cut.
            axis.set_ylim(max(0, low - 0.4 * (high - low)), high + 0.8 * (high - low))
        axes[0].set_ylabel(f"consumption ({UNIT})")
        handles, labels = axes[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=len(labels))


def validation(results: Results, path: Path) -> None:
    """Training and validation error of every polynomial in every fold."""
    last = results.errors.groupby(["model", "repeat", "fold"], sort=False).last().reset_index()
    counts = results.counts
    size = (2.9 * len(counts) + 1.2, 4.2)
    with figure(path, 1, len(counts), size, sharey=True) as (drawing, axes):
        for axis, count in zip(axes, counts, strict=True):
            names = results.of(count)
            for place, (fit, name) in enumerate(names.items()):
                rows = last[last["model"] == name]
                across = place + np.linspace(-0.24, 0.24, len(rows))
                for x, train, test in zip(across, rows["train"], rows["validation"], strict=True):
                    low, shown = np.clip([train, test], _BOTTOM, _TOP)
                    axis.plot([x, x], [low, shown], color=GREY, lw=0.8)
                    axis.plot(x, low, MARKERS[fit], color=COLOURS[fit], mfc="white", ms=6)
                    axis.plot(x, shown, MARKERS[fit], color=COLOURS[fit], ms=6)
                    if test > _TOP:
                        axis.annotate(
                            number(test),
                            (x, _TOP),
                            xytext=(0, 7),
                            rotation=90,
                            textcoords="offset points",
                            ha="center",
                            fontsize=8,
                        )
            for name, style in (("mean", ":"), ("physics", "--")):
                value = last.loc[last["model"] == name, "validation"].mean()
                axis.axhline(value, color=BLACK, ls=style, lw=1)
            axis.set_title(f"{count} parameters", pad=40)
            axis.set(yscale="log", ylim=(_BOTTOM / 1.15, 1.15 * _TOP))
            axis.set_yticks([0.03, 0.1, 0.3, 1, 3, 10], ["0.03", "0.1", "0.3", "1", "3", "10"])
            axis.set_xticks(
                range(len(names)), [FITS[fit] for fit in names], rotation=30, ha="right"
            )
            axis.grid(axis="x", visible=False)
        axes[0].set_ylabel(f"root mean square error ({UNIT})")
        handles = [
            axes[0].plot([], [], "o", color=GREY, mfc="white", label="training")[0],
            axes[0].plot([], [], "o", color=GREY, label="validation")[0],
            axes[0].plot([], [], ls=":", color=BLACK, lw=1, label="mean, validation")[0],
            axes[0].plot([], [], ls="--", color=BLACK, lw=1, label="physical law, validation")[0],
        ]
        folds = results.errors.groupby(["repeat", "fold"]).ngroups
        title = f"{len(results.prepared)} measurements, {folds} folds"
        drawing.legend(handles=handles, loc="outside lower center", ncols=4, title=title)


def descent(results: Results, path: Path) -> None:
    """Training and validation error along the descents."""
    counts = results.counts
    steps = [fit for fit in FITS if fit != "least_squares"]
    with figure(path, 1, len(counts), (3.3 * len(counts), 3.9), sharey=True) as (drawing, axes):
        for axis, count in zip(axes, counts, strict=True):
            for fit, name in results.of(count).items():
                rows = results.errors[results.errors["model"] == name]
                mean = rows.groupby("step")[["train", "validation"]].mean()
                if fit not in steps:
                    axis.axhline(mean["train"].iloc[-1], color=COLOURS[fit], lw=1, ls="--")
                    axis.axhline(mean["validation"].iloc[-1], color=COLOURS[fit], lw=1)
                    continue
                axis.plot(mean.index + 1, mean["train"], color=COLOURS[fit], ls="--")
                axis.plot(mean.index + 1, mean["validation"], color=COLOURS[fit])
            axis.set(title=f"{count} parameters", xscale="log", yscale="log", xlabel="1 + steps")
        axes[0].set_ylabel(f"root mean square error ({UNIT})")
        axes[0].set_ylim(top=min(axes[0].get_ylim()[1], _CUT))
        handles = [axes[0].plot([], [], color=COLOURS[fit], label=FITS[fit])[0] for fit in FITS]
        handles += [
            axes[0].plot([], [], color=GREY, ls="--", label="training")[0],
            axes[0].plot([], [], color=GREY, label="validation")[0],
        ]
        drawing.legend(handles=handles, loc="outside upper center", ncols=len(handles))


def prediction(results: Results, path: Path) -> None:
    """What every model predicts where nobody measured, and how it scatters."""
    points = results.points
    names = [name for name in results.models if Model(name).form != "mean"]
    at = results.predict_at
    size = (9.6, 1.2 + 0.3 * len(names))
    with figure(path, 1, 2, size, sharey=True) as (_, (near, far)):
        for axis in (near, far):
            _spread(axis, points, names)
            axis.set_xlabel(f"predicted consumption at {at:g} km/h ({UNIT})")
            if results.truth_path is not None:
                truth = truth_at(results.truth_path, at)
                axis.axvline(truth, color=GREY, lw=2.5, alpha=0.6)
                axis.annotate(
                    f"truth {truth:.1f}",
                    (truth, 1),
                    xycoords=("data", "axes fraction"),
                    xytext=(4, 2),
                    textcoords="offset points",
                    color=GREY,
                    fontsize=9,
                )
        near.set_xlim(-_NEAR, 2 * _NEAR)
        near.set_title("near", pad=16)
        far.set_title("all, in powers of ten", pad=16)
        far.set_xscale("symlog", linthresh=_NEAR)
        reach = max(2, int(np.log10(np.abs(far.get_xlim()).max())))
        step = 10 if reach >= 15 else 5
        powers = np.arange(step, reach + 1, step) if reach >= step else np.array([reach])
        ticks = [*(-(10.0 ** powers[::-1])), 0, *10.0**powers]
        far.set_xticks(
            ticks,
            [f"$10^{{{power}}}$".replace("$1", "$-1") for power in powers[::-1]]
            + ["0"]
            + [f"$10^{{{power}}}$" for power in powers],
        )
        far.minorticks_off()


def _spread(axis: Axes, points: pd.DataFrame, names: list[str]) -> None:
    """Draw the prediction of each model with the middle of its bootstrap samples."""
    labels = []
    for place, name in enumerate(names):
        model = Model(name)
        values = points[points["model"] == name].set_index("resample")["predicted"]
        samples = values.drop(index=-1)
        colour = BLACK if model.form == "physics" else COLOURS[model.fit]
        for levels, width in (([0.025, 0.975], 1.5), ([0.25, 0.75], 5)):
            axis.plot(
                np.quantile(samples, levels),
                [place, place],
                color=colour,
                lw=width,
                solid_capstyle="butt",
            )
        axis.plot(values[-1], place, MARKERS[model.fit], color=colour, mfc="white", ms=7, mew=1.5)
        kind = "physical law" if model.form == "physics" else f"{model.parameters} parameters"
        labels.append(f"{kind}, {FITS[model.fit]}")
    axis.set_yticks(range(len(names)), labels)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.grid(axis="y", visible=False)


FIGURES: dict[str, Callable[[Results, Path], None]] = {
    "fits": fits,
    "validation": validation,
    "descent": descent,
    "prediction": prediction,
}


def plot(
    *,
    results: Path,
    scheme: str,
    truth: Path | None = None,
    figures: list[str],
    output: Path,
) -> None:
    """Draw the figures of a data set.

    Parameters
    ----------
    results
        Folder of the data set, results/lecture/<data set>.
    scheme
        Cross-validation scheme.
    truth
        True consumption at every speed (speed, consumption), where it is known.
    figures
        Names of the figures to draw.
    output
        Folder for <figure>.svg.
    """
    tables = Results(results, scheme, truth)
    for name in figures:
        FIGURES[name](tables, output / f"{name}.svg")


if __name__ == "__main__":
    main(plot)
