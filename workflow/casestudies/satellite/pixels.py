"""Raw pixels of the labelled frames, as far as regression on them needs: their products.

Pixels are standardised by the training frames of the fit alone: each by its own mean over them,
all of a channel by one deviation. What is missing is zero then, the mean. A regression in the dual
form needs nothing but the products between such images; they are summed over parts of the image,
so that memory is bounded whatever its size.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from casestudies.files import scratch
from casestudies.satellite.images import FILL, Images

RESIDENT_MEGABYTES = 512
TILE_MEGABYTES = 64


class LabelledPixels:
    """The frames of the labels, read once and no others.

    Parameters
    ----------
    images
        The image series.
    frames
        Position of each label's frame, shape (n,); several labels may share one.
    """

    def __init__(self, images: Images, frames: np.ndarray) -> None:
        self.shape = images.shape[1:]
        known, self._row = np.unique(np.asarray(frames), return_inverse=True)
        pixels = self.shape[1] * self.shape[2]
        shape = (self.shape[0], len(known), pixels)
        if 2 * np.prod(shape, dtype=float) <= RESIDENT_MEGABYTES * 1e6:
            self._packed = np.empty(shape, np.uint16)
        else:  # beside memory: a temporary file that goes with this object
            self._folder = tempfile.TemporaryDirectory(prefix="pixels-")
            self._packed = scratch(Path(self._folder.name), shape, np.uint16)
        done = 0
        for batch in images.batches(known):
            part = images.packed(batch).reshape(len(batch), shape[0], pixels)
            self._packed[:, done : done + len(batch)] = part.transpose(1, 0, 2)
            done += len(batch)

    def _tile(self, channel: int, rows: np.ndarray, part: slice) -> tuple[np.ndarray, np.ndarray]:
        """Return packed values, zero where missing, and whether they are there, both float32."""
        packed = self._packed[channel][rows, part]
        valid = packed != FILL
        # From the middle of the levels, single precision keeps the digits that matter.
        values = packed.astype(np.float32) - 32767
        return values * valid, valid.astype(np.float32)

    def products(self, train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the products between standardised images, over the training frames' mean square.

        Parameters
        ----------
        train, test
            Positions among the ``frames`` of the constructor, shapes (n,) and (m,).

        Returns
        -------
        Between training frames (n, n), and of test with training frames (m, n). The mean of the
        first one's diagonal is 1 (or all is 0, if no pixel varies).
        """
        rows = self._row[np.concatenate([train, test])]
        known = len(train)
        pixels = self._packed.shape[2]
        width = max(1, int(TILE_MEGABYTES * 1e6 // (8 * len(rows))))
        total = np.zeros((len(rows), known))
        for channel in range(len(self._packed)):
            summed, count = np.zeros((len(rows), known)), 0.0
            for start in range(0, pixels, width):
                values, valid = self._tile(channel, rows, slice(start, start + width))
                counts = valid[:known].sum(axis=0)
                mean = values[:known].sum(axis=0) / np.maximum(counts, 1)
                # A pixel that no training frame holds has no mean to differ from.
                values -= mean
                values *= valid * (counts > 0)
                summed += values @ values[:known].T
                count += float(counts.sum())
            square = np.trace(summed[:known]) / count if count else 0.0
            if square > 0:  # in levels squared; a constant channel says nothing
                total += summed / square
        scale = np.trace(total[:known]) / known
        if scale > 0:
            total /= scale
        return total[:known], total[known:]


def coarse(images: Images, frames: np.ndarray, sides: Sequence[int]) -> dict[int, np.ndarray]:
    """Return the values of frames at several resolutions, read once.

    Parameters
    ----------
    frames
        Position of each label's frame, shape (n,); several labels may share one.
    sides
        Pixels a side.

    Returns
    -------
    By side, float32 of shape (n, channels × side × side), NaN where a cell has no valid pixel.
    """
    known, rows = np.unique(np.asarray(frames), return_inverse=True)
    parts: dict[int, list[np.ndarray]] = {side: [] for side in sides}
    for batch in images.batches(known):
        values = images.read(batch)
        for side, done in parts.items():
            done.append(coarsen(values, side).astype(np.float32).reshape(len(batch), -1))
    return {side: np.concatenate(done)[rows] for side, done in parts.items()}


def coarsen(values: np.ndarray, side: int) -> np.ndarray:
    """Return means over valid pixels of ``side`` × ``side`` cells of nearly equal size.

    Parameters
    ----------
    values
        Shape (n, channels, y, x), NaN where missing.

    Returns
    -------
    Shape (n, channels, side, side), NaN where a cell has no valid pixel.
    """
    valid = ~np.isnan(values)
    total, count = np.where(valid, values, 0).astype(float), valid.astype(float)
    for axis in (2, 3):
        size = values.shape[axis]
        starts = np.arange(min(side, size)) * size // min(side, size)
        total = np.add.reduceat(total, starts, axis=axis)
        count = np.add.reduceat(count, starts, axis=axis)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, total / count, np.nan)
