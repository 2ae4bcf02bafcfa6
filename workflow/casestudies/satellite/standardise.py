"""The common standardisation of images: per channel, from the training frames' valid pixels."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from casestudies.errors import InputError
from casestudies.satellite.images import Images


@dataclass(frozen=True)
class Standardiser:
    """Mean and standard deviation of every channel over valid pixels, float32 of (channels,)."""

    mean: np.ndarray
    std: np.ndarray

    @classmethod
    def fit(cls, images: Images, frames: np.ndarray) -> Self:
        """Return the statistics of ``frames``, read in batches.

        Parameters
        ----------
        frames
            Positions of the training frames, shape (n,).

        Raises
        ------
        InputError
            If a channel has no valid pixel in these frames.
        """
        channels = images.channels
        # Sums of squares about the middle of the range keep their digits; about zero they may not.
        middle = np.array([(c.minimum + c.maximum) / 2 for c in channels])
        count = np.zeros(len(channels), dtype=np.int64)
        total, squares = np.zeros(len(channels)), np.zeros(len(channels))
        for batch in images.batches(frames):
            values = images.read(batch)
            for k in range(len(channels)):
                valid = values[:, k]
                valid = valid[~np.isnan(valid)].astype(np.float64) - middle[k]
                count[k] += len(valid)
                total[k] += valid.sum()
                squares[k] += valid @ valid
        if not count.all():
            name = channels[int(np.argmin(count))].name
            raise InputError(
                f"{images.path}: channel {name!r} has no valid pixel in the {len(frames)} training "
                "frames; leave the channel out, or choose another period or fewer folds."
            )
        mean = total / count
        std = np.sqrt(np.maximum(squares / count - mean**2, 0))
        std[std == 0] = 1.0  # a constant channel says nothing, and becomes zero
        return cls((mean + middle).astype(np.float32), std.astype(np.float32))

    def apply(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Standardise images.

        Parameters
        ----------
        values
            Shape (n, channels, y, x), in native units, NaN where missing.

        Returns
        -------
        standardised : float32, the same shape
            Zero where missing.
        valid : bool, the same shape
        """
        valid = ~np.isnan(values)
        standardised = values - self.mean[:, None, None]
        standardised /= self.std[:, None, None]
        standardised[~valid] = 0
        return standardised, valid

    def restore(self, standardised: np.ndarray) -> np.ndarray:
        """Return standardised values (…, channels, y, x) in native units."""
        return standardised * self.std[:, None, None] + self.mean[:, None, None]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what :meth:`from_arrays` needs, for an encoder's file."""
        return {"channel_mean": self.mean, "channel_std": self.std}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Return the standardiser whose :meth:`arrays` are among ``arrays``."""
        return cls(arrays["channel_mean"], arrays["channel_std"])
