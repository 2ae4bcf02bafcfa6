"""Keep the network that predicts best, to be used on other terrain.

Which network is chosen by the held-out folds of a scheme. It is then trained once for each of these
folds, on all other terrains; the mean of these networks, which together have seen all terrains, is
the surrogate, and the residuals of each in its own fold calibrate the interval.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from casestudies.config.wind import Training
from casestudies.errors import InputError
from casestudies.evaluation.conformal import unit_quantile
from casestudies.files import digest, write_json, writing
from casestudies.steps import main
from casestudies.tables import read_metadata, read_table
from casestudies.training.checkpoint import remove_checkpoints
from casestudies.training.device import device as find_device
from casestudies.training.parallel import side_by_side
from casestudies.validation import check_part, read_saved
from casestudies.wind.flow import Flow
from casestudies.wind.flows import (
    Grid,
    calibration_part,
    prediction_table,
    read_flows,
    read_samples,
    read_usable_folds,
    speed,
    units_of,
)
from casestudies.wind.networks import (
    CORRECTED,
    NAMES,
    Problem,
    Shown,
    Surrogate,
    check_name,
    parse_settings,
    predict_flow,
    spread_of,
    train_network,
)

MODEL, NETWORKS = "model.json", "networks.safetensors"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=())


class GridFacts(_Strict):
    """See casestudies.wind.flows.Grid."""

    shape: tuple[int, int]
    interior: tuple[tuple[int, int], tuple[int, int]]
    heights: tuple[float, ...] = Field(min_length=1)
    spacing: float = Field(gt=0)
    fringe: float = Field(gt=0, lt=0.5)


class SavedModel(_Strict):
    """What ``model.json`` says."""

    format: Literal[1] = 1
    study: Literal["wind"] = "wind"
    network: str
    """Among casestudies.wind.networks.NAMES."""
    networks: int = Field(gt=0)
    """How many of them are averaged."""
    settings: Training
    grid: GridFacts
    solver: str
    """The costly flow model that they stand in for."""
    cheap: Literal["", "linear", "mass_consistent"]
    """The cheap flow model that they correct, if any."""
    cheap_settings: dict[str, Any]
    slope_p95: float
    """Greatest 95th percentile of slope of a terrain that was learned from (m per m)."""
    relief: float
    """Greatest relief of such a terrain (m)."""
    roughness: tuple[float, float]
    """Range of the roughness length (m)."""
    terrains: int = Field(gt=0)
    coverage: float = Field(gt=0, lt=1)
    half_width: float = Field(ge=0)
    """Of the interval of the speed at the first height, over the inflow speed."""
    rmse: float = Field(ge=0)
    """Of that speed out of fold, over the inflow speed, with a network chosen anew in each fold."""
    sha256: str
    """Of the file of weights."""

    def make_grid(self) -> Grid:
        """Return the grid."""
        return Grid(**self.grid.model_dump())


@dataclass(frozen=True)
class FittedSurrogate:
    """The surrogate, ready for use on one device.

    Parameters
    ----------
    about
        What ``model.json`` says.
    networks
        They are averaged.
    """

    about: SavedModel
    grid: Grid
    networks: Sequence[Surrogate]

    def predict(
        self, elevation: np.ndarray, roughness: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the flow over terrains of the grid, the cheap model's run included.

        Parameters
        ----------
        elevation
            At nodes, the fringe blended to flat ground, (n, ny + 1, nx + 1), m.
        roughness
            Roughness length, (n,), m.

        Returns
        -------
        flow
            In the interior, relative to the inflow, (n, 3, heights, y, x); NaN where the cheap
            model failed.
        spread
            Standard deviation of the speed between networks, (n, heights, y, x).
        """
        cheap = None
        if self.about.cheap:
            found = solve_cheap(
                self.about.cheap,
                elevation,
                self.grid.spacing,
                roughness,
                self.grid.heights,
                self.about.cheap_settings,
            )
            cheap = np.stack([np.stack([one.u, one.v, one.w]) for one in found])
        where = self.networks[0].scale.device
        shown = Shown.of(self.grid, elevation, roughness, cheap).to(where)
        flows = [predict_flow(network, shown) for network in self.networks]
        return np.mean(flows, axis=0), spread_of(flows)


def solve_cheap(
    name: str,
    elevation: np.ndarray,
    spacing: float,
    roughness: np.ndarray,
    heights: Sequence[float],
    settings: Mapping[str, Any],
) -> list[Flow]:
    """Return the flows of a cheap model over terrains of one grid."""
    from casestudies.wind import linear, mass_consistent

    solvers: dict[str, Callable[..., list[Flow]]] = {
        "linear": linear.solve_many,
        "mass_consistent": lambda *given: mass_consistent.solve_many(*given, settings),
    }
    return solvers[name](elevation.astype(float), spacing, roughness, list(heights))


def save(
    *,
    prepared: Path,
    samples: Path,
    splits: Path,
    predictions: list[Path],
    chosen: Path,
    settings: str = "{}",
    cheap: str = "linear",
    cheap_settings: str = "{}",
    units: list[str],
    coverage: float = 0.9,
    seed: int,
    threads: int = 1,
    device: str = "auto",
    checkpoint: Path,
    checkpoint_every: float = 60.0,
    output: Path,
) -> None:
    """Choose a network by a scheme's folds, train it without each of them in turn, keep them all.

    Parameters
    ----------
    prepared
        Terrains and flows (NetCDF).
    samples
        Prepared table, one row per terrain.
    splits
        Folds of the scheme by which the choice is made.
    predictions
        Out-of-fold predictions of the networks under that scheme, named <network>.parquet.
    chosen
        Those of the network that in each fold the inner folds choose. The error that the model
        states is theirs: the least of the networks' own would flatter, since it is what they are
        chosen by.
    settings
        By network its settings, as JSON.
    cheap
        The cheap flow model that corrected networks are given.
    cheap_settings
        Its settings as JSON.
    units
        Columns of the units by which intervals are calibrated.
    coverage
        Nominal coverage of the prediction intervals.
    seed
        Seed of everything random in the training.
    threads
        CPU threads: networks that are trained side by side.
    device
        auto, cpu or cuda.
    checkpoint
        Folder of checkpoints; a killed step resumes from it, and a finished one removes it.
    checkpoint_every
        Seconds between checkpoints.
    output
        Folder: model.json, networks.safetensors.
    """
    from safetensors.torch import save_file

    where = find_device(device)
    errors = {path.stem: _out_of_fold(path) for path in predictions}
    for name in errors:
        check_name(name)
    name = min(errors, key=errors.__getitem__)
    trained_by = parse_settings(json.dumps(json.loads(settings).get(name, {})))
    table = read_samples(samples, [*units, "slope_p95", "relief", "roughness"])
    folds = [fold for fold in read_usable_folds(splits, table) if fold.repeat == 0]
    used = cheap if name.endswith(CORRECTED) else ""
    flows = read_flows(prepared, table["sample"].tolist(), [used] if used else [])
    problem = Problem.of(name, flows, trained_by, where)

    def fit(number: int) -> tuple[Surrogate, pd.DataFrame]:
        fold = folds[number]
        child = np.random.SeedSequence([seed, fold.fold])
        trained = train_network(
            problem,
            fold.train,
            int(child.generate_state(1)[0]),
            None,
            checkpoint / f"{fold.fold}.safetensors",
            checkpoint_every,
            f"{name}, network {number + 1} of {len(folds)}",
        )
        found = speed(problem.predict(trained.network, fold.test)[:, :, 0])
        return trained.network, prediction_table(flows, {"fold": fold.fold}, fold.test, found)

    at_once = threads if where.type == "cpu" else 1
    fitted = list(side_by_side(fit, range(len(folds)), at_once))
    networks, held_out = zip(*fitted, strict=True)
    part = calibration_part(pd.concat(held_out, ignore_index=True), flows.grid.points)
    residuals = (part["observed"] - part["predicted"]).abs().to_numpy()
    calibrated = units_of(table, units).loc[part["sample"]]
    learned = table.iloc[np.unique(np.concatenate([fold.train for fold in folds]))]
    tensors = {
        f"{number}.{key}": value.detach().cpu().contiguous()
        for number, network in enumerate(networks)
        for key, value in network.state_dict().items()
    }
    output = Path(output)
    with writing(output / NETWORKS) as temporary:
        save_file(tensors, temporary)
    grid = flows.grid
    model = SavedModel(
        network=name,
        networks=len(networks),
        settings=trained_by,
        grid=GridFacts(**vars(grid)),
        solver=str(read_metadata(samples).get("solver", "unknown")),
        cheap=used,
        cheap_settings=json.loads(cheap_settings) if used else {},
        slope_p95=float(learned["slope_p95"].max()),
        relief=float(learned["relief"].max()),
        roughness=(float(learned["roughness"].min()), float(learned["roughness"].max())),
        terrains=len(learned),
        coverage=coverage,
        half_width=max(
            unit_quantile(residuals, calibrated[unit].to_numpy(), coverage) for unit in units
        ),
        rmse=_out_of_fold(chosen),
        sha256=digest(output / NETWORKS),
    )
    # Last: a folder without it is no model.
    write_json(model.model_dump(mode="json"), output / MODEL)
    remove_checkpoints(checkpoint)


def _out_of_fold(path: Path) -> float:
    """Return the root mean square error of a prediction table."""
    rows = read_table(path, complete=["observed", "predicted"])
    return float(np.sqrt(((rows["observed"] - rows["predicted"]) ** 2).mean()))


def read_surrogate(folder: Path, device: str = "cpu") -> FittedSurrogate:
    """Read a surrogate that the study keeps.

    Raises
    ------
    InputError
        If a file is missing, damaged, of a later format or of another model.
    """
    from safetensors.torch import load_file

    folder = Path(folder)
    path = folder / MODEL
    remedy = "give the folder that the study writes, results/wind/<data set>/model."
    about = read_saved(path, SavedModel, "wind", remedy)
    if about.network not in NAMES:
        raise InputError(f"{path}: network {about.network!r} is unknown; {remedy}")
    weights = folder / NETWORKS
    check_part(weights, about.sha256, MODEL, remedy)
    tensors = load_file(weights)
    where, grid, networks = find_device(device), about.make_grid(), []
    for number in range(about.networks):
        network = Surrogate(about.network, grid, about.settings.width)
        prefix = f"{number}."
        own = {key.removeprefix(prefix): v for key, v in tensors.items() if key.startswith(prefix)}
        network.load_state_dict(own)
        networks.append(network.to(where).eval())
    return FittedSurrogate(about, grid, networks)


if __name__ == "__main__":
    main(save)
