"""Features of terrain: symmetry, known values, units."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from casestudies.wind.features import (
    RADII,
    SCALES,
    cell_heights,
    edge_mean,
    stacked,
    steepest,
    terrain_features,
)

SPACING = 60.0
LAND = arrays(np.float32, (2, 13, 15), elements=st.floats(-300, 300, width=16))


def features(elevation, z0=0.1):
    return terrain_features(elevation, np.full(len(elevation), z0), SPACING)


@settings(max_examples=20, deadline=None)
@given(LAND)
def test_a_mirrored_terrain_has_mirrored_features(elevation):
    own, other = features(elevation), features(elevation[:, ::-1])
    for name, values in own.items():
        sign = -1 if name.startswith("slope_across") else 1
        np.testing.assert_allclose(other[name], sign * values[:, ::-1], atol=2e-4, err_msg=name)


@settings(max_examples=20, deadline=None)
@given(LAND, st.floats(-1000, 1000))
def test_the_level_of_the_sea_does_not_count(elevation, level):
    own, lifted = features(elevation), features(elevation + np.float32(level))
    for name, values in own.items():
        np.testing.assert_allclose(lifted[name], values, atol=1e-2, err_msg=name)


def test_a_plane_has_its_slope_no_curvature_and_no_position():
    x, y = np.meshgrid(np.arange(41) * SPACING, np.arange(41) * SPACING)
    plane = 0.2 * x - 0.1 * y
    found = features(plane[None])
    centre = (0, 20, 20)
    for scale in (s for s in SCALES if s < 300):
        assert found[f"slope_along_{scale:g}"][centre] == pytest.approx(0.2, abs=1e-3)
        assert found[f"slope_across_{scale:g}"][centre] == pytest.approx(-0.1, abs=1e-3)
        assert found[f"laplacian_{scale:g}"][centre] == pytest.approx(0, abs=1e-4)
    for radius in (r for r in RADII if r < 1100):
        assert found[f"tpi_{radius:g}"][centre] == pytest.approx(0, abs=1e-4)
    assert found["upwind_600"][centre] == pytest.approx(-np.arctan(0.2), abs=1e-4)
    assert found["downwind_600"][centre] == pytest.approx(np.arctan(0.2), abs=1e-4)


def test_sx_is_the_angle_to_the_ridge_upwind_within_reach():
    heights = np.zeros((1, 1, 20))
    heights[0, 0, 5] = 120.0
    found = steepest(heights, SPACING, 300.0)
    assert found[0, 0, 8] == pytest.approx(np.arctan(120 / (3 * SPACING)))
    assert found[0, 0, 11] == 0  # six cells downwind: out of reach
    assert found[0, 0, 4] == 0  # upwind of it
    assert found[0, 0, 5] < 0  # the ridge itself looks down


def test_a_summit_stands_above_its_neighbourhood():
    x, y = np.meshgrid(*[np.arange(31) * SPACING - 900] * 2)
    found = features(100 * np.exp(-(x**2 + y**2) / 300**2)[None])
    assert all(found[f"tpi_{radius:g}"][0, 15, 15] > 0 for radius in RADII)
    assert found["laplacian_0"][0, 15, 15] < 0


def test_cells_are_the_means_of_their_nodes_and_the_edge_is_the_level():
    nodes = np.arange(12.0).reshape(1, 3, 4)
    assert cell_heights(nodes)[0, 0, 0] == np.mean([0, 1, 4, 5])
    assert edge_mean(np.full((2, 3, 4), 7.0)).tolist() == [[[7.0]], [[7.0]]]


def test_features_are_stacked_by_name():
    found = features(np.zeros((2, 13, 15)))
    assert stacked(found).shape == (2, len(found), 12, 14)
    assert stacked(found, ["log_roughness"])[0, 0, 0, 0] == pytest.approx(np.log(0.1))
