"""The figures of the glacier study."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from casestudies.figures.shared import (
    instead_of_dot,
    observed_against_predicted,
    score_dots,
    subtitle,
)
from casestudies.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SEQUENTIAL,
    SKY,
    VERMILION,
    figure,
    panel_grid,
)
from casestudies.glacier.results import (
    COLOURS,
    LABELS,
    MODELS,
    Results,
)
from casestudies.steps import main
from casestudies.tables import read_table

UNIT = "m w.e. a$^{-1}$"

LEAKY = "paper_protocol"

PUBLISHED_RMSE = {"logo": 0.514, "loyo": 0.559, "lsygo": 0.513}
"""RMSE of the published network (Bolibar et al. 2020), recomputed from the predictions that the
authors stored with their code (github.com/JordiBolibar/ALPGM, tag v1.0); audit.csv recomputes
logo and loyo."""


def scores(results: Results, path: Path) -> None:
    """RMSE of every model on every scheme, with intervals."""
    order = [model for model in MODELS if model in results.models]
    panel = (3.6, 0.22 * len(order) + 0.8)
    with panel_grid(path, len(results.schemes), panel, (2.2, 0.8), sharey=True) as (drawing, axes):
        for axis, scheme in zip(axes, results.schemes, strict=True):
            rows = results.scores.query("scheme == @scheme and metric == 'rmse'")
            score_dots(axis, rows, order, LABELS, COLOURS, hollow=[LEAKY])
            axis.set(title=results.title(scheme), xlabel=f"RMSE ({UNIT})")
            subtitle(axis, results.sizes(scheme))
            known = PUBLISHED_RMSE.get(scheme, np.inf) if results.published else np.inf
            left, right = min(rows["lower"].min(), known), rows["upper"].max()
            axis.set_xlim(left - 0.05 * (right - left), right + 0.18 * (right - left))
            if results.published and scheme in PUBLISHED_RMSE:
                axis.axvline(PUBLISHED_RMSE[scheme], color=PURPLE, ls=":", lw=1.4)
        handles = [
            Line2D([], [], color=colour, marker="o", label=label)
            for label, colour in (
                ("baseline", GREY),
                ("physics", GREEN),
                ("linear", BLUE),
                ("trees, kernels", ORANGE),
                ("network", VERMILION),
                ("combination", BLACK),
            )
        ]
        if results.has(LEAKY):
            handles.append(
                Line2D([], [], color=PURPLE, marker="o", mfc="white", label="saw the held-out fold")
            )
        if results.published:
            handles.append(Line2D([], [], color=PURPLE, ls=":", label="published"))
        drawing.legend(handles=handles, loc="outside lower center", ncols=4)


def observed_predicted(results: Results, path: Path) -> None:
    """Observed against predicted balance, out of fold."""
    rows, columns = len(results.shown), len(results.schemes)
    with figure(path, rows, columns, (2.35 * columns + 0.4, 2.3 * rows + 0.4)) as (_, axes):
        cells = [(model, scheme) for model in results.shown for scheme in results.schemes]
        for axis, (model, scheme) in zip(axes, cells, strict=True):
            table = results.predictions(scheme, model)
            score = {m: results.score(scheme, m, model)["estimate"] for m in ("rmse", "r2", "bias")}
            note = (
                f"RMSE {score['rmse']:.2f}\nR² {score['r2']:.2f}\n"
                f"bias {score['bias']:+.2f}\nn = {len(table)}"
            )
            observed_against_predicted(
                axis,
                table["observed"].to_numpy(),
                table["predicted"].to_numpy(),
                COLOURS[model],
                note,
            )
            if model == results.shown[0]:
                axis.set_title(results.title(scheme).replace(": ", ":\n"))
            if scheme == results.schemes[0]:
                axis.set_ylabel(f"{LABELS[model]}\npredicted ({UNIT})")
            if model == results.shown[-1]:
                axis.set_xlabel(f"observed ({UNIT})")


def leakage(results: Results, path: Path) -> None:
    """What choosing the checkpoint on the held-out fold is worth."""
    with figure(path, 1, 1, (7.5, 0.8 * len(results.schemes) + 1.4)) as (drawing, (axis,)):
        for position, scheme in enumerate(results.schemes):
            pair = [results.score(scheme, "rmse", m) for m in ("paper_network", LEAKY)]
            for row, colour, shift in zip(pair, (VERMILION, PURPLE), (-0.13, 0.13), strict=True):
                y = position + shift
                axis.plot([row["lower"], row["upper"]], [y, y], color=colour, lw=2)
                face = "white" if colour == PURPLE else colour
                axis.plot(row["estimate"], y, "o", color=colour, mfc=face, mew=1.6, ms=7)
            gain = pair[0]["estimate"] - pair[1]["estimate"]
            axis.annotate(
                f"{gain:+.2f}",
                (max(r["upper"] for r in pair), position),
                xytext=(8, 0),
                textcoords="offset points",
                va="center",
                weight="bold",
            )
            if results.published and scheme in PUBLISHED_RMSE:
                axis.plot(PUBLISHED_RMSE[scheme], position, "D", color=BLACK, ms=6)
        axis.set_yticks(range(len(results.schemes)), [results.title(s) for s in results.schemes])
        axis.set_ylim(len(results.schemes) - 0.5, -0.5)
        axis.margins(x=0.12)
        axis.grid(axis="y", visible=False)
        axis.set_xlabel(f"RMSE ({UNIT}); bold: how much the leak flatters")
        handles = [
            Line2D([], [], color=VERMILION, marker="o", label="epoch chosen by inner folds"),
            Line2D(
                [],
                [],
                color=PURPLE,
                marker="o",
                mfc="white",
                label="epoch chosen on the held-out fold",
            ),
        ]
        if results.published:
            handles.append(Line2D([], [], color=BLACK, marker="D", ls="", label="published"))
        drawing.legend(handles=handles, loc="outside lower center", ncols=3)


def errors_by_year(results: Results, path: Path) -> None:
    """Bias of every year when it is held out, beside the number of observations."""
    scheme = "loyo"
    tables = {model: results.predictions(scheme, model) for model in results.shown}
    with figure(path, 2, 1, (9, 5.2), sharex=True, height_ratios=[3, 1]) as (drawing, axes):
        for model, table in tables.items():
            error = (table["predicted"] - table["observed"]).groupby(table["year"])
            axes[0].plot(
                error.mean(),
                "o-",
                color=COLOURS[model],
                ms=4,
                label=f"{LABELS[model]} (RMSE of year means "
                f"{np.sqrt((error.mean() ** 2).mean()):.2f})",
            )
        axes[0].axhline(0, color=BLACK, lw=0.8)
        axes[0].set_ylabel(f"mean error of the year\n({UNIT})")
        axes[0].set_title("each year predicted by models that never saw it")
        drawing.legend(ncols=2, loc="outside lower center")
        counts = next(iter(tables.values())).groupby("year").size()
        axes[1].bar(counts.index, counts, color=SKY)
        axes[1].set(xlabel="hydrological year", ylabel="glaciers\nobserved")


def errors_by_glacier(results: Results, path: Path) -> None:
    """RMSE of every glacier when it is held out."""
    tables = {m: results.predictions("logo", m) for m in results.shown}
    rmse = pd.DataFrame(
        {
            model: ((t["predicted"] - t["observed"]) ** 2).groupby(t["name"]).mean() ** 0.5
            for model, t in tables.items()
        }
    )
    counts = next(iter(tables.values())).groupby("name").size()
    rmse = rmse.sort_values(results.shown[-1])
    with figure(path, 1, 1, (8, 0.21 * len(rmse) + 1.4)) as (drawing, (axis,)):
        y = np.arange(len(rmse))
        axis.hlines(y, rmse.min(axis=1), rmse.max(axis=1), color="#BBBBBB", lw=1)
        for model in results.shown:
            ring = model == "chosen"  # it is often the model whose mark it would hide
            style = {"mfc": "none", "ms": 8} if ring else {"ms": 5}
            axis.plot(rmse[model], y, "o", color=COLOURS[model], label=LABELS[model], **style)
        axis.set_yticks(y, [f"{name} ({counts[name]})" for name in rmse.index], fontsize=8)
        axis.set_ylim(-0.7, len(rmse) - 0.3)
        axis.set(xlabel=f"RMSE of the held-out glacier ({UNIT}); in brackets: years observed")
        drawing.legend(loc="outside lower center", ncols=3)


def cumulative(results: Results, path: Path) -> None:
    """Cumulative mass balance of the longest-observed glaciers, each never seen in training."""
    model = results.network or results.shown[-1]
    table = results.predictions("logo", model, observed=False)
    counts = table.groupby("name")["observed"].count().sort_values(ascending=False)
    names = list(counts.index[:4])
    with figure(path, 2, 2, (9, 6), sharex=True) as (drawing, axes):
        for axis, name in zip(axes, names, strict=True):
            rows = table[table["name"] == name].sort_values("year")
            first = rows.loc[rows["observed"].notna(), "year"].min()
            rows = rows[rows["year"] >= first]
            between, within = _error_components(table[table["name"] != name])
            years = np.arange(1, len(rows) + 1)
            # 1.645: the 95th percentile of the normal distribution, for a 90 % band
            half = 1.645 * np.sqrt(between**2 * years**2 + within**2 * years)
            total = rows["predicted"].cumsum().to_numpy()
            axis.fill_between(
                rows["year"], total - half, total + half, color=COLOURS[model], alpha=0.2, lw=0
            )
            axis.plot(rows["year"], total, color=COLOURS[model])
            # Unobserved years are bridged with the prediction, so that the curves stay comparable.
            bridged = rows["observed"].fillna(rows["predicted"]).cumsum()
            seen = rows["observed"].notna().to_numpy()
            axis.plot(rows["year"], bridged, color=BLACK, lw=1, alpha=0.5)
            axis.plot(rows["year"][seen], bridged[seen], ".", color=BLACK, ms=4)
            axis.set_title(f"{name} ({seen.sum()} of {len(rows)} years observed)")
        for axis in axes[::2]:
            axis.set_ylabel("cumulative balance (m w.e.)")
        for axis in axes[2:]:
            axis.set_xlabel("hydrological year")
        handles = [
            Line2D([], [], color=BLACK, marker=".", label="observed (gaps bridged by the model)"),
            Line2D([], [], color=COLOURS[model], label=f"{LABELS[model]}, glacier held out"),
            Patch(color=COLOURS[model], alpha=0.2, label="90 % band"),
        ]
        drawing.legend(handles=handles, loc="outside lower center", ncols=3)


def _error_components(table: pd.DataFrame) -> tuple[float, float]:
    """Return standard deviations of the error: between glaciers, and of years within them.

    One-way random effects by the method of moments (Searle, Casella and McCulloch 1992, ch. 3).
    """
    known = table[table["observed"].notna()]
    error = (known["predicted"] - known["observed"]).groupby(known["glacier"])
    sizes, groups = error.size(), error.ngroups
    within = (error.var() * (sizes - 1)).sum() / (sizes - 1).sum()
    grand = (known["predicted"] - known["observed"]).mean()
    mean_square = (sizes * (error.mean() - grand) ** 2).sum() / (groups - 1)
    effective = (sizes.sum() - (sizes**2).sum() / sizes.sum()) / (groups - 1)
    # The mean over glaciers is an error, too: it adds to what a new glacier may be off by.
    between = max((mean_square - within) / effective, 0) + grand**2
    return float(np.sqrt(between)), float(np.sqrt(within))


def coverage(results: Results, path: Path) -> None:
    """Coverage of the prediction intervals, over all and year by year."""
    order = [model for model in MODELS if model in results.models]
    shown = results.coverage.query("samples >= 5")
    left = shown["coverage"].min() - 0.05
    panel = (3.6, 0.22 * len(order) + 0.8)
    with panel_grid(path, len(results.schemes), panel, (2.2, 0.8), sharey=True) as (drawing, axes):
        for axis, scheme in zip(axes, results.schemes, strict=True):
            table = results.coverage.query("scheme == @scheme")
            axis.axvspan(0.86, 0.94, color="#EDEDED", zorder=0)
            for position, model in enumerate(order):
                rows = table[table["model"] == model]
                groups = rows[(rows["unit"] != "all") & (rows["samples"] >= 5)]
                axis.plot(
                    groups["coverage"],
                    np.full(len(groups), position),
                    "|",
                    color=COLOURS[model],
                    alpha=0.35,
                    ms=9,
                )
                whole = rows[rows["unit"] == "all"]
                if whole["samples"].sum() == 0:
                    instead_of_dot(axis, position, "no intervals")
                else:
                    face = "white" if model == LEAKY else COLOURS[model]
                    axis.plot(
                        whole["coverage"],
                        position,
                        "o",
                        color=COLOURS[model],
                        mfc=face,
                        ms=7,
                        mew=1.6,
                    )
            axis.axvline(0.9, color=BLACK, lw=1)
            axis.set_yticks(range(len(order)), [LABELS[m] for m in order])
            axis.set_ylim(len(order) - 0.4, -0.6)
            axis.grid(axis="y", visible=False)
            axis.set(title=results.title(scheme), xlabel="coverage", xlim=(left, 1.03))
            subtitle(axis, results.sizes(scheme))
        handles = [
            Line2D([], [], color=GREY, marker="o", ls="", label="all observations"),
            Line2D(
                [],
                [],
                color=GREY,
                marker="|",
                ls="",
                ms=9,
                label="one year or glacier (≥ 5 observations)",
            ),
            Patch(color="#EDEDED", label="0.86 to 0.94"),
        ]
        drawing.legend(handles=handles, loc="outside lower center", ncols=3)


def glacier_map(results: Results, path: Path) -> None:
    """Where the glaciers are: their mean balance, and how well each is predicted unseen."""
    model = results.network or results.shown[-1]
    table = results.predictions("logo", model)
    error = (table["predicted"] - table["observed"]).groupby(table["glacier"])
    about = results.prepared.groupby("glacier").agg(
        longitude=("longitude", "first"),
        latitude=("latitude", "first"),
        massif=("massif", "first"),
        area=("area", "mean"),
    )
    about = about.join(
        pd.DataFrame(
            {
                "balance": table.groupby("glacier")["observed"].mean(),
                "bias": error.mean(),
            }
        )
    ).dropna()
    panels = [
        ("balance", SEQUENTIAL, f"mean observed balance ({UNIT})", None),
        (
            "bias",
            "RdBu",
            f"mean error, {LABELS[model]} ({UNIT})",
            float(about["bias"].abs().max()),
        ),
    ]
    with figure(path, 1, 2, (8.4, 6.4), sharey=True) as (drawing, axes):
        for axis, (column, colours, label, limit) in zip(axes, panels, strict=True):
            marks = axis.scatter(
                about["longitude"],
                about["latitude"],
                c=about[column],
                cmap=colours,
                s=_mark(about["area"]),
                edgecolor=BLACK,
                lw=0.6,
                vmin=None if limit is None else -limit,
                vmax=limit,
                zorder=3,
            )
            drawing.colorbar(
                marks, ax=axis, orientation="horizontal", label=label, shrink=0.95, pad=0.02
            )
            for massif, rows in about.groupby("massif"):
                axis.annotate(
                    massif,
                    (rows["longitude"].mean(), rows["latitude"].max()),
                    xytext=(0, 12),
                    textcoords="offset points",
                    ha="center",
                    fontsize=8,
                    color=GREY,
                )
            axis.set(xlabel="longitude (° E)", title=f"{len(about)} glaciers")
            axis.set_aspect(1 / np.cos(np.deg2rad(about["latitude"].mean())))
            axis.margins(0.12)
        axes[0].set_ylabel("latitude (° N)")
        handles = [
            axes[0].scatter([], [], s=_mark(area), color="white", edgecolor=BLACK, lw=0.6)
            for area in _AREAS
        ]
        labels = [f"{area} km²" for area in _AREAS]
        drawing.legend(handles, labels, loc="outside lower center", ncols=len(labels))


_AREAS = (1, 5, 20)
"""Areas of the marks in the legend of the map (km²)."""


def _mark(area: Any) -> Any:
    """Return the size of the mark of a glacier of an area in km²."""
    return 30 + 54 * np.sqrt(area)


def training_curves(results: Results, path: Path) -> None:
    """Error of the published network along its training: training rows, inner, held-out folds."""
    curves = {s: results.folder / "curves" / s / "paper_network.parquet" for s in results.schemes}
    parts = [
        ("train", GREY, "training rows"),
        ("inner", BLUE, "inner folds"),
        ("held_out", VERMILION, "held-out folds"),
    ]
    with panel_grid(path, len(curves), (4.2, 2.5), (0.6, 0.4), sharey=True) as (drawing, axes):
        for axis, (scheme, file) in zip(axes, curves.items(), strict=True):
            table = read_table(file, columns=["steps", "train", "inner", "held_out"])
            for column, colour, _ in parts:
                axis.plot(table["steps"], table[column], color=colour)
            best = table.loc[table["inner"].idxmin(), "steps"]
            axis.axvline(best, color=BLUE, ls=":", lw=1.2)
            axis.set(title=results.title(scheme), xlabel="gradient steps", ylim=(0, 2))
        for axis in axes[::2]:
            axis.set_ylabel(f"RMSE ({UNIT})")
        handles = [Line2D([], [], color=colour, label=label) for _, colour, label in parts]
        handles.append(Line2D([], [], color=BLUE, ls=":", label="smallest inner error, all folds"))
        drawing.legend(handles=handles, loc="outside lower center", ncols=4)


STYLES = {
    "degree_day": ("-", "s"),
    "lasso": ("--", "v"),
    "ridge_regional": ("-", "o"),
    "extra_trees": ("-", "^"),
    "deep_ensemble": ("-", "D"),
}


def responses(results: Results, path: Path) -> None:
    """Change of the balance with summer temperature and winter snow, by model."""
    table = read_table(results.folder / "responses.parquet", complete=["model", "variable"])
    ranges = _observed_ranges(results.prepared)
    labels = {
        "summer temperature": "change of the summer temperature (K)",
        "winter snow": "change of the winter snow (%)",
    }
    with figure(path, 1, 2, (9, 4.2), sharey=True) as (drawing, axes):
        for axis, (variable, label) in zip(axes, labels.items(), strict=True):
            scale = 100 if variable == "winter snow" else 1
            low, high = (scale * value for value in ranges[variable])
            axis.axvspan(low, high, color="#EDEDED", zorder=0)
            for model, rows in table[table["variable"] == variable].groupby("model", sort=False):
                line, marker = STYLES[model]
                x = scale * rows["change"]
                axis.plot(x, rows["balance"], line, marker=marker, ms=5, color=COLOURS[model])
                axis.fill_between(x, rows["lower"], rows["upper"], color=COLOURS[model], alpha=0.1)
            axis.axhline(0, color=BLACK, lw=0.8)
            axis.axvline(0, color=BLACK, lw=0.8)
            axis.set_xlabel(label)
        axes[0].set_ylabel(f"change of the mean balance\n({UNIT})")
        handles = [
            Line2D([], [], color=COLOURS[m], ls=STYLES[m][0], marker=STYLES[m][1], label=LABELS[m])
            for m in table["model"].unique()
        ]
        handles.append(Patch(color="#EDEDED", label="range of observed regional means"))
        drawing.legend(handles=handles, loc="outside lower center", ncols=3)


def _observed_ranges(prepared: pd.DataFrame) -> dict[str, tuple[float, float]]:
    """Return how far the regional mean of a year has been from the mean of all years."""
    years = prepared.groupby("year")[
        ["temperature_jun", "temperature_jul", "temperature_aug", "winter_snow"]
    ].mean()
    summer = years.iloc[:, :3].mean(axis=1)
    snow = years["winter_snow"] / years["winter_snow"].mean() - 1
    return {
        "summer temperature": (
            float((summer - summer.mean()).min()),
            float((summer - summer.mean()).max()),
        ),
        "winter snow": (float(snow.min()), float(snow.max())),
    }


def importance(results: Results, path: Path) -> None:
    """Growth of the error when a group of predictors is shuffled, years held out."""
    table = read_table(results.folder / "importance.parquet", complete=["model", "group"])
    groups = list(table["group"].unique())
    models = list(table["model"].unique())
    with figure(path, 1, 1, (8, 0.55 * len(groups) * max(1, len(models) / 3) + 1)) as (
        drawing,
        (axis,),
    ):
        height = 0.8 / len(models)
        for k, model in enumerate(models):
            grouped = table[table["model"] == model].groupby("group")["increase"]
            mean, low, high = (getattr(grouped, f)().loc[groups] for f in ("mean", "min", "max"))
            y = np.arange(len(groups)) + (k - (len(models) - 1) / 2) * height
            axis.plot(mean, y, STYLES[model][1], color=COLOURS[model], ms=6, label=LABELS[model])
            axis.hlines(y, low, high, color=COLOURS[model], lw=1.5)
        axis.axvline(0, color=BLACK, lw=0.8)
        axis.set_yticks(range(len(groups)), groups)
        axis.set_ylim(len(groups) - 0.5, -0.5)
        axis.grid(axis="y", visible=False)
        axis.set_xlabel(
            f"increase of the RMSE when shuffled ({UNIT}); bars: range of "
            f"{table['shuffle'].nunique()} shuffles"
        )
        drawing.legend(loc="outside lower center", ncols=3)


FIGURES: dict[str, Callable[[Results, Path], None]] = {
    "scores": scores,
    "observed_predicted": observed_predicted,
    "leakage": leakage,
    "errors_by_year": errors_by_year,
    "errors_by_glacier": errors_by_glacier,
    "cumulative": cumulative,
    "coverage": coverage,
    "map": glacier_map,
    "training_curves": training_curves,
    "responses": responses,
    "importance": importance,
}


def plot(
    *, results: Path, schemes: list[str], models: list[str], figures: list[str], output: Path
) -> None:
    """Draw the figures of the glacier study.

    Parameters
    ----------
    results
        Folder of the data set, results/glacier/<data set>.
    schemes
        Cross-validation schemes, in the order of the panels.
    models
        Models that were scored.
    figures
        Names of the figures to draw.
    output
        Folder for <figure>.svg.
    """
    tables = Results(results, schemes, models)
    for name in figures:
        FIGURES[name](tables, output / f"{name}.svg")


if __name__ == "__main__":
    main(plot)
