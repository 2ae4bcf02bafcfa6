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
        count, total, squares = np.moveaxis(images.moments(frames).sum(axis=0), -1, 0)
        if not count.all():
            name = images.channels[int(np.argmin(count))].name
            raise InputError(
                f"{images.path}: channel {name!r} has no valid pixel in the {len(frames)} training "
                "frames; leave the channel out, or choose another period or fewer folds."
            )
        mean = total / count
        std = np.sqrt(np.maximum(squares / count - mean**2, 0))
        std[std == 0] = 1.0  # a constant channel says nothing, and becomes zero
        middle = np.array([channel.middle for channel in images.channels])
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
