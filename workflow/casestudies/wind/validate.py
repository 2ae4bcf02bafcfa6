"""Judge flow models, and networks in their place, by the masts of Askervein.

Fractional speed-up is the horizontal speed at 10 m over that of the inflow, less 1. Nothing is
chosen by it: the set-up is the same for all models and was fixed before the first comparison.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from casestudies.errors import InputError, nearest
from casestudies.evaluation.scores import bias, cluster_weights, rmse
from casestudies.files import writing
from casestudies.provenance import provenance
from casestudies.steps import log, main
from casestudies.tables import write_json, write_table
from casestudies.wind import askervein
from casestudies.wind.solve import SOLVERS
from casestudies.wind.solve import solve as solve_terrains
from casestudies.wind.terrain import Terrains, read_terrains

HEIGHT = 10.0
"""Height above ground at which models and masts are compared (m)."""
SETTINGS = {"openfoam": {"levels": 26, "top": 1200.0}}
"""Settings of flow models, unless others are given. The lowest cells of this mesh are 4 m high,
those of the study's default 7 m, with which the RMSE of RANS is 0.112 in place of 0.076."""
NO_SPEED_UP = "log_law"
"""The trivial model: the inflow, whatever the terrain."""
ALL = "all"
SURROGATE = "surrogate-"
"""What precedes the data set in the name of a surrogate."""
_NAMES = {
    NO_SPEED_UP: "no speed-up (the log law)",
    "linear": "linear theory",
    "mass_consistent": "the mass-consistent model",
    "openfoam": "the RANS model",
}


def correlation(observed: np.ndarray, predicted: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson's correlation; observed, predicted (n,), weights (b, n) -> (b,); NaN if constant."""
    share = weights / weights.sum(axis=1, keepdims=True)
    x, y = (values - (share @ values)[:, None] for values in (observed, predicted))
    cross, xx, yy = ((share * product).sum(axis=1) for product in (x * y, x * x, y * y))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(xx * yy > 1e-20, cross / np.sqrt(xx * yy), np.nan)


METRICS = {"rmse": rmse, "bias": bias, "r": correlation}


def at_stations(
    speed: np.ndarray, grid: askervein.Grid, stations: pd.DataFrame, fringe: float = 0.0
) -> np.ndarray:
    """Interpolate a field to the stations, bilinearly between cell centres.

    Parameters
    ----------
    speed
        (ny, nx).
    stations
        With x and y.
    fringe
        Part of the grid, on each side, in which no station may be.

    Returns
    -------
    (stations,).

    Raises
    ------
    InputError
        If a station is outside the grid or in its fringe.
    """
    from scipy.ndimage import map_coordinates

    places = grid.cells(stations["x"].to_numpy(), stations["y"].to_numpy())
    outside = np.zeros(len(stations), dtype=bool)
    for place, size in zip(places, grid.shape, strict=True):
        first = max(0.0, fringe * size - 0.5)
        outside |= (place < first) | (place > size - 1 - first)
    if outside.any():
        names = ", ".join(stations["station"][outside])
        raise InputError(
            f"{names}: outside the grid of {grid.shape[1]} × {grid.shape[0]} cells of "
            f"{grid.spacing:g} m, or in its fringe; make the terrain with more --cells."
        )
    return map_coordinates(np.asarray(speed, dtype=float), places, order=1, mode="nearest")


def compare(stations: pd.DataFrame, speeds: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Return stations × models.

    Parameters
    ----------
    stations
        See casestudies.wind.askervein.stations.
    speeds
        By model, the horizontal speed at the stations over that of the inflow, (stations,).

    Returns
    -------
    DataFrame with model, station, position, x, y, observed, lower, upper, predicted: fractional
    speed-ups, with the bounds of the measurement.
    """
    places = stations[["station", "position", "x", "y", "speed_up", "lower", "upper"]]
    places = places.rename(columns={"speed_up": "observed"})
    parts = []
    for model, speed in speeds.items():
        part = places.assign(predicted=speed - 1)
        part.insert(0, "model", model)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def score(table: pd.DataFrame, seed: int = 0, resamples: int = 2000) -> pd.DataFrame:
    """Return scores with 95 % intervals from resampling stations.

    Returns
    -------
    DataFrame with model, position ("all", or one of askervein.POSITIONS), metric, estimate, lower,
    upper, stations.
    """
    rows = []
    for model, of_model in table.groupby("model", sort=False):
        for position in (ALL, *askervein.POSITIONS):
            part = of_model if position == ALL else of_model[of_model["position"] == position]
            if len(part) < 2:
                continue
            observed, predicted = part["observed"].to_numpy(), part["predicted"].to_numpy()
            # The same resamples for every model.
            weights = cluster_weights(
                [part["station"].to_numpy()], resamples, np.random.default_rng(seed)
            )
            for name, metric in METRICS.items():
                estimate = metric(observed, predicted, np.ones((1, len(part))))[0]
                replicates = metric(observed, predicted, weights)
                bounds = (np.nan, np.nan)
                if np.isfinite(replicates).any():
                    bounds = tuple(np.nanquantile(replicates, [0.025, 0.975]))
                rows.append((model, position, name, estimate, *bounds, len(part)))
    columns = ["model", "position", "metric", "estimate", "lower", "upper", "stations"]
    return pd.DataFrame(rows, columns=columns)


def read_speed(path: Path, terrains: Terrains) -> np.ndarray:
    """Read the horizontal speed at 10 m from a file of flows of this one terrain, (ny, nx).

    Raises
    ------
    InputError
        If the file is missing or of another terrain, or its flow was rejected.
    """
    import xarray as xr

    if not path.is_file():
        raise InputError(f"{path}: no such file.")
    try:
        with xr.open_dataset(path, engine="h5netcdf") as opened:
            flows = opened.load()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as NetCDF-4 ({error}).") from error
    for name in ("u", "v", "terrain", "height"):
        if name not in flows.variables:
            raise InputError(
                f"{path}: {name!r} is missing; a file of flows is needed, as of "
                "casestudies.wind.solve."
            )
    wanted = (*terrains.names, *terrains.shape)
    found = (*flows["terrain"].values.astype(str), flows.sizes.get("y"), flows.sizes.get("x"))
    if found != wanted:
        raise InputError(
            f"{path}: holds {found[:-2]} on {found[-2:]} cells, but the terrain is {wanted[:-2]} "
            f"on {wanted[-2:]}."
        )
    if HEIGHT not in flows["height"].values:
        raise InputError(f"{path}: has no flow at {HEIGHT:g} m, the height of the masts.")
    at = flows.isel(terrain=0).sel(height=HEIGHT)
    if "reason" in flows and str(at["reason"].item()):
        raise InputError(f"{path}: the flow was rejected: {at['reason'].item()}.")
    speed = np.hypot(at["u"], at["v"]).transpose("y", "x").to_numpy()
    if not np.isfinite(speed).all():
        raise InputError(f"{path}: the flow is not finite everywhere.")
    return speed


def surrogate_speed(
    folder: Path, contours: np.ndarray, roughness: float, stations: pd.DataFrame
) -> np.ndarray:
    """Return what a surrogate gives at the stations, (stations,), over the speed of the inflow.

    It is applied as by casestudies.wind.predict, to windows of the size that it was trained on.

    Parameters
    ----------
    folder
        Of the surrogate, results/wind/<data set>/model.
    contours
        Of the map, (n, 3) m.
    roughness
        Roughness length (m).

    Raises
    ------
    InputError
        If the surrogate cannot be read, or gives no wind at 10 m or at a station.
    """
    from scipy.ndimage import map_coordinates

    from casestudies.wind.predict import Frame, relative_flow
    from casestudies.wind.save import read_surrogate
    from casestudies.wind.tile import open_model

    surrogate = read_surrogate(folder, "cpu")
    grid = surrogate.grid
    if HEIGHT not in grid.heights:
        offered = ", ".join(f"{height:g}" for height in grid.heights)
        raise InputError(f"{folder}: gives the wind at {offered} m, the masts at {HEIGHT:g} m.")
    # Windows reach beyond the masts by their fringe, and are placed from the edge inward.
    half = 2000.0 + max(grid.shape) * grid.spacing
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "askervein.tif"
        askervein.write_dem(contours, path, half)
        with open_model(path) as model:
            frame = Frame.around(model, askervein.DIRECTION, grid.spacing)
            flow, _ = relative_flow(surrogate, model, frame, roughness, grid.heights.index(HEIGHT))
    places = frame.cell(stations["x"].to_numpy(), stations["y"].to_numpy() + askervein.NORTH)
    u, v = (map_coordinates(part, places, order=1, cval=np.nan) for part in flow[:2])
    if not np.isfinite(u).all():
        raise InputError(f"{folder}: gives no wind at some of the masts.")
    return np.hypot(u, v)


def finding(scores: pd.DataFrame) -> str:
    """Return what the scores say: a headline, then a line a model, best first."""
    table = scores.set_index(["model", "position", "metric"])
    overall = table.xs((ALL, "rmse"), level=[1, 2]).sort_values("estimate")
    first = overall.iloc[0]
    lines = [
        f"Against {int(first['stations'])} masts on Askervein, {_name(overall.index[0])} comes "
        f"closest: RMSE of the fractional speed-up at {HEIGHT:.0f} m {_interval(first)}."
    ]
    for model, row in overall.iterrows():
        line = f"{_name(model)}: {_interval(row)}"
        if (model, "lee", "rmse") in table.index:
            line += f", in the lee {_interval(table.loc[(model, 'lee', 'rmse')])}"
        lines.append(f"{line[0].upper()}{line[1:]}.")
    return "\n".join(lines)


def _name(model: str) -> str:
    if model.startswith(SURROGATE):
        return f"the surrogate trained on {model.removeprefix(SURROGATE)}"
    return _NAMES[model]


def _interval(row: pd.Series) -> str:
    return f"{row['estimate']:.3f} [{row['lower']:.3f}, {row['upper']:.3f}]"


def validate(
    *,
    data: Path,
    terrains: Path,
    output: Path,
    solvers: list[str] | None = None,
    settings: str = "{}",
    surrogates: list[Path] | None = None,
    seed: int = 0,
) -> None:
    """Compare flow models with the masts of Askervein: stations.csv, scores.csv, finding.txt.

    Parameters
    ----------
    data
        Folder of the data set askervein.
    terrains
        The hill, as casestudies.wind.askervein writes it.
    output
        Folder to write to; flows of the solvers go to its folder flows, and are used again if
        they are there, newer than the terrain and made with the same settings.
    solvers
        Flow models to run: linear and mass_consistent if not given.
    settings
        Settings of each flow model (JSON), by its name; SETTINGS for those that are not named.
    surrogates
        Folders of surrogates to apply, results/wind/<data set>/model; each is called
        surrogate-<data set>.
    seed
        Of the resamples.

    Raises
    ------
    InputError
        If an input cannot be read, a mast is outside the grid, or a flow was rejected.
    """
    hill = read_terrains(terrains)
    if hill.table["massif"].tolist() != ["askervein"]:
        raise InputError(f"{terrains}: is not what `python -m casestudies.wind.askervein` writes.")
    chosen = ["linear", "mass_consistent"] if solvers is None else solvers
    for name in chosen:
        if name not in SOLVERS:
            raise InputError(f"--solvers {name!r} is unknown; {nearest(name, SOLVERS)}")
    options = _settings(settings)
    stations = askervein.stations(askervein.read_masts(data / askervein.MASTS), HEIGHT)
    grid = askervein.Grid(hill.shape, hill.spacing, float(hill.table["direction"].iloc[0]))
    roughness = float(hill.table["roughness"].iloc[0])
    # The inflow everywhere; this fails before solvers run.
    speeds = {NO_SPEED_UP: at_stations(np.ones(hill.shape), grid, stations, hill.fringe)}
    contours = askervein.read_contours(data / askervein.MAP) if surrogates else None
    for folder in surrogates or []:
        name = f"{SURROGATE}{folder.resolve().parent.name}"
        speeds[name] = surrogate_speed(folder, contours, roughness, stations)
    for name in chosen:
        path = output / "flows" / f"{name}.nc"
        own = json.dumps(options.get(name, {}), sort_keys=True)
        if not _current(path, own, terrains):
            solve_terrains(
                terrains=terrains, solver=name, output=path, heights=[HEIGHT], settings=own
            )
        speeds[name] = at_stations(read_speed(path, hill), grid, stations, hill.fringe)
    table = compare(stations, speeds)
    scores = score(table, seed)
    facts = {
        "spacing": hill.spacing,
        "cells": list(hill.shape[::-1]),
        "fringe": hill.fringe,
        "roughness": roughness,
        "settings": options,
    }
    write_table(table, output / "stations.csv")
    write_table(scores, output / "scores.csv")
    write_json(provenance(facts, seed), output / "provenance.json")
    words = finding(scores)
    with writing(output / "finding.txt") as temporary:
        temporary.write_text(words + "\n", encoding="utf-8")
    for line in words.splitlines():
        log.info("%s", line)


def _settings(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"--settings is no JSON ({error}).") from error
    if not isinstance(found, dict) or not all(isinstance(each, dict) for each in found.values()):
        raise InputError(
            '--settings must be a JSON object of objects, like \'{"openfoam": {"levels": 26}}\'.'
        )
    for name in found:
        if name not in SOLVERS:
            raise InputError(f"--settings: {name!r} is no flow model; {nearest(name, SOLVERS)}")
    return SETTINGS | found


def _current(path: Path, settings: str, terrains: Path) -> bool:
    """Say whether flows are there, made after the terrain and with these settings."""
    import xarray as xr

    if not path.is_file() or path.stat().st_mtime < terrains.stat().st_mtime:
        return False
    with xr.open_dataset(path, engine="h5netcdf") as opened:
        return opened.attrs.get("settings") == settings and not any(opened["reason"].values)


if __name__ == "__main__":
    main(validate)
