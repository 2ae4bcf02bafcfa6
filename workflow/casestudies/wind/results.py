"""What the figures and the finding of the wind study share: the tables, names and colours."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import xarray as xr

from casestudies.evaluation.scores import cluster_weights
from casestudies.figures.results import StudyResults
from casestudies.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION
from casestudies.tables import read_metadata, read_table
from casestudies.wind.prepare import POSITIONS

SCHEMES = {
    "terrain": "unseen terrain",
    "massif": "unseen massif",
    "real": "from random fields to real",
}

MODELS: dict[str, tuple[str, str, str]] = {
    "surrogate": ("network, inner choice", BLACK, "o"),
    "unet_corrected": ("U-Net, corrects the cheap flow", VERMILION, "D"),
    "unet": ("U-Net", VERMILION, "^"),
    "fno_corrected": ("FNO, corrects the cheap flow", PURPLE, "D"),
    "fno": ("FNO", PURPLE, "^"),
    "gradient_boosting": ("gradient boosting on features", ORANGE, "P"),
    "ridge": ("ridge on terrain features", BLUE, "X"),
    "nearest_terrains": ("nearest terrains", SKY, "h"),
    "mass_consistent": ("mass-consistent model", GREEN, "s"),
    "linear": ("linear theory", GREEN, "v"),
    "log_law": ("log law", GREY, "d"),
}
"""Label, colour and marker of every model, in the order of the figures."""
LABELS = {name: label for name, (label, _, _) in MODELS.items()}
COLOURS = {name: colour for name, (_, colour, _) in MODELS.items()}
MARKERS = {name: marker for name, (_, _, marker) in MODELS.items()}
NETWORKS = ("unet_corrected", "unet", "fno_corrected", "fno")
SOLVERS = {"mass_consistent": "mass-consistent model", "openfoam": "RANS model"}


@dataclass(frozen=True)
class Predicted:
    """Predictions of one model on one scheme, all terrains by all interior cells.

    Parameters
    ----------
    names
        Terrains, (n,), as in the fields.
    points
        Cells, (m,): row × nx + column.
    observed, predicted, u, v
        (n, m), relative to the inflow.
    """

    names: np.ndarray
    points: np.ndarray
    observed: np.ndarray
    predicted: np.ndarray
    u: np.ndarray
    v: np.ndarray

    @property
    def rmse(self) -> np.ndarray:
        """Root mean square error of speed of every terrain, (n,)."""
        return np.sqrt(((self.predicted - self.observed) ** 2).mean(axis=1))


@dataclass(frozen=True)
class Results(StudyResults):
    """The tables of one data set; ``nominal`` is the coverage that intervals aim at."""

    questions = SCHEMES
    nominal: float = 0.9

    @cached_property
    def prepared(self) -> pd.DataFrame:
        return read_table(self.folder / "prepared.parquet", complete=["sample", "massif", "reason"])

    @cached_property
    def fields(self) -> xr.Dataset:
        with xr.open_dataset(self.folder / "prepared.nc", engine="h5netcdf") as opened:
            return opened.load()

    @property
    def solver(self) -> str:
        """The costly model, in words."""
        return SOLVERS[read_metadata(self.folder / "prepared.parquet")["solver"]]

    @property
    def networks(self) -> list[str]:
        """The networks that were trained, in the order of the figures."""
        return [name for name in NETWORKS if name in self.models]

    @property
    def height(self) -> float:
        """Height above ground at which speed is scored (m)."""
        return float(self.fields["height"][0])

    @property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns of the interior."""
        rows, columns = np.nonzero(self.fields["interior"].to_numpy())
        return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)

    def predictions(self, scheme: str, model: str) -> Predicted:
        """Return out-of-fold predictions; of the inner choice, those of the model chosen."""
        folder = self.folder / "predictions" / scheme
        columns = ["sample", "fold", "point", "observed", "predicted"]
        if model == "surrogate":
            weights = read_table(
                self.folder / "weights" / scheme / "surrogate.parquet",
                complete=["fold", "model", "weight"],
            )
            chosen = weights[weights["weight"] == 1]
            parts = []
            for name, rows in chosen.groupby("model"):
                table = read_table(folder / f"{name}.parquet", columns=[*columns, "u", "v"])
                parts.append(table[table["fold"].isin(rows["fold"])])
            table = pd.concat(parts)
        else:
            table = read_table(folder / f"{model}.parquet", columns=[*columns, "u", "v"])
        wide = {
            name: table.pivot(index="sample", columns="point", values=name)
            for name in ("observed", "predicted", "u", "v")
        }
        first = wide["observed"]
        return Predicted(
            first.index.to_numpy(),
            first.columns.to_numpy(),
            *(wide[name].to_numpy(float) for name in ("observed", "predicted", "u", "v")),
        )

    def truth(self, name: str, found: Predicted) -> np.ndarray:
        """Return a field (u, v, w at the first height, or position) as predictions are laid out."""
        values = self.fields[name].sel(terrain=found.names)
        if "height" in values.dims:
            values = values[:, 0]
        return values.to_numpy().reshape(len(found.names), -1)[:, found.points]


def errors_by_position(
    results: Results, scheme: str, resamples: int, confidence: float, seed: int
) -> pd.DataFrame:
    """Return errors of speed and direction of every model by place on the slope.

    The error of the direction is weighted by the observed speed, so that a calm counts little.
    Intervals come from resampling terrains.

    Returns
    -------
    scheme, model, position, metric (speed_rmse, unit 1; direction_mae, degrees), estimate, lower,
    upper, terrains, cells.
    """
    rng = np.random.default_rng(seed)
    levels = [(1 - confidence) / 2, (1 + confidence) / 2]
    weights: np.ndarray | None = None
    rows = []
    for model in results.models:
        found = results.predictions(scheme, model)
        if weights is None:
            drawn = cluster_weights([found.names], resamples, rng)
            weights = np.vstack([np.ones(len(found.names)), drawn])
            u, v = results.truth("u", found), results.truth("v", found)
            position = results.truth("position", found)
        angle = np.arctan2(found.v * u - found.u * v, found.u * u + found.v * v)
        turned = np.degrees(np.abs(angle)) * found.observed
        squared = (found.predicted - found.observed) ** 2
        for code, name in [*enumerate(POSITIONS), (-1, "all")]:
            there = (position == code) if code >= 0 else np.ones_like(position, dtype=bool)
            cells = weights @ there.sum(axis=1)
            speed = weights @ (found.observed * there).sum(axis=1)
            with np.errstate(invalid="ignore", divide="ignore"):
                values = {
                    "speed_rmse": np.sqrt(weights @ (squared * there).sum(axis=1) / cells),
                    "direction_mae": weights @ (turned * there).sum(axis=1) / speed,
                }
            for metric, value in values.items():
                if not np.isfinite(value[0]):
                    continue
                lower, upper = np.nanquantile(value[1:], levels)
                counts = (int(there.any(axis=1).sum()), int(there.sum()))
                rows.append((scheme, model, name, metric, value[0], lower, upper, *counts))
    columns = "scheme model position metric estimate lower upper terrains cells"
    return pd.DataFrame(rows, columns=columns.split())
