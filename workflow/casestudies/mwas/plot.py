"""The figures of the MWAS study."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from casestudies.evaluation.scores import cluster_weights
from casestudies.figures.shared import instead_of_dot, score_dots, spread, subtitle
from casestudies.figures.style import (
    BLACK,
    BLUE,
    DIVERGING,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SEQUENTIAL,
    SKY,
    VERMILION,
    YELLOW,
    figure,
    panel_grid,
)
from casestudies.mwas import PUBLISHED_AUC
from casestudies.mwas.abundance import TARGET, Abundances, short_name
from casestudies.mwas.results import COLOURS, LABELS, LODO, MODELS, Results
from casestudies.mwas.transforms import AbundanceTransform, Closure, PrevalenceFilter
from casestudies.steps import main
from casestudies.tables import read_metadata, read_table

FAMILIES = {
    "baseline": GREY,
    "linear, with covariates": GREEN,
    "linear": BLUE,
    "trees": ORANGE,
    "chosen by inner folds": BLACK,
}

CURVES = {
    "linear": (BLACK, "-"),
    "ridge_log": (BLUE, "--"),
    "lasso_log": (VERMILION, "-."),
    "random_forest": (ORANGE, "-"),
}
"""Models of the ROC curves, with colour and line."""
COEFFICIENTS = ("ridge_log", "lasso_log", "ridge_log_covariates")
"""Models of the heat map of coefficients."""
PUBLISHED_MARKS = dict(zip(PUBLISHED_AUC, (("D", PURPLE), ("s", PURPLE)), strict=True))
"""Marker and colour of each source of published AUCs."""

CASE, CONTROL = VERMILION, BLUE
COHORTS = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK, YELLOW)
MARKERS = "os^Dv<>P"
SIGN_STABLE = 0.95
"""Fraction of bootstraps with the same sign from which a coefficient's sign is marked."""
RESAMPLES = 300
"""Bootstrap resamples of the bands of curves."""
BAND = (0.025, 0.975)
SEED = 1
PREVALENCE = 0.1
"""Smallest prevalence of the taxa of the ordination, as in the models."""


def published_auc(dataset: str) -> dict[str, float]:
    """Return the published AUC of a data set, by source; empty if there is none."""
    prefix, _, task = dataset.partition("-")
    if prefix != "pasolli2016":
        return {}
    return {source: values[task] for source, values in PUBLISHED_AUC.items() if task in values}


def mark_published(axis: Axes, dataset: str, rows: int) -> None:
    """Draw the published AUCs of a data set over a panel of ``rows`` scores."""
    heights = (rows - 0.45, -0.55)  # apart, since the sources often agree
    low, high = axis.get_xlim()
    for (source, value), height in zip(published_auc(dataset).items(), heights, strict=False):
        marker, colour = PUBLISHED_MARKS[source]
        axis.axvline(value, color=colour, ls=":", lw=1.2, zorder=1)
        axis.plot(value, height, marker, color=colour, ms=6, clip_on=False, zorder=4)
        low, high = min(low, value - 0.02), max(high, value + 0.02)
    axis.set_xlim(low, high)


def published_handles() -> list[Line2D]:
    """Return legend entries of the published AUCs."""
    return [
        Line2D([], [], color=colour, marker=marker, ls=":", label=f"forest of {source}")
        for source, (marker, colour) in PUBLISHED_MARKS.items()
    ]


def family_handles() -> list[Line2D]:
    """Return legend entries of the colours of models."""
    return [Line2D([], [], color=c, marker="o", label=label) for label, c in FAMILIES.items()]


# ---------------------------------------------------------------------------------------- scores


def scores(results: Results, path: Path) -> None:
    """AUC of every model on every scheme, with intervals."""
    order = [model for model in MODELS if model in results.models]
    panel = (3.6, 0.26 * len(order) + 1)
    with panel_grid(path, len(results.schemes), panel, (2.2, 0.6), sharey=True) as (drawing, axes):
        for axis, scheme in zip(axes, results.schemes, strict=True):
            rows = results.scores.query("scheme == @scheme and metric == 'auc'")
            score_panel(axis, rows, order)
            axis.set_title(results.title(scheme))
            subtitle(axis, _sizes(scheme, rows.iloc[0]))
            if scheme != LODO:  # the published scores are of cross-validation
                mark_published(axis, results.folder.name, len(order))
        handles = family_handles()
        if published_auc(results.folder.name):
            handles += published_handles()
        columns = len(handles) if len(results.schemes) > 1 else 3
        drawing.legend(handles=handles, loc="outside lower center", ncols=min(columns, 5))


def score_panel(axis: Axes, rows: pd.DataFrame, order: Sequence[str]) -> None:
    """Draw the AUC of the models of one scheme, and where chance lies."""
    score_dots(axis, rows, order, LABELS, COLOURS)
    axis.axvline(0.5, color=GREY, lw=0.8, zorder=1)
    low, high = min(rows["lower"].min(), 0.48), max(rows["upper"].max(), 0.6)
    axis.set_xlim(low - 0.02, high + 0.17 * (high - low))
    axis.set_xlabel("AUC")


def _sizes(scheme: str, row: pd.Series) -> str:
    """Return the numbers of samples and of independent units of a score."""
    unit = "cohorts, mean of their AUCs" if scheme == LODO else "subjects"
    return f"{row['samples']} samples, {row['groups']} {unit}"


# ---------------------------------------------------------------------------------------- curves

GRID = np.linspace(0, 1, 201)


def curves(
    observed: np.ndarray, predicted: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return ROC and precision-recall curves on a common grid.

    Parameters
    ----------
    observed, predicted
        Classes 0/1 and probabilities, (n,).
    weights
        How often each sample counts, (b, n).

    Returns
    -------
    Sensitivity at the false positive rates of ``GRID``, and precision at its recalls, each
    (b, 201); NaN for a resample that lacks a class. Sensitivity is linear between thresholds;
    precision is that of the first threshold which reaches the recall (it must not be interpolated:
    Davis and Goadrich 2006, ICML, 233-240).
    """
    order = np.argsort(-predicted, kind="stable")
    last = np.r_[np.diff(predicted[order]) != 0, True]  # tied samples share a threshold
    case = observed[order] > 0.5
    true = np.cumsum(weights[:, order] * case, axis=1)[:, last]
    false = np.cumsum(weights[:, order] * ~case, axis=1)[:, last]
    roc, precision = (np.full((len(weights), len(GRID)), np.nan) for _ in range(2))
    for k, (hits, alarms) in enumerate(zip(true, false, strict=True)):
        if hits[-1] == 0 or alarms[-1] == 0:
            continue
        recall = np.r_[0, hits / hits[-1]]
        rate = np.r_[0, alarms / alarms[-1]]
        roc[k] = np.interp(GRID, rate, recall)
        roc[k, 0] = recall[rate == 0].max()
        reached = np.searchsorted(recall[1:], GRID - 1e-12)
        # Thresholds below the least weighted sample hold nothing yet.
        precision[k] = (hits / np.maximum(hits + alarms, 1e-300))[
            np.minimum(reached, len(hits) - 1)
        ]
        first = np.flatnonzero(hits + alarms > 0)[0]
        precision[k, GRID <= 0] = hits[first] / (hits + alarms)[first]
    return roc, precision


def banded_curves(table: pd.DataFrame, scheme: str) -> list[tuple[np.ndarray, ...]]:
    """Return estimate, lower and upper bound of the ROC and of the precision-recall curve.

    The independent unit is resampled: subjects, or cohorts where these are left out. There the
    curve is the mean of the cohorts' curves, as the AUC is the mean of theirs; with several repeats
    of a scheme curves are averaged over them.

    Parameters
    ----------
    table
        Columns repeat, subject, cohort, observed, predicted.
    """
    rng = np.random.default_rng(SEED)
    parts: list[list[np.ndarray]] = [[], []]
    if scheme == LODO:
        once = np.ones((1, 1))
        for _, rows in table.groupby(["cohort", "repeat"], sort=True):
            drawn = curves(
                rows["observed"].to_numpy(), rows["predicted"].to_numpy(), once.repeat(len(rows), 1)
            )
            for part, curve in zip(parts, drawn, strict=True):
                part.append(curve[0])
        stacked = [np.array(part) for part in parts]
        picked = rng.integers(len(stacked[0]), size=(RESAMPLES, len(stacked[0])))
        replicates = [np.nanmean(part[picked], axis=1) for part in stacked]
        estimates = [np.nanmean(part, axis=0) for part in stacked]
    else:
        subjects = pd.Series(table["subject"].unique())
        drawn_subjects = cluster_weights([subjects.to_numpy()], RESAMPLES, rng)
        # The first row counts every subject once: the estimate.
        weights = np.vstack([np.ones(len(subjects)), drawn_subjects])
        for _, rows in table.groupby("repeat"):
            position = pd.Index(subjects).get_indexer(rows["subject"])
            drawn = curves(
                rows["observed"].to_numpy(), rows["predicted"].to_numpy(), weights[:, position]
            )
            for part, curve in zip(parts, drawn, strict=True):
                part.append(curve)
        means = [np.mean(part, axis=0) for part in parts]
        estimates = [mean[0] for mean in means]
        replicates = [mean[1:] for mean in means]
    bounds = [np.nanquantile(replicate, BAND, axis=0) for replicate in replicates]
    return [(e, *b) for e, b in zip(estimates, bounds, strict=True)]


def roc_pr(results: Results, path: Path) -> None:
    """ROC and precision-recall curves, out of fold, with bands."""
    models = [model for model in CURVES if model in results.models]
    rows = len(results.schemes)
    prevalence = results.data.samples[TARGET].mean()
    with figure(path, rows, 2, (9.6, 4.3 * rows)) as (_, axes):
        for scheme, (left, right) in zip(
            results.schemes, zip(axes[::2], axes[1::2], strict=True), strict=True
        ):
            for model in models:
                colour, line = CURVES[model]
                drawn = banded_curves(results.predictions(scheme, model), scheme)
                for axis, metric, (curve, lower, upper) in zip(
                    (left, right), ("auc", "pr_auc"), drawn, strict=True
                ):
                    row = results.score(scheme, metric, model)
                    label = f"{LABELS[model]} {_interval(row)}"
                    axis.plot(GRID, curve, line, color=colour, label=label)
                    if model in (results.best, "random_forest"):
                        axis.fill_between(GRID, lower, upper, color=colour, alpha=0.12, lw=0)
            left.plot([0, 1], [0, 1], ":", color=GREY, lw=1.2, label="chance 0.50")
            right.axhline(
                prevalence, ls=":", color=GREY, lw=1.2, label=f"chance: cases {prevalence:.2f}"
            )
            left.set(
                title=results.title(scheme),
                xlabel="false positive rate",
                ylabel="sensitivity",
                aspect="equal",
            )
            right.set(xlabel="recall (sensitivity)", ylabel="precision", aspect="equal")
            for axis, title, place in (
                (left, "AUC", "lower right"),
                (right, "PR-AUC", "lower left"),
            ):
                axis.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
                legend = axis.legend(loc=place, title=title, fontsize=8, title_fontsize=8)
                legend.set_frame_on(True)
                legend.get_frame().set(edgecolor="none", alpha=0.8)


def _interval(row: pd.Series) -> str:
    return f"{row['estimate']:.2f} [{row['lower']:.2f}, {row['upper']:.2f}]"


def signed(value: float) -> str:
    """Return a number with its sign, a zero without a minus."""
    return f"{round(value, 2) + 0.0:+.2f}".replace("-", "−")


def wilson(successes: np.ndarray, trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds of 95 % intervals of proportions (Wilson 1927, J. Am. Stat. Assoc. 22)."""
    z = 1.959964
    share = successes / trials
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z * np.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2) / (1 + z**2 / trials)
    return centre - half, centre + half


def calibration_bins(table: pd.DataFrame) -> pd.DataFrame:
    """Return predicted and observed frequency of disease in bins of equal size.

    Parameters
    ----------
    table
        Columns sample, subject, observed, predicted.

    Returns
    -------
    Columns predicted, observed, lower, upper, subjects. A subject counts once in an interval,
    however many samples or repeats of it fall into a bin.
    """
    wanted = int(np.clip(table["sample"].nunique() // 25, 3, 10))
    edges = np.unique(np.quantile(table["predicted"], np.linspace(0, 1, wanted + 1)[1:-1]))
    grouped = table.groupby(np.searchsorted(edges, table["predicted"], side="right"))
    bins = grouped[["predicted", "observed"]].mean()
    bins["subjects"] = grouped["subject"].nunique()
    bins["lower"], bins["upper"] = wilson(
        (bins["observed"] * bins["subjects"]).to_numpy(), bins["subjects"].to_numpy()
    )
    return bins


def calibration(results: Results, path: Path) -> None:
    """Observed frequency of disease against predicted probability, and how these are spread."""
    models = [model for model in (results.best, "random_forest") if model in results.models]
    cells = [(scheme, model) for scheme in results.schemes for model in models]
    size = (2.3 * len(cells) + 0.7, 4.6)
    heights = [3.2, 1]
    with figure(path, 2, len(cells), size, height_ratios=heights, sharex=True) as (drawing, axes):
        upper, lower = axes[: len(cells)], axes[len(cells) :]
        for (scheme, model), axis, below in zip(cells, upper, lower, strict=True):
            table = results.predictions(scheme, model)
            bins = calibration_bins(table)
            colour = COLOURS[model]
            axis.plot([0, 1], [0, 1], ":", color=GREY, lw=1.2)
            axis.vlines(bins["predicted"], bins["lower"], bins["upper"], color=colour, lw=1.6)
            axis.plot(bins["predicted"], bins["observed"], "o-", color=colour, ms=5, lw=1)
            slope, shift = (
                results.score(scheme, f"calibration_{part}", model)
                for part in ("slope", "intercept")
            )
            axis.annotate(
                f"slope {_interval(slope)}\nintercept {signed(shift['estimate'])} "
                f"[{signed(shift['lower'])}, {signed(shift['upper'])}]",
                (0.03, 0.98),
                xycoords="axes fraction",
                va="top",
                fontsize=8,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
            )
            axis.set(xlim=(0, 1), ylim=(-0.02, 1.18))
            axis.set_yticks(np.linspace(0, 1, 6))
            axis.set_title(f"{results.title(scheme)}\n{LABELS[model]}")
            repeats = table["repeat"].nunique()
            for value, tint in ((0, CONTROL), (1, CASE)):
                chosen = table.loc[table["observed"] == value, "predicted"]
                below.hist(
                    chosen,
                    bins=np.linspace(0, 1, 21),
                    weights=np.full(len(chosen), 1 / repeats),
                    histtype="stepfilled",
                    color=(*to_rgb(tint), 0.25),
                    edgecolor=tint,
                    lw=1.2,
                    label=results.labels[1 - value].partition(" ")[0],
                )
            below.set_xlabel("predicted probability")
        upper[0].set_ylabel("observed frequency of disease")
        lower[0].set_ylabel("samples")
        drawing.legend(*lower[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)


# ------------------------------------------------------------------------------------------ taxa


def named(taxon: str, length: int = 38) -> str:
    """Return the name of a taxon for a label, cut where it is very long."""
    name = short_name(taxon)
    return name if len(name) <= length else f"{name[: length - 1]}…"


def coefficients(results: Results, path: Path, shown: int = 30) -> None:
    """Coefficients of the strongest taxa in several models, beside their prevalence."""
    table = results.coefficients
    models = [model for model in COEFFICIENTS if model in set(table["model"])]
    wide = table.pivot(index="taxon", columns="model", values="coefficient")[models].fillna(0.0)
    stable = table.pivot(index="taxon", columns="model", values="sign_stability")[models].fillna(
        0.0
    )
    relative = wide / wide.abs().max().replace(0, 1)
    strength = relative.abs().mean(axis=1).sort_values(ascending=False, kind="stable")
    taxa = relative.loc[strength.index[:shown]].mean(axis=1).sort_values(kind="stable").index[::-1]
    about = table.drop_duplicates("taxon").set_index("taxon").loc[taxa]
    size = (9.6, 0.235 * len(taxa) + 1.9)
    with figure(path, 1, 2, size, sharey=True, width_ratios=[1.25, 1]) as (drawing, axes):
        axis, side = axes
        picture = axis.imshow(
            relative.loc[taxa], cmap=f"{DIVERGING}_r", vmin=-1, vmax=1, aspect="auto"
        )
        for row, taxon in enumerate(taxa):
            for column, model in enumerate(models):
                value = wide.at[taxon, model]
                if value == 0:
                    continue
                mark = " ●" if stable.at[taxon, model] >= SIGN_STABLE else ""
                axis.annotate(
                    f"{signed(value)}{mark}",
                    (column, row),
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if abs(relative.at[taxon, model]) > 0.6 else BLACK,
                )
        axis.grid(visible=False)
        axis.set_xticks(range(len(models)), [LABELS[m].replace(", ", ",\n") for m in models])
        axis.tick_params(axis="x", length=0)
        axis.set_yticks(range(len(taxa)), [named(taxon) for taxon in taxa], style="italic")
        axis.set_title("log odds per standard deviation")
        drawing.colorbar(
            picture,
            ax=axis,
            location="bottom",
            shrink=0.7,
            aspect=30,
            pad=0.02,
            label="relative to the model's largest; "
            f"●: same sign in ≥ {SIGN_STABLE:.0%} of bootstraps",
        )
        y = np.arange(len(taxa))
        shares = [100 * about[f"prevalence_{group}"] for group in ("controls", "cases")]
        side.hlines(y, *shares, color="#BBBBBB", lw=1.5)
        for share, colour, marker, label in zip(
            shares, (CONTROL, CASE), ("o", "^"), ("controls", "cases"), strict=True
        ):
            side.plot(share, y, marker, color=colour, ms=5.5, label=label)
        side.set(xlim=(-3, 103), xlabel="present in % of samples", title="prevalence")
        side.tick_params(axis="y", length=0, labelleft=False)
        side.legend(loc="upper center", bbox_to_anchor=(0.5, -0.09), ncols=2)


@dataclass(frozen=True)
class Tree:
    """A tree of lineages laid out on a circle.

    Parameters
    ----------
    angle, depth
        Of each node, by its lineage; angles in radians, depth 0 at the root and 1 at a leaf.
    parent
        Of each node but the root, which is the empty lineage.
    """

    angle: dict[tuple[str, ...], float]
    depth: dict[tuple[str, ...], float]
    parent: dict[tuple[str, ...], tuple[str, ...]]


def lay_out(taxa: Sequence[str]) -> Tree:
    """Lay lineages (``k__…|…|s__…``) out on a circle, leaves at equal angles.

    A name without ranks hangs on the root. An inner node lies in the middle of its leaves.
    """
    lineages = sorted(tuple(taxon.split("|")) for taxon in taxa)
    span: dict[tuple[str, ...], list[float]] = {}
    parent: dict[tuple[str, ...], tuple[str, ...]] = {}
    ranks = max(map(len, lineages))
    for position, lineage in enumerate(lineages):
        for length in range(len(lineage) + 1):
            node = lineage[:length]
            span.setdefault(node, []).append(2 * np.pi * (position + 0.5) / len(lineages))
            if length:
                parent[node] = lineage[: length - 1]
    leaves = set(lineages)
    angle = {node: (min(angles) + max(angles)) / 2 for node, angles in span.items()}
    depth = {node: 1.0 if node in leaves else len(node) / ranks for node in span}
    return Tree(angle, depth, parent)


def phylum(lineage: Sequence[str]) -> str:
    """Return the phylum in a lineage in words, or "unclassified"."""
    for rank in lineage:
        if rank.startswith("p__") and len(rank) > 3:
            return rank[3:].replace("_", " ")
    return "unclassified"


def cladogram(results: Results, path: Path, least: int = 10) -> None:
    """Circular tree of the taxa, phyla coloured, with the selected taxa and their signs."""
    table = results.stability.set_index("taxon")
    effects = results.effects().reindex(table.index).fillna(0.0)
    chosen = table["probability"] >= table["threshold"]
    labelled = (
        list(table.index[chosen]) + list(table.index[~chosen])[: max(0, least - chosen.sum())]
    )
    labelled = [taxon for taxon in labelled if table.at[taxon, "probability"] > 0]
    tree = lay_out(list(table.index))
    phyla = pd.Series([phylum(taxon.split("|")) for taxon in table.index]).value_counts()
    tints = dict(zip([p for p in phyla.index if p != "unclassified"], _PHYLA, strict=False))
    with figure(path, 1, 1, (9.6, 6.6)) as (drawing, (axis,)):
        for node, above in tree.parent.items():
            bend = np.linspace(tree.angle[above], tree.angle[node], 24)
            ray = np.array([tree.depth[above], tree.depth[node]])
            for radius, angle, lineage in (
                (tree.depth[above], bend, above),
                (ray, np.full(2, tree.angle[node]), node),
            ):
                colour = tints.get(phylum(lineage), _OTHERS)
                axis.plot(radius * np.sin(angle), radius * np.cos(angle), color=colour, lw=0.9)
        texts: dict[int, list[tuple[float, float, str]]] = {-1: [], 1: []}
        for taxon in labelled:
            angle = tree.angle[tuple(taxon.split("|"))]
            more = effects[taxon] > 0
            colour = CASE if more else CONTROL
            x, y = 1.04 * np.sin(angle), 1.04 * np.cos(angle)
            axis.plot(
                x,
                y,
                "^" if more else "v",
                color=colour,
                mfc=colour if chosen[taxon] else "white",
                ms=8,
                mew=1.4,
                zorder=4,
            )
            texts[1 if x >= 0 else -1].append((x, y, taxon))
        for side, entries in texts.items():
            heights = spread(np.array([1.12 * y for _, y, _ in entries]), 0.115, -1.3, 1.3)
            for (x, y, taxon), height in zip(entries, heights, strict=True):
                start = (1.08 * x, 1.08 * y)
                axis.plot(
                    [start[0], side * 1.3, side * 1.36],
                    [start[1], height, height],
                    color="#AAAAAA",
                    lw=0.7,
                )
                axis.annotate(
                    f"{named(taxon, 30)} ({table.at[taxon, 'probability']:.2f})",
                    (side * 1.38, height),
                    ha="left" if side > 0 else "right",
                    va="center",
                    fontsize=8.5,
                    style="italic",
                )
        axis.set(xlim=(-2.6, 2.6), ylim=(-1.36, 1.36), aspect="equal")
        axis.axis("off")
        threshold = table["threshold"].iloc[0]
        axis.set_title(
            f"{int(chosen.sum())} of {len(table)} taxa selected (probability ≥ {threshold:g})"
        )
        handles = [
            Line2D([], [], color=colour, lw=3, label=f"{name} ({phyla[name]})")
            for name, colour in tints.items()
        ]
        rest = int(phyla.sum() - sum(phyla[name] for name in tints))
        if rest:
            handles.append(Line2D([], [], color=_OTHERS, lw=3, label=f"others ({rest})"))
        for marker, colour, label in (
            ("^", CASE, "positive coefficient"),
            ("v", CONTROL, "negative coefficient"),
        ):
            handles.append(Line2D([], [], color=colour, marker=marker, ls="", ms=8, label=label))
        if not all(chosen[taxon] for taxon in labelled):
            handles.append(
                Line2D(
                    [],
                    [],
                    color=GREY,
                    marker="^",
                    mfc="white",
                    ls="",
                    ms=8,
                    label="next most probable, not selected",
                )
            )
        drawing.legend(handles=handles, loc="outside lower center", ncols=4)


_PHYLA = (SKY, ORANGE, GREEN, PURPLE, BLACK)
_OTHERS = "#9A9A9A"


def lasso_path(results: Results, path: Path, shown: int = 12) -> None:
    """Coefficients of the lasso along its path of penalties."""
    file = results.folder / "path.parquet"
    table = read_table(file, complete=["taxon", "lambda_ratio", "coefficient"])
    chosen = read_metadata(file).get("chosen")
    wide = table.pivot(index="lambda_ratio", columns="taxon", values="coefficient").sort_index()
    ratios = wide.index.to_numpy()
    at = ratios[0] if chosen is None else ratios[np.abs(np.log(ratios / chosen)).argmin()]
    by_size = wide.abs().max().sort_values(ascending=False, kind="stable").index
    strongest = (
        wide.loc[at, by_size].abs().sort_values(ascending=False, kind="stable").index[:shown]
    )
    strongest = [taxon for taxon in strongest if wide.at[at, taxon] != 0]
    present = int((wide.loc[at] != 0).sum())
    with figure(path, 1, 1, (9.6, 5.2)) as (_, (axis,)):
        for taxon in wide.columns.difference(strongest, sort=False):
            axis.plot(ratios, wide[taxon], color="#C8C8C8", lw=0.7)
        low, high = wide.to_numpy().min(), wide.to_numpy().max()
        room = 0.04 * (high - low)
        ends = wide.loc[ratios[0], strongest].to_numpy()
        heights = spread(ends, 1.15 * room, low - room, high + room)
        for k, (taxon, end, height) in enumerate(zip(strongest, ends, heights, strict=True)):
            colour = _LINES[k % len(_LINES)]
            axis.plot(ratios, wide[taxon], color=colour, ls="-" if k < len(_LINES) else "--")
            axis.annotate(
                named(taxon),
                (ratios[0], end),
                xytext=(1.03, height),
                textcoords=("axes fraction", "data"),
                fontsize=8.5,
                va="center",
                color=colour,
                style="italic",
                annotation_clip=False,
                arrowprops={
                    "arrowstyle": "-",
                    "color": colour,
                    "lw": 0.7,
                    "shrinkB": 0,
                    "relpos": (0, 0.5),
                },
            )
        axis.axhline(0, color=BLACK, lw=0.8)
        if chosen is not None:
            axis.axvline(chosen, color=BLACK, ls=":", lw=1.4)
            axis.annotate(
                f"chosen: {present} taxa",
                (chosen, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(-4, -2),
                textcoords="offset points",
                ha="right",
                va="top",
                fontsize=9,
            )
        axis.set_xscale("log")
        axis.set_xlim(ratios[-1], ratios[0])
        axis.set_ylim(low - 1.5 * room, high + 1.5 * room)
        axis.set(
            xlabel="penalty λ / λ$_{max}$ (weaker to the right)",
            ylabel="coefficient (log odds per standard deviation)",
        )


_LINES = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)

ROLES = {
    "associated": (GREEN, "o", "changed by the disease"),
    "confounded": (VERMILION, "X", "changed by age only"),
    "neither": (GREY, "s", "changed by neither"),
}
"""Colour, marker and words of the roles of simulated taxa."""


def stability(results: Results, path: Path, shown: int = 25) -> None:
    """Selection probability of the most probable taxa, and along the path of penalties."""
    table = results.stability.head(shown)
    threshold = float(table["threshold"].iloc[0])
    along = read_table(
        results.folder / "stability_path.parquet",
        complete=["taxon", "lambda_ratio", "probability"],
    )
    roles = results.roles
    if roles is None:
        kinds = np.where(table["probability"] >= threshold, "selected", "not selected")
        styles = {"selected": (BLUE, "o", "selected"), "not selected": (GREY, "o", "not selected")}
    else:
        kinds = roles.reindex(table["taxon"]).fillna("neither").to_numpy()
        styles = ROLES
    kind_of = dict(zip(table["taxon"], kinds, strict=True))
    size = (9.6, 0.225 * len(table) + 1.7)
    with figure(path, 1, 2, size, width_ratios=[1, 1.1]) as (drawing, (axis, side)):
        y = np.arange(len(table))
        axis.hlines(y, 0, table["probability"], color="#D5D5D5", lw=1.5)
        for kind, (colour, marker, _) in styles.items():
            mask = kinds == kind
            axis.plot(table["probability"][mask], y[mask], marker, color=colour, ms=6)
        axis.set_yticks(y, [named(taxon) for taxon in table["taxon"]], style="italic", fontsize=9)
        axis.set_ylim(len(table) - 0.4, -0.6)
        axis.set(xlim=(0, 1.04), xlabel="selection probability")
        axis.grid(axis="y", visible=False)
        axis.axvline(threshold, color=BLACK, ls="--", lw=1.2)
        for taxon, rows in along.groupby("taxon", sort=False):
            if taxon in kind_of:
                rows = rows.sort_values("lambda_ratio")
                colour = styles[kind_of[taxon]][0]
                side.plot(rows["lambda_ratio"], rows["probability"], color=colour, lw=1.2)
        side.set_xscale("log")
        side.invert_xaxis()
        side.set(
            ylim=(-0.02, 1.04),
            xlabel="penalty λ / λ$_{max}$ (weaker to the right)",
            ylabel="fraction of halves with the taxon",
            title="along the path",
        )
        axis.set_title(found(results.stability, roles))
        handles = [
            Line2D([], [], color=colour, marker=marker, ls="-", lw=1.2, label=label)
            for colour, marker, label in styles.values()
        ]
        handles.append(Line2D([], [], color=BLACK, ls="--", label=f"threshold {threshold:g}"))
        drawing.legend(handles=handles, loc="outside lower center", ncols=4)


def found(stability: pd.DataFrame, roles: pd.Series | None) -> str:
    """Return how many taxa are selected and, where the truth is known, how many rightly.

    Parameters
    ----------
    stability
        Columns taxon, probability, threshold, expected_false.
    roles
        Role of each taxon: associated, confounded or neither.
    """
    selected = stability.loc[stability["probability"] >= stability["threshold"], "taxon"]
    bound = stability["expected_false"].iloc[0]
    if roles is None:
        return f"{len(selected)} selected, at most {bound:g} falsely expected"
    truly = roles.reindex(selected).fillna("neither")
    right, misled = int((truly == "associated").sum()), int((truly == "confounded").sum())
    return (
        f"{right} true positives of {(roles == 'associated').sum()};\n"
        f"{len(selected) - right} false discoveries, {misled} of them by age"
    )


def top_taxa(results: Results, path: Path, shown: int = 12) -> None:
    """Abundance of the most probable taxa in controls and cases."""
    data = results.data
    strength = results.effects().abs()
    ranked = results.stability.assign(
        strength=strength.reindex(results.stability["taxon"]).fillna(0.0).to_numpy()
    ).sort_values(["probability", "strength"], ascending=False, kind="stable")
    taxa = ranked["taxon"].head(shown)
    percent = 100 * data.taxa[taxa].div(data.taxa.sum(axis=1), axis=0).to_numpy()
    case = data.samples[TARGET].to_numpy() > 0.5
    logs = np.log10(np.where(percent > 0, percent, np.nan))
    low, high = np.floor(np.nanmin(logs)), np.ceil(np.nanmax(logs))
    rng = np.random.default_rng(SEED)
    rows = -(-len(taxa) // 4)
    with figure(path, rows, 4, (9.8, 2.45 * rows + 0.5), sharey=True) as (drawing, axes):
        for axis in axes[len(taxa) :]:
            axis.axis("off")
        for axis, taxon, values in zip(axes, taxa, logs.T, strict=False):
            for x, group, colour in ((0, ~case, CONTROL), (1, case, CASE)):
                there = values[group & ~np.isnan(values)]
                axis.scatter(
                    x + rng.uniform(-0.28, 0.28, len(there)),
                    there,
                    s=5,
                    color=colour,
                    alpha=0.35,
                    lw=0,
                    rasterized=True,
                )
                if len(there) >= 5:
                    axis.boxplot(
                        there,
                        positions=[x],
                        widths=0.6,
                        showfliers=False,
                        medianprops={"color": BLACK, "lw": 1.8},
                        boxprops={"color": BLACK},
                        manage_ticks=False,
                    )
                axis.annotate(
                    f"absent {np.isnan(values[group]).mean():.0%}",
                    (x, low - 0.55),
                    ha="center",
                    va="center",
                    fontsize=8,
                )
            axis.set_title(_folded(short_name(taxon)), fontsize=9, style="italic")
            axis.set_xticks([0, 1], ["controls", "cases"])
            axis.set_yticks(
                np.arange(low, high + 1), [_percent(v) for v in range(int(low), int(high) + 1)]
            )
            axis.set(xlim=(-0.6, 1.6), ylim=(low - 1, high))
            axis.grid(axis="x", visible=False)
        for axis in axes[::4]:
            axis.set_ylabel("abundance (%)")
        handles = [
            Patch(color=colour, label=label)
            for colour, label in zip((CASE, CONTROL), results.labels, strict=True)
        ]
        drawing.legend(handles=handles, loc="outside lower center", ncols=2)


def _percent(exponent: int) -> str:
    return f"{10.0**exponent:g}" if exponent >= -3 else f"10$^{{{exponent}}}$"


def _folded(name: str, width: int = 26) -> str:
    """Return a name on two lines where it is longer than one."""
    if len(name) <= width:
        return name
    first, _, rest = name.partition(" ")
    return f"{first}\n{named(rest, width)}"


# ------------------------------------------------------------------------------------- data sets


def confounding(results: Results, path: Path) -> None:
    """What covariates predict alone, and what the microbiome predicts beyond them."""
    table = read_table(
        results.folder / "confounding.csv", columns=["note"], complete=["kind", "name", "samples"]
    )
    blocks = [(kind, table[table["kind"] == kind]) for kind in KINDS]
    blocks = [(kind, rows) for kind, rows in blocks if len(rows)]
    shown = pd.concat([rows for kind, rows in blocks if kind != "added"])
    added = table[table["kind"] == "added"]
    rows = len(shown) + len(added)
    heights = [len(shown) + 0.6, len(added) + 0.9] if len(added) else [1]
    size = (9.2, 0.33 * rows + 1.5 + (0.8 if len(added) else 0))
    with figure(path, len(heights), 1, size, height_ratios=heights) as (drawing, axes):
        _dots(axes[0], shown, "AUC", "{:.2f}")
        axes[0].axvline(0.5, color=GREY, lw=0.8, zorder=1)
        if len(added):
            _dots(axes[1], added, "difference in AUC", "{:+.2f}")
            axes[1].axvline(0, color=GREY, lw=0.8, zorder=1)
        handles = [
            Line2D([], [], color=KINDS[kind][0], marker=KINDS[kind][1], label=KINDS[kind][2])
            for kind, _ in blocks
        ]
        drawing.legend(handles=handles, loc="outside lower center", ncols=3)


def _dots(axis: Axes, table: pd.DataFrame, label: str, form: str) -> None:
    """Draw estimates with intervals, one line each, and the samples that they rest on."""
    for position, row in enumerate(table.itertuples()):
        colour, marker, _ = KINDS[row.kind]
        if np.isnan(row.estimate):
            instead_of_dot(axis, position, "not defined")
        else:
            axis.plot([row.lower, row.upper], [position] * 2, color=colour, lw=2)
            axis.plot(row.estimate, position, marker, color=colour, ms=7)
        told = row.kind in ("covariate", "matched") and isinstance(row.note, str) and row.note
        note = f"; {row.note}" if told else ""
        if row.name in UNITS:
            note = note.replace(" apart", f" {UNITS[row.name]} apart")
        value = "" if np.isnan(row.estimate) else form.format(row.estimate)
        axis.annotate(
            f"{value}  ({row.positives:.0f} of {row.samples:.0f} are cases{note})",
            (1.01, position),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
            color=GREY,
            annotation_clip=False,
        )
    axis.set_yticks(range(len(table)), [_subject(row) for row in table.itertuples()])
    axis.set_ylim(len(table) - 0.4, -0.6)
    axis.margins(x=0.06)
    axis.set_xlabel(label)
    axis.grid(axis="y", visible=False)


def _subject(row) -> str:
    """Return what a row of the table of confounding is about."""
    match row.kind:
        case "covariate":
            return f"{_covariate(row.name)} alone"
        case "covariates":
            return "all covariates"
        case "model":
            return f"microbiome ({LABELS.get(row.model, row.model)})"
        case "matched":
            name, _, value = row.name.partition(" = ")
            return f"microbiome within {value}" if value else f"microbiome, same {_covariate(name)}"
        case _:
            return "microbiome + covariates − covariates"


def _covariate(name: str) -> str:
    return "BMI" if name == "bmi" else name


UNITS = {"age": "years", "bmi": "kg m⁻²"}
"""Units of the covariates that have one."""

KINDS = {
    "covariate": (GREY, "o", "one covariate"),
    "covariates": (BLACK, "s", "all covariates"),
    "model": (BLUE, "D", "microbiome, all pairs"),
    "matched": (VERMILION, "^", "microbiome, matched pairs"),
    "added": (GREEN, "P", "added by the microbiome"),
}
"""Colour, marker and words of the kinds of rows of the table of confounding."""


def transfer(results: Results, path: Path) -> None:
    """AUC of the model of each cohort on each other cohort."""
    table = read_table(
        results.folder / "transfer.parquet", complete=["model", "train", "test", "samples"]
    )
    models = [model for model in results.models if model in set(table["model"])]
    cohorts = sorted(set(table["train"]) | set(table["test"]))
    side = max(0.52 * len(cohorts), 2.6)
    with figure(path, 1, len(models), (side * len(models) + 2.4, side + 1.9), sharey=True) as (
        drawing,
        axes,
    ):
        for axis, model in zip(axes, models, strict=True):
            rows = table[table["model"] == model]
            wide = rows.pivot(index="train", columns="test", values="auc")
            values = wide.reindex(index=cohorts, columns=cohorts).to_numpy()
            picture = axis.imshow(values, cmap=SEQUENTIAL, vmin=0.5, vmax=1)
            for i, j in np.argwhere(~np.isnan(values)):
                axis.annotate(
                    f"{values[i, j]:.2f}",
                    (j, i),
                    ha="center",
                    va="center",
                    fontsize=9,
                    weight="bold" if i == j else "normal",
                    color=BLACK if values[i, j] > 0.72 else "white",
                )
                if i == j:
                    axis.add_patch(_frame(i))
            off = ~np.eye(len(cohorts), dtype=bool)
            axis.set_title(
                f"{LABELS[model]}: {np.nanmean(values[off]):.2f} between,\n"
                f"{np.nanmean(values[~off]):.2f} within cohorts (means)"
            )
            sizes = rows.drop_duplicates("test").set_index("test")
            counts = [
                f"{cohort}\n({sizes.at[cohort, 'positives']}/{sizes.at[cohort, 'samples']})"
                if cohort in sizes.index
                else cohort
                for cohort in cohorts
            ]
            axis.set_xticks(range(len(cohorts)), counts, rotation=90, fontsize=8)
            axis.set_yticks(range(len(cohorts)), cohorts, fontsize=8)
            axis.set_xlabel("tested on (cases/samples)")
            axis.grid(visible=False)
            axis.spines[:].set_visible(False)
        axes[0].set_ylabel("trained on")
        drawing.colorbar(picture, ax=axes, label="AUC", shrink=0.7, pad=0.02)


def _frame(position: int):
    """Return a frame around a cell of the diagonal."""
    from matplotlib.patches import Rectangle

    return Rectangle((position - 0.47, position - 0.47), 0.94, 0.94, fill=False, lw=1.8)


def principal_components(data: Abundances) -> tuple[np.ndarray, np.ndarray]:
    """Return two principal components of the centred log-ratios, and their shares of variance.

    Distances between samples are then as near as a plane allows to Aitchison's.

    Returns
    -------
    Coordinates (n, 2) and shares (2,).
    """
    values = Closure().fit_transform(data.taxa.to_numpy(dtype=float))
    values = PrevalenceFilter(PREVALENCE).fit_transform(values)
    values = AbundanceTransform("clr").fit_transform(values)
    left, singular, right = np.linalg.svd(values - values.mean(axis=0), full_matrices=False)
    # The sign of a component is free: the largest loading is made positive.
    sign = np.sign(right[np.arange(2), np.abs(right[:2]).argmax(axis=1)])
    return left[:, :2] * singular[:2] * sign, singular[:2] ** 2 / (singular**2).sum()


def ordination(results: Results, path: Path) -> None:
    """Principal components of the centred log-ratios, by class and by cohort or country."""
    data = results.data
    points, shares = principal_components(data)
    case = data.samples[TARGET].to_numpy() > 0.5
    groups = _grouping(data)
    panels = 1 if groups is None else 2
    with figure(path, 1, panels, (4.7 * panels + 0.4, 4.8), sharey=True) as (_, axes):
        for group, colour, marker, label in (
            (~case, CONTROL, "o", results.labels[1]),
            (case, CASE, "^", results.labels[0]),
        ):
            _cloud(axes[0], points[group], colour, marker, label)
        axes[0].set_title("by class (large: mean)")
        axes[0].set_ylabel(f"second component ({shares[1]:.0%} of the variance)")
        if groups is not None:
            for k, name in enumerate(sorted(groups.unique())):
                mask = (groups == name).to_numpy()
                label = f"{name} ({int(case[mask].sum())}/{mask.sum()})"
                _cloud(axes[1], points[mask], COHORTS[k], MARKERS[k], label)
            axes[1].set_title(f"by {groups.name} (cases/samples)")
        for axis in axes:
            axis.set_xlabel(f"first component ({shares[0]:.0%} of the variance)")
            axis.legend(
                loc="upper center",
                bbox_to_anchor=(0.5, -0.14),
                ncols=2,
                fontsize=8,
                markerscale=0.7,
            )


def _cloud(axis: Axes, points: np.ndarray, colour: str, marker: str, label: str) -> None:
    """Draw samples and, larger, their mean."""
    axis.scatter(*points.T, s=14, color=colour, marker=marker, alpha=0.4, lw=0, rasterized=True)
    axis.plot(
        *points.mean(axis=0),
        marker,
        color=colour,
        mec="white",
        mew=1.2,
        ms=12,
        zorder=4,
        label=label,
    )


def _grouping(data: Abundances) -> pd.Series | None:
    """Return the cohort of the samples, or else their country, if there are a few of them."""
    for name in ("cohort", "country"):
        if name in data.samples:
            values = data.samples[name].astype("object").fillna("unknown").astype(str)
            if values.nunique() > len(COHORTS):
                rare = values.value_counts().index[len(COHORTS) - 1 :]
                values = values.where(~values.isin(rare), "others")
            if values.nunique() > 1:
                return values.rename(name)
    return None


def permutation(results: Results, path: Path) -> None:
    """AUC with permuted labels, and with the true ones."""
    table = read_table(
        results.folder / "permutations.parquet",
        complete=["scheme", "model", "permutation", "auc"],
    )
    pairs = list(table.groupby(["scheme", "model"], sort=False))
    with panel_grid(path, len(pairs), (4.9, 3.6)) as (_, axes):
        for axis, ((scheme, model), rows) in zip(axes, pairs, strict=True):
            null = rows.loc[rows["permutation"] >= 0, "auc"].to_numpy()
            observed = float(rows.loc[rows["permutation"] < 0, "auc"].iloc[0])
            both = np.r_[null, observed, 0.5]
            bins = np.linspace(both.min() - 0.02, both.max() + 0.02, 41)
            axis.hist(null, bins=bins, color=SKY, edgecolor="white", lw=0.5)
            axis.axvline(0.5, color=GREY, lw=0.8)
            axis.axvline(observed, color=VERMILION, lw=2)
            if len(null):
                text = (
                    f"{len(null)} permutations: mean {null.mean():.3f}\n"
                    f"true labels: {observed:.3f}\np = {p_value(null, observed):.3g}"
                )
            else:
                text = f"no permutations\ntrue labels: {observed:.3f}"
            left = observed > (bins[0] + bins[-1]) / 2
            axis.annotate(
                text,
                (observed, 0.97),
                xycoords=("data", "axes fraction"),
                xytext=(-8 if left else 8, 0),
                textcoords="offset points",
                ha="right" if left else "left",
                va="top",
            )
            axis.set_title(f"{LABELS.get(model, model)}, {results.title(scheme)}")
            axis.set(xlabel="AUC, mean over held-out folds", ylabel="permutations")
            axis.yaxis.get_major_locator().set_params(integer=True)


def p_value(null: np.ndarray, observed: float) -> float:
    """Return (1 + permutations at least as good) / (1 + permutations).

    Phipson and Smyth (2010), Stat. Appl. Genet. Mol. Biol. 9, 39.
    """
    return float((1 + (null >= observed).sum()) / (1 + len(null)))


FIGURES: dict[str, Callable[[Results, Path], None]] = {
    "scores": scores,
    "roc_pr": roc_pr,
    "calibration": calibration,
    "coefficients": coefficients,
    "cladogram": cladogram,
    "lasso_path": lasso_path,
    "stability": stability,
    "confounding": confounding,
    "top_taxa": top_taxa,
    "ordination": ordination,
    "permutation": permutation,
    "transfer": transfer,
}


def plot(
    *,
    results: Path,
    schemes: list[str],
    models: list[str],
    figures: list[str],
    truth: Path | None = None,
    output: Path,
) -> None:
    """Draw the figures of the MWAS study.

    Parameters
    ----------
    results
        Folder of the data set, results/mwas/<data set>.
    schemes
        Cross-validation schemes, in the order of the panels.
    models
        Models that were scored.
    figures
        Names of the figures to draw.
    truth
        Table with the role of each simulated taxon (taxon, role).
    output
        Folder for <figure>.svg.
    """
    tables = Results(results, schemes, models, truth)
    for name in figures:
        FIGURES[name](tables, output / f"{name}.svg")


if __name__ == "__main__":
    main(plot)
