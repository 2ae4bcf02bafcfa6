"""The inflow, and interpolation to heights above ground."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from casestudies.wind.flow import INFLOW_TOP, Flow, at_heights, log_profile

roughness = st.floats(1e-4, 2.0)


@given(z0=roughness, heights=st.lists(st.floats(0, 2000), min_size=2, max_size=20))
def test_the_inflow_is_1_at_10_m_rises_from_0_and_ends(z0, heights):
    assert log_profile(10.0, z0) == pytest.approx(1)
    assert log_profile(0.0, z0) == 0
    profile = log_profile(np.sort(heights), z0)
    assert (np.diff(profile) >= 0).all()
    assert log_profile(3 * INFLOW_TOP, z0) == log_profile(INFLOW_TOP, z0)


@given(
    z0=roughness,
    steps=st.lists(st.floats(0.5, 40), min_size=3, max_size=10),
    wanted=st.lists(st.floats(0.01, 100), min_size=1, max_size=4),
)
def test_a_logarithmic_profile_is_interpolated_exactly(z0, steps, wanted):
    levels = np.cumsum(steps)[:, None, None] * np.array([[1.0, 1.2, 1.5]])
    wanted = [height for height in wanted if height <= levels[-1].min()]
    found = at_heights(log_profile(levels, z0), levels, wanted, z0) if wanted else np.empty(0)
    for value, height in zip(found, wanted, strict=True):
        np.testing.assert_allclose(value, log_profile(height, z0), rtol=1e-9)


def test_heights_are_those_above_each_column_and_the_last_level_holds_above():
    levels = np.array([[[2.0, 4.0]], [[20.0, 40.0]]])
    values = np.array([[[1.0, 2.0]], [[3.0, 6.0]]])
    found = at_heights(values, levels, [2.0, 40.0, 500.0], 0.1)
    assert found.shape == (3, 1, 2)
    assert found[0, 0, 0] == pytest.approx(1) and found[1, 0, 1] == pytest.approx(6)
    assert found[2].tolist() == [[3.0, 6.0]]
    assert 0 < found[0, 0, 1] < 2, "below the lowest level the profile falls to the ground"


def test_a_failed_flow_has_its_reason_and_no_values():
    flow = Flow.failed((2, 3, 4), "too steep", 1.5)
    assert (flow.reason, flow.seconds, flow.converged, flow.iterations) == (
        "too steep",
        1.5,
        False,
        0,
    )
    assert flow.u.shape == (2, 3, 4) and np.isnan(flow.w).all()
