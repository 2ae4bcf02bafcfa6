"""What encoders see of a series, from one reading of it for all of them and for all folds.

A fold's standardisation needs no more of a frame than its moments; and an encoder in closed form
sees block means of a large image, which the standardisation only shifts and scales.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from casestudies.files import scratch
from casestudies.satellite.images import Images, block_means, frame_moments
from casestudies.steps import progress

_RESIDENT_BYTES = 1 << 28  # larger tables wait on disk


class SurveyedImages(Images):
    """A series whose moments and block means are at hand once it is surveyed.

    Parameters
    ----------
    images
        The series.
    sides
        Blocks along the longer side that will be asked for. Nothing is kept of those that the
        image does not exceed: they are its own pixels.
    """

    def __init__(self, images: Images, sides: Sequence[int]) -> None:
        self.__dict__.update(images.__dict__)
        self._sides = sorted({side for side in sides if side < max(self.shape[2:])})
        self._kept_moments: np.ndarray | None = None
        self._kept_means: dict[int, np.ndarray] = {}

    def survey(self) -> None:
        """Read the series, if that is not done; what is kept goes with this object."""
        if self._kept_moments is not None:
            return
        # Beside memory: temporary files.
        self._folder = tempfile.TemporaryDirectory(prefix="casestudies-")
        count, channels = self.shape[:2]
        moments = np.empty((count, channels, 3))
        for batch in progress(list(self.batches(np.arange(count))), "reading images"):
            values, valid = self.centred(batch)
            moments[batch] = frame_moments(values, valid)
            for side in self._sides:
                means = block_means(values, valid, side)
                if side not in self._kept_means:
                    self._kept_means[side] = self._table(side, (count, *means.shape[1:]))
                self._kept_means[side][batch] = means
        self._kept_moments = moments

    def _table(self, side: int, shape: tuple[int, ...]) -> np.ndarray:
        if 4 * np.prod(shape, dtype=float) <= _RESIDENT_BYTES:
            return np.empty(shape, np.float32)
        folder = Path(self._folder.name) / str(side)
        folder.mkdir()
        return scratch(folder, shape, np.float32)

    def moments(self, frames: np.ndarray) -> np.ndarray:
        """See Images."""
        kept = self._kept_moments
        return super().moments(frames) if kept is None else kept[frames]

    def block_means(self, frames: np.ndarray, side: int) -> np.ndarray:
        """See Images."""
        if side not in self._kept_means:
            return super().block_means(frames, side)
        return self.in_units(np.array(self._kept_means[side][frames]))
