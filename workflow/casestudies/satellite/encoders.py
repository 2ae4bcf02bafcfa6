"""Encoders in closed form: principal components and slow features, of pixels or random features.

Each describes an image by a vector (block means of the standardised channels, or pooled random
features), takes the principal components of these vectors over the training frames, and, if slow,
turns them towards what persists from one frame to the next. No label is ever seen, and an image is
encoded alone; only the fit looks at pairs of neighbours.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import scipy.linalg

from casestudies.errors import InputError
from casestudies.files import scratch
from casestudies.satellite.images import Images, block_means
from casestudies.satellite.standardise import Standardiser
from casestudies.steps import progress

_ITERATIONS = 8
_OVERSAMPLING = 16
_LEAST_NOISE = 1e-3  # of an entry's mean variance: without any, a gap could hold anything
_RESIDENT_BYTES = 1 << 28  # vectors beyond this wait on disk
_BLOCK = 1024  # vectors worked on at a time
_NEIGHBOUR = 1.5  # median steps within which the next frame is a neighbour: a night is not


class _ClosedForm:
    """What the four have in common; a subclass says how an image becomes a vector."""

    def __init__(self, **settings: Any) -> None:
        for name, value in settings.items():
            low = 0 if isinstance(value, float) else 1
            if value < low:
                raise InputError(f"{type(self).__name__}: {name} is {value}; give at least {low}.")
        self.settings = settings
        self.curves: list[dict[str, float]] = []

    def fit(
        self,
        images: Images,
        frames: np.ndarray,
        seed: int,
        *,
        device: str = "cpu",
        checkpoint: Path | None = None,
        checkpoint_every: float = 60.0,
        label: str = "encoder",
    ) -> None:
        """Learn from ``frames`` (see registry.Encoder; nothing here is long enough to resume)."""
        frames = np.asarray(frames)
        rng = np.random.default_rng(seed)
        self._standardiser = Standardiser.fit(images, frames)
        self._draw(len(images.channels), rng)
        components = self.settings.get("components", self.settings["latent"])
        with _collected(self, images, frames, label) as vectors:
            self._components = Components.fit(vectors, components, rng)
            if "components" in self.settings:
                scores = self._components.scores(vectors)
                pairs = neighbours(images.times, frames)
                if not len(pairs):
                    raise InputError(
                        f"{images.path}: no two of the {len(frames)} training frames are "
                        "neighbours in time; slow features need a series, use pca instead."
                    )
                rotation = slow_directions(scores, pairs, self.settings["shrinkage"])
            else:
                rotation = np.eye(components, dtype=np.float32)
        self._rotation = rotation[:, : self.settings["latent"]]

    def transform(self, images: Images, frames: np.ndarray) -> np.ndarray:
        """Return the latents of ``frames``, float32 of shape (n, latent)."""
        latents = np.zeros((len(frames), self.settings["latent"]), np.float32)
        start = 0
        for batch in images.batches(frames):
            rows = slice(start, start + len(batch))
            scores = self._components.scores(self._vectors(images, batch))
            latents[rows, : self._rotation.shape[1]] = scores @ self._rotation
            start += len(batch)
        return latents

    @property
    def parameters(self) -> int:
        """Fitted numbers that the transformation depends on."""
        return sum(array.size for array in self.arrays().values())

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything that was learned, by name."""
        return {
            **self._standardiser.arrays(),
            **self._components.arrays(),
            "rotation": self._rotation,
            **self._drawn(),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> Self:
        """Return the fitted encoder with these arrays and settings."""
        encoder = cls(**settings)
        encoder._standardiser = Standardiser.from_arrays(arrays)
        encoder._components = Components.from_arrays(arrays)
        encoder._rotation = arrays["rotation"]
        encoder._restore(arrays)
        return encoder

    def _vectors(self, images: Images, frames: np.ndarray) -> np.ndarray:
        """Return the vectors of frames, (n, p), NaN where missing."""
        return self._means(images, frames).reshape(len(frames), -1)

    def _means(self, images: Images, frames: np.ndarray) -> np.ndarray:
        """Return standardised block means, (n, channels, rows, columns), NaN where missing."""
        means = images.block_means(frames, self.settings["side"])
        means -= self._standardiser.mean[:, None, None]
        means /= self._standardiser.std[:, None, None]
        return means

    def _draw(self, channels: int, rng: np.random.Generator) -> None:
        """Draw what is random in the vectors."""

    def _drawn(self) -> dict[str, np.ndarray]:
        return {}

    def _restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take back what :meth:`_drawn` returned."""


class PrincipalComponents(_ClosedForm):
    """Principal components of the standardised pixels, ordered by variance.

    Parameters
    ----------
    latent
        Number of components.
    side
        Pixels along the longer side at most; a larger image is first coarsened by block means.
    """

    def __init__(self, *, latent: int = 32, side: int = 96) -> None:
        super().__init__(latent=latent, side=side)


class SlowFeatures(_ClosedForm):
    """Slow features of coarse block means, in units of their hourly noise, the slowest first.

    Clouds and noise are new in every frame, what moves the target is not: coarse means suppress the
    former, and the directions that change least between neighbouring frames keep the latter.

    Parameters
    ----------
    latent
        Number of features.
    side
        Blocks along the longer side.
    components
        Principal components of the block means among which slow directions are sought.
    shrinkage
        See :func:`slow_directions`.
    """

    def __init__(
        self,
        *,
        latent: int = 32,
        side: int = 8,
        components: int = 128,
        shrinkage: float = 0.03,
    ) -> None:
        super().__init__(latent=latent, side=side, components=components, shrinkage=shrinkage)


class RandomFeatures(_ClosedForm):
    """Principal components of pooled random convolutional features.

    Random Gaussian filters on patches of all channels, rectified, averaged over a grid of cells:
    nonlinear in the pixel without any training (Rolf et al. 2021, doi:10.1038/s41467-021-24638-z,
    whose filters are patches of the images; Rahimi and Recht 2008, "Weighted sums of random kitchen
    sinks"). The grid keeps where things are, which their single average over the image does not. A
    patch with a missing pixel counts nowhere.

    Parameters
    ----------
    latent
        Number of components.
    side
        Pixels along the longer side at most; a larger image is first coarsened by block means.
    filters
        Number of random filters.
    patch
        Pixels along a patch's side; 1 mixes the channels of each pixel.
    cells
        Cells along the longer side.
    """

    def __init__(
        self,
        *,
        latent: int = 32,
        side: int = 192,
        filters: int = 64,
        patch: int = 1,
        cells: int = 6,
        **slow: Any,
    ) -> None:
        super().__init__(
            latent=latent, side=side, filters=filters, patch=patch, cells=cells, **slow
        )

    def _draw(self, channels: int, rng: np.random.Generator) -> None:
        shape = (self.settings["filters"], channels * self.settings["patch"] ** 2)
        filters = rng.standard_normal(shape, dtype=np.float32)
        # Of unit length, so that their responses to standardised pixels vary about as a bias does.
        self._filters = filters / np.linalg.norm(filters, axis=1, keepdims=True)
        self._bias = rng.standard_normal(shape[0], dtype=np.float32)

    def _drawn(self) -> dict[str, np.ndarray]:
        return {"filters": self._filters, "bias": self._bias}

    def _restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._filters, self._bias = arrays["filters"], arrays["bias"]

    def _vectors(self, images: Images, frames: np.ndarray) -> np.ndarray:
        means = self._means(images, frames)
        size = self.settings["patch"]
        if min(means.shape[2:]) < size:
            raise InputError(
                f"random features: patches of {size} pixels do not fit into images of "
                f"{means.shape[2]} × {means.shape[3]}; choose a smaller patch."
            )
        vectors = [self._features(part) for part in _parts(means, self.settings["filters"])]
        return np.concatenate(vectors)

    def _features(self, means: np.ndarray) -> np.ndarray:
        size = self.settings["patch"]
        patches = np.lib.stride_tricks.sliding_window_view(means, (size, size), axis=(2, 3))
        count, channels, rows, columns = patches.shape[:4]
        # (n, channels × patch², pixels): the filters' product is one matrix product an image.
        patches = patches.transpose(0, 1, 4, 5, 2, 3).reshape(count, channels * size**2, -1)
        whole = ~np.isnan(patches).any(axis=1)
        responses = self._filters @ np.nan_to_num(patches)
        responses -= self._bias[:, None]
        np.maximum(responses, 0, out=responses)
        if not whole.all():
            responses *= whole[:, None]
        shape = (rows, columns)
        pooled = block_means(
            responses.reshape(count, -1, *shape),
            whole.reshape(count, 1, *shape),
            self.settings["cells"],
        )
        return pooled.reshape(count, -1)


class SlowRandomFeatures(RandomFeatures):
    """Slow features of pooled random convolutional features.

    Parameters
    ----------
    latent, side, filters, patch, cells
        See RandomFeatures.
    components, shrinkage
        See SlowFeatures.
    """

    def __init__(
        self,
        *,
        latent: int = 32,
        side: int = 192,
        filters: int = 64,
        patch: int = 1,
        cells: int = 6,
        components: int = 128,
        shrinkage: float = 0.03,
    ) -> None:
        super().__init__(
            latent=latent,
            side=side,
            filters=filters,
            patch=patch,
            cells=cells,
            components=components,
            shrinkage=shrinkage,
        )


class Components:
    """Probabilistic principal components of vectors with missing entries.

    Missing entries of a vector take their conditional expectation given its valid ones under the
    current components (EM: Tipping and Bishop 1999, J. R. Stat. Soc. B 61, section 3; Roweis 1998,
    "EM algorithms for PCA and SPCA"), in the fit and in the scores. Held at the mean instead, a
    swath gap would shrink the scores of its frame and look like a signal. The leading subspace is
    found by subspace iteration (Halko et al. 2011, algorithm 4.4), one pass over the vectors each,
    so the covariance is never formed. An entry that is missing in every training vector is left
    out.
    """

    def __init__(
        self, mean: np.ndarray, axes: np.ndarray, variances: np.ndarray, noise: np.ndarray
    ) -> None:
        self.mean, self.axes, self.variances, self.noise = mean, axes, variances, noise

    @classmethod
    def fit(cls, vectors: np.ndarray, count: int, rng: np.random.Generator) -> Self:
        """Fit ``count`` components to ``vectors``, shape (n, p), NaN where missing.

        Components beyond the rank of the data are zero.
        """
        size, width = vectors.shape
        valid, total = np.zeros(width, dtype=np.int64), np.zeros(width)
        for block in _blocks(vectors):
            valid += (~np.isnan(block)).sum(axis=0)
            total += np.nansum(block, axis=0, dtype=np.float64)
        mean = np.full(width, np.nan, np.float32)
        mean[valid > 0] = total[valid > 0] / valid[valid > 0]
        sought = min(count + _OVERSAMPLING, size, int((valid > 0).sum()))
        start = rng.standard_normal((width, sought), dtype=np.float32)
        start[valid == 0] = 0
        # No variance yet: the first pass leaves missing entries at the mean.
        model = cls(mean, np.linalg.qr(start)[0], np.zeros(sought, np.float32), np.float32([1]))
        for _ in range(_ITERATIONS):
            product, energy = np.zeros((width, sought)), 0.0
            for block in _blocks(vectors):
                scores, filled = model._expectation(block)
                product += filled.T @ scores
                energy += float(np.vdot(filled, filled))
            axes, values, _ = np.linalg.svd(product / size, full_matrices=False)
            entries = int((valid > 0).sum())
            rest = (energy / size - values.sum()) / max(entries - sought, 1)
            rest = max(rest, _LEAST_NOISE * energy / size / max(entries, 1))
            model = cls(mean, *(a.astype(np.float32) for a in (axes, values, np.array([rest]))))
        return model._leading(count)

    def _leading(self, count: int) -> Self:
        """Return the first ``count`` components, signs settled, padded with zeros if too few."""
        real = self.variances > 1e-6 * max(float(self.variances[:1].sum()), 1e-30)
        axes = self.axes[:, real][:, :count]
        largest = np.abs(axes).argmax(axis=0)
        axes = axes * np.sign(axes[largest, np.arange(axes.shape[1])])
        padding = count - axes.shape[1]
        return type(self)(
            self.mean,
            np.pad(axes, ((0, 0), (0, padding))),
            np.pad(self.variances[real][:count], (0, padding)),
            self.noise,
        )

    def scores(self, vectors: np.ndarray) -> np.ndarray:
        """Return the scores of vectors (n, p), float32 of shape (n, components), finite."""
        return np.concatenate([self._expectation(block)[0] for block in _blocks(vectors)])

    def _expectation(self, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores of a block and its centred vectors, missing entries expected."""
        centred = block - self.mean
        absent = np.isnan(centred)
        centred[absent] = 0
        absent &= ~np.isnan(self.mean)
        scores = centred @ self.axes
        gaps = np.flatnonzero(absent.any(axis=1))
        if not len(gaps):
            return scores, centred
        noise = float(self.noise[0])
        signal = np.maximum(self.variances - noise, 1e-9 * noise + 1e-30).astype(np.float64)
        # The last term keeps the system regular where the data have no noise at all.
        whole = np.eye(len(signal)) + np.diag(noise / signal + 1e-6)
        patterns, which = np.unique(np.packbits(absent[gaps], axis=1), axis=0, return_inverse=True)
        for k in range(len(patterns)):
            rows = gaps[which.ravel() == k]
            gap = np.flatnonzero(absent[rows[0]])
            axes = self.axes[gap]
            # Over valid entries the axes' products are those over all, less those in the gap.
            latent = np.linalg.solve(whole - axes.T @ axes, scores[rows].T).T
            expected = latent.astype(np.float32) @ axes.T
            centred[np.ix_(rows, gap)] = expected
            scores[rows] += expected @ axes
        return scores, centred

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what :meth:`from_arrays` needs."""
        return {
            "mean": self.mean,
            "axes": self.axes,
            "variances": self.variances,
            "noise": self.noise,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Return the components whose :meth:`arrays` are among ``arrays``."""
        return cls(*(arrays[name] for name in ("mean", "axes", "variances", "noise")))


def neighbours(times: np.ndarray, frames: np.ndarray) -> np.ndarray:
    """Return pairs of neighbouring frames as positions into ``frames``, shape (pairs, 2).

    Neighbours follow each other in the series and are no more than one and a half median steps
    apart: the hours of one day are neighbours, evening and morning are not.
    """
    if len(times) < 2:
        return np.empty((0, 2), dtype=np.int64)
    steps = np.diff(times).astype(np.float64)
    close = steps <= _NEIGHBOUR * np.median(steps)
    first = np.flatnonzero(np.diff(frames) == 1)
    first = first[close[frames[first]]]
    return np.stack([first, first + 1], axis=1)


def slow_directions(scores: np.ndarray, pairs: np.ndarray, shrinkage: float) -> np.ndarray:
    """Return the directions that vary most relative to their change between neighbours.

    Solves C v = λ D v with C the covariance of the scores and D that of the differences between
    neighbours: slow feature analysis (Wiskott and Sejnowski 2002, doi:10.1162/089976602317318938),
    known before as maximum autocorrelation factors (Switzer and Green 1984). Each v is scaled to
    unit change, so that features come in units of their short-term noise and a fast one is small:
    a head that does not rescale them hardly notices how many it is given.

    Parameters
    ----------
    scores
        Shape (n, p).
    pairs
        Positions of neighbours, shape (pairs, 2).
    shrinkage
        Share of the mean diagonal of D that is added to its diagonal. Without it a direction of
        little variance may look slow by chance.

    Returns
    -------
    float32 of shape (p, p)
        One direction a column, the slowest first.
    """
    scores = scores.astype(np.float64)
    centred = scores - scores.mean(axis=0)
    change = scores[pairs[:, 1]] - scores[pairs[:, 0]]
    width = scores.shape[1]
    covariance = centred.T @ centred / len(centred)
    changes = change.T @ change / len(change)
    least = 1e-9 * np.trace(covariance) / width + 1e-30  # if nothing changes at all
    floor = shrinkage * np.trace(changes) / width + least
    _, directions = scipy.linalg.eigh(covariance, changes + floor * np.eye(width))
    directions = directions[:, ::-1]
    largest = np.abs(directions).argmax(axis=0)
    return (directions * np.sign(directions[largest, np.arange(width)])).astype(np.float32)


@contextmanager
def _collected(
    encoder: _ClosedForm, images: Images, frames: np.ndarray, label: str
) -> Iterator[np.ndarray]:
    """Yield the vectors of ``frames``, (n, p): in memory if they are small, else in a file."""
    with tempfile.TemporaryDirectory(prefix="casestudies-") as folder:
        vectors, start = np.empty((0, 0), np.float32), 0
        for batch in progress(list(images.batches(frames)), label):
            part = encoder._vectors(images, batch)
            if not start:
                shape = (len(frames), part.shape[1])
                if 4 * shape[0] * shape[1] <= _RESIDENT_BYTES:
                    vectors = np.empty(shape, np.float32)
                else:
                    vectors = scratch(Path(folder), shape, np.float32)
            vectors[start : start + len(part)] = part
            start += len(part)
        yield vectors


def _blocks(vectors: np.ndarray) -> Iterator[np.ndarray]:
    for start in range(0, len(vectors), _BLOCK):
        yield np.asarray(vectors[start : start + _BLOCK])


def _parts(means: np.ndarray, filters: int) -> Iterator[np.ndarray]:
    """Yield images in parts whose responses to all filters fill a cache, not more (8 MB)."""
    size = max(1, int(8e6 // (4 * filters * np.prod(means.shape[2:]))))
    for start in range(0, len(means), size):
        yield means[start : start + size]
