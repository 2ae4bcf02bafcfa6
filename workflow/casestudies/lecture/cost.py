"""What training costs: energy and CO2e of the steps of a run beside published ones."""

from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.errors import InputError
from casestudies.steps import main
from casestudies.tables import read_metadata, write_table

PUBLISHED: dict[str, tuple[float, float]] = {
    "Transformer, base": (27, 26),
    "Transformer, big": (201, 192),
    "ELMo": (275, 262),
    "BERT, base": (1507, 1438),
    "architecture search": (656347, 626155),
}
"""Energy (kWh · PUE) and CO2e (lb) of training, Table 3 of Strubell et al. (2019, ACL,
arXiv:1906.02243), as the lecture shows it."""
KG_PER_LB = 0.45359237
JOULES_PER_KWH = 3.6e6


def collect(tables: list[Path], results: Path) -> pd.DataFrame:
    """Return what the steps that made tables have used.

    Parameters
    ----------
    tables
        Parquet files, <results>/<study>/…/<model>.parquet. Those whose metadata hold no energy,
        made by steps that train no network, are passed over.

    Returns
    -------
    Table: study, step (path below the study's folder), model, seconds, kwh, co2e_kg (NaN where the
    machine offers no measurement), method, country.

    Raises
    ------
    InputError
        If a table is not there, or none holds energy.
    """
    rows = []
    for path in tables:
        if not path.is_file():
            raise InputError(f"{path}: no such file; run the step that makes it first.")
        facts = read_metadata(path)
        if "joules" not in facts:
            continue
        study, *inner = path.relative_to(results).with_suffix("").parts
        row = {"study": study, "step": "/".join(inner), "model": path.stem}
        joules, co2e = (
            np.nan if facts[name] is None else facts[name] for name in ("joules", "co2e_kg")
        )
        used = {"seconds": facts["seconds"], "kwh": joules / JOULES_PER_KWH, "co2e_kg": co2e}
        rows.append({**row, **used, "method": facts["method"], "country": facts["country"]})
    if not rows:
        raise InputError("no table holds the energy of a training step; give those of networks.")
    return pd.DataFrame(rows).sort_values(["study", "model", "step"], ignore_index=True)


def published() -> pd.DataFrame:
    """Return the published costs: model, kwh, co2e_kg."""
    table = pd.DataFrame(PUBLISHED, index=["kwh", "co2e_kg"]).T.rename_axis("model")
    table["co2e_kg"] *= KG_PER_LB
    return table.reset_index()


def in_words(table: pd.DataFrame) -> str:
    """Return the totals of a run, and how they compare with the smallest published one."""
    known = table.dropna(subset=["kwh"])
    steps = f"{len(table)} training steps" if len(table) > 1 else "1 training step"
    if known.empty:
        return f"{steps}, {table['seconds'].sum():.0f} s; this machine offers no measurement."
    kwh, co2e = known["kwh"].sum(), known["co2e_kg"].sum()
    name, (energy, _) = next(iter(PUBLISHED.items()))
    methods = " and ".join(sorted(known["method"].unique()))
    missing = len(table) - len(known)
    left = f"; {missing} could not be measured" if missing else ""
    return (
        f"{steps}, {table['seconds'].sum():.0f} s: {kwh:.2g} kWh and {1000 * co2e:.2g} g CO2e "
        f"({methods}, electricity of {', '.join(sorted(known['country'].unique()))}){left}. "
        f"{name}, the smallest of the lecture's table, took {energy / kwh:,.0f} times the energy."
    )


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw the steps, their sums by model and over the run, and the published costs."""
    from casestudies.figures.style import BLACK, BLUE, GREY, VERMILION, figure

    groups = list(table.groupby(["study", "model"], sort=False))
    known = published()
    labels = [f"{study}: {_words(model)}" for (study, model), _ in groups]
    labels += ["all of this run", *known["model"]]
    with figure(path, 1, 2, (9.6, 1.6 + 0.25 * len(labels)), sharey=True) as (drawing, axes):
        for axis, (column, label) in zip(
            axes, {"kwh": "energy (kWh)", "co2e_kg": "CO$_2$e (kg)"}.items(), strict=True
        ):
            for place, (_, steps) in enumerate(groups):
                values = steps[column].to_numpy()
                axis.plot(values, np.full(len(values), place), "|", color=BLUE, ms=8, mew=1.2)
                axis.plot(steps[column].sum(min_count=1), place, "o", color=BLUE, ms=6)
            axis.plot(table[column].sum(min_count=1), len(groups), "D", color=BLACK, ms=7)
            places = len(groups) + 1 + np.arange(len(known))
            axis.plot(known[column], places, "s", color=VERMILION, ms=7)
            for place, value in zip(places, known[column], strict=True):
                axis.annotate(
                    f"{value:,.0f}",
                    (value, place),
                    xytext=(7, 0),
                    va="center",
                    textcoords="offset points",
                    fontsize=8,
                    color=GREY,
                )
            axis.axhline(len(groups) + 0.5, color=GREY, lw=0.8)
            axis.set(xscale="log", xlabel=label)
            low, high = axis.get_xlim()
            axis.set_xlim(low, high * 20)
        axes[0].set_yticks(range(len(labels)), labels)
        axes[0].set_ylim(len(labels) - 0.4, -0.6)
        handles = [
            axes[0].plot([], [], "|", color=BLUE, ms=8, label="one step of this run")[0],
            axes[0].plot([], [], "o", color=BLUE, label="sum of a model's steps")[0],
            axes[0].plot([], [], "D", color=BLACK, label="sum of the run")[0],
            axes[0].plot([], [], "s", color=VERMILION, label="Strubell et al. 2019")[0],
        ]
        drawing.legend(handles=handles, loc="outside upper center", ncols=4)
        drawing.supxlabel(in_words(table), fontsize=9, wrap=True)


_SPELT = {"cnn": "CNN", "pca": "PCA", "fno": "FNO", "unet": "U-Net"}


def _words(model: str) -> str:
    """Return the name of a model in words."""
    return " ".join(_SPELT.get(part, part) for part in model.split("_"))


def cost(*, tables: list[Path], results: Path, output: Path, figure: Path) -> None:
    """Collect what training has cost and draw it beside published costs.

    Parameters
    ----------
    tables
        Tables of results; those made by steps that train no network are passed over.
    results
        Folder of all studies' results.
    output
        Table (CSV): see :func:`collect`.
    figure
        The figure.
    """
    found = collect(tables, results)
    write_table(found, output)
    draw(found, figure)


if __name__ == "__main__":
    main(cost)
