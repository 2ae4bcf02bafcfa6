"""The satellite claim on series of several seeds: few labels, latent against pixels and network.

Run ``python benchmarks/satellite_seeds.py`` (about 100 s of one core a seed). For every
seed it simulates the plume with the default configuration, fits the encoders in the fold, and two
of them on all images, and makes the label curves at one number of labels. It prints R² of the
models, averaged over seeds, and the paired differences of the latent and of the lecture's
autoencoder from rivals, with a t interval over the seeds, each of which is another series, other
labels and other weights; and a verdict on the claim: that the latent reaches a least R², and beats
raw pixels and the network trained end to end.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import t as student

from casestudies.config import Config
from casestudies.config.satellite import ALL_IMAGES, Satellite
from casestudies.evaluation.splits import split
from casestudies.satellite.curve import curve, r_squared
from casestudies.satellite.encode import encode
from casestudies.satellite.prepare import prepare
from casestudies.satellite.simulate import simulate
from casestudies.satellite.summarise import LECTURE, inner_choice
from casestudies.tables import read_table

RIVALS = {
    "latent": ("raw_pixels", "cnn", "coarse_pixels", "pca", "random_features", "oracle"),
    LECTURE: ("raw_pixels", "cnn", "coarse_pixels", f"pca_{ALL_IMAGES}"),
}
"""By model those that it is compared with."""
CLAIMED = ("raw_pixels", "cnn")
"""Those that the latent must beat."""
LEAST = 0.65
"""R² that the latent must reach."""
LECTURED = ("pca", "autoencoder")
"""Encoders that are also fitted to all images."""


def scores(study: Satellite, seed: int, labels: int, draws: int, folder: Path) -> pd.Series:
    """Return R² of every model on a series of its own, pooled over folds, averaged over draws."""
    raw, images, prepared = folder / "raw", folder / "images.zarr", folder / "prepared.parquet"
    simulate(output=raw, seed=seed, device="cpu", **study.simulation.model_dump())
    prepare(kind="simulated", raw=[raw], images=images, output=prepared)
    name = study.label_curves.scheme
    splits = folder / "splits.parquet"
    scheme = json.dumps(study.schemes[name].model_dump(mode="json"))
    split(samples=prepared, target="label", scheme=scheme, seed=seed, output=splits)
    models = [*study.encoders, *(f"{encoder}_{ALL_IMAGES}" for encoder in LECTURED)]
    models += ["raw_pixels", "coarse_pixels", "cnn", "oracle"]
    features = {}
    for scope, folds in ((name, splits), (ALL_IMAGES, None)):
        encoders = list(study.encoders if folds else LECTURED)
        encode(
            images=images,
            prepared=prepared,
            splits=folds,
            gap=study.gap(name) if folds else 0.0,
            encoders=encoders,
            settings=json.dumps({encoder: study.settings(encoder) for encoder in encoders}),
            seed=seed,
            device="cpu",
            checkpoint=folder / "checkpoints",
            features=folder / scope,
            weights=folder / scope,
        )
        suffix = "" if folds else f"_{ALL_IMAGES}"
        features |= {f"{e}{suffix}": folder / scope / f"{e}.parquet" for e in encoders}
    curve(
        images=images,
        prepared=prepared,
        splits=splits,
        features=[features[model] for model in models if model in features],
        models=models,
        heads=list(study.heads),
        latent_sizes=study.latent_sizes,
        labels=[labels],
        draws=draws,
        seed=seed,
        settings=json.dumps(study.settings("cnn")),
        output=folder / "curve",
    )
    tables = {model: read_table(folder / "curve" / f"{model}.parquet") for model in models}
    tables |= inner_choice(tables)
    return pd.Series(
        {
            model: np.mean([r_squared(rows) for _, rows in table.groupby("draw")])
            for model, table in tables.items()
        }
    )


def interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float, float]:
    """Return the mean with its t interval."""
    half = student.ppf((1 + confidence) / 2, len(values) - 1) * values.std(ddof=1)
    half /= np.sqrt(len(values))
    return values.mean(), values.mean() - half, values.mean() + half


def shown(numbers: tuple[float, float, float]) -> str:
    return "{:+.3f} [{:+.3f}, {:+.3f}]".format(*numbers)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="how many series (default 5)")
    parser.add_argument("--first", type=int, default=100, help="the first seed (default 100)")
    parser.add_argument("--labels", type=int, default=50, help="labels to learn from (default 50)")
    parser.add_argument("--draws", type=int, default=3, help="draws of them (default 3)")
    options = parser.parse_args()
    study = Config().satellite
    rows = []
    for seed in range(options.first, options.first + options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            found = scores(study, seed, options.labels, options.draws, Path(folder))
        print(f"seed {seed}", found.round(3).to_dict(), flush=True)
        rows.append(found)
    table = pd.DataFrame(rows)
    print(f"\nR² with {options.labels} labels, mean of {len(table)} seeds [95 % interval]")
    for model in table.mean().sort_values(ascending=False).index:
        print(f"  {model:34s} {shown(interval(table[model].to_numpy()))}")
    for model, rivals in RIVALS.items():
        for rival in rivals:
            difference = interval((table[model] - table[rival]).to_numpy())
            print(f"{model} - {rival:24s} {shown(difference)}")
    print(f"\nthe latent has R² {table['latent'].mean():.3f}, {LEAST} was to be reached: ", end="")
    print("reached" if table["latent"].mean() >= LEAST else "NOT REACHED")
    for rival in CLAIMED:
        beaten = interval((table["latent"] - table[rival]).to_numpy())[1] > 0
        verdict = "excludes 0: beaten" if beaten else "does not exclude 0: NOT BEATEN"
        print(f"the interval of its difference from {rival} {verdict}")


if __name__ == "__main__":
    main()
