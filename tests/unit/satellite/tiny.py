"""A tiny study: images with one pattern whose strength is the label."""

from pathlib import Path

import numpy as np
import pandas as pd

from casestudies.config.schemes import Blocked
from casestudies.evaluation.splits import folds_to_table, make_folds
from casestudies.satellite.images import Channel, ImageWriter
from casestudies.satellite.season import calendar
from casestudies.tables import write_table

DAYS, SIDE = 80, 8
HEADS, SIZES = ["ridge", "gaussian_process", "gradient_boosting"], [2, 4]


def make_study(folder: Path, permute: int | None = None) -> Path:
    """Three frames a day, one label at noon: the strength of a pattern in noise, with gaps."""
    rng = np.random.default_rng(5)
    state = np.sin(np.arange(3 * DAYS) / 7) + 0.3 * rng.normal(size=3 * DAYS)
    pattern = rng.normal(size=(2, SIDE, SIDE))
    values = 50 + 5 * state[:, None, None, None] * pattern
    values += rng.normal(size=values.shape)
    latents = np.stack([(values * pattern).mean(axis=(1, 2, 3)), *values[:, 0, :3, 0].T], axis=1)
    values[rng.random(values.shape) < 0.1] = np.nan
    times = np.datetime64("2021-03-01T06", "s") + np.timedelta64(6, "h") * (
        np.arange(3 * DAYS) // 3 * 4 + np.arange(3 * DAYS) % 3
    )
    channels = [Channel(name, "K", name, 0, 100) for name in ("a", "b")]
    axes = [(np.arange(SIDE, dtype=float), {"units": "1"})] * 2
    with ImageWriter(folder / "images.zarr", channels, len(times), *axes) as writer:
        for time, frame in zip(times, values, strict=True):
            writer.append(time, frame)
    frames = np.arange(1, 3 * DAYS, 3)
    label = state[frames] + 0.05 * rng.normal(size=DAYS)
    if permute is not None:
        label = np.random.default_rng(permute).permutation(label)
    samples = pd.DataFrame(
        {
            "sample": [f"s{k}" for k in range(DAYS)],
            "time": times[frames],
            "day": (times[frames] - times[0]) / np.timedelta64(1, "D"),
            "block": np.arange(DAYS) // 5,
            "frame": frames,
            "state_0": state[frames],
            "label": label,
        }
    ).join(calendar(times[frames]))
    facts = {"states": ["state_0"], "neighbourhood": [4, 4], "units": "1", "log": False}
    write_table(samples, folder / "prepared.parquet", facts)
    scheme = Blocked(time="day", blocks=4, gap=2, inner_folds=4)
    folds = make_folds(samples, "label", scheme, 0)
    write_table(folds_to_table(folds, samples), folder / "blocked.parquet")
    columns = [f"z{k}" for k in range(4)]
    features = pd.DataFrame(latents, columns=columns).assign(frame=np.arange(len(times)))
    write_table(features.assign(fold=-1), folder / "some_all_images.parquet", {"encoder": "some"})
    parts = [features.assign(fold=fold.fold) for fold in folds]
    write_table(pd.concat(parts), folder / "some.parquet", {"encoder": "some"})
    return folder


def given(folder: Path, *models: str) -> dict:
    features = [folder / f"{model}.parquet" for model in models if model.startswith("some")]
    return {
        "images": folder / "images.zarr",
        "prepared": folder / "prepared.parquet",
        "splits": folder / "blocked.parquet",
        "features": features,
        "models": list(models),
        "heads": HEADS,
        "latent_sizes": SIZES,
        "seed": 3,
    }
