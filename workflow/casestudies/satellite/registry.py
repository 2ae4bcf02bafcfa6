"""The encoders by name, imported only when asked for, and what every one of them can do."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np

from casestudies.errors import InputError, nearest
from casestudies.satellite.images import Images

_CLOSED, _NETWORKS = "casestudies.satellite.encoders", "casestudies.satellite.networks"

ENCODERS = {
    "pca": (_CLOSED, "PrincipalComponents"),
    "slow_features": (_CLOSED, "SlowFeatures"),
    "random_features": (_CLOSED, "RandomFeatures"),
    "slow_random_features": (_CLOSED, "SlowRandomFeatures"),
    "autoencoder": (_NETWORKS, "Autoencoder"),
    "masked_autoencoder": (_NETWORKS, "MaskedAutoencoder"),
    "variational_autoencoder": (_NETWORKS, "VariationalAutoencoder"),
    "temporal_autoencoder": (_NETWORKS, "TemporalAutoencoder"),
}
NETWORKS = tuple(name for name, (module, _) in ENCODERS.items() if module == _NETWORKS)


class Encoder(Protocol):
    """What compresses an image to a few numbers, without ever seeing a label.

    The constructor takes the settings as keywords (each has a default) and raises InputError for
    a value out of range.

    Attributes
    ----------
    settings
        All settings, JSON-serialisable: ``type(encoder)(**encoder.settings)`` is its like.
    parameters
        Fitted numbers that :meth:`transform` depends on, standardisation included.
    curves
        One dict per evaluation of an iterative fit: ``step``, ``training_loss``,
        ``validation_loss``. Empty for a fit in closed form.
    """

    settings: dict[str, Any]
    parameters: int
    curves: list[dict[str, float]]

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
        """Learn from ``frames`` (positions, shape (n,), ascending) and from no other frame.

        Parameters
        ----------
        device
            "cpu" or "cuda"; an encoder in closed form uses the CPU.
        checkpoint
            File to resume from and to write every ``checkpoint_every`` seconds; None for none.
        label
            Name in the progress.
        """
        ...

    def transform(self, images: Images, frames: np.ndarray) -> np.ndarray:
        """Return the latents of ``frames``, each from its own image, the most telling first.

        Returns
        -------
        float32 of shape (n, latent)
            Finite, also for a frame without a valid pixel.
        """
        ...

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything that was learned, by name."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], settings: Mapping[str, Any]) -> Self:
        """Return the fitted encoder with these ``arrays`` and ``settings``."""
        ...


def encoder_class(name: str) -> type[Encoder]:
    """Return the class of the encoder called ``name``.

    Raises
    ------
    InputError
        If there is none.
    """
    if name not in ENCODERS:
        raise InputError(f"unknown encoder {name!r}; {nearest(name, ENCODERS)}")
    module, attribute = ENCODERS[name]
    return getattr(import_module(module), attribute)
