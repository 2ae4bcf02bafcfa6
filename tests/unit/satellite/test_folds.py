"""An inductive encoder never sees a frame of its test fold."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casestudies.errors import InputError
from casestudies.satellite.folds import training_frames


def _samples(frames: np.ndarray, days: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"day": days[frames], "frame": frames})


def test_runs_and_gap():
    days = np.arange(100) / 2
    samples = _samples(np.arange(0, 100, 10), days)  # days 0, 5, …, 45
    frames = training_frames(days, samples, np.array([2, 3, 8]), gap=2.0)
    # Samples 2 and 3 are one run (days 10 to 15); 8 (day 40) is another.
    out = ((days >= 8) & (days <= 17)) | ((days >= 38) & (days <= 42))
    np.testing.assert_array_equal(frames, np.flatnonzero(~out))


def test_lone_frames_without_gap():
    days = np.arange(20.0)
    frames = training_frames(days, _samples(np.arange(20), days), np.array([3, 11]), gap=0)
    assert set(range(20)) - set(frames) == {3, 11}


def test_frame_far_from_its_sounding_is_left_out():
    days = np.arange(20.0)
    samples = pd.DataFrame({"day": [2.0, 9.0], "frame": [2, 13]})  # nearest frame 4 days later
    assert not np.isin(np.arange(9, 14), training_frames(days, samples, np.array([1]), 0)).any()


def test_order_of_samples_does_not_matter():
    days = np.arange(60.0)
    samples = _samples(np.arange(0, 60, 6), days)
    shuffled = samples.iloc[::-1].reset_index(drop=True)
    expected = training_frames(days, samples, np.array([4, 5]), 3)
    np.testing.assert_array_equal(training_frames(days, shuffled, np.array([5, 4]), 3), expected)


@given(st.data())
def test_nothing_within_the_gap(data: st.DataObject):
    days = np.cumsum(data.draw(st.lists(st.floats(0.01, 3), min_size=30, max_size=60)))
    count = data.draw(st.integers(2, 12))
    samples = _samples(np.linspace(0, len(days) - 1, count).astype(int), days)
    test = np.flatnonzero(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    gap = data.draw(st.floats(0, 5))
    try:
        frames = training_frames(days, samples, test, gap)
    except InputError:
        return
    distance = np.abs(days[frames][:, None] - samples["day"].to_numpy()[test])
    assert (distance > gap).all()


def test_nothing_left():
    days = np.arange(10.0)
    with pytest.raises(InputError, match="leaves no frame"):
        training_frames(days, _samples(np.arange(10), days), np.array([5]), gap=30)
