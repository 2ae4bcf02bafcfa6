"""Which frames an encoder may see, if it must not see those of a test fold."""

import numpy as np
import pandas as pd

from casestudies.errors import InputError


def training_frames(
    days: np.ndarray, samples: pd.DataFrame, test: np.ndarray, gap: float
) -> np.ndarray:
    """Return the frames that an inductive encoder may be trained on.

    Test samples that follow each other among all samples are one run. Every frame from ``gap``
    before a run to ``gap`` after it is left out, labelled or not: an unlabelled frame an hour from
    a test frame is nearly that frame.

    Parameters
    ----------
    days
        Day of every frame, shape (frames,), ascending.
    samples
        All samples, with ``day`` and ``frame`` (position in ``days``).
    test
        Positions of the test fold's samples, shape (m,).
    gap
        In days.

    Returns
    -------
    ndarray of int
        Positions in ``days``, ascending.

    Raises
    ------
    InputError
        If no frame is left.
    """
    sampled = samples["day"].to_numpy(dtype=float)
    frame = samples["frame"].to_numpy()
    order = np.argsort(sampled, kind="stable")
    tested = np.zeros(len(samples), dtype=bool)
    tested[test] = True
    allowed = np.ones(len(days), dtype=bool)
    ends = np.flatnonzero(np.diff(tested[order])) + 1
    for run in np.split(order, ends):
        if len(run) and tested[run[0]]:
            # A sounding and its frame may be days apart; both belong to the test fold.
            when = np.concatenate([sampled[run], days[frame[run]]])
            allowed &= (days < when.min() - gap) | (days > when.max() + gap)
    if not allowed.any():
        raise InputError(
            f"a gap of {gap:g} days about the {len(test)} test samples leaves no frame to train "
            "an encoder on; choose a smaller gap or test folds that are contiguous in time."
        )
    return np.flatnonzero(allowed)
