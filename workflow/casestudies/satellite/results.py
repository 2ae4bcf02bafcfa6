"""What the figures of the satellite study share: the tables, and the models' names and colours."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from casestudies.figures.results import StudyResults
from casestudies.figures.style import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, VERMILION
from casestudies.satellite.images import Images
from casestudies.tables import read_metadata, read_table

ALL_IMAGES = "all_images"
SUFFIX = f"_{ALL_IMAGES}"
"""What is added to the name of a model whose encoder saw every frame."""
RANDOM = "random"

SCHEMES = {
    "blocked": "held-out blocks of time",
    "loyo": "held-out year",
    RANDOM: "random folds, which leak",
}

MODELS: dict[str, tuple[str, str, str]] = {
    "oracle": ("oracle: true states", PURPLE, "*"),
    "latent": ("latent, inner choice", BLACK, "o"),
    "temporal_autoencoder": ("temporal autoencoder", GREEN, "D"),
    "masked_autoencoder": ("masked autoencoder", GREEN, "s"),
    "variational_autoencoder": ("variational autoencoder", GREEN, "v"),
    "autoencoder": ("autoencoder", GREEN, "^"),
    "slow_random_features": ("slow random features", ORANGE, "D"),
    "random_features": ("random features", ORANGE, "s"),
    "slow_features": ("slow features", ORANGE, "v"),
    "pca": ("PCA", ORANGE, "^"),
    "cnn": ("CNN, end to end", VERMILION, "P"),
    "raw_pixels": ("raw pixels", BLUE, "X"),
    "coarse_pixels": ("coarse pixels", BLUE, "p"),
    "neighbourhood": ("neighbourhood", BLUE, "h"),
    "season": ("season and hour", GREY, "d"),
    "mean": ("mean", GREY, "|"),
}
"""Label, colour and marker of every model, in the order of the figures."""
LABELS = {name: label for name, (label, _, _) in MODELS.items()}
LABELS |= {f"{name}{SUFFIX}": f"{label}, all images" for name, label in LABELS.items()}
COLOURS = {name: colour for name, (_, colour, _) in MODELS.items()}
MARKERS = {name: marker for name, (_, _, marker) in MODELS.items()}
FAMILIES = {
    "oracle": PURPLE,
    "chosen by inner folds": BLACK,
    "network, then head": GREEN,
    "closed-form encoder, then head": ORANGE,
    "end-to-end network": VERMILION,
    "pixels": BLUE,
    "no image": GREY,
}
NETWORKS = ("temporal_autoencoder", "masked_autoencoder", "variational_autoencoder", "autoencoder")
ENCODERS = (*NETWORKS, "slow_random_features", "random_features", "slow_features", "pca")


def base(model: str) -> str:
    """Return the model's name without the mark of an encoder that saw every frame."""
    return model.removesuffix(SUFFIX)


@dataclass(frozen=True)
class Results(StudyResults):
    """The tables of one data set."""

    questions = SCHEMES
    gap: float

    @cached_property
    def prepared(self) -> pd.DataFrame:
        return read_table(
            self.folder / "prepared.parquet", complete=["sample", "time", "day", "frame", "label"]
        )

    @cached_property
    def about(self) -> dict[str, Any]:
        return read_metadata(self.folder / "prepared.parquet")

    @cached_property
    def images(self) -> Images:
        return Images(self.folder / "images.zarr")

    @property
    def label(self) -> str:
        """Name of the label with its unit."""
        name, unit = self.about.get("long_name", "label"), self.about.get("units", "1")
        if self.about.get("log"):
            return f"{name} (natural logarithm)"
        raised = re.sub(r"-([0-9])", r"$^{-\1}$", unit)
        return name if unit == "1" else f"{name} ({raised})"

    @property
    def encoders(self) -> list[str]:
        """The encoders that a model rests on."""
        return [name for name in ENCODERS if self.scopes(name)]

    def scopes(self, encoder: str) -> list[str]:
        """Return on which frames an encoder was fitted: those of the first scheme, or all."""
        scopes = [self.schemes[0]] if encoder in self.models else []
        return scopes + ([ALL_IMAGES] if encoder + SUFFIX in self.models else [])

    def predictions(self, scheme: str, model: str) -> pd.DataFrame:
        """Return out-of-fold predictions of one model."""
        table = read_table(
            self.folder / "predictions" / scheme / f"{model}.parquet",
            columns=["sample", "observed", "predicted", "lower", "upper"],
        )
        return table[table["observed"].notna() & table["predicted"].notna()]

    def features(self, scope: str, encoder: str) -> pd.DataFrame:
        """Return the latents of every frame, per fold."""
        return read_table(
            self.folder / "features" / scope / f"{encoder}.parquet",
            complete=["fold", "frame", "z0"],
        )


def days_of(images: Images) -> np.ndarray:
    """Return the time of every frame in days since the first, (n,)."""
    return (images.times - images.times[0]).astype(float) / 86400


def best(results: Results, among: tuple[str, ...]) -> str | None:
    """Return the encoder of the greatest R² on the first scheme, or None if none was fitted."""
    rows = results.scores.query("scheme == @results.schemes[0] and metric == 'r2'")
    rows = rows[rows["model"].map(base).isin(among) & rows["model"].isin(results.models)]
    return None if rows.empty else base(rows.loc[rows["estimate"].idxmax(), "model"])
