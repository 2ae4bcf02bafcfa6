"""Models that are no network: inflow, cheap flow models, features of cells, terrains alike.

Each predicts the flow at the first height in the interior, and is a family of settings among which
inner folds choose. Whatever is learned is learned from the training terrains of the call.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np
from scipy.linalg import eigh

from casestudies.errors import InputError, nearest
from casestudies.wind import COMPONENTS
from casestudies.wind.features import HEIGHT, cell_heights, edge_mean
from casestudies.wind.flow import log_profile
from casestudies.wind.flows import Flows, mirrored

PENALTIES = tuple(np.geomspace(1, 1e-7, 15).round(9).tolist())
"""Of the ridge, per cell, for features of unit variance."""
NEIGHBOURS = (16, 8, 4, 2, 1)
LEAVES = (8,)
TREES = (100, 200, 400)
CELLS = 6000
"""Cells that the trees are grown from, at most: neighbours in a terrain are much alike."""
CHEAP = ("linear", "mass_consistent")
BASELINES = ("log_law", *CHEAP, "ridge", "gradient_boosting", "nearest_terrains")


class Model(Protocol):
    """A family of models: one per setting, all fitted and applied in one call."""

    @property
    def settings(self) -> Sequence[Hashable]:
        """What the inner folds choose from, the simplest first: of equals the first is taken."""
        ...

    def predict(
        self, train: np.ndarray, test: np.ndarray, settings: Sequence[Hashable], seed: int
    ) -> np.ndarray:
        """Fit to the terrains ``train`` and predict ``test``, both positions.

        Returns
        -------
        Flow at the first height, (settings, n_test, 3, y, x).
        """
        ...


@dataclass(frozen=True)
class Known:
    """A flow that is known without learning: the inflow, or that of a cheap model.

    Parameters
    ----------
    flow
        At the first height in the interior, (n, 3, y, x).
    """

    flow: np.ndarray
    settings: tuple[Hashable, ...] = ("none",)

    def predict(
        self, train: np.ndarray, test: np.ndarray, settings: Sequence[Hashable], seed: int
    ) -> np.ndarray:
        """Predict, as in :class:`Model`."""
        return np.repeat(self.flow[test][None], len(settings), axis=0)


class Ridge:
    """Ridge regression of the components on the features of a cell.

    The products of features and flow are summed over each terrain once, so that a fit is a sum over
    terrains and one decomposition, whatever the number of penalties.
    """

    settings = PENALTIES

    def __init__(self, flows: Flows) -> None:
        self.features = flows.features
        n, p = self.features.shape[:2]
        cells = self.features.reshape(n, p, -1)
        target = flows.scored.reshape(n, len(COMPONENTS), -1)
        self.count = cells.shape[2]
        # In double precision, and with a constant feature that gives the sums, too.
        self.products = np.empty((n, p + 1, p + 1))
        self.moments = np.empty((n, p + 1, len(COMPONENTS)))
        for k in range(n):
            rows = np.vstack([cells[k], np.ones((1, self.count), np.float32)]).astype(float)
            self.products[k] = rows @ rows.T
            self.moments[k] = rows @ target[k].T

    def predict(
        self, train: np.ndarray, test: np.ndarray, settings: Sequence[float], seed: int
    ) -> np.ndarray:
        """Fit and predict, as in :class:`Model`."""
        cells = len(train) * self.count
        products = self.products[train].sum(axis=0) / cells
        moments = self.moments[train].sum(axis=0) / cells
        mean, mean_flow = products[-1, :-1], moments[-1]
        covariance = products[:-1, :-1] - np.outer(mean, mean)
        variance = np.diag(covariance)
        varies = variance > 1e-10 * (mean**2 + 1e-6)
        scale = np.where(varies, 1 / np.sqrt(np.where(varies, variance, 1.0)), 0.0)
        values, vectors = eigh(covariance * np.outer(scale, scale))
        along = vectors.T @ ((moments[:-1] - np.outer(mean, mean_flow)) * scale[:, None])
        penalties = np.asarray(settings)[:, None, None]
        weights = vectors @ (along / (np.maximum(values, 0)[:, None] + penalties))
        weights *= scale[:, None]  # (settings, p, 3)
        offset = mean_flow - mean @ weights
        weights, offset = (part.astype(np.float32) for part in (weights, offset))
        found = np.einsum("npyx,spc->sncyx", self.features[test], weights, optimize=True)
        return found + offset[:, None, :, None, None]


class GradientBoosting:
    """Gradient-boosted trees on the features of a cell, one model for each component."""

    settings = tuple(product(LEAVES, TREES))

    def __init__(self, flows: Flows) -> None:
        self.features = flows.features
        self.target = flows.scored

    def predict(
        self,
        train: np.ndarray,
        test: np.ndarray,
        settings: Sequence[tuple[int, int]],
        seed: int,
    ) -> np.ndarray:
        """Fit and predict, as in :class:`Model`."""
        from sklearn.ensemble import HistGradientBoostingRegressor  # seconds others need not pay

        n, p, *shape = self.features[test].shape
        count = int(np.prod(shape))
        rng = np.random.default_rng(seed)
        total = len(train) * count
        rows = rng.choice(total, min(CELLS, total), replace=False)
        terrain, cell = train[rows // count], np.unravel_index(rows % count, shape)
        x = self.features[terrain, :, *cell]
        y = self.target[terrain, :, *cell]
        queries = np.moveaxis(self.features[test], 1, -1).reshape(-1, p)
        found = np.empty((len(settings), n, len(COMPONENTS), *shape), np.float32)
        for leaves in dict.fromkeys(leaves for leaves, _ in settings):
            wanted = {trees: k for k, (own, trees) in enumerate(settings) if own == leaves}
            for component in range(len(COMPONENTS)):
                boosting = HistGradientBoostingRegressor(
                    max_iter=max(wanted),
                    max_leaf_nodes=leaves,
                    learning_rate=0.1,
                    max_bins=63,
                    early_stopping=False,
                    random_state=seed % 2**32,
                ).fit(x, y[:, component])
                for trees, values in enumerate(boosting.staged_predict(queries), start=1):
                    if trees in wanted:
                        found[wanted[trees], :, component] = values.reshape(n, *shape)
        return found


class NearestTerrains:
    """The mean flow of the training terrains whose maps of height are nearest, mirrored or not."""

    settings = NEIGHBOURS

    def __init__(self, flows: Flows) -> None:
        heights = cell_heights(flows.elevation - edge_mean(flows.elevation)) / HEIGHT
        self.maps = heights.reshape(len(heights), -1)
        self.mirrors = heights[:, ::-1].reshape(len(heights), -1)
        self.target = flows.scored

    def predict(
        self, train: np.ndarray, test: np.ndarray, settings: Sequence[int], seed: int
    ) -> np.ndarray:
        """Fit and predict, as in :class:`Model`."""
        queries = self.maps[test]
        norms = (self.maps[train] ** 2).sum(axis=1)
        # A mirror image has the same norm; the query's own does not change the order.
        apart = np.hstack([norms - 2 * queries @ m[train].T for m in (self.maps, self.mirrors)])
        order = np.argsort(apart, axis=1, kind="stable")[:, : max(settings)]
        found = np.empty((len(settings), len(test), *self.target.shape[1:]), np.float32)
        for number, chosen in enumerate(order):
            flow = self.target[train[chosen % len(train)]]
            turned = chosen >= len(train)
            flow[turned] = mirrored(flow[turned])
            for k, neighbours in enumerate(settings):
                found[k, number] = flow[:neighbours].mean(axis=0)
        return found


def make_model(name: str, flows: Flows) -> Model:
    """Return a baseline by name.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    match name:
        case "log_law":
            flow = np.zeros_like(flows.scored)
            height = flows.grid.heights[0]
            flow[:, 0] = [[[log_profile(height, z0)]] for z0 in flows.roughness]
            return Known(flow)
        case "linear" | "mass_consistent":
            return Known(flows.cheap[name][:, :, 0][flows.grid.inside])
        case "ridge":
            return Ridge(flows)
        case "gradient_boosting":
            return GradientBoosting(flows)
        case "nearest_terrains":
            return NearestTerrains(flows)
    raise InputError(f"unknown model {name!r}; {nearest(name, BASELINES)}")
