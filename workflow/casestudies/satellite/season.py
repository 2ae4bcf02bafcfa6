"""Season and hour, which every model but the mean may use beside the images."""

import numpy as np
import pandas as pd

BESIDE = ("season_sin", "season_cos", "hour_sin", "hour_cos")
"""The columns."""


def calendar(times: np.ndarray) -> pd.DataFrame:
    """Return the columns BESIDE of frames, as the prepared table has them.

    Parameters
    ----------
    times
        datetime64, UTC, shape (n,).
    """
    moments = pd.DatetimeIndex(times)
    season = 2 * np.pi * (moments.day_of_year - 1 + moments.hour / 24).to_numpy() / 365.25
    hour = 2 * np.pi * (moments.hour + moments.minute / 60).to_numpy() / 24
    values = (np.sin(season), np.cos(season), np.sin(hour), np.cos(hour))
    return pd.DataFrame(dict(zip(BESIDE, values, strict=True)))
