"""Every step that trains a network, small, as a function of folder and device.

``difference`` compares what two runs predict, not their weights: many weights make one prediction.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.config.schemes import Blocked, LeaveOneGroupOut
from casestudies.evaluation.splits import split
from casestudies.glacier.prepare import prepare as prepare_glacier
from casestudies.glacier.simulate import simulate as simulate_glacier
from casestudies.glacier.train import train as train_glacier
from casestudies.lecture.train import train as train_lecture
from casestudies.satellite.encode import encode, load_encoder
from casestudies.satellite.images import Images
from casestudies.satellite.prepare import prepare as prepare_satellite
from casestudies.satellite.simulate import simulate as simulate_satellite
from casestudies.satellite.train import train as train_satellite
from casestudies.tables import read_table
from casestudies.wind.train import train as train_wind
from tests.unit.wind.tiny import make_study

TABLES = ("output", "inner", "choices", "curves")


def make_data(folder: Path) -> Path:
    """Write small prepared data of all studies."""
    glacier = folder / "glacier"
    simulate_glacier(output=glacier / "raw", glaciers=8, first_year=1975, last_year=2000, seed=1)
    samples = glacier / "prepared.parquet"
    prepare_glacier(raw=glacier / "raw", reader="alpgm", output=samples)
    for group in ("glacier", "year"):
        start = 1996 if group == "year" else None
        scheme = LeaveOneGroupOut(group=group, test_from=start, inner_folds=2)
        split(
            samples=samples,
            target="mass_balance",
            scheme=scheme.model_dump_json(),
            seed=1,
            output=glacier / f"{group}.parquet",
        )
    satellite = folder / "satellite"
    simulate_satellite(output=satellite / "raw", pixels=32, days=60, device="cpu", seed=1)
    prepare_satellite(
        kind="simulated",
        raw=[satellite / "raw"],
        images=satellite / "images.zarr",
        output=satellite / "prepared.parquet",
    )
    split(
        samples=satellite / "prepared.parquet",
        target="label",
        scheme=Blocked(time="day", blocks=2, gap=3, unit="period", inner_folds=2).model_dump_json(),
        seed=1,
        output=satellite / "blocked.parquet",
    )
    make_study(folder / "wind")
    return folder


def glacier(model: str, group: str, settings: str) -> Callable[..., np.ndarray]:
    """Out-of-fold predictions of a network for new glaciers or years (m w.e.)."""

    def run(data: Path, folder: Path, device: str, seed: int = 1) -> np.ndarray:
        train_glacier(
            prepared=data / "glacier/prepared.parquet",
            splits=data / f"glacier/{group}.parquet",
            model=model,
            settings=settings,
            units=[group],
            seed=seed,
            device=device,
            checkpoint=folder / "checkpoints",
            **{name: folder / f"{name}.parquet" for name in TABLES},
        )
        return read_table(folder / "output.parquet")["predicted"].to_numpy()

    return run


def encoder(name: str) -> Callable[..., np.ndarray]:
    """Reconstructions of some frames by an autoencoder (standardised)."""

    def run(data: Path, folder: Path, device: str, seed: int = 1) -> np.ndarray:
        encode(
            images=data / "satellite/images.zarr",
            prepared=data / "satellite/prepared.parquet",
            encoders=[name],
            settings=f'{{"{name}": {{"latent": 4, "width": 8, "steps": 60, "batch": 16}}}}',
            seed=seed,
            device=device,
            checkpoint=folder / "checkpoints",
            features=folder,
            weights=folder,
        )
        model = load_encoder(folder / f"{name}.safetensors")
        latents = read_table(folder / f"{name}.parquet")[["z0", "z1", "z2", "z3"]].to_numpy()
        assert len(latents) == Images(data / "satellite/images.zarr").shape[0]
        return model.decode(latents[::20].astype(np.float32))

    return run


def cnn(data: Path, folder: Path, device: str, seed: int = 1) -> np.ndarray:
    """Out-of-fold predictions of the end-to-end network (the label's units)."""
    train_satellite(
        images=data / "satellite/images.zarr",
        prepared=data / "satellite/prepared.parquet",
        splits=data / "satellite/blocked.parquet",
        settings='{"steps": 40, "width": 8, "batch": 16}',
        units=["period"],
        seed=seed,
        device=device,
        checkpoint=folder / "checkpoints",
        **{name: folder / f"{name}.parquet" for name in TABLES},
    )
    return read_table(folder / "output.parquet")["predicted"].to_numpy()


def wind(model: str) -> Callable[..., np.ndarray]:
    """Out-of-fold predictions of a surrogate (relative to the inflow)."""

    def run(data: Path, folder: Path, device: str, seed: int = 1) -> np.ndarray:
        train_wind(
            prepared=data / "wind/prepared.nc",
            samples=data / "wind/prepared.parquet",
            splits=data / "wind/splits.parquet",
            model=model,
            settings='{"width": 4, "epochs": 6, "batch": 3, "learning_rate": 0.01}',
            units=["sample"],
            seed=seed,
            device=device,
            checkpoint=folder / "checkpoints",
            **{name: folder / f"{name}.parquet" for name in TABLES},
        )
        return read_table(folder / "output.parquet")["predicted"].to_numpy()

    return run


def lecture(experiment: str, settings: str, column: str) -> Callable[..., np.ndarray]:
    """What an experiment with networks reports, a number for each network or width."""

    def run(data: Path, folder: Path, device: str, seed: int = 1) -> np.ndarray:
        train_lecture(
            experiment=experiment,
            settings=settings,
            seed=seed,
            device=device,
            checkpoint=folder / "checkpoints",
            output=folder / "output.parquet",
        )
        return pd.read_parquet(folder / "output.parquet")[column].to_numpy()

    return run


@dataclass(frozen=True)
class Step:
    """A training step, and how far its predictions may differ (:func:`difference`).

    Parameters
    ----------
    bfloat16
        Whether it computes in bfloat16 on a GPU.
    """

    run: Callable[..., np.ndarray]
    bfloat16: bool
    tolerance: float


def difference(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the root mean square difference over the standard deviation of what is expected."""
    return float(np.sqrt(np.mean((found - expected) ** 2)) / expected.std())


_PAPER = '{"known_year_epochs": 8, "new_year_epochs": 8}'
_ENSEMBLE = '{"steps": 40, "evaluate_every": 10, "batch": 32, "members": 2}'
# float32 on both sides, summed in another order, which some steps of training carry on: far below
# this, unless a choice by the inner folds is near a tie.
_SINGLE = 0.02
STEPS = {
    "glacier, paper network, known year": Step(
        glacier("paper_network", "glacier", _PAPER), False, _SINGLE
    ),
    "glacier, paper network, new year": Step(
        glacier("paper_network", "year", _PAPER), False, _SINGLE
    ),
    "glacier, paper protocol": Step(glacier("paper_protocol", "year", _PAPER), False, _SINGLE),
    "glacier, ensemble, known year": Step(
        glacier("deep_ensemble", "glacier", _ENSEMBLE), False, _SINGLE
    ),
    "glacier, ensemble, new year": Step(
        glacier("deep_ensemble", "year", _ENSEMBLE), False, _SINGLE
    ),
    "lecture, variance": Step(
        lecture("variance", '{"widths": [2, 4, 8], "sets": 4, "steps": 40}', "error"),
        False,
        _SINGLE,
    ),
    "lecture, starts": Step(
        lecture("starts", '{"widths": [2, 8], "starts": 8, "points": 20, "steps": 40}', "loss"),
        False,
        _SINGLE,
    ),
    "lecture, approximation": Step(
        lecture(
            "approximation",
            '{"widths": [4, 8], "depths": [1, 2], "starts": 2, "points": 60, "steps": 40}',
            "error",
        ),
        False,
        _SINGLE,
    ),
    # bfloat16 keeps 8 bits of a number, so that one product is off by up to 0.4 %; sums are kept in
    # float32, and the errors of many products average out. Allowed is some three to ten times what
    # was measured with bfloat16 on a CPU; networks that correct a cheap flow predict little of the
    # whole, and so are off by little.
    **{
        f"satellite, {name}": Step(encoder(name), True, 0.006)
        for name in (
            "autoencoder",
            "masked_autoencoder",
            "variational_autoencoder",
            "temporal_autoencoder",
        )
    },
    "satellite, cnn": Step(cnn, True, 0.015),
    "wind, unet": Step(wind("unet"), True, 0.03),
    "wind, unet_corrected": Step(wind("unet_corrected"), True, 0.008),
    "wind, fno": Step(wind("fno"), True, 0.015),
    "wind, fno_corrected": Step(wind("fno_corrected"), True, 0.003),
}
