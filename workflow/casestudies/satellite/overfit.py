"""Overfitting on raw images made visible: the error as the parameters grow with the resolution.

Labelled images are coarsened to a few pixels a side and more and more, and their pixels regressed
on, once by plain least squares and once by ridge regression. Where there are more pixels than
labels, least squares takes the solution of minimum norm; its error in testing is greatest where
the two numbers meet (Belkin et al. 2019, PNAS 116, 15849-15854).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.linalg import eigh

from casestudies.evaluation.nested import nested_cross_validation
from casestudies.evaluation.splits import Fold, read_folds
from casestudies.satellite.curve import r_squared
from casestudies.satellite.heads import scaled
from casestudies.satellite.images import Images
from casestudies.satellite.inputs import read_samples
from casestudies.satellite.pixels import coarse
from casestudies.steps import main, progress
from casestudies.tables import write_table

LARGEST = 64
"""Pixels a side above which no image is taken."""
CUTOFF = 1e-10
"""Eigenvalues below this fraction of the largest are zero in a solution of minimum norm."""
METHODS = {
    "least_squares": (0.0,),
    "ridge": tuple(np.geomspace(1e4, 1e-3, 15).tolist()),
}
"""Penalties in units of a pixel's variance and rows; zero: none."""


@dataclass(frozen=True)
class PixelRegression:
    """Linear regression on standardised pixels, in the dual form; settings are penalties."""

    values: np.ndarray
    """Shape (samples, pixels), NaN where missing."""
    settings: tuple[float, ...]

    def predict(
        self,
        train: pd.DataFrame,
        target: np.ndarray,
        test: pd.DataFrame,
        settings: Sequence[float],
        seed: int,
    ) -> np.ndarray:
        """Fit and predict, as in :class:`casestudies.evaluation.nested.Model`."""
        rows = [table["row"].to_numpy() for table in (train, test)]
        a, b = scaled(self.values[rows[0]], self.values[rows[1]], "each")
        centre = target.mean()
        values, vectors = eigh(a @ a.T, check_finite=False)
        kept = values > CUTOFF * values.max(initial=0)
        values, vectors = values[kept], vectors[:, kept]
        moments = vectors.T @ (target - centre)
        weights = vectors @ (moments[:, None] / (values[:, None] + np.array(settings)))
        return b @ (a.T @ weights) + centre


def sides(shape: tuple[int, int]) -> list[int]:
    """Return numbers of pixels a side, from 1 up to that of an image (y, x), at most LARGEST.

    Those that hardly differ from the last are left out.
    """
    full = min(*shape, LARGEST)
    steps = [2**k for k in range(12)] + [3 * 2**k for k in range(11)]
    return sorted({side for side in steps if side < 0.9 * full} | {full})


def overfit(*, images: Path, prepared: Path, splits: Path, seed: int, output: Path) -> None:
    """Regress on labelled images of growing resolution; keep the error in training and testing.

    Parameters
    ----------
    images
        The image series (Zarr); only frames with a label are read.
    prepared
        Prepared table, one row per label.
    splits
        Outer and inner folds of a scheme.
    seed
        Seed of the fits, none of which is random.
    output
        Table: method (least_squares, or ridge with its penalty by the inner folds), pixels (a
        side), parameters, repeat, fold, labels (learned), train_r2, test_r2.
    """
    samples, _ = read_samples(prepared)
    series = Images(images)
    folds = read_folds(splits, samples)
    levels = coarse(series, samples["frame"].to_numpy(), sides(series.shape[2:]))
    tables = []
    for side, values in progress(levels.items(), "resolutions", len(levels)):
        for method, penalties in METHODS.items():
            model = PixelRegression(values, penalties)
            table = _errors(model, samples["label"].to_numpy(), folds, seed)
            tables.append(table.assign(method=method, pixels=side, parameters=values.shape[1]))
    columns = ["method", "pixels", "parameters", "repeat", "fold", "labels", "train_r2", "test_r2"]
    write_table(pd.concat(tables)[columns], output)


def _errors(
    model: PixelRegression, target: np.ndarray, folds: Sequence[Fold], seed: int
) -> pd.DataFrame:
    """Return R² of every fold on what was learned and on what was held out."""
    both = [
        Fold(
            fold.repeat, fold.fold, fold.train, np.concatenate([fold.test, fold.train]), fold.inner
        )
        for fold in folds
    ]
    table = pd.DataFrame({"row": np.arange(len(target))})
    predicted, _, _ = nested_cross_validation(
        model, table, target, both, seed=seed, calibrated=False
    )
    by_fold = dict(iter(predicted.groupby(["repeat", "fold"])))
    found = []
    for fold in folds:
        rows = by_fold[fold.repeat, fold.fold]
        learned = rows["position"].isin(fold.train)
        errors = r_squared(rows[learned]), r_squared(rows[~learned])
        found.append((fold.repeat, fold.fold, len(fold.train), *errors))
    return pd.DataFrame(found, columns=["repeat", "fold", "labels", "train_r2", "test_r2"])


if __name__ == "__main__":
    main(overfit)
