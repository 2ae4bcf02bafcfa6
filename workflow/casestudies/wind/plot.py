"""The figures of the wind study."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LightSource
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, NullFormatter, NullLocator, ScalarFormatter

from casestudies.figures.shared import observed_against_predicted, score_dots, subtitle
from casestudies.figures.style import (
    BLACK,
    BLUE,
    DIVERGING,
    GREY,
    ORANGE,
    SEQUENTIAL,
    VERMILION,
    figure,
    panel_grid,
)
from casestudies.steps import main
from casestudies.tables import read_table
from casestudies.wind import RANDOM_FIELD
from casestudies.wind.features import cell_heights
from casestudies.wind.results import COLOURS, LABELS, MARKERS, MODELS, Results

SHOWN = ("surrogate", "gradient_boosting", "ridge", "mass_consistent", "linear", "log_law")
"""Models of the figures that would be crowded with all."""
PLACES = ("level", "windward", "ridge", "lee")
_CASES = {"good": 0.1, "median": 0.5, "bad": 0.9}
_PERCENT = 100.0


def _shown(results: Results) -> list[str]:
    return [model for model in SHOWN if model in results.models]


def _hillshade(axis: Axes, elevation: np.ndarray, spacing: float) -> None:
    """Draw the relief of a terrain, heights at nodes (m), axes in km."""
    height = cell_heights(elevation)
    extent = _extent(height.shape, spacing)
    light = LightSource(azdeg=315, altdeg=45).hillshade(height, 1.5, spacing, -spacing)
    axis.imshow(light, cmap="gray", origin="lower", extent=extent, vmin=0, vmax=1.1, alpha=0.5)
    _contours(axis, elevation, spacing)


def _contours(axis: Axes, elevation: np.ndarray, spacing: float) -> None:
    height = cell_heights(elevation)
    ny, nx = height.shape
    x, y = ((np.arange(n) + 0.5) * spacing / 1000 for n in (nx, ny))
    lines = axis.contour(x, y, height, 6, colors=BLACK, linewidths=0.5, alpha=0.6)
    axis.clabel(lines, fontsize=6, fmt="%.0f")


def _extent(shape: tuple[int, ...], spacing: float) -> tuple[float, float, float, float]:
    return 0, shape[1] * spacing / 1000, 0, shape[0] * spacing / 1000


def _bare(axis: Axes) -> None:
    axis.grid(visible=False)
    axis.set(xticks=[], yticks=[], aspect="equal")
    axis.spines[:].set_visible(False)


# ---------------------------------------------------------------------------------------- scores


def scores(results: Results, path: Path) -> None:
    """Root mean square error of every model on every scheme, with intervals."""
    order = [model for model in MODELS if model in results.models]
    panel = (3.2, 0.3 * len(order) + 1.2)
    with panel_grid(path, len(results.schemes), panel, (2.6, 0), sharey=True) as (_, axes):
        for axis, scheme in zip(axes, results.schemes, strict=True):
            rows = results.scores.query("scheme == @scheme and metric == 'rmse'").copy()
            bounds = ["estimate", "lower", "upper"]
            rows[bounds] *= _PERCENT
            score_dots(axis, rows, order, LABELS, COLOURS)
            axis.set_xlim(0, rows["upper"].max() * 1.25)
            axis.set_xlabel("RMSE of speed (% of inflow)")
            axis.set_title(results.title(scheme))
            subtitle(axis, f"n = {rows['samples'].max()} terrains")


def coverage(results: Results, path: Path) -> None:
    """Share of cells that the prediction intervals hold, by model and scheme."""
    table = read_table(results.folder / "coverage.csv", complete=["scheme", "model", "coverage"])
    table = table[table["unit"] == "all"]
    order = [model for model in MODELS if model in set(table["model"])]
    lowest = 10 * int(min(7.0, _PERCENT * table["coverage"].min() / 10 - 0.2))
    panel = (3.2, 0.3 * len(order) + 1.2)
    with panel_grid(path, len(results.schemes), panel, (2.6, 0), sharey=True) as (_, axes):
        for axis, scheme in zip(axes, results.schemes, strict=True):
            rows = table[table["scheme"] == scheme].set_index("model")
            for position, model in enumerate(order):
                if model in rows.index:
                    value = _PERCENT * rows.loc[model, "coverage"]
                    width = _PERCENT * rows.loc[model, "width"]
                    axis.plot(value, position, MARKERS[model], color=COLOURS[model], ms=7)
                    axis.annotate(
                        f"width {width:.0f} %",
                        (1.0, position),
                        xycoords=("axes fraction", "data"),
                        ha="right",
                        va="center",
                        fontsize=8,
                        color=GREY,
                    )
            axis.axvline(_PERCENT * results.nominal, color=BLACK, lw=1)
            axis.set_yticks(range(len(order)), [LABELS[model] for model in order])
            axis.set_ylim(len(order) - 0.4, -0.6)
            axis.set_xlim(lowest, 100 + 0.27 * (100 - lowest))
            axis.set_xticks(range(lowest, 101, 10))
            axis.grid(axis="y", visible=False)
            axis.set_xlabel("cells inside their interval (%)")
            axis.set_title(results.title(scheme))
            terrains = results.score(scheme, "rmse", order[0])["samples"]
            subtitle(axis, f"n = {int(terrains)} terrains")


# ----------------------------------------------------------------------------------------- fields


def gallery(results: Results, path: Path) -> None:
    """Terrain, flow of the costly model, prediction and error: a good, a median, a bad terrain."""
    found = results.predictions(results.schemes[0], "surrogate")
    order = np.argsort(found.rmse)
    box, fields = results.box, results.fields
    spacing = fields.attrs["spacing"]
    shape = tuple(part.stop - part.start for part in box)
    rows = [order[round(share * (len(order) - 1))] for share in _CASES.values()]
    low = min(found.observed[rows].min(), found.predicted[rows].min())
    high = max(found.observed[rows].max(), found.predicted[rows].max())
    most = np.abs(found.predicted[rows] - found.observed[rows]).max()
    nodes = tuple(slice(part.start, part.stop + 1) for part in box)
    with figure(path, len(rows), 4, (9.4, 2.35 * len(rows) + 0.9)) as (drawing, axes):
        grid = np.reshape(axes, (len(rows), 4))
        for (name, _), row, panels in zip(_CASES.items(), rows, grid, strict=True):
            elevation = fields["elevation"].sel(terrain=found.names[row]).to_numpy()[nodes]
            _hillshade(panels[0], elevation, spacing)
            extent = _extent(shape, spacing)
            observed, predicted = (
                part[row].reshape(shape) for part in (found.observed, found.predicted)
            )
            for axis, values in zip(panels[1:3], (observed, predicted), strict=True):
                speed = axis.imshow(
                    values, origin="lower", extent=extent, cmap=SEQUENTIAL, vmin=low, vmax=high
                )
            error = panels[3].imshow(
                _PERCENT * (predicted - observed),
                origin="lower",
                extent=extent,
                cmap=DIVERGING,
                vmin=-_PERCENT * most,
                vmax=_PERCENT * most,
            )
            for axis in panels:
                _bare(axis)
            panels[0].set_ylabel(f"{name}: RMSE {_PERCENT * found.rmse[row]:.1f} %", fontsize=9)
        names = ("terrain (height, m)", results.solver, "network", "network − model")
        for axis, title in zip(grid[0], names, strict=True):
            axis.set_title(title)
        _scale_bar(grid[-1, 0], extent)
        drawing.colorbar(
            speed,
            ax=list(grid[:, 1:3].ravel()),
            location="bottom",
            shrink=0.7,
            label=f"speed at {results.height:.0f} m over inflow speed",
        )
        drawing.colorbar(
            error, ax=list(grid[:, 3]), location="bottom", shrink=0.9, label="% of inflow speed"
        )


def _scale_bar(axis: Axes, extent: tuple[float, float, float, float]) -> None:
    """Draw the length scale and the direction of the wind below a panel."""
    axis.annotate(
        f"wind →   width {extent[1]:.1f} km",
        (0, -0.03),
        xycoords="axes fraction",
        va="top",
        fontsize=8,
        color=GREY,
    )


def streamlines(results: Results, path: Path) -> None:
    """Streamlines over the terrain of median error: costly model and network."""
    found = results.predictions(results.schemes[0], "surrogate")
    row = np.argsort(found.rmse)[len(found.rmse) // 2]
    box, fields = results.box, results.fields
    spacing = fields.attrs["spacing"]
    shape = tuple(part.stop - part.start for part in box)
    nodes = tuple(slice(part.start, part.stop + 1) for part in box)
    elevation = fields["elevation"].sel(terrain=found.names[row]).to_numpy()[nodes]
    x, y = ((np.arange(n) + 0.5) * spacing / 1000 for n in shape[::-1])
    pairs = (
        (results.solver, results.truth("u", found)[row], results.truth("v", found)[row]),
        ("network, which never saw this terrain", found.u[row], found.v[row]),
    )
    speeds = [np.hypot(u, v) for _, u, v in pairs]
    limits = (min(s.min() for s in speeds), max(s.max() for s in speeds))
    with figure(path, 1, 2, (9.4, 5.1), sharey=True) as (drawing, axes):
        for axis, (title, u, v), speed in zip(axes, pairs, speeds, strict=True):
            image = axis.imshow(
                speed.reshape(shape),
                origin="lower",
                extent=_extent(shape, spacing),
                cmap=SEQUENTIAL,
                vmin=limits[0],
                vmax=limits[1],
                interpolation="bilinear",
            )
            _contours(axis, elevation, spacing)
            axis.streamplot(
                x,
                y,
                u.reshape(shape),
                v.reshape(shape),
                color="white",
                linewidth=0.9,
                density=1.3,
                arrowsize=0.9,
            )
            axis.set(xlabel="distance downwind (km)", title=title, aspect="equal")
            axis.grid(visible=False)
        axes[0].set_ylabel("distance across the wind (km)")
        drawing.colorbar(
            image,
            ax=axes,
            location="bottom",
            shrink=0.5,
            label=f"speed at {results.height:.0f} m over inflow speed",
        )


def observed_predicted(results: Results, path: Path) -> None:
    """Speed predicted against that of the costly model, cell by cell."""
    scheme = results.schemes[0]
    models = _shown(results)
    rng = np.random.default_rng(0)
    columns, share = min(3, len(models)), {"sharex": True, "sharey": True}
    limits = []
    with panel_grid(path, len(models), (3.1, 3.2), columns=columns, **share) as (_, axes):
        for axis, model in zip(axes, models, strict=True):
            found = results.predictions(scheme, model)
            cells = rng.choice(found.observed.size, min(3000, found.observed.size), replace=False)
            row = results.score(scheme, "rmse", model)
            note = (
                f"RMSE {_PERCENT * row['estimate']:.1f} % of inflow\n"
                f"R² {results.score(scheme, 'r2', model)['estimate']:.2f}\n"
                f"{int(row['samples'])} terrains"
            )
            observed, predicted = found.observed.ravel()[cells], found.predicted.ravel()[cells]
            observed_against_predicted(axis, observed, predicted, COLOURS[model], note)
            axis.set_title(LABELS[model])
            limits.append(axis.get_xlim())
        low, high = min(low for low, _ in limits), max(high for _, high in limits)
        axes[0].set(xlim=(low, high), ylim=(low, high))
        for axis in axes[-columns:]:
            axis.set_xlabel(f"{results.solver}\n(speed over inflow)")
            axis.tick_params(labelbottom=True)  # also above an empty place
        for axis in axes[::columns]:
            axis.set_ylabel("predicted (speed over inflow)")


def positions(results: Results, path: Path) -> None:
    """Errors of speed and direction by place on the slope."""
    table = read_table(results.folder / "positions.csv", complete=["scheme", "model", "position"])
    table = table[table["scheme"] == results.schemes[0]]
    models = _shown(results)
    panels = {
        "speed_rmse": ("RMSE of speed (% of inflow)", _PERCENT),
        "direction_mae": ("mean error of direction (°)", 1.0),
    }
    with figure(path, 1, 2, (9.4, 4.2)) as (drawing, axes):
        for axis, (metric, (label, unit)) in zip(axes, panels.items(), strict=True):
            rows = table[table["metric"] == metric].set_index(["model", "position"])
            for k, model in enumerate(models):
                shift = 0.8 * ((k + 0.5) / len(models) - 0.5)
                for place, name in enumerate(PLACES):
                    if (model, name) not in rows.index:
                        continue
                    row = rows.loc[(model, name)]
                    ends = [unit * row["lower"], unit * row["upper"]]
                    axis.plot([place + shift] * 2, ends, color=COLOURS[model], lw=2)
                    axis.plot(
                        place + shift,
                        unit * row["estimate"],
                        MARKERS[model],
                        color=COLOURS[model],
                        ms=6,
                    )
            cells = {
                name: rows.xs(name, level="position")["cells"].max()
                for name in PLACES
                if name in rows.index.get_level_values("position")
            }
            names = [f"{name}\n{cells.get(name, 0)} cells" for name in PLACES]
            axis.set_xticks(range(len(PLACES)), names)
            axis.set_ylim(0, None)
            axis.set_ylabel(label)
            axis.grid(axis="x", visible=False)
        handles = [
            Line2D([], [], color=COLOURS[m], marker=MARKERS[m], label=LABELS[m]) for m in models
        ]
        drawing.legend(handles=handles, loc="outside lower center", ncols=3)


def spectrum(fields: np.ndarray, spacing: float) -> tuple[np.ndarray, np.ndarray]:
    """Return wavelengths and the mean power of square fields around rings of wavenumber.

    Parameters
    ----------
    fields
        (n, ny, nx); the mean of each is taken off, and a Hann window laid on.
    spacing
        Size of a cell (m).

    Returns
    -------
    Wavelength (m), (k,), descending; power of each field, (n, k).
    """
    ny, nx = fields.shape[1:]
    window = np.outer(np.hanning(ny + 2)[1:-1], np.hanning(nx + 2)[1:-1])
    centred = (fields - fields.mean(axis=(1, 2), keepdims=True)) * window
    power = np.abs(np.fft.fft2(centred)) ** 2
    radius = np.hypot(np.fft.fftfreq(ny)[:, None] * ny, np.fft.fftfreq(nx) * nx * ny / nx)
    rings = np.rint(radius).astype(int).ravel()
    count = np.bincount(rings)
    kept = np.arange(1, ny // 2 + 1)
    summed = np.stack([np.bincount(rings, one.ravel()) for one in power])
    return ny * spacing / kept, summed[:, kept] / count[kept]


def spectra(results: Results, path: Path) -> None:
    """Power of the speed by wavelength, and how much of it each model has."""
    scheme, spacing = results.schemes[0], results.fields.attrs["spacing"]
    shape = tuple(part.stop - part.start for part in results.box)
    models = [model for model in _shown(results) if model != "log_law"]
    with figure(path, 1, 2, (9.4, 4.4)) as (drawing, axes):
        truth = None
        for model in models:
            found = results.predictions(scheme, model)
            if truth is None:
                length, truth = spectrum(found.observed.reshape(-1, *shape), spacing)
                axes[0].loglog(length, truth.mean(axis=0), color=BLACK, lw=3.5, alpha=0.35)
            power = spectrum(found.predicted.reshape(-1, *shape), spacing)[1]
            style = {"color": COLOURS[model], "marker": MARKERS[model], "ms": 4, "lw": 1.3}
            axes[0].loglog(length, power.mean(axis=0), **style)
            axes[1].loglog(length, power.mean(axis=0) / truth.mean(axis=0), **style)
        axes[1].axhline(1, color=BLACK, lw=3.5, alpha=0.35)
        axes[1].set_ylim(0.1, 10)
        axes[1].set_yticks([0.1, 0.2, 0.5, 1, 2, 5, 10])
        axes[1].yaxis.set_major_formatter(ScalarFormatter())
        axes[1].yaxis.set_minor_formatter(NullFormatter())
        axes[0].set_ylabel("power of the speed (arbitrary units)")
        axes[1].set_ylabel(f"power over that of the {results.solver}")
        for axis in axes:
            axis.set_xlabel("wavelength (m)")
            axis.xaxis.set_major_formatter(ScalarFormatter())
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.set_xticks([t for t in (100, 200, 500, 1000, 2000) if t <= length.max() * 1.01])
            axis.invert_xaxis()
        handles = [
            Line2D([], [], color=BLACK, lw=3.5, alpha=0.35, label=results.solver),
            *(Line2D([], [], color=COLOURS[m], marker=MARKERS[m], label=LABELS[m]) for m in models),
        ]
        drawing.legend(handles=handles, loc="outside lower center", ncols=3)


# ------------------------------------------------------------------------------ cost and learning


def learning_curve(results: Results, path: Path) -> None:
    """Error against the number of training terrains."""
    table = read_table(results.folder / "learning.csv", complete=["model", "terrains", "estimate"])
    with figure(path, 1, 1, (6.4, 4.2)) as (_, (axis,)):
        for model, rows in table.groupby("model"):
            rows = rows.sort_values("terrains")
            axis.fill_between(
                rows["terrains"],
                _PERCENT * rows["lower"],
                _PERCENT * rows["upper"],
                color=COLOURS[model],
                alpha=0.15,
                lw=0,
            )
            axis.plot(
                rows["terrains"],
                _PERCENT * rows["estimate"],
                marker=MARKERS[model],
                color=COLOURS[model],
                label=LABELS[model],
            )
        counts = sorted(table["terrains"].unique())
        axis.set_xscale("log")
        axis.set_xticks(counts, [f"{count:.0f}" for count in counts])
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_ylim(0, None)
        axis.set(xlabel="training terrains", ylabel="RMSE of speed (% of inflow)")
        axis.legend()


def pareto(results: Results, path: Path) -> None:
    """Error against processor time: the costly model, run coarser, and its substitutes."""
    table = read_table(results.folder / "costs.csv", complete=["kind", "model", "seconds", "rmse"])
    with figure(path, 1, 1, (7.4, 5.2)) as (drawing, (axis,)):
        solver = table[table["kind"] == "solver"].sort_values("seconds")
        axis.plot(
            solver["seconds"],
            _PERCENT * solver["rmse"],
            "s",
            color=BLUE,
            ms=6,
            label=f"{results.solver}, coarser or looser",
        )
        best = solver[solver["rmse"] <= solver["rmse"].cummin()]
        axis.plot(best["seconds"], _PERCENT * best["rmse"], color=BLUE, lw=1)
        for number, (_, row) in enumerate(solver.iterrows(), start=1):
            axis.annotate(
                str(number),
                (row["seconds"], _PERCENT * row["rmse"]),
                xytext=(6, 4),
                textcoords="offset points",
                fontsize=9,
                color=BLUE,
            )
        for _, row in table[~table["kind"].isin(["solver", "reference"])].iterrows():
            model = row["model"]
            axis.errorbar(
                row["seconds"],
                _PERCENT * row["rmse"],
                yerr=_PERCENT
                * np.array([[row["rmse"] - row["lower"]], [row["upper"] - row["rmse"]]]),
                fmt=MARKERS[model],
                color=COLOURS[model],
                ms=8,
                lw=1.5,
                label=LABELS[model],
            )
        reference = table[table["kind"] == "reference"].iloc[0]
        axis.axvline(reference["seconds"], color=GREY, ls="--", lw=1)
        axis.annotate(
            f"{results.solver}\nas the truth is made:\nerror 0 by definition",
            (reference["seconds"], 0.97),
            xycoords=("data", "axes fraction"),
            xytext=(-5, 0),
            textcoords="offset points",
            fontsize=8,
            ha="right",
            va="top",
            color=GREY,
        )
        axis.set(xscale="log", yscale="log")
        axis.yaxis.set_major_formatter("{x:g}")
        axis.set(
            xlabel=f"processor time of one flow (s), mean of {int(reference['terrains'])} terrains",
            ylabel="RMSE of speed (% of inflow)",
        )
        drawing.legend(loc="outside lower center", ncols=2)
        key = [f"{number}  {name}" for number, name in enumerate(solver["model"], start=1)]
        axis.annotate(
            "\n".join(key),
            (0.02, 0.03),
            xycoords="axes fraction",
            fontsize=8,
            color=BLUE,
            va="bottom",
        )


def training_curves(results: Results, path: Path) -> None:
    """Error along the training: training, inner and held-out terrains."""
    scheme, networks = results.schemes[0], results.networks
    kinds = {"train": (GREY, "-"), "inner": (BLUE, "-"), "held_out": (VERMILION, "--")}
    names = {"train": "training", "inner": "inner folds", "held_out": "held out"}
    columns = 3 if len(networks) == 3 else 2
    grid = panel_grid(path, len(networks), (3.0, 2.8), (0.4, 0.6), columns, sharey=True)
    with grid as (drawing, axes):
        for axis, network in zip(axes, networks, strict=True):
            table = read_table(
                results.folder / "training" / scheme / f"{network}.parquet",
                columns=["epochs", *kinds],
            )
            for kind, (colour, style) in kinds.items():
                values = _PERCENT * table[kind]
                axis.plot(table["epochs"], values, style, color=colour, marker=".")
            axis.set_yscale("log")
            for side in (axis.yaxis.set_major_formatter, axis.yaxis.set_minor_formatter):
                side("{x:g}")
            axis.set(xlabel="epochs", title=LABELS[network].replace(", ", ",\n"))
            axis.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        for axis in axes[::columns]:
            axis.set_ylabel("RMSE of components\n(% of inflow)")
        handles = [
            Line2D([], [], color=colour, ls=style, marker=".", label=names[kind])
            for kind, (colour, style) in kinds.items()
        ]
        drawing.legend(handles=handles, loc="outside lower center", ncols=3)


def solver(results: Results, path: Path) -> None:
    """What the costly model costs, against the steepness of the terrain; what was refused."""
    table = results.prepared
    used = table["reason"] == ""
    with figure(path, 1, 2, (9.4, 3.9)) as (drawing, axes):
        panels = zip(axes, ("seconds", "iterations"), strict=True)
        for axis, column in panels:
            for real, colour, marker in ((0, BLUE, "o"), (1, ORANGE, "^")):
                rows = table[used & (table["real"] == real)]
                label = f"{RANDOM_FIELD if not real else 'real terrain'} ({len(rows)})"
                if len(rows):
                    axis.plot(
                        rows["slope_p95"], rows[column], marker, color=colour, ms=5, label=label
                    )
            rows = table[~used]
            if len(rows):
                axis.plot(
                    rows["slope_p95"],
                    rows[column],
                    "x",
                    color=VERMILION,
                    ms=7,
                    mew=1.8,
                    label=f"refused ({len(rows)})",
                )
            axis.set_xlabel("95th percentile of slope (m per m)")
            axis.set_ylim(0, None)
        axes[0].set_ylabel(f"{results.solver} (s of processor time)")
        axes[1].set_ylabel("iterations")
        handles, labels = axes[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=3)


DRAW: dict[str, Callable[[Results, Path], None]] = {
    "scores": scores,
    "gallery": gallery,
    "streamlines": streamlines,
    "observed_predicted": observed_predicted,
    "positions": positions,
    "spectra": spectra,
    "learning_curve": learning_curve,
    "pareto": pareto,
    "training_curves": training_curves,
    "coverage": coverage,
    "solver": solver,
}


def plot(
    *,
    results: Path,
    schemes: list[str],
    models: list[str],
    coverage: float = 0.9,
    figures: list[str],
    output: Path,
) -> None:
    """Draw the figures of one data set.

    Parameters
    ----------
    results
        Folder of the data set's results.
    schemes
        Cross-validation schemes, the one that counts first.
    models
        Models that were scored.
    coverage
        Nominal coverage of the prediction intervals.
    figures
        Figures wanted (casestudies.wind.FIGURES).
    output
        Folder of the figures.
    """
    found = Results(results, schemes, models, coverage)
    for name in figures:
        DRAW[name](found, output / f"{name}.svg")


if __name__ == "__main__":
    main(plot)
